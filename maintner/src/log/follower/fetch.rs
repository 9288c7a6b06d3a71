//! Bringing segments into the copy of a log.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{Response, Url};
use sha2::Sha224;
use tokio::task::JoinSet;

use super::{
    cache::{Cache, Part, failed},
    net::{Failure, Remote, Server},
};
use crate::{
    log::{Segment, Sha224Sum, SourceError},
    reclog::Lock,
};

/// Tries of a request for a segment, as the original's.
const SEGMENT_TRIES: u32 = 10;

/// What is fetched is written in pieces of this size.
const PIECE: usize = 1 << 20;

/// How often it is looked whether another process is done with the cache.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// Who asks the server, and where what it gives is kept.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) server: Server,
    pub(super) cache: Cache,
    /// Whether sealed segments in the cache are hashed.
    pub(super) verify: bool,
    /// The wait after a first failure.
    pub(super) retry: Duration,
    pub(super) ahead: Mutex<Option<Ahead>>,
}

/// A request for all of a segment that is about to be fetched.
#[derive(Debug)]
pub(super) struct Ahead {
    segment: Segment,
    answer: JoinSet<Result<(Response, u64), Failure>>,
}

/// A segment that has been fetched.
pub(super) enum Fetched {
    Sealed(Bytes),
    Growing(Part),
}

impl Fetcher {
    /// Waits before the next try, or says why there is none.
    pub(super) async fn pause(
        &self,
        url: &Url,
        failure: Failure,
        attempts: u32,
        limit: u32,
    ) -> Result<(), SourceError> {
        let source = match failure {
            Failure::Fatal(error) => return Err(error),
            Failure::Offline(error) => error.into(),
            Failure::Passing(error) => error,
        };
        if attempts >= limit {
            return Err(SourceError::Unreachable {
                url: url.to_string(),
                attempts,
                source,
            });
        }
        if attempts == 1 {
            tracing::debug!(error = source, %url, "trying again");
        } else {
            tracing::warn!(error = source, %url, attempts, "trying again");
        }
        tokio::time::sleep(self.retry * attempts * attempts).await;
        Ok(())
    }

    /// Waits until no other process changes the cache.
    pub(super) async fn lock(&self) -> Result<Lock, SourceError> {
        loop {
            let cache = self.cache.clone();
            if let Some(lock) = blocking(move || cache.lock()).await? {
                return Ok(lock);
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// Brings a segment into the cache.
    ///
    /// Of its first bytes those that `known` is about are not read again. If there is a `next` one to
    /// be fetched, the server is asked for it as soon as it is done with this one.
    pub(super) async fn fetch(
        &self,
        remote: &Remote,
        known: Option<(Sha224, u64)>,
        next: Option<&Remote>,
    ) -> Result<Fetched, SourceError> {
        let segment = remote.segment;
        let _lock = self.lock().await?;
        let (cache, verify, is_sealed) = (self.cache.clone(), self.verify, remote.is_sealed);
        let following = next.map(|next| next.segment);
        let found = blocking(move || {
            if is_sealed && let Some(bytes) = cache.sealed(&segment, verify)? {
                return Ok((Fetched::Sealed(bytes), false));
            }
            let part = cache.part(segment.number, segment.size, known)?;
            let lacks_next = following.is_some_and(|segment| cache.lacks(&segment));
            Ok((Fetched::Growing(part), lacks_next))
        });
        let (part, lacks_next) = match found.await? {
            (Fetched::Growing(part), lacks_next) => {
                (self.complete(remote, part).await?, lacks_next)
            }
            (sealed, _) => {
                self.set_ahead(None);
                return Ok(sealed);
            }
        };
        let next = next.filter(|next| lacks_next && next.segment.size > 0);
        self.set_ahead(next.map(|next| self.ask_ahead(next)));
        if !is_sealed {
            return Ok(Fetched::Growing(part));
        }
        let cache = self.cache.clone();
        let bytes = blocking(move || cache.seal(part, &segment)).await?;
        Ok(Fetched::Sealed(bytes))
    }

    /// What is asked ahead from now on. The answer to what was before is of no use: another process
    /// has fetched it.
    pub(super) fn set_ahead(&self, ahead: Option<Ahead>) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
    }

    fn ask_ahead(&self, remote: &Remote) -> Ahead {
        let (server, remote) = (self.server.clone(), remote.clone());
        let segment = remote.segment;
        let mut answer = JoinSet::new();
        answer.spawn(async move { server.segment(&remote, 0).await });
        Ahead { segment, answer }
    }

    /// The answer to what was asked ahead, if it was for this. If it failed, the server is asked again.
    async fn asked_ahead(&self, segment: Segment, start: u64) -> Option<(Response, u64)> {
        let ahead = self
            .ahead
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut ahead = ahead.filter(|ahead| ahead.segment == segment && start == 0)?;
        ahead.answer.join_next().await?.ok()?.ok()
    }

    /// Fetches what is missing of a segment.
    async fn complete(&self, remote: &Remote, mut part: Part) -> Result<Part, SourceError> {
        let segment = remote.segment;
        let mut tries = 0;
        let mut from_scratch = part.len == 0;
        loop {
            let ended;
            (part, ended) = match part.len < segment.size {
                true => self.download(remote, part).await?,
                false => (part, Ok(())),
            };
            let failure = match ended {
                Err(failure) => failure,
                Ok(()) if part.sum() == segment.sha224 => return Ok(part),
                Ok(()) if from_scratch => {
                    // For the next follower, too: nothing good begins with this.
                    part.clear();
                    blocking(move || part.append(&[])).await?;
                    return Err(SourceError::Server {
                        url: remote.url.to_string(),
                        reason: "what it sent does not have the digest in its index".into(),
                    });
                }
                Ok(()) => {
                    // What was there is of another log, or damaged.
                    part.clear();
                    from_scratch = true;
                    continue;
                }
            };
            tries += 1;
            self.pause(&remote.url, failure, tries, SEGMENT_TRIES)
                .await?;
        }
    }

    /// One download. What has arrived when it fails is kept.
    async fn download(
        &self,
        remote: &Remote,
        mut part: Part,
    ) -> Result<(Part, Result<(), Failure>), SourceError> {
        let answer = match self.asked_ahead(remote.segment, part.len).await {
            Some(answer) => Ok(answer),
            None => self.server.segment(remote, part.len).await,
        };
        let (mut response, starts_at) = match answer {
            Ok(answer) => answer,
            Err(failure) => return Ok((part, Err(failure))),
        };
        // Bytes of the answer that are there already.
        let mut skip = part.len - starts_at;
        let mut piece = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let missing = (remote.segment.size - part.len) as usize;
            if let Ok(Some(chunk)) = &chunk {
                let skipped = skip.min(chunk.len() as u64);
                skip -= skipped;
                // More than was asked for is not of the segment as it was listed.
                let new = &chunk[skipped as usize..];
                piece.extend_from_slice(&new[..new.len().min(missing - piece.len())]);
            }
            let is_complete = piece.len() == missing;
            let is_end = is_complete || !matches!(chunk, Ok(Some(_)));
            if is_end || piece.len() >= PIECE {
                let bytes = std::mem::take(&mut piece);
                part = blocking(move || part.append(&bytes).map(|()| part)).await?;
            }
            match chunk {
                _ if is_complete => return Ok((part, Ok(()))),
                Ok(Some(_)) => {}
                Ok(None) => {
                    let short = Failure::Passing("it sent less than its index says".into());
                    return Ok((part, Err(short)));
                }
                Err(error) => return Ok((part, Err(error.into()))),
            }
        }
    }
}

/// Whether a segment begins with all of what `prefix` was.
pub(super) async fn starts_with(
    fetched: Fetched,
    prefix: Segment,
) -> Result<(bool, Fetched), SourceError> {
    blocking(move || {
        let sum = match &fetched {
            // What was added has made the digest right, and what was there is what was told.
            Fetched::Growing(part) if part.goes_on => prefix.sha224,
            Fetched::Growing(part) => part.sum_of_first(prefix.size)?,
            Fetched::Sealed(bytes) => Sha224Sum::of(&bytes[..prefix.size as usize]),
        };
        Ok((sum == prefix.sha224, fetched))
    })
    .await
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        let panicked = std::io::Error::other(error);
        Err(failed("use the copy of", Path::new("a log"))(panicked))
    })
}

#[cfg(test)]
mod tests;
