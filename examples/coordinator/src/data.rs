//! The folder that holds everything a farm knows.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use buildfarm_dashboard::keys::JoinKey;

/// The data folder, held by this process alone.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) root: PathBuf,
    _lock: File,
}

impl Data {
    /// Makes or opens the folder. A second coordinator on the same folder is refused.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(root)
            .with_context(|| format!("the data folder {} cannot be made", root.display()))?;
        let root = root.canonicalize()?;
        // It usually lies in somebody's repository, and is nothing to commit.
        let ignore = root.join(".gitignore");
        if !ignore.exists() {
            fs::write(ignore, "*\n")?;
        }
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another coordinator works with {}: stop it, or give this one a folder of its own with --data",
                root.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).context("the data folder cannot be locked")
            }
        }
    }

    /// The key with which workers join, made at the first start. It carries the fingerprint of the certificate, so that one
    /// word is all a new machine needs.
    pub(crate) fn join_key(&self, pin: [u8; 32]) -> anyhow::Result<JoinKey> {
        let path = self.join_key_path();
        let key = match fs::read_to_string(&path) {
            Ok(text) => {
                let old: JoinKey = text
                    .trim()
                    .parse()
                    .with_context(|| format!("{} holds no key", path.display()))?;
                if old.pin() == Some(pin) {
                    return Ok(old);
                }
                old.with_pin(pin)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                JoinKey::generate()?.with_pin(pin)
            }
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
        };
        write_secret(&path, &format!("{}\n", key.word()))?;
        Ok(key)
    }

    pub(crate) fn join_key_path(&self) -> PathBuf {
        self.root.join("worker.key")
    }
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options
        .open(&partial)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(partial, path)?;
    Ok(())
}
