use std::io;
use std::path::PathBuf;

use crate::file::FileStore;
use crate::kept::Found;
use crate::ring::Ring;
use crate::shared::Shared;

/// How to make the file when memory no longer suffices.
#[derive(Debug)]
pub(crate) struct Spill {
    memory: usize,
    dir: Option<PathBuf>,
    ring: Option<Ring>,
}

impl Spill {
    pub(crate) fn new(memory: usize, dir: Option<PathBuf>, ring: Option<Ring>) -> Self {
        Self { memory, dir, ring }
    }

    /// Whether a log of `len` bytes needs the file.
    pub(crate) fn is_needed(&self, len: u64) -> bool {
        len > self.memory as u64
    }

    /// Makes the file and writes to it what the log has until now, all of which is still in memory.
    pub(crate) fn begin(self, shared: &Shared) -> io::Result<()> {
        let file = match &self.dir {
            Some(dir) => tempfile::tempfile_in(dir)?,
            None => tempfile::tempfile()?,
        };
        let store = FileStore::new(file, self.ring);
        let mut offset = 0;
        loop {
            // Readers get on with the log between the pieces; only the writer, which waits here, could add to it.
            let found = shared.lock().kept.find(offset);
            let Found::Data(data) = found else {
                break;
            };
            store.write_all_at(&data, offset)?;
            offset += data.len() as u64;
        }
        let _ = shared.file.set(store);
        Ok(())
    }
}
