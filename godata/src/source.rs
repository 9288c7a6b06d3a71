//! Logs wherever they are.

use std::{fs, path::Path, sync::Arc};

use maintner::log::{Event, FollowOptions, Follower, Source, SourceError, Tail};

use crate::{Error, file::OneFile};

/// A log at an address, or in files.
#[derive(Debug)]
pub(crate) enum AnySource {
    Address(Follower),
    /// A folder, to which somebody may be writing.
    Folder(Tail),
    File(OneFile),
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
        if !fs::metadata(path).map_err(nothing)?.is_dir() {
            return OneFile::open(path).map(Self::File).map_err(nothing);
        }
        let tail = Tail::open(path).await.map_err(|source| Error::Read {
            log: log.to_owned(),
            source: Arc::new(source),
        })?;
        Ok(Self::Folder(tail))
    }
}

impl Source for AnySource {
    async fn next(&mut self) -> Result<Event, SourceError> {
        match self {
            Self::Address(source) => source.next().await,
            Self::Folder(source) => source.next().await,
            Self::File(source) => source.next().await,
        }
    }

    fn log_bytes(&self) -> Option<u64> {
        match self {
            Self::Address(source) => source.log_bytes(),
            Self::Folder(source) => source.log_bytes(),
            Self::File(source) => source.log_bytes(),
        }
    }
}
