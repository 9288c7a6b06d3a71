//! Where the segments of a leader lie.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;

use crate::{
    log::files::{lock, map, options, sync_names},
    reclog::{Lock, Storage},
};

/// A place for files, of one leader. All methods block.
pub trait Dir: Send + 'static {
    /// The files that are there. Others than the log's own may be among them.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn list(&self) -> io::Result<Vec<Entry>>;

    /// Opens a file to read and write; makes an empty one if there is none.
    ///
    /// # Errors
    /// When the file cannot be opened.
    fn open(&self, name: &str) -> io::Result<Box<dyn Storage>>;

    /// All bytes of a file that never changes again.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn read(&self, name: &str) -> io::Result<Bytes>;

    /// Gives a file another name, in place of a file that has it.
    ///
    /// # Errors
    /// When it cannot be done. It may have been done all the same.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// When it cannot be done, or there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns when all names would survive a power cut.
    ///
    /// # Errors
    /// When nobody can say whether they would.
    fn sync(&self) -> io::Result<()>;
}

/// A file in a [`Dir`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
    /// When it was written last.
    pub modified: SystemTime,
}

/// A directory of this machine, locked against other leaders.
#[derive(Debug)]
pub struct LocalDir {
    path: PathBuf,
    _lock: Lock,
}

impl LocalDir {
    /// Locks the directory at `path`; makes it if there is none.
    ///
    /// The lock is on the file `.lock` in it and ends with the value, or the process.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] if somebody else has it; else what the system says.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        fs::create_dir_all(&path)?;
        let lock = lock(&path)?.ok_or_else(|| {
            let text = format!("{} is in use by another leader", path.display());
            io::Error::new(io::ErrorKind::ResourceBusy, text)
        })?;
        Ok(Self { path, _lock: lock })
    }
}

impl Dir for LocalDir {
    fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                entries.push(Entry {
                    name,
                    len: metadata.len(),
                    modified: metadata.modified()?,
                });
            }
        }
        Ok(entries)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Storage>> {
        Ok(Box::new(options().open(self.path.join(name))?))
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        map(&self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        sync_names(&self.path)
    }
}

/// Files in memory. Clones are the same place. What is "durable" there ends with the process.
#[derive(Debug, Clone, Default)]
pub struct MemoryDir(Arc<Mutex<BTreeMap<String, MemoryFile>>>);

#[derive(Debug, Clone, Default)]
struct MemoryFile(Arc<Mutex<Vec<u8>>>);

impl MemoryDir {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, MemoryFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryFile {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dir for MemoryDir {
    fn list(&self) -> io::Result<Vec<Entry>> {
        let files = self.files();
        let entry = |(name, file): (&String, &MemoryFile)| Entry {
            name: name.clone(),
            len: file.bytes().len() as u64,
            modified: SystemTime::UNIX_EPOCH,
        };
        Ok(files.iter().map(entry).collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Storage>> {
        Ok(Box::new(
            self.files().entry(name.into()).or_default().clone(),
        ))
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        let files = self.files();
        let file = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Bytes::copy_from_slice(&file.bytes()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.files().remove(name);
        removed
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Storage for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes();
        let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..));
        let rest = rest.unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&mut self, offset: u64, new: &[u8]) -> io::Result<usize> {
        let mut bytes = self.bytes();
        let at = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = at + new.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[at..end].copy_from_slice(new);
        Ok(new.len())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.bytes().resize(len, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
