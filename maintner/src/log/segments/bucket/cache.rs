//! Sealed segments on this machine.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::log::{Segment, Sha224Sum, files::map, names};

/// Copies of sealed segments, under their names, if they are to be kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache(Option<PathBuf>);

impl Cache {
    pub(super) fn in_dir(dir: PathBuf) -> Self {
        Self(Some(dir))
    }

    /// A segment, if it is there.
    pub(super) fn find(&self, segment: &Segment, verify: bool) -> Option<Bytes> {
        let path = self.0.as_ref()?.join(names::sealed(segment));
        let bytes = map(&path).ok()?;
        let good = bytes.len() as u64 == segment.size
            && (!verify || Sha224Sum::of(&bytes) == segment.sha224);
        good.then_some(bytes)
    }

    /// Keeps a segment; gives its bytes as they are best kept in memory. That it cannot be kept
    /// stops nobody.
    pub(super) fn keep(&self, segment: &Segment, bytes: Bytes) -> Bytes {
        let Some(dir) = &self.0 else { return bytes };
        match write(dir, &names::sealed(segment), &bytes) {
            Ok(mapped) => mapped,
            Err(error) => {
                tracing::warn!(%error, dir = %dir.display(), "cannot keep a copy of a segment");
                bytes
            }
        }
    }
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<Bytes> {
    fs::create_dir_all(dir)?;
    let path = dir.join(name);
    // Others may keep their copies here, too.
    let new = dir.join(format!("{name}.new-{}", std::process::id()));
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, &path)?;
    map(&path)
}
