//! Files of logs.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

use bytes::Bytes;

use crate::reclog::Lock;

/// Locks a directory, for as long as what this gives is there, if nobody else has.
pub(super) fn lock(dir: &Path) -> io::Result<Option<Lock>> {
    Lock::take(options().open(dir.join(".lock"))?)
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
