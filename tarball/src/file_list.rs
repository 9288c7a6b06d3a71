//! Archives of files that need not exist.

mod stream;

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use flate2::Compression;
use flate2::read::GzEncoder;

use crate::encode::{self, Entry, EntryKind};
use crate::{GzipLayout, NameError, validate_name, zip};

pub use stream::TarStream;
use stream::copy;

/// A recipe for an archive, from which it can be made any number of times, also at once from
/// several threads. Entries come in the order they were added.
///
/// Everything in it is fixed when it is added (owner and group are 0), so the same list gives the
/// same bytes, if its sources do.
///
/// Cloning is cheap but for the names: content is shared.
#[derive(Clone, Debug, Default)]
pub struct FileList {
    entries: Vec<Item>,
    mtime: i64,
}

impl FileList {
    /// An empty list, whose archive is empty as well.
    pub fn new() -> Self {
        Self::default()
    }

    /// The modification time of entries added from now on; before that, it is that of 1970. Fractions
    /// of a second are dropped.
    pub fn set_mtime(&mut self, mtime: SystemTime) -> &mut Self {
        self.mtime = match mtime.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(_) => 0,
        };
        self
    }

    /// Adds a directory of mode 0755. Directories that files only imply need not be added.
    ///
    /// # Errors
    ///
    /// [`NameError`] for a name [`unpack`](crate::unpack) would refuse.
    pub fn add_dir(&mut self, name: &str) -> Result<&mut Self, NameError> {
        let path = validate_name(name.as_bytes())?;
        self.push(format!("{path}/"), 0o755, ItemKind::Dir);
        Ok(self)
    }

    /// Adds a symlink. The target is stored as it is.
    ///
    /// # Errors
    ///
    /// [`NameError`] for a name [`unpack`](crate::unpack) would refuse.
    pub fn add_symlink(&mut self, name: &str, target: &str) -> Result<&mut Self, NameError> {
        let name = file_name(name)?;
        self.push(name, 0o777, ItemKind::Symlink(target.into()));
        Ok(self)
    }

    /// Adds a file with this content. `mode` has the permission bits.
    ///
    /// # Errors
    ///
    /// [`NameError`] for a name [`unpack`](crate::unpack) would refuse.
    pub fn add_bytes(
        &mut self,
        name: &str,
        mode: u32,
        content: impl Into<Vec<u8>>,
    ) -> Result<&mut Self, NameError> {
        let content: Arc<[u8]> = content.into().into();
        let size = content.len() as u64;
        let name = file_name(name)?;
        self.push(name, mode, ItemKind::File(size, Source::Bytes(content)));
        Ok(self)
    }

    /// Adds a file whose content is opened anew for each archive, and must have `size` bytes then.
    ///
    /// # Errors
    ///
    /// [`NameError`] for a name [`unpack`](crate::unpack) would refuse.
    pub fn add_reader<F>(
        &mut self,
        name: &str,
        mode: u32,
        size: u64,
        open: F,
    ) -> Result<&mut Self, NameError>
    where
        F: Fn() -> io::Result<Content> + Send + Sync + 'static,
    {
        let name = file_name(name)?;
        self.push(
            name,
            mode,
            ItemKind::File(size, Source::Reader(Arc::new(open))),
        );
        Ok(self)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The exact length of the plain tar stream, in bytes.
    pub fn tar_len(&self) -> u64 {
        let mut head = Vec::new();
        let mut total = encode::end().len() as u64;
        for item in &self.entries {
            head.clear();
            item.header(&mut head);
            let size = item.size();
            total = total
                .saturating_add(head.len() as u64)
                .saturating_add(size)
                .saturating_add(encode::padding(size).len() as u64);
        }
        total
    }

    /// The plain tar stream, made as it is read.
    pub fn tar(&self) -> TarStream {
        TarStream::new(self.clone())
    }

    /// The stream compressed to one gzip member at the usual level, made as it is read. Dropping it
    /// early leaks nothing.
    pub fn tar_gz(&self) -> impl Read + Send + use<> {
        GzEncoder::new(self.tar(), Compression::default())
    }

    /// Writes the plain tar stream.
    ///
    /// # Errors
    ///
    /// [`FileListError`]; the archive is incomplete then, and has no end mark.
    pub fn write_tar<W: Write>(&self, writer: W) -> Result<W, FileListError> {
        let mut writer = copy(self.tar(), writer)?;
        writer
            .flush()
            .map_err(|source| FileListError::Write { source })?;
        Ok(writer)
    }

    /// Writes the stream compressed with gzip at the usual level. What is longer than a mebibyte is
    /// compressed in parallel, as [`GzipLayout::Members`]; the bytes do not depend on how many processors
    /// there are.
    ///
    /// # Errors
    ///
    /// As [`write_tar`](Self::write_tar); the gzip stream is incomplete, too.
    pub fn write_tar_gz<W: Write>(&self, mut writer: W) -> Result<W, FileListError> {
        let layout = match self.tar_len() {
            0..=MEMBER => GzipLayout::Single,
            _ => GzipLayout::Members,
        };
        let failed = |source| FileListError::Write { source };
        let make = |gzip: &mut dyn Write| copy(self.tar(), gzip).map(drop);
        zip::gzip(&mut writer, LEVEL, layout, make, failed)?;
        Ok(writer)
    }

    /// Sorts the entries by name, a directory before what is in it, so that lists made in different orders
    /// give the same bytes. Of entries of one name the last stays the last.
    pub fn sort(&mut self) -> &mut Self {
        // By components: `a/b` belongs to `a/`, not behind `a-`.
        self.entries
            .sort_by(|a, b| a.name.split('/').cmp(b.name.split('/')));
        self
    }

    fn push(&mut self, name: String, mode: u32, kind: ItemKind) {
        self.entries.push(Item {
            name,
            mode,
            mtime: self.mtime,
            kind,
        });
    }
}

/// The content of a file, opened for one archive.
pub type Content = Box<dyn Read + Send>;

/// Why an archive could not be made of a list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileListError {
    /// A file's source has fewer bytes than declared.
    #[error("content of {name:?} has {actual} bytes, {expected} were declared")]
    Short {
        /// The file.
        name: String,
        /// The bytes declared.
        expected: u64,
        /// The bytes there were.
        actual: u64,
    },
    /// A file's source has more bytes than declared.
    #[error("content of {name:?} has more than the {expected} bytes that were declared")]
    Long {
        /// The file.
        name: String,
        /// The bytes declared.
        expected: u64,
    },
    /// A file's source cannot be opened or read.
    #[error("cannot read content of {name:?}")]
    Content {
        /// The file.
        name: String,
        /// The source's error.
        source: io::Error,
    },
    /// The caller's writer failed.
    #[error("cannot write archive")]
    Write {
        /// Its error.
        source: io::Error,
    },
}

#[derive(Clone, Debug)]
struct Item {
    name: String,
    mode: u32,
    mtime: i64,
    kind: ItemKind,
}

#[derive(Clone, Debug)]
enum ItemKind {
    Dir,
    Symlink(Arc<str>),
    File(u64, Source),
}

#[derive(Clone)]
enum Source {
    Bytes(Arc<[u8]>),
    Reader(Arc<dyn Fn() -> io::Result<Content> + Send + Sync>),
}

impl Item {
    fn size(&self) -> u64 {
        match self.kind {
            ItemKind::File(size, _) => size,
            ItemKind::Dir | ItemKind::Symlink(_) => 0,
        }
    }

    fn header(&self, out: &mut Vec<u8>) {
        let kind = match &self.kind {
            ItemKind::Dir => EntryKind::Dir,
            ItemKind::Symlink(target) => EntryKind::Symlink(target.as_bytes()),
            ItemKind::File(..) => EntryKind::File,
        };
        let (name, size) = (self.name.as_bytes(), self.size());
        encode::header(
            &Entry {
                name,
                kind,
                mode: self.mode,
                uid: 0,
                gid: 0,
                mtime: self.mtime,
                size,
            },
            out,
        );
    }
}

impl Source {
    fn open(&self) -> io::Result<Content> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(io::Cursor::new(Arc::clone(bytes)))),
            Self::Reader(open) => open(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes(_) => "Bytes",
            Self::Reader(_) => "Reader",
        })
    }
}

fn file_name(name: &str) -> Result<String, NameError> {
    let path = validate_name(name.as_bytes())?;
    if path.is_root() || name.ends_with('/') {
        return Err(NameError::Directory);
    }
    Ok(path.to_string())
}

const LEVEL: u32 = 6;
/// What makes more than one gzip member.
const MEMBER: u64 = 1 << 20;
