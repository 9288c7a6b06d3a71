use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Compat, Snapshot,
    commits::{AddError, Waiting},
    gerrit,
    snapshot_file::Checkpoint,
    state::State,
};
use crate::{
    proto::{
        view::{self, View},
        wire::DecodeError,
    },
    reclog::{self, Records},
    store::Misplaced,
};

/// The one who changes a corpus. Everybody else has a [`Corpus`].
#[derive(Debug, Default)]
pub struct Writer {
    state: State,
    waiting: Waiting,
    shared: Arc<Shared>,
}

/// How a [`Writer`] reads a log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What to make of Gerrit's data where the original reads them wrongly.
    pub compat: Compat,
}

/// What is known, live: hands out the newest [`Snapshot`]. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Corpus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    newest: ArcSwap<Snapshot>,
    generation: watch::Sender<u64>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            newest: ArcSwap::from_pointee(Snapshot::default()),
            generation: watch::Sender::new(0),
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
        let state = State {
            gerrit: gerrit::State::new(options.compat),
            ..State::default()
        };
        Self {
            state,
            ..Self::default()
        }
    }

    /// What it knows, for a [`SnapshotDir`](super::snapshot_file::SnapshotDir) to save. What was
    /// applied must have been [published](Self::publish).
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            state: self.state.clone(),
            waiting: self.waiting.clone(),
        }
    }

    pub(super) fn from_checkpoint(Checkpoint { state, waiting }: Checkpoint) -> Self {
        Self {
            state,
            waiting,
            shared: Arc::default(),
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
        let origins = self.state.push(segment, offset, bytes)?;
        for record in Records::new(bytes, offset) {
            let record = record?;
            let mutation =
                view::Mutation::decode(record.payload).map_err(|source| ApplyError::Mutation {
                    segment,
                    offset: record.offset,
                    source,
                })?;
            match self.state.apply(origins, &mutation, &mut self.waiting) {
                Ok(()) => self.state.log_bytes += record.end() - record.offset,
                Err(AddError::Full) => return Err(ApplyError::Full),
                Err(error) => {
                    tracing::debug!(offset = record.offset, %error, "passed over a part");
                    self.state.skipped += 1;
                }
            }
        }
        Ok(())
    }

    /// Lets readers see all that was applied.
    pub fn publish(&mut self) -> Snapshot {
        self.state.finish(&mut self.waiting);
        self.state.generation += 1;
        let snapshot = Snapshot::new(self.state.clone());
        self.shared.newest.store(Arc::new(snapshot.clone()));
        self.shared.generation.send_replace(self.state.generation);
        snapshot
    }
}

impl Corpus {
    /// The newest snapshot. Never waits.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::clone(&self.0.newest.load())
    }

    /// Waits for a snapshot whose generation is above `generation`. Safe to cancel.
    ///
    /// None if there is no writer any more, so that none will come.
    pub async fn newer_than(&self, generation: u64) -> Option<Snapshot> {
        let mut watch = self.0.generation.subscribe();
        watch.wait_for(|&newest| newest > generation).await.ok()?;
        Some(self.snapshot())
    }
}
