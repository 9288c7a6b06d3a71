//! Logs wherever they are.

use std::{path::Path, sync::Arc};

use maintner::log::{DiskLog, Event, FeedSource, FollowOptions, Follower, Source, SourceError};

use crate::{
    Error,
    folder::{self, Files},
};

/// A log at an address, or in files.
#[derive(Debug)]
pub(crate) enum AnySource {
    Address(Follower),
    /// The disk log of the original, to which somebody may be writing.
    Disk(FeedSource),
    Files(Files),
}

impl AnySource {
    pub(crate) fn is_address(log: &str) -> bool {
        log.starts_with("http://") || log.starts_with("https://")
    }

    pub(crate) async fn open(log: &str, cache: Option<&Path>) -> Result<Self, Error> {
        if Self::is_address(log) {
            let cache = cache.ok_or(Error::NoCache)?;
            let follower = Follower::new(log, cache, FollowOptions::default());
            let follower = follower.map_err(|source| Error::Address {
                log: log.to_owned(),
                source: Arc::new(source),
            })?;
            return Ok(Self::Address(follower));
        }
        let path = Path::new(log);
        let nothing = |source| Error::Nothing {
            log: log.to_owned(),
            source: Arc::new(source),
        };
        let kind = folder::kind(path).map_err(nothing)?;
        if kind == folder::Kind::DiskLog {
            let feed = DiskLog::read(path).await.map_err(|source| Error::Read {
                log: log.to_owned(),
                source: Arc::new(source),
            })?;
            return Ok(Self::Disk(feed.source()));
        }
        Files::open(path).map(Self::Files).map_err(nothing)
    }
}

impl Source for AnySource {
    async fn next(&mut self) -> Result<Event, SourceError> {
        match self {
            Self::Address(source) => source.next().await,
            Self::Disk(source) => source.next().await,
            Self::Files(source) => source.next().await,
        }
    }

    fn log_bytes(&self) -> Option<u64> {
        match self {
            Self::Address(source) => source.log_bytes(),
            Self::Disk(source) => source.log_bytes(),
            Self::Files(source) => source.log_bytes(),
        }
    }
}
