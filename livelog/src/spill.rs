use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};

use tokio::runtime::Handle;

use crate::file::FileStore;
use crate::kept::Found;
use crate::ring::Ring;
use crate::shared::Shared;
use crate::sync::{self, AtomicBool, AtomicU64, BACKGROUND_FROM, Mutex, MutexGuard, NOT_WORTH_IT};

/// Moves a log that becomes too long for its memory to an anonymous file.
///
/// Bytes may leave memory when they are in the file. Until then readers find them in memory, so writing them can wait: a
/// job in the background, which runs when there is enough to do, writes what it finds in memory, in order. Only if that is
/// late, the writer does it itself before it appends.
#[derive(Debug)]
pub(crate) struct Spill {
    /// Bytes in memory at most.
    memory: usize,
    dir: Option<PathBuf>,
    ring: Option<Ring>,
    /// All bytes before this offset have been written.
    written: AtomicU64,
    /// Who holds it writes the next bytes.
    turn: Mutex<()>,
    /// Whether there is a job. One that is about to leave may still be counted, so that an append starts none: the next
    /// append does, or writes itself.
    in_background: AtomicBool,
    /// Why the job gave up: what the next append is told.
    failed: OnceLock<Arc<io::Error>>,
}

impl Spill {
    pub(crate) fn new(memory: usize, dir: Option<PathBuf>, ring: Option<Ring>) -> Self {
        Self {
            memory,
            dir,
            ring,
            written: AtomicU64::new(0),
            turn: Mutex::default(),
            in_background: AtomicBool::new(false),
            failed: OnceLock::new(),
        }
    }

    /// How much of the log is in the file.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Does what has to be done before `data` is appended to a log of `old` bytes, which makes it `len` bytes long.
    pub(crate) fn before(
        &self,
        shared: &Arc<Shared>,
        data: [&[u8]; 2],
        old: u64,
        len: u64,
    ) -> Result<(), Arc<io::Error>> {
        if let Some(error) = self.failed.get() {
            return Err(error.clone());
        }
        let leaves_memory = len.saturating_sub(self.memory as u64);
        if self.written() < leaves_memory {
            while self.written() < leaves_memory.min(old) {
                self.write_some(shared)?;
            }
            if leaves_memory > old {
                // More than memory can hold: its beginning is never there.
                let turn = self.turn();
                self.file(shared)?.append(shared, data, old)?;
                self.written.store(len, Ordering::Release);
                drop(turn);
            }
        }
        let worth_it = match shared.file.get() {
            None => self.memory / 2,
            Some(_) => self.memory / 8,
        };
        if self.memory >= BACKGROUND_FROM && old.saturating_sub(self.written()) > worth_it as u64 {
            self.go_on_in_background(shared);
        }
        Ok(())
    }

    /// Writes the next piece that is in memory; nothing if there is none, or if somebody else has done it meanwhile.
    fn write_some(&self, shared: &Shared) -> io::Result<()> {
        let _turn = self.turn();
        let written = self.written();
        let (found, lost_end) = {
            let mut state = shared.lock();
            (state.kept.find(written), state.kept.lost_end())
        };
        let Found::Data(data) = found else {
            return Ok(());
        };
        let file = self.file(shared)?;
        file.lose(lost_end);
        file.write_all_at(&data, written)?;
        let written = written + data.len() as u64;
        self.written.store(written, Ordering::Release);
        Ok(())
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file, made now if there is none.
    fn file<'a>(&self, shared: &'a Shared) -> io::Result<&'a FileStore> {
        if let Some(file) = shared.file.get() {
            return Ok(file);
        }
        let file = match &self.dir {
            Some(dir) => tempfile::tempfile_in(dir)?,
            None => tempfile::tempfile()?,
        };
        Ok(shared.file.get_or_init(|| FileStore::new(file, self.ring)))
    }

    fn go_on_in_background(&self, shared: &Arc<Shared>) {
        if self.in_background.swap(true, Ordering::AcqRel) {
            return;
        }
        let job = Background {
            shared: shared.clone(),
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || job.run())),
            // If no thread can be had, the writer does it.
            Err(_) => drop(sync::spawn("livelog-spill", move || job.run())),
        }
    }
}

struct Background {
    shared: Arc<Shared>,
}

impl Background {
    fn run(self) {
        let Some(spill) = &self.shared.spill else {
            return;
        };
        loop {
            let (len, ended) = {
                let state = self.shared.lock();
                (state.kept.len(), state.end.is_some())
            };
            // What is in memory when the log ends stays there.
            if ended || len.saturating_sub(spill.written()) < NOT_WORTH_IT {
                return;
            }
            if let Err(error) = spill.write_some(&self.shared) {
                let _ = spill.failed.set(Arc::new(error));
                return;
            }
        }
    }
}

/// Also if it never ran.
impl Drop for Background {
    fn drop(&mut self) {
        if let Some(spill) = &self.shared.spill {
            spill.in_background.store(false, Ordering::Release);
        }
    }
}
