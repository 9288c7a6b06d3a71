//! The one who writes a log, and knows at once what it says.
//!
//! A [`Leader`] owns a [`Sink`] and a [`Follower`] of the same log. Whoever finds out what happens has an [`Outlet`]:
//! mutations go in, and when [`append`](Outlet::append) returns they are durable, in the corpus,
//! and seen by followers. Mutations of many outlets that arrive together share one commit to disk.
//! Order in the log is order in the corpus.
//!
//! ```
//! use maintner::{leader::Leader, log::MemoryLog, proto::{GithubMutation, Mutation}};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = MemoryLog::new();
//! let leader = Leader::open(log.clone(), log.source()).await?;
//! let github = GithubMutation { owner: "golang".into(), repo: "go".into(), ..Default::default() };
//! let snapshot = leader.outlet().append(vec![Mutation { github: Some(github), ..Default::default() }]).await?;
//! assert_eq!(snapshot.log_bytes(), log.feed().len());
//! leader.shutdown().await?;
//! # Ok(()) }
//! ```

mod commit;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    corpus::{
        ApplyError, Corpus, Snapshot,
        live::{FollowError, Follower},
    },
    log::{Sink, SinkError, Source, SourceError, check::Refused},
    proto::Mutation,
};

/// Requests that may wait for the log. One more, and the outlets wait.
const QUEUE: usize = 64;

/// The one who writes a log. Its task ends when it is shut down or dropped.
#[derive(Debug)]
pub struct Leader {
    outlet: Outlet,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), LeaderError>>,
    /// How the task ended.
    over: Option<Result<(), LeaderError>>,
}

/// Where mutations go in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outlet {
    requests: mpsc::Sender<Request>,
    corpus: Corpus,
}

#[derive(Debug)]
struct Request {
    payloads: Vec<Bytes>,
    answer: oneshot::Sender<Result<Snapshot, AppendError>>,
}

/// Why a leader cannot begin, or had to stop.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LeaderError {
    /// The log cannot be read.
    #[error("cannot read the log")]
    Read(#[source] Arc<SourceError>),
    /// The log cannot be written any more.
    #[error("cannot write the log")]
    Write(#[source] Arc<SinkError>),
    /// What the log says cannot be taken into the corpus.
    #[error("cannot take in the log")]
    Apply(#[source] ApplyError),
    /// Somebody else wrote the log.
    #[error("log is not what it was: somebody else wrote it")]
    Split,
    /// The leader's task broke off; a bug.
    #[error("leader broke off")]
    Broken,
}

/// Why mutations were not appended. None of those of one call are in the log then, unless it says so.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A mutation would stop the Go readers of the log.
    #[error("mutation {index} must not be written")]
    Refused {
        /// Which one, from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: Refused,
    },
    /// The leader has stopped, or stopped while it was at it: then some may be in the log.
    #[error("leader has stopped")]
    Stopped,
}

impl Leader {
    /// Reads all of the log from `source`, then takes mutations in for `sink`, which must be the
    /// same log.
    ///
    /// # Errors
    ///
    /// Fails if the log cannot be read. Must be called within a tokio runtime.
    pub async fn open(
        sink: impl Sink + 'static,
        source: impl Source + 'static,
    ) -> Result<Self, LeaderError> {
        Self::with_follower(sink, Follower::new(source)).await
    }

    /// As [`open`](Self::open), with a follower of the log: one that begins with a
    /// [snapshot file](crate::corpus::snapshot_file), say. The log stays the truth: of what the file
    /// says, nothing counts that the log does not have, and what the log has more is read.
    ///
    /// # Errors
    ///
    /// Fails if the log cannot be read.
    pub async fn with_follower(
        sink: impl Sink + 'static,
        mut follower: Follower<impl Source + 'static>,
    ) -> Result<Self, LeaderError> {
        let corpus = follower.corpus().clone();
        let epoch = corpus.snapshot().epoch();
        catch_up(&mut follower, epoch).await?;
        let (requests, queue) = mpsc::channel(QUEUE);
        let (stop, stopped) = watch::channel(false);
        let committer = commit::Committer {
            sink,
            follower,
            epoch,
        };
        Ok(Self {
            outlet: Outlet { requests, corpus },
            stop,
            task: tokio::spawn(committer.run(queue, stopped)),
            over: None,
        })
    }

    /// Where mutations go in.
    pub fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    /// What is known.
    pub fn corpus(&self) -> &Corpus {
        &self.outlet.corpus
    }

    /// Takes nothing more in, and returns when all that was taken in is in the log, and in a snapshot
    /// file if the follower keeps such and it is worth its while.
    ///
    /// # Errors
    ///
    /// Tells why the leader had stopped by itself.
    pub async fn shutdown(mut self) -> Result<(), LeaderError> {
        self.stop.send_replace(true);
        self.ended().await
    }

    /// Returns when the leader has stopped by itself, and why. May be dropped at any time.
    ///
    /// # Errors
    ///
    /// Always, unless everything that could ask for more is gone.
    pub async fn ended(&mut self) -> Result<(), LeaderError> {
        if let Some(over) = &self.over {
            return over.clone();
        }
        let ended = (&mut self.task).await;
        let over = ended.unwrap_or(Err(LeaderError::Broken));
        self.over.insert(over).clone()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // After a shutdown the task has ended.
        self.task.abort();
    }
}

impl Outlet {
    /// Appends mutations to the log, in order and next to each other. When it returns they are
    /// durable, and the snapshot has them.
    ///
    /// Waits while the log cannot be written, a full disk for one, and while it has too much to do.
    /// If dropped, the mutations may be appended or not, all or none of them.
    ///
    /// # Errors
    ///
    /// Fails if one of them must not be written, or if the leader has stopped.
    pub async fn append(&self, mutations: Vec<Mutation>) -> Result<Snapshot, AppendError> {
        let payloads = mutations
            .iter()
            .map(|mutation| mutation.encode_to_vec().into());
        self.append_encoded(payloads.collect()).await
    }

    /// [`append`](Self::append) for encoded mutations.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn append_encoded(&self, payloads: Vec<Bytes>) -> Result<Snapshot, AppendError> {
        if payloads.is_empty() {
            return Ok(self.corpus.snapshot());
        }
        let (answer, answered) = oneshot::channel();
        let request = Request { payloads, answer };
        let sent = self.requests.send(request).await;
        sent.map_err(|_| AppendError::Stopped)?;
        answered.await.unwrap_or(Err(AppendError::Stopped))
    }

    /// What is known.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }
}

/// Takes in all that the log has; it must still be that of this epoch.
async fn catch_up(
    follower: &mut Follower<impl Source>,
    epoch: u64,
) -> Result<Snapshot, LeaderError> {
    let snapshot = follower.catch_up().await.map_err(|error| match error {
        FollowError::Source(error) => LeaderError::Read(Arc::new(error)),
        FollowError::Apply(error) => LeaderError::Apply(ApplyError::clone(&error)),
        FollowError::Shutdown => LeaderError::Broken,
    })?;
    if snapshot.epoch() != epoch {
        return Err(LeaderError::Split);
    }
    Ok(snapshot)
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
