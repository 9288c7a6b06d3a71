//! Files of logs.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::Path,
};

use bytes::Bytes;

/// A directory is somebody's as long as this is there.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would not do: a child process that is just being started has it, too.
        let _ = self.0.unlock();
    }
}

/// Locks a directory, if nobody else has.
pub(super) fn lock(dir: &Path) -> io::Result<Option<Lock>> {
    let lock = options().open(dir.join(".lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(Lock(lock))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Reads and writes a file, which is its owner's only, as the original's are.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// All bytes of a file, mapped.
pub(super) fn map(path: &Path) -> io::Result<Bytes> {
    match mmap_guard::map_file(path) {
        Ok(mapped) => Ok(Bytes::from_owner(mapped)),
        // Nothing cannot be mapped.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            fs::read(path).map(Bytes::from)
        }
        Err(error) => Err(error),
    }
}

/// Returns when the names in a directory would survive a power cut.
pub(super) fn sync_names(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_though_a_child_has_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap().unwrap();
        assert!(lock(dir.path()).unwrap().is_none());
        // What a child has between fork and exec.
        let inherited = held.0.try_clone().unwrap();
        drop(held);
        assert!(lock(dir.path()).unwrap().is_some());
        drop(inherited);
    }
}
