use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Compat, Snapshot, apply, commits::Waiting, gerrit, live::Status, snapshot_file::Checkpoint,
    state::State,
};
use crate::{
    proto::wire::DecodeError,
    reclog::{self, Records},
    store::Misplaced,
};

/// The one who changes a corpus. Everybody else has a [`Corpus`].
///
/// Readers are told when it is dropped ([`Status::Ended`]).
#[derive(Debug, Default)]
pub struct Writer {
    state: State,
    waiting: Waiting,
    options: Options,
    shared: Arc<Shared>,
}

/// How a [`Writer`] reads a log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What to make of Gerrit's data where the original reads them wrongly.
    pub compat: Compat,
    /// Threads that a large piece of a log is applied with: 0 for as many as are of use on this
    /// machine, which are never more than 2.
    pub threads: usize,
}

/// What is known, live: hands out the newest [`Snapshot`]. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Corpus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    newest: ArcSwap<Snapshot>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Clone)]
struct Progress {
    generation: u64,
    status: Status,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            newest: ArcSwap::from_pointee(Snapshot::default()),
            progress: watch::Sender::new(Progress {
                generation: 0,
                status: Status::Loading { bytes: 0, of: None },
            }),
        }
    }
}

/// Why a part of a log was not taken in. What stood before the trouble was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The framing is damaged.
    #[error(transparent)]
    Record(#[from] reclog::Error),
    /// A record's payload is no mutation.
    #[error("record at offset {offset} of segment {segment} holds no mutation")]
    Mutation {
        /// The segment.
        segment: u32,
        /// Where in it the record begins.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// The bytes belong elsewhere in the log.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    /// The corpus holds as much as it can: 2^32 - 1 rows of a kind.
    #[error("corpus is full")]
    Full,
}

impl Writer {
    /// Knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows nothing, and reads what it gets as `options` say.
    pub fn with_options(options: Options) -> Self {
        let mut writer = Self::new();
        writer.state.gerrit = gerrit::State::new(options.compat);
        writer.options = options;
        writer
    }

    /// What it knows, for a [`SnapshotDir`](super::snapshot_file::SnapshotDir) to save. What was
    /// applied must have been [published](Self::publish).
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            state: self.state.clone(),
            waiting: self.waiting.clone(),
        }
    }

    /// Knows what a file had in place of what it knew, nothing. Its readers stay.
    pub(super) fn adopt(&mut self, checkpoint: Checkpoint) {
        let Checkpoint { state, waiting } = checkpoint;
        self.state = State {
            generation: self.state.generation,
            epoch: self.state.epoch,
            ..state
        };
        self.waiting = waiting;
    }

    /// Bytes of the log that were applied.
    pub(super) fn log_bytes(&self) -> u64 {
        self.state.position.bytes
    }

    fn threads(&self) -> usize {
        match self.options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// The readers' side.
    pub fn corpus(&self) -> Corpus {
        Corpus(Arc::clone(&self.shared))
    }

    /// Takes in the records of `bytes`, which begin at byte `offset` of a segment. Readers see
    /// nothing of it before [`publish`](Self::publish).
    ///
    /// The bytes are kept: a corpus has the places of texts, not the texts. Parts that nobody can
    /// make anything of are passed over and counted ([`Snapshot::skipped`]), as the original does.
    ///
    /// # Errors
    ///
    /// Fails at a damaged record; those before it were taken in.
    pub fn apply(&mut self, segment: u32, offset: u64, bytes: &Bytes) -> Result<(), ApplyError> {
        let threads = match bytes.len() {
            0..apply::LARGE => 1,
            _ => self.threads(),
        };
        self.apply_on(threads, segment, offset, bytes)
    }

    pub(super) fn apply_on(
        &mut self,
        threads: usize,
        segment: u32,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<(), ApplyError> {
        let origin = self.state.push(segment, offset, bytes)?;
        let records = Records::new(bytes, offset);
        let Self { state, waiting, .. } = self;
        apply::apply(threads, state, waiting, origin, segment, records)
    }

    /// Puts all bytes of a segment in the place of the pieces it came in: a mapping in the place of
    /// memory. They have to be the same bytes. Snapshots from the next one on let go of the pieces.
    pub fn remap(&mut self, segment: u32, bytes: &Bytes) {
        self.state.remap(segment, bytes);
    }

    /// Forgets everything. Readers keep what they have until the next
    /// [`publish`](Self::publish), whose [`epoch`](Snapshot::epoch) is another one.
    pub fn restart(&mut self) {
        self.state = State {
            generation: self.state.generation,
            epoch: self.state.epoch + 1,
            gerrit: gerrit::State::new(self.state.gerrit.compat()),
            ..State::default()
        };
        self.waiting = Waiting::default();
        self.set_status(Status::Loading { bytes: 0, of: None });
    }

    /// Lets readers see all that was applied, and tells them that it is all there is
    /// ([`Status::Live`]).
    pub fn publish(&mut self) -> Snapshot {
        self.state.finish(&mut self.waiting);
        self.state.generation += 1;
        let snapshot = Snapshot::new(self.state.clone());
        self.shared.newest.store(Arc::new(snapshot.clone()));
        self.shared.progress.send_replace(Progress {
            generation: self.state.generation,
            status: Status::Live,
        });
        snapshot
    }

    /// Tells readers how it goes.
    pub(super) fn set_status(&self, status: Status) {
        self.shared.progress.send_if_modified(|progress| {
            let is_other =
                std::mem::discriminant(&progress.status) != std::mem::discriminant(&status);
            progress.status = status;
            is_other
        });
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.progress.send_modify(|progress| {
            if !matches!(progress.status, Status::Ended(_)) {
                progress.status = Status::Ended(None);
            }
        });
    }
}

impl Corpus {
    /// The newest snapshot. Never waits.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::clone(&self.0.newest.load())
    }

    /// How it goes.
    pub fn status(&self) -> Status {
        self.0.progress.borrow().status.clone()
    }

    /// Waits for a snapshot whose generation is above `generation`. Safe to cancel.
    ///
    /// None if nobody writes any more, so that none will come.
    pub async fn newer_than(&self, generation: u64) -> Option<Snapshot> {
        let mut progress = self.0.progress.subscribe();
        let is_due = |progress: &Progress| {
            progress.generation > generation || matches!(progress.status, Status::Ended(_))
        };
        // The sender lives as long as this does.
        let newest = progress.wait_for(is_due).await.ok()?.generation;
        (newest > generation).then(|| self.snapshot())
    }

    /// Waits for the status to become another one than `than` is a kind of. Safe to cancel.
    pub async fn status_changed(&self, than: &Status) -> Status {
        let mut progress = self.0.progress.subscribe();
        let other = |progress: &Progress| {
            std::mem::discriminant(&progress.status) != std::mem::discriminant(than)
        };
        match progress.wait_for(other).await {
            Ok(progress) => progress.status.clone(),
            Err(_) => self.status(),
        }
    }
}
