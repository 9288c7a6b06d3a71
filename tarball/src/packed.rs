//! How a tree is packed, what became of it, and why not.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::NameError;

/// How to pack.
#[derive(Clone, Copy, Debug)]
pub struct PackOptions {
    /// What the entries say about their files. Default [`Metadata::Files`].
    pub metadata: Metadata,
    /// How many directories deep the tree may be; each one on the way is held open. Default 256.
    pub max_depth: usize,
    /// The level [`pack_gz`](crate::pack_gz) compresses at, 0 to 9. Default 6.
    pub gzip_level: u32,
    /// How [`pack_gz`](crate::pack_gz) lays out the stream. Default [`GzipLayout::Members`].
    pub gzip_layout: GzipLayout,
    /// What is left out. Default [`Ignore::Nothing`].
    pub ignore: Ignore,
    /// What to do about a file that grows while it is packed. Default [`Growing::Refuse`].
    pub growing: Growing,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            metadata: Metadata::Files,
            max_depth: 256,
            gzip_level: 6,
            gzip_layout: GzipLayout::default(),
            ignore: Ignore::default(),
            growing: Growing::default(),
        }
    }
}

impl PackOptions {
    /// As the default, but equal trees give equal bytes, whoever packs them, when and where: entries in
    /// lexical order, [`Metadata::Fixed`] at this time, growing files refused.
    ///
    /// ```
    /// # use tarball::PackOptions;
    /// let options = PackOptions::deterministic(1_700_000_000);
    /// ```
    pub fn deterministic(mtime: u64) -> Self {
        Self {
            metadata: Metadata::Fixed { mtime },
            ..Self::default()
        }
    }
}

/// How a compressed archive is laid out. The bytes do not depend on the number of processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GzipLayout {
    /// One member for each mebibyte, compressed in parallel; what [`pargzip`] writes. RFC 1952 calls
    /// that one gzip file, and gzip, tar, Go and this crate read it; a few readers (flate2's
    /// `GzDecoder`) stop after the first member.
    #[default]
    Members,
    /// One member, compressed by the calling thread.
    Single,
}

/// What is left out of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ignore {
    /// Nothing.
    #[default]
    Nothing,
    /// What git would ignore, by the rules of gitignore(5): those of `.gitignore` files in the tree and
    /// of `.git/info/exclude` in its root; and all that is called `.git`.
    ///
    /// So what is packed is what `git ls-files -co --exclude-standard` lists, with these differences:
    /// rules outside the tree (a user's own, those above the root) do not count; git's index is not
    /// read, so a file that is tracked although rules ignore it is left out; and directories are packed
    /// also when they are empty.
    Git,
}

/// What to do about a file that grows while it is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Growing {
    /// It is an error, as a file that shrinks is: nobody knows what state of it the archive would have.
    #[default]
    Refuse,
    /// It is cut at the size it had, for trees in which logs are still written.
    Cut,
}

/// What entries say about their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// Mode, numeric owner and group, and modification time to the second, as the file system has
    /// them. Owner names are left empty.
    Files,
    /// The same for every file, so that equal trees give equal archives: this modification time,
    /// owner and group 0, modes 0755 for directories and executables and 0644 for the rest.
    Fixed {
        /// Seconds since 1970.
        mtime: u64,
    },
}

/// What was packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packed {
    /// Regular files.
    pub files: u64,
    /// Directories, the root not counted.
    pub dirs: u64,
    /// Symlinks.
    pub links: u64,
    /// Bytes of file content.
    pub bytes: u64,
    /// Files, links and directories left out by [`PackOptions::ignore`]. What is in such a directory is
    /// not looked at and not counted, and neither is `.git`.
    pub ignored: u64,
    /// How many things were left out because an archive cannot, or should not, hold them.
    pub skipped: u64,
    /// The first hundred of these.
    pub skipped_names: Vec<Skipped>,
    /// How long it took, the time waiting for the writer included.
    pub elapsed: Duration,
}

/// Something that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name, relative to the root.
    pub name: PathBuf,
    /// What it is.
    pub kind: SkippedKind,
}

/// Why something was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkippedKind {
    /// A socket, fifo or device.
    Special,
}

/// Why a tree was not packed. The archive written so far has no end mark and must not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The root is no name beneath the directory.
    #[error("root {root:?} is not a path beneath the directory")]
    InvalidRoot {
        /// The root asked for.
        root: String,
        /// The rule it breaks.
        source: NameError,
    },
    /// The root cannot be opened, or is neither a directory nor a regular file. Nothing was written.
    #[error("cannot open root {root:?}")]
    Root {
        /// The root asked for.
        root: String,
        /// The system's answer; `NotFound` if there is no such thing.
        source: io::Error,
    },
    /// A file or directory in the tree cannot be read, or vanished.
    #[error("cannot read {}", name.display())]
    Read {
        /// Its name, relative to the root.
        name: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file became shorter after its size was written to the archive.
    #[error("{} shrank from {expected} to {actual} bytes while it was packed", name.display())]
    Shrunk {
        /// Its name, relative to the root.
        name: PathBuf,
        /// Its size at first.
        expected: u64,
        /// The bytes there were.
        actual: u64,
    },
    /// A file became longer after its size was written to the archive, under [`Growing::Refuse`].
    #[error("{} grew beyond its {expected} bytes while it was packed", name.display())]
    Grew {
        /// Its name, relative to the root.
        name: PathBuf,
        /// Its size at first.
        expected: u64,
    },
    /// The tree is deeper than [`PackOptions::max_depth`].
    #[error("{} is more than {max} directories deep", name.display())]
    TooDeep {
        /// The directory, relative to the root.
        name: PathBuf,
        /// The limit.
        max: usize,
    },
    /// A name has no form an archive could hold. Only on systems whose names are not bytes.
    #[error("{} has no portable name", name.display())]
    Name {
        /// The name, relative to the root.
        name: PathBuf,
    },
    /// The caller's writer failed.
    #[error("cannot write archive")]
    Write {
        /// Its error.
        source: io::Error,
    },
}
