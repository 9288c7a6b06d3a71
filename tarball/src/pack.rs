//! Packing a tree.

use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, File, Metadata as FsMetadata, OpenOptions};

use crate::encode::{self, Entry, EntryKind};
use crate::gitignore::{DOT_GIT, GITIGNORE, Rules};
use crate::name::os_bytes;
use crate::{
    Growing, Ignore, Metadata, PackError, PackOptions, Packed, RelPath, Skipped, SkippedKind,
    validate_name, zip,
};

/// Packs what lies at `root` beneath `dir` (`""` or `"."` for `dir` itself) to a plain tar stream.
///
/// Entries come in lexical order, a directory before what is in it; names are relative to the root,
/// with slashes, those of directories ending in one. The root itself has no entry. Symlinks are
/// stored, not followed, except in `root`, where they are followed if they stay beneath `dir`. If
/// `root` is a regular file, the archive has one entry with an **empty name**, as peers of the Go
/// original expect.
///
/// Sockets, fifos and devices are left out and reported; [`PackOptions::ignore`] leaves out more. A file
/// that changes its length meanwhile is an error.
///
/// # Errors
///
/// [`PackError`]. The archive is then incomplete, and readers notice: it has no end mark.
pub fn pack(
    dir: &Dir,
    root: &str,
    writer: impl Write,
    options: &PackOptions,
) -> Result<Packed, PackError> {
    Tree::open(dir, root)?.pack(writer, options)
}

/// As [`pack`], compressed with gzip: see [`PackOptions::gzip_level`] and [`PackOptions::gzip_layout`].
///
/// The tree is read and compressed by other threads; this one writes.
///
/// # Errors
///
/// As [`pack`]. The gzip stream is then incomplete, too. Whoever compresses with an encoder of their
/// own should see to that: many end their stream when they are dropped, and some readers take a tar
/// stream without its end mark for whole.
pub fn pack_gz(
    dir: &Dir,
    root: &str,
    writer: impl Write,
    options: &PackOptions,
) -> Result<Packed, PackError> {
    Tree::open(dir, root)?.pack_gz(writer, options)
}

/// A tree that was found and opened, so that packing it can begin.
#[derive(Debug)]
pub struct Tree {
    root: Root,
}

#[derive(Debug)]
enum Root {
    Dir(Dir),
    File(File, FsMetadata),
}

impl Tree {
    /// Opens what lies at `root` beneath `dir`, as [`pack`] takes them.
    ///
    /// # Errors
    ///
    /// [`PackError::InvalidRoot`] and [`PackError::Root`].
    pub fn open(dir: &Dir, root: &str) -> Result<Self, PackError> {
        let path = match root {
            "" => RelPath::default(),
            _ => validate_name(root.as_bytes()).map_err(|source| PackError::InvalidRoot {
                root: root.to_owned(),
                source,
            })?,
        };
        let failed = |source| PackError::Root {
            root: root.to_owned(),
            source,
        };
        if path.is_root() {
            return Ok(Self {
                root: Root::Dir(dir.try_clone().map_err(failed)?),
            });
        }
        let path = path.to_path_buf();
        match dir.open_dir(&path) {
            Ok(dir) => {
                return Ok(Self {
                    root: Root::Dir(dir),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
            Err(error) => return Err(failed(error)),
        }
        let mut options = OpenOptions::new();
        // Not blocking: what was a file a moment ago may be a fifo now.
        options.read(true).nonblock(true);
        let file = dir.open_with(&path, &options).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::new(
                io::ErrorKind::InvalidInput,
                "neither a directory nor a regular file",
            )));
        }
        Ok(Self {
            root: Root::File(file, metadata),
        })
    }

    /// Whether the root is a regular file, which becomes a single entry without a name.
    pub fn is_file(&self) -> bool {
        matches!(self.root, Root::File(..))
    }

    /// Packs it to a plain tar stream; see [`pack`]. The writer is flushed.
    ///
    /// # Errors
    ///
    /// [`PackError`], but for the kinds [`open`](Self::open) gives.
    pub fn pack(self, writer: impl Write, options: &PackOptions) -> Result<Packed, PackError> {
        let mut writer = BufWriter::with_capacity(BUFFER, writer);
        let packed = self.write(&mut writer, options)?;
        writer
            .flush()
            .map_err(|source| PackError::Write { source })?;
        Ok(packed)
    }

    /// Packs it to a compressed stream; see [`pack_gz`]. The writer is flushed.
    ///
    /// # Errors
    ///
    /// As [`pack`](Self::pack).
    pub fn pack_gz(self, writer: impl Write, options: &PackOptions) -> Result<Packed, PackError> {
        zip::gzip(
            writer,
            options.gzip_level.min(9),
            options.gzip_layout,
            |gzip| self.write(gzip, options),
            |source| PackError::Write { source },
        )
    }

    /// To a writer that has a buffer of its own.
    fn write(self, writer: impl Write, options: &PackOptions) -> Result<Packed, PackError> {
        let start = Instant::now();
        let mut packer = Packer {
            writer,
            options,
            name: Vec::new(),
            path: PathBuf::new(),
            head: Vec::new(),
            buf: vec![0; BUFFER],
            rules: Rules::default(),
            done: Packed::default(),
        };
        match self.root {
            Root::Dir(dir) => {
                if options.ignore == Ignore::Git {
                    packer.path.push(".git/info/exclude");
                    packer
                        .rules
                        .read_exclude(&dir)
                        .map_err(|e| packer.unreadable(e))?;
                    packer.path.clear();
                }
                packer.dir(&dir, 0)?;
            }
            Root::File(mut file, metadata) => packer.file(&mut file, &metadata)?,
        }
        packer.write_static(encode::end())?;
        packer.done.elapsed = start.elapsed();
        Ok(packer.done)
    }
}

struct Packer<'a, W: Write> {
    writer: W,
    options: &'a PackOptions,
    /// The current entry's name, as the archive and as the system has it.
    name: Vec<u8>,
    path: PathBuf,
    head: Vec<u8>,
    buf: Vec<u8>,
    rules: Rules,
    done: Packed,
}

impl<W: Write> Packer<'_, W> {
    fn dir(&mut self, dir: &Dir, depth: usize) -> Result<(), PackError> {
        let mut names = Vec::new();
        for entry in dir.entries().map_err(|e| self.unreadable(e))? {
            let entry = entry.map_err(|e| self.unreadable(e))?;
            names.push((
                entry.file_name(),
                entry.file_type().map_err(|e| self.unreadable(e))?,
            ));
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let outer = self.name.len();
        let outer_rules = self.rules.len();
        let ignoring = self.options.ignore == Ignore::Git;
        if ignoring && names.iter().any(|(n, k)| n == GITIGNORE && k.is_file()) {
            self.path.push(GITIGNORE);
            self.rules
                .read(dir, GITIGNORE.as_ref(), outer)
                .map_err(|e| self.unreadable(e))?;
            self.path.pop();
        }
        for (name, kind) in names {
            if ignoring && name == DOT_GIT {
                continue;
            }
            self.path.push(&name);
            match os_bytes(&name) {
                Some(bytes) => self.name.extend_from_slice(&bytes),
                None => {
                    return Err(PackError::Name {
                        name: self.path.clone(),
                    });
                }
            }
            if ignoring && self.rules.ignores(&self.name, kind.is_dir()) {
                self.done.ignored += 1;
            } else if kind.is_dir() {
                self.child_dir(dir, name, depth)?;
            } else if kind.is_symlink() {
                self.symlink(dir, name)?;
            } else if kind.is_file() {
                let mut file = self.open_file(dir, &name)?;
                let metadata = file.metadata().map_err(|e| self.unreadable(e))?;
                if metadata.is_file() {
                    self.file(&mut file, &metadata)?;
                } else {
                    self.skip();
                }
            } else {
                self.skip();
            }
            self.name.truncate(outer);
            self.path.pop();
        }
        self.rules.truncate(outer_rules);
        Ok(())
    }

    fn child_dir(&mut self, dir: &Dir, name: OsString, depth: usize) -> Result<(), PackError> {
        let max = self.options.max_depth;
        if depth >= max {
            return Err(PackError::TooDeep {
                name: self.path.clone(),
                max,
            });
        }
        let child = dir
            .open_dir_nofollow(&name)
            .map_err(|e| self.unreadable(e))?;
        let metadata = child.dir_metadata().map_err(|e| self.unreadable(e))?;
        self.name.push(b'/');
        self.header(EntryKind::Dir, &metadata, 0)?;
        self.done.dirs += 1;
        self.dir(&child, depth + 1)
    }

    fn symlink(&mut self, dir: &Dir, name: OsString) -> Result<(), PackError> {
        let metadata = dir
            .symlink_metadata(&name)
            .map_err(|e| self.unreadable(e))?;
        let target = dir
            .read_link_contents(&name)
            .map_err(|e| self.unreadable(e))?;
        let Some(target) = os_bytes(target.as_os_str()) else {
            return Err(PackError::Name {
                name: self.path.clone(),
            });
        };
        self.header(EntryKind::Symlink(&target), &metadata, 0)?;
        self.done.links += 1;
        Ok(())
    }

    fn open_file(&self, dir: &Dir, name: &OsString) -> Result<File, PackError> {
        let mut options = OpenOptions::new();
        // Not following and not blocking: it may be something else by now.
        options.read(true).follow(FollowSymlinks::No).nonblock(true);
        dir.open_with(name, &options)
            .map_err(|e| self.unreadable(e))
    }

    fn file(&mut self, file: &mut File, metadata: &FsMetadata) -> Result<(), PackError> {
        let size = metadata.len();
        self.header(EntryKind::File, metadata, size)?;
        let mut left = size;
        loop {
            // There is always room for a byte more than is due, and a short answer ends a file: so most
            // take one call, and one that has grown shows.
            let n = match file.read(&mut self.buf) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.unreadable(error)),
            };
            if n == 0 && left > 0 {
                return Err(PackError::Shrunk {
                    name: self.path.clone(),
                    expected: size,
                    actual: size - left,
                });
            }
            if n as u64 > left && self.options.growing == Growing::Refuse {
                return Err(PackError::Grew {
                    name: self.path.clone(),
                    expected: size,
                });
            }
            let due = usize::try_from(left).unwrap_or(usize::MAX).min(n);
            self.writer
                .write_all(&self.buf[..due])
                .map_err(|source| PackError::Write { source })?;
            left -= due as u64;
            if left == 0 && (n < self.buf.len() || self.options.growing == Growing::Cut) {
                break;
            }
        }
        self.write_static(encode::padding(size))?;
        self.done.files += 1;
        self.done.bytes += size;
        Ok(())
    }

    fn header(
        &mut self,
        kind: EntryKind<'_>,
        metadata: &FsMetadata,
        size: u64,
    ) -> Result<(), PackError> {
        let (mode, uid, gid) = owner(metadata);
        let entry = match self.options.metadata {
            Metadata::Files => Entry {
                name: &self.name,
                kind,
                mode,
                uid,
                gid,
                mtime: mtime(metadata),
                size,
            },
            Metadata::Fixed { mtime } => {
                let mode = match kind {
                    EntryKind::Symlink(_) => 0o777,
                    EntryKind::File if mode & 0o100 == 0 => 0o644,
                    _ => 0o755,
                };
                let mtime = i64::try_from(mtime).unwrap_or(i64::MAX);
                Entry {
                    name: &self.name,
                    kind,
                    mode,
                    uid: 0,
                    gid: 0,
                    mtime,
                    size,
                }
            }
        };
        self.head.clear();
        encode::header(&entry, &mut self.head);
        self.writer
            .write_all(&self.head)
            .map_err(|source| PackError::Write { source })
    }

    fn skip(&mut self) {
        self.done.skipped += 1;
        if self.done.skipped_names.len() < MAX_SKIPPED_NAMES {
            let skipped = Skipped {
                name: self.path.clone(),
                kind: SkippedKind::Special,
            };
            self.done.skipped_names.push(skipped);
        }
    }

    fn write_static(&mut self, bytes: &'static [u8]) -> Result<(), PackError> {
        self.writer
            .write_all(bytes)
            .map_err(|source| PackError::Write { source })
    }

    fn unreadable(&self, source: io::Error) -> PackError {
        PackError::Read {
            name: self.path.clone(),
            source,
        }
    }
}

#[cfg(unix)]
fn owner(metadata: &FsMetadata) -> (u32, u64, u64) {
    use cap_std::fs::MetadataExt;
    (
        metadata.mode(),
        metadata.uid().into(),
        metadata.gid().into(),
    )
}

#[cfg(not(unix))]
fn owner(metadata: &FsMetadata) -> (u32, u64, u64) {
    (if metadata.is_dir() { 0o755 } else { 0o644 }, 0, 0)
}

fn mtime(metadata: &FsMetadata) -> i64 {
    let Ok(time) = metadata.modified() else {
        return 0;
    };
    let seconds = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    match time.into_std().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => seconds(since),
        // Rounded down, as everywhere.
        Err(before) => {
            let before = before.duration();
            -seconds(before) - i64::from(before.subsec_nanos() > 0)
        }
    }
}

const BUFFER: usize = 256 << 10;
const MAX_SKIPPED_NAMES: usize = 100;
