//! A corpus that follows a log.

use std::{sync::Arc, time::Duration};

use tokio::task::{AbortHandle, JoinHandle};

use super::{ApplyError, Corpus, Snapshot, Writer};
use crate::log::{Batch, Event, Source, SourceError};

/// Batches up to this size are applied where the task runs: some hundred microseconds. Longer ones
/// go to a thread for work that takes long.
const SHORT_BATCH: usize = 128 * 1024;

/// Pauses after errors of the source, the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How it goes with a [`Corpus`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Status {
    /// The log, or after a split another log, is being read; it will be published as a whole.
    Loading,
    /// The newest snapshot has all that there was to read.
    Live,
    /// The source of the log is in trouble. It is asked again after a pause.
    Trouble(Arc<SourceError>),
    /// Nobody writes to the corpus any more: because of an error, or because it was let go.
    Ended(Option<Arc<ApplyError>>),
}

/// Why a corpus does not follow its log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The source has nothing to tell. It may be asked again.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What the log says cannot be taken in. It makes no sense to go on.
    #[error("log cannot be read any further")]
    Apply(#[source] Arc<ApplyError>),
    /// The runtime shuts down.
    #[error("runtime shuts down")]
    Shutdown,
}

/// Drives a log into a corpus.
///
/// While all that there is is read for the first time, nothing is published before its end. From
/// then on each batch is, as it comes. If the log turns out to be another one than before (a
/// *split*), it is read anew: readers keep the last snapshot of the old one until the new one is
/// there, which has another [`epoch`](Snapshot::epoch).
///
/// ```
/// use maintner::{corpus::live::Follower, log::MemoryLog, testing::History};
/// use prost::Message;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = MemoryLog::new();
/// let payloads: Vec<_> = History::new(1).take(100).map(|m| m.encode_to_vec().into()).collect();
/// log.append_now(&payloads[..90])?;
///
/// let mut follower = Follower::new(log.source());
/// let snapshot = follower.catch_up().await?;
/// let live = follower.spawn();
///
/// log.append_now(&payloads[90..])?;
/// let newer = live.corpus().newer_than(snapshot.generation()).await.ok_or("stopped")?;
/// assert!(newer.position() > snapshot.position());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Follower<S> {
    source: S,
    corpus: Corpus,
    writer: Hand,
    /// All that there is was read once.
    caught_up: bool,
}

/// Where the writer is.
#[derive(Debug)]
enum Hand {
    Here(Box<Writer>),
    Away(JoinHandle<Applied>),
    Gone(Option<Arc<ApplyError>>),
}

type Applied = (Box<Writer>, Result<(), ApplyError>);

impl<S: Source> Follower<S> {
    /// Will follow this log, which has to be told from its beginning, in a new corpus.
    pub fn new(source: S) -> Self {
        Self::with_writer(source, Writer::new())
    }

    /// Will follow this log with a writer that has applied all that the source does not tell any
    /// more, if anything.
    pub fn with_writer(source: S, writer: Writer) -> Self {
        Self {
            source,
            corpus: writer.corpus(),
            writer: Hand::Here(Box::new(writer)),
            caught_up: false,
        }
    }

    /// The corpus.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Reads until the source says that this is all there is, and gives the snapshot then, which is
    /// published.
    ///
    /// May be dropped at any time without losing anything: the next call goes on where it was.
    ///
    /// # Errors
    ///
    /// After an error of the source, the next call tries again.
    pub async fn catch_up(&mut self) -> Result<Snapshot, FollowError> {
        while !self.step().await? {}
        Ok(self.corpus.snapshot())
    }

    /// Follows the log for ever, through all trouble with the source: readers see it
    /// ([`Corpus::status`]).
    ///
    /// Ends only if it makes no sense to go on.
    pub async fn run(mut self) -> FollowError {
        let mut pause = PAUSES.0;
        loop {
            match self.step().await {
                Ok(_) => pause = PAUSES.0,
                Err(FollowError::Source(error)) => {
                    tracing::warn!(%error, "cannot read the log; trying again");
                    if let Hand::Here(writer) = &self.writer {
                        writer.set_status(Status::Trouble(Arc::new(error)));
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                Err(error) => return error,
            }
        }
    }

    /// [`run`](Self::run)s in a task of its own, for as long as what this gives is kept.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn spawn(self) -> Live
    where
        S: 'static,
    {
        let corpus = self.corpus.clone();
        let task = tokio::spawn(self.run());
        Live {
            corpus,
            task: task.abort_handle(),
        }
    }

    /// The next event; whether this was all there is.
    async fn step(&mut self) -> Result<bool, FollowError> {
        // What a call that was dropped has left.
        self.take_back().await?;
        let event = self.source.next().await?;
        let writer = match &mut self.writer {
            Hand::Here(writer) => writer,
            Hand::Away(_) | Hand::Gone(_) => return Err(FollowError::Shutdown),
        };
        match event {
            Event::Batch(batch) => {
                self.apply(batch);
                self.take_back().await?;
            }
            Event::Remapped { segment, bytes } => writer.remap(segment, &bytes),
            Event::CaughtUp { .. } => {
                if !self.caught_up {
                    self.caught_up = true;
                    writer.publish();
                }
                // After trouble, say, with nothing new.
                writer.set_status(Status::Live);
                return Ok(true);
            }
            Event::Split { common } => {
                tracing::warn!(common, "the log is another one; reading it anew");
                self.caught_up = false;
                writer.restart();
            }
        }
        Ok(false)
    }

    /// Applies a batch. The writer may be away after that.
    fn apply(&mut self, batch: Batch) {
        let writer = std::mem::replace(&mut self.writer, Hand::Gone(None));
        let Hand::Here(mut writer) = writer else {
            return;
        };
        let publish = self.caught_up;
        let is_short = batch.bytes.len() <= SHORT_BATCH;
        let apply = move || {
            let applied = writer.apply(batch.segment, batch.offset, &batch.bytes);
            if publish && applied.is_ok() {
                writer.publish();
            }
            (writer, applied)
        };
        if is_short {
            let (writer, applied) = apply();
            self.writer = Hand::Here(writer);
            self.note(applied);
        } else {
            self.writer = Hand::Away(tokio::task::spawn_blocking(apply));
        }
    }

    /// Waits for the writer, if it is away.
    async fn take_back(&mut self) -> Result<(), FollowError> {
        if let Hand::Away(task) = &mut self.writer {
            match task.await {
                Ok((writer, applied)) => {
                    self.writer = Hand::Here(writer);
                    self.note(applied);
                }
                Err(error) => {
                    self.writer = Hand::Gone(None);
                    if error.is_panic() {
                        std::panic::resume_unwind(error.into_panic());
                    }
                }
            }
        }
        match &self.writer {
            Hand::Gone(Some(error)) => Err(FollowError::Apply(Arc::clone(error))),
            Hand::Gone(None) => Err(FollowError::Shutdown),
            Hand::Here(_) | Hand::Away(_) => Ok(()),
        }
    }

    /// Lets the writer go if what it was to apply cannot be.
    fn note(&mut self, applied: Result<(), ApplyError>) {
        if let Err(error) = applied {
            let error = Arc::new(error);
            if let Hand::Here(writer) = &self.writer {
                writer.set_status(Status::Ended(Some(Arc::clone(&error))));
            }
            self.writer = Hand::Gone(Some(error));
        }
    }
}

/// A corpus that follows its log in a task, for as long as this is kept.
#[derive(Debug)]
pub struct Live {
    corpus: Corpus,
    task: AbortHandle,
}

impl Live {
    /// The corpus.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
