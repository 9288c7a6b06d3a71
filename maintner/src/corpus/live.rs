//! A corpus that follows a log.

mod files;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    task::{AbortHandle, JoinHandle},
};

use self::files::{Files, Held};
use super::{ApplyError, Corpus, Snapshot, Writer, snapshot_file::SnapshotDir};
use crate::log::{Batch, Event, Segment, Source, SourceError};

/// What comes of a log that was read once is applied where the task runs, up to this size: some hundred
/// microseconds. Longer batches, and all of a log that is being read, go to a thread for work that takes
/// long.
const SHORT_BATCH: usize = 128 * 1024;

/// Pauses after errors of the source, the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How it goes with a [`Corpus`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Status {
    /// The log, or after a split another log, is being read; it will be published as a whole.
    Loading {
        /// Bytes of it that have come.
        bytes: u64,
        /// Bytes that it has, if that is known.
        of: Option<u64>,
    },
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
/// While all that there is is read for the first time, it is taken in as it comes, but nothing is
/// published before its end. From then on each batch is. If the log turns out to be another one than before (a
/// *split*), it is read anew: readers keep the last snapshot of the old one until the new one is
/// there, which has another [`epoch`](Snapshot::epoch).
///
/// With a folder of [snapshot files](super::snapshot_file) ([`open`](Self::open)), it begins with the
/// one that knows most of the log, and makes new ones in the background: after a start that had to
/// read more than a twentieth of the log, when the log has grown by a quarter, and at a
/// [shutdown](Self::shutdown) if the last file lacks more than a twentieth.
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
    /// Bytes that have come of the log.
    bytes: u64,
    /// All that there is was read once.
    caught_up: bool,
    /// What has come before that, if a snapshot file may know it.
    held: Option<Held>,
    /// Gone when nobody waits for the writer any more.
    waits: Arc<()>,
}

/// Where the writer is.
#[derive(Debug)]
enum Hand {
    Here(Box<Writing>),
    Away(JoinHandle<Done>),
    Gone(Option<Arc<ApplyError>>),
}

/// The writer, and its files.
#[derive(Debug)]
struct Writing {
    writer: Writer,
    files: Option<Files>,
}

#[derive(Debug)]
struct Done {
    writing: Box<Writing>,
    result: Result<(), ApplyError>,
    /// It has taken in all that was held.
    is_loaded: bool,
}

impl<S: Source> Follower<S> {
    /// Will follow this log, which has to be told from its beginning, in a new corpus.
    pub fn new(source: S) -> Self {
        Self::with_writer(source, Writer::new())
    }

    /// Will follow this log, which has to be told from its beginning, in a new corpus that begins with
    /// a snapshot file of this folder if one fits: whatever is in doubt about it, the log is read
    /// instead. Several processes may use the same folder.
    ///
    /// Files are saved on threads for blocking work; a runtime that shuts down waits for them.
    pub fn open(source: S, snapshots: SnapshotDir) -> Self {
        let writer = snapshots.writer();
        Self::with_files(source, writer, Some(Files::new(snapshots)))
    }

    /// Will follow this log with a writer that has applied all that the source does not tell any
    /// more, if anything.
    pub fn with_writer(source: S, writer: Writer) -> Self {
        Self::with_files(source, writer, None)
    }

    fn with_files(source: S, writer: Writer, files: Option<Files>) -> Self {
        Self {
            source,
            corpus: writer.corpus(),
            bytes: writer.log_bytes(),
            held: files.as_ref().and_then(Files::hold),
            writer: Hand::Here(Box::new(Writing { writer, files })),
            caught_up: false,
            waits: Arc::new(()),
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
        self.follow().await
    }

    async fn follow(&mut self) -> FollowError {
        let mut pause = PAUSES.0;
        loop {
            match self.step().await {
                Ok(_) => pause = PAUSES.0,
                Err(FollowError::Source(error)) => {
                    tracing::warn!(%error, "cannot read the log; trying again");
                    if let Hand::Here(writing) = &self.writer {
                        writing.writer.set_status(Status::Trouble(Arc::new(error)));
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                Err(error) => return error,
            }
        }
    }

    /// Reads no more, and returns when the next start finds a snapshot file, if that is worth its
    /// while: after a fraction of a second for each gigabyte of log.
    pub async fn shutdown(mut self) {
        if self.take_back().await.is_ok()
            && let Hand::Here(writing) = &mut self.writer
            && let Some(files) = &mut writing.files
        {
            files.finish(&writing.writer).await;
        }
    }

    /// [`run`](Self::run)s in a task of its own, for as long as what this gives is kept.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn spawn(mut self) -> Live
    where
        S: 'static,
    {
        let corpus = self.corpus.clone();
        let (stop, stopped) = oneshot::channel::<oneshot::Sender<()>>();
        let task = tokio::spawn(async move {
            tokio::select! {
                _ = self.follow() => {}
                Ok(done) = stopped => {
                    self.shutdown().await;
                    drop(done);
                }
            }
        });
        Live {
            corpus,
            stop: Some(stop),
            task: task.abort_handle(),
        }
    }

    /// The next event; whether this was all there is.
    async fn step(&mut self) -> Result<bool, FollowError> {
        // What a call that was dropped has left.
        if self.take_back().await? {
            return Ok(true);
        }
        let event = self.source.next().await?;
        let writing = match &mut self.writer {
            Hand::Here(writing) => writing,
            Hand::Away(_) | Hand::Gone(_) => return Err(FollowError::Shutdown),
        };
        match event {
            Event::Batch(batch) => {
                self.bytes += batch.bytes.len() as u64;
                if !self.caught_up {
                    writing.writer.set_status(Status::Loading {
                        bytes: self.bytes,
                        of: self.source.log_bytes(),
                    });
                }
                match &mut self.held {
                    Some(held) => held.batches.push(batch),
                    None => self.apply(batch),
                }
            }
            Event::Remapped { segment, bytes } => match &mut self.held {
                Some(held) => held.mapped.push((segment, bytes)),
                None => writing.writer.remap(segment, &bytes),
            },
            Event::CaughtUp { segments } => {
                if !std::mem::replace(&mut self.caught_up, true) {
                    self.load(segments);
                    return self.take_back().await.map(|_| true);
                }
                // After trouble, say, with nothing new.
                writing.writer.set_status(Status::Live);
                if let Some(files) = &mut writing.files {
                    files.caught_up(&writing.writer, segments);
                }
                return Ok(true);
            }
            Event::Split { common } => {
                tracing::warn!(common, "the log is another one; reading it anew");
                self.caught_up = false;
                self.bytes = 0;
                writing.writer.restart();
                if let Some(files) = &mut writing.files {
                    files.split();
                    self.held = files.hold();
                }
            }
        }
        self.take_back().await
    }

    /// Applies a batch. The writer may be away after that.
    fn apply(&mut self, batch: Batch) {
        let publish = self.caught_up;
        let is_short = publish && batch.bytes.len() <= SHORT_BATCH;
        self.hand_over(is_short, false, move |Writing { writer, .. }| {
            let applied = writer.apply(batch.segment, batch.offset, &batch.bytes);
            if publish && applied.is_ok() {
                writer.publish();
            }
            applied
        });
    }

    /// Takes in all that was held, and publishes. The writer is away after that.
    fn load(&mut self, segments: Vec<Segment>) {
        let (held, waits) = (self.held.take(), Arc::downgrade(&self.waits));
        self.hand_over(false, true, move |Writing { writer, files }| {
            if let (Some(files), Some(held)) = (files.as_mut(), held)
                && !files.load(writer, held, &segments, &waits)?
            {
                // The corpus may outlive its follower: a part is not for its readers.
                return Ok(());
            }
            writer.publish();
            if let Some(files) = files {
                files.loaded(writer, segments);
            }
            Ok(())
        });
    }

    /// Has the writer do something, here or on another thread.
    fn hand_over(
        &mut self,
        is_short: bool,
        is_loaded: bool,
        work: impl FnOnce(&mut Writing) -> Result<(), ApplyError> + Send + 'static,
    ) {
        let hand = std::mem::replace(&mut self.writer, Hand::Gone(None));
        let Hand::Here(mut writing) = hand else {
            return;
        };
        let work = move || {
            let result = work(&mut writing);
            Done {
                writing,
                result,
                is_loaded,
            }
        };
        if is_short {
            self.note(work());
        } else {
            self.writer = Hand::Away(tokio::task::spawn_blocking(work));
        }
    }

    /// Waits for the writer, if it is away. Whether it knows all there is now, and did not before.
    async fn take_back(&mut self) -> Result<bool, FollowError> {
        let mut is_loaded = false;
        if let Hand::Away(task) = &mut self.writer {
            match task.await {
                Ok(done) => {
                    is_loaded = done.is_loaded;
                    self.note(done);
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
            Hand::Here(_) | Hand::Away(_) => Ok(is_loaded),
        }
    }

    /// Takes the writer, or lets it go if what it was to apply cannot be.
    fn note(&mut self, done: Done) {
        self.writer = match done.result {
            Ok(()) => Hand::Here(done.writing),
            Err(error) => {
                let error = Arc::new(error);
                let status = Status::Ended(Some(Arc::clone(&error)));
                done.writing.writer.set_status(status);
                Hand::Gone(Some(error))
            }
        };
    }
}

/// A corpus that follows its log in a task, for as long as this is kept.
#[derive(Debug)]
pub struct Live {
    corpus: Corpus,
    stop: Option<oneshot::Sender<oneshot::Sender<()>>>,
    task: AbortHandle,
}

impl Live {
    /// The corpus.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Follows no more, and returns when the next start finds a snapshot file, if that is worth its
    /// while ([`Follower::shutdown`]). If dropped, it stops at once.
    pub async fn shutdown(mut self) {
        let (done, ended) = oneshot::channel();
        if let Some(stop) = self.stop.take()
            && stop.send(done).is_ok()
        {
            // Nothing is ever sent: it is dropped at the end.
            let _ = ended.await;
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
