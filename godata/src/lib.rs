//! A project's whole history on GitHub, on Gerrit and in git: one call, in memory, live.
//!
//! [`get`] gives the Go project's, from the log that its servers publish; [`open`] that of any log:
//! at an address, or in a folder. What comes back is a [`Corpus`]: [`snapshot`] gives all that is
//! known now, as it was at one moment; [`follow`] tells what changes.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let corpus = godata::get().await?;
//! let snapshot = corpus.snapshot();
//! let go = snapshot.github().repo("golang", "go").ok_or("no such repository")?;
//! for issue in go.issues().filter(|issue| issue.is_open() && issue.has_label("NeedsFix")) {
//!     println!("#{} {} ({} comments)", issue.number(), issue.title(), issue.comment_count());
//! }
//! # Ok(()) }
//! ```
//!
//! The first time, the log is fetched and read; it is kept in a cache that the Go programs share. From
//! then on only what is new is fetched, and a snapshot file saves reading the rest. Without network,
//! what is in the cache is what there is.
//!
//! # What it does not do
//!
//! Write logs: that is [`maintner::leader`]. Serve them: `maintner::log::server` (its feature `serve`).
//!
//! [`snapshot`]: maintner::corpus::Corpus::snapshot
//! [`follow`]: maintner::corpus::Corpus::follow

mod file;
mod options;
mod source;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::{ops::Deref, sync::Arc};

use maintner::{
    corpus::{
        ApplyError,
        live::{FollowError, Follower, Live},
    },
    log::SourceError,
};
use source::AnySource;

pub use maintner;
pub use options::{Options, dir};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Where the Go project's servers publish its log.
pub const SERVER: &str = "https://maintner.golang.org/logs";

/// The Go project's history, from the log that its servers publish.
///
/// Returns when everything there is has been read.
///
/// # Errors
///
/// Fails without network if there is nothing in the cache either, or if the log cannot be read.
pub async fn get() -> Result<Corpus, Error> {
    open(SERVER).await
}

/// The history in any log: at an address such as `http://localhost:6343/logs`, where a `maintnerd`
/// serves one, or in a folder, which is followed as it grows, or a file, which is not. A record at the
/// end that is not all there yet is left out.
///
/// Options are those of [`Options::from_env`].
///
/// # Errors
///
/// Fails if the log cannot be read.
pub async fn open(log: &str) -> Result<Corpus, Error> {
    Options::from_env().open(log).await
}

/// A corpus that follows its log, for as long as this is kept.
///
/// Everything that can be asked is at [`maintner::corpus::Corpus`].
#[derive(Debug)]
pub struct Corpus {
    live: Live,
}

impl Deref for Corpus {
    type Target = maintner::corpus::Corpus;

    fn deref(&self) -> &Self::Target {
        self.live.corpus()
    }
}

impl Corpus {
    /// Follows no more, and returns when the next start finds a snapshot file, if that is worth its
    /// while. Merely dropped, it stops at once; what is being saved then, the runtime waits for.
    pub async fn shutdown(self) {
        self.live.shutdown().await;
    }
}

/// A corpus that is being opened ([`Options::begin`]).
///
/// ```
/// use godata::{Options, maintner::corpus::live::Status};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), godata::Error> {
/// let log = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
/// let opening = Options::new().begin(log).await?;
/// let corpus = opening.corpus().clone();
/// let show = tokio::spawn(async move {
///     while let Status::Loading { bytes, of } = corpus.status() {
///         println!("{bytes} bytes of {of:?}");
///         tokio::time::sleep(std::time::Duration::from_millis(250)).await;
///     }
/// });
/// let corpus = opening.ready().await?;
/// # show.await.expect("it ends");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Opening {
    log: String,
    follower: Follower<AnySource>,
}

impl Opening {
    /// The corpus, which knows nothing yet: its [`status`](maintner::corpus::Corpus::status) tells how
    /// much of the log has come.
    pub fn corpus(&self) -> &maintner::corpus::Corpus {
        self.follower.corpus()
    }

    /// Returns when everything there is has been read. If dropped, the corpus is not opened; what was
    /// fetched is kept for the next time.
    ///
    /// # Errors
    ///
    /// Fails if the log cannot be read.
    pub async fn ready(self) -> Result<Corpus, Error> {
        let Self { log, mut follower } = self;
        match follower.catch_up().await {
            Ok(_) => Ok(Corpus {
                live: follower.spawn(),
            }),
            Err(FollowError::Source(source)) => Err(Error::Read {
                log,
                source: Arc::new(source),
            }),
            Err(FollowError::Apply(source)) => Err(Error::Apply {
                log,
                source: ApplyError::clone(&source),
            }),
            Err(_) => Err(Error::Shutdown),
        }
    }
}

/// Why there is no corpus.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither an address, nor anything that is there.
    #[error("{log:?} is neither an address, nor a folder or file that can be read")]
    Nothing {
        /// What was asked for.
        log: String,
        /// What the system says.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The address cannot be followed.
    #[error("cannot follow {log}")]
    Address {
        /// The address.
        log: String,
        /// Why.
        #[source]
        source: Arc<maintner::log::FollowError>,
    },
    /// There is no place for what is fetched.
    #[error("no cache folder: set HOME or XDG_CACHE_HOME, or name a folder in the options")]
    NoCache,
    /// The log cannot be had.
    #[error("cannot read {log}")]
    Read {
        /// Where it is.
        log: String,
        /// Why.
        #[source]
        source: Arc<SourceError>,
    },
    /// The log is damaged.
    #[error("cannot take in {log}")]
    Apply {
        /// Where it is.
        log: String,
        /// What is wrong with it.
        #[source]
        source: ApplyError,
    },
    /// The runtime shuts down.
    #[error("runtime shuts down")]
    Shutdown,
}
