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
//! Write logs: that is [`maintner::leader`]. Serve them: [`maintner::log::server`].
//!
//! [`snapshot`]: maintner::corpus::Corpus::snapshot
//! [`follow`]: maintner::corpus::Corpus::follow

mod folder;
mod options;
mod source;

use std::{ops::Deref, sync::Arc};

use maintner::{
    corpus::{ApplyError, live::Live},
    log::{FollowError, SourceError},
};

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
/// serves one, or in a folder or a file.
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
        source: Arc<FollowError>,
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
