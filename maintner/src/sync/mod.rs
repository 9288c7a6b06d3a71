//! Those who find out what happens.
//!
//! A [`Poller`] knows one source of mutations: a git repository here, later a repository on GitHub
//! or a project on Gerrit. [`sync`](Poller::sync) compares the source with what the corpus knows and
//! appends the difference; it keeps nothing that would be lost with the process. So it does not
//! matter how often it is called, or whether it got to its end the last time: hints that something
//! happened only make it run sooner, and losing all of them loses nothing.
//!
//! [`keep`] calls it for ever: at once after a wake-up, when the poller itself sees that something
//! changed, and later and later while it fails.

#[cfg(feature = "git")]
pub mod git;
mod wake;

use std::{
    borrow::Cow,
    collections::HashSet,
    hash::BuildHasher,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

pub use wake::{Wake, Wakes};

use crate::leader::{AppendError, Outlet};

/// How long [`keep`] waits after the first failure, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5 * 60));

/// One source of mutations.
pub trait Poller: Send {
    /// What it is called, for people: `git local/project`.
    fn name(&self) -> Cow<'_, str>;

    /// Finds out what the source has that `outlet`'s corpus has not, and appends it.
    ///
    /// Returns when everything that the source had at the call is in the log. If dropped, the next
    /// call goes on where this one was, or before.
    fn sync(
        &mut self,
        outlet: &Outlet,
        progress: &Progress,
    ) -> impl Future<Output = Result<(), SyncError>> + Send;

    /// Returns when it is time for the next [`sync`](Self::sync), be it that something changed, be it
    /// that one cannot know. May be dropped at any time.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// Why a source could not be synced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The source does not answer, or answers nonsense. It may be tried again.
    #[error("{reason}")]
    Source {
        /// What is wrong.
        reason: String,
        /// What came of it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Trying again will not help: somebody has to change something.
    #[error("{reason}")]
    Hopeless {
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The log did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl SyncError {
    #[cfg(feature = "git")]
    fn io(reason: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let reason = reason.into();
        move |source| Self::Source {
            reason,
            source: Some(Box::new(source)),
        }
    }
}

/// How a poller is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Of the sync that runs: steps done, of how many; commits, for git.
    pub running: Option<(u64, u64)>,
    /// Syncs that got to their end.
    pub synced: u64,
    /// Failures since then.
    pub failures: u32,
    /// Why the last sync failed.
    pub error: Option<String>,
    /// Things the source has that are not in the log because Go readers could not take them.
    pub skipped: u64,
    /// What the first of them is.
    pub example: Option<String>,
}

/// Where a poller tells how it is doing. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    status: watch::Sender<Status>,
    /// What was left out, hashed: each thing counts once, however often it is come across.
    skipped: Arc<Mutex<HashSet<u64>>>,
}

impl Progress {
    /// Of a poller that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// How it is doing now, and from now on.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// So much is done of a sync, of so much.
    pub fn at(&self, done: u64, of: u64) {
        self.status
            .send_modify(|status| status.running = Some((done, of)));
    }

    /// Something was left out. The same thing counts once.
    pub fn skip(&self, what: String) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = skipped.insert(foldhash::fast::FixedState::default().hash_one(&what));
        if is_new {
            tracing::debug!(what, "left out");
            self.status.send_modify(|status| {
                status.skipped += 1;
                status.example.get_or_insert(what);
            });
        }
    }

    fn over(&self, result: &Result<(), SyncError>) {
        self.status.send_modify(|status| {
            status.running = None;
            match result {
                Ok(()) => {
                    status.synced += 1;
                    status.failures = 0;
                    status.error = None;
                }
                Err(error) => {
                    status.failures += 1;
                    status.error = Some(crate::leader::chain(error));
                }
            }
        });
    }
}

/// Syncs once, and tells `progress` how it went.
///
/// # Errors
///
/// As [`Poller::sync`].
pub async fn once(
    poller: &mut impl Poller,
    outlet: &Outlet,
    progress: &Progress,
) -> Result<(), SyncError> {
    let result = poller.sync(outlet, progress).await;
    progress.over(&result);
    result
}

/// Syncs again and again, until that makes no sense any more: the leader has stopped. May be dropped
/// at any time.
///
/// After a failure it waits a second, then twice as long each time, up to five minutes, whatever
/// wakes it; a wake-up is not lost by that, as every sync looks at everything.
pub async fn keep(mut poller: impl Poller, outlet: Outlet, wake: Wake, progress: Progress) {
    let mut pause = PAUSES.0;
    loop {
        match once(&mut poller, &outlet, &progress).await {
            Ok(()) => {
                pause = PAUSES.0;
                tokio::select! {
                    () = wake.woken() => {}
                    () = poller.changed() => {}
                }
            }
            Err(SyncError::Append(AppendError::Stopped)) => return,
            Err(error) => {
                let why = crate::leader::chain(&error);
                tracing::warn!(poller = %poller.name(), error = why, "cannot sync");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}
