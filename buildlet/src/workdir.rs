//! The work directory: the one tree everything happens in.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use crate::config::StartError;

/// The work directory, held against other workers for as long as this lives.
#[derive(Debug)]
pub(crate) struct WorkDir {
    path: PathBuf,
    _lock: File,
}

impl WorkDir {
    /// Makes, locks and settles the directory.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::WorkDir {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(failed)?;
        // Children must see the same path whatever their own working directory is.
        let path = path.canonicalize().map_err(failed)?;
        let lock = File::open(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(StartError::InUse(path)),
            // Some network file systems cannot lock directories; they get no protection.
            Err(std::fs::TryLockError::Error(error)) => {
                tracing::debug!(%error, "work directory cannot be locked");
            }
        }
        Ok(Self { path, _lock: lock })
    }

    /// Absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A handle that nothing below it can be reached out of. The directory is made anew if a command removed it.
    pub(crate) fn dir(&self) -> io::Result<Dir> {
        match Dir::open_ambient_dir(&self.path, ambient_authority()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(&self.path)?;
                Dir::open_ambient_dir(&self.path, ambient_authority())
            }
            other => other,
        }
    }
}

/// Opens a directory, and only a directory: a link put in its place meanwhile is not followed.
pub(crate) fn open_real_dir(parent: &Dir, name: &OsStr) -> io::Result<Dir> {
    open_real(parent, name, OFlag::O_DIRECTORY).map(Dir::from_std_file)
}

/// Opens a file for reading without following links, and without waiting should it be a fifo by now.
pub(crate) fn open_real_file(parent: &Dir, name: &OsStr) -> io::Result<File> {
    open_real(parent, name, OFlag::O_NONBLOCK)
}

fn open_real(parent: &Dir, name: &OsStr, extra: OFlag) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | extra;
    let fd: OwnedFd = openat(parent, Path::new(name), flags, Mode::empty())?;
    Ok(fd.into())
}

/// Random lower-case hex of twice as many digits as bytes.
pub(crate) fn random_hex<const N: usize>() -> io::Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex(&bytes))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
