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
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            metadata: Metadata::Files,
            max_depth: 256,
            gzip_level: 6,
        }
    }
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
