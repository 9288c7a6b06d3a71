//! A log that somebody else leads.

mod cache;
mod fetch;
mod net;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use reqwest::Url;
use sha2::Sha224;
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use self::{
    cache::Cache,
    fetch::{Fetched, Fetcher, blocking, starts_with},
    net::{Failure, Index, Remote, Server},
};
use super::{Batch, Event, Segment, Sha224Sum, Source, SourceError, total};

/// What the original's servers begin the addresses of sealed segments with.
pub const SEALED_PREFIX: &str = "https://storage.googleapis.com/";

/// Tries of a request for the index, as the original's.
const INDEX_TRIES: u32 = 5;

/// How a [`Follower`] behaves.
#[derive(Debug, Clone)]
pub struct FollowOptions {
    /// A segment is sealed if its address begins with this. Default [`SEALED_PREFIX`]. Segments
    /// with a successor, and those of which a server of this crate says so, are sealed anyway.
    pub sealed_prefix: String,
    /// Hash sealed segments that are in the cache, instead of believing a file that has the right
    /// name and length. Default false.
    pub verify: bool,
    /// The wait after a first failure; after the second it is four times as long, then nine times,
    /// sixteen times. Default one second. For tests.
    pub retry: Duration,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            sealed_prefix: SEALED_PREFIX.into(),
            verify: false,
            retry: Duration::from_secs(1),
        }
    }
}

/// Follows a log on a server: one of this crate, or the original's.
///
/// What is fetched is kept in a directory, which several processes may share, followers of the
/// original among them: what is there is not fetched again. Only the server may be asked for the next
/// segment while another process begins to fetch it; then that answer is let go unread. Without a
/// server, a follower begins with what is there.
///
/// Failures that may pass are tried again: five times for news of the log, ten times for a
/// segment, with waits of 1, 4, 9, … seconds; then [`next`](Source::next) fails, and the follower
/// begins anew. It never gives up by itself. If nobody is there and nothing is in the cache, it fails at
/// once.
///
/// A log that is no longer what it was is told as [`Event::Split`].
///
/// From the first call of `next` on, a task fetches a little ahead of what was told; it ends with
/// the follower.
#[derive(Debug)]
pub struct Follower {
    url: Url,
    /// Before the first event was asked for.
    begins: Option<Box<State>>,
    /// Since then.
    follows: Option<(Events, JoinHandle<()>)>,
    listed: Arc<AtomicU64>,
}

type Events = mpsc::Receiver<Result<Event, SourceError>>;

/// Why a log cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The address is none of an HTTP server.
    #[error(
        "{url:?} is no address of a log server; it looks like https://maintner.example.org/logs"
    )]
    Url {
        /// The address.
        url: String,
    },
    /// TLS cannot be used, for want of certificates.
    #[error("cannot set up TLS")]
    Tls(#[source] reqwest::Error),
}

impl Follower {
    /// Follows the log whose index is at `url`, and keeps a copy in the directory `cache`, which is
    /// made if there is none. Does nothing yet.
    ///
    /// # Errors
    /// If `url` is no absolute HTTP address, or the system's certificates cannot be used.
    pub fn new(
        url: &str,
        cache: impl Into<PathBuf>,
        options: FollowOptions,
    ) -> Result<Self, FollowError> {
        let address = Url::parse(url).ok();
        let address =
            address.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let address = address.ok_or_else(|| FollowError::Url { url: url.into() })?;
        let server = Server::new(address, options.sealed_prefix).map_err(FollowError::Tls)?;
        let url = server.url.clone();
        let listed = Arc::default();
        let state = State {
            listed: Arc::clone(&listed),
            fetcher: Fetcher {
                server,
                cache: Cache { dir: cache.into() },
                verify: options.verify,
                retry: options.retry,
                ahead: Mutex::default(),
            },
            told: Vec::new(),
            tail: None,
            caught_up: false,
        };
        Ok(Self {
            url,
            begins: Some(Box::new(state)),
            follows: None,
            listed,
        })
    }
}

impl Source for Follower {
    async fn next(&mut self) -> Result<Event, SourceError> {
        if let Some(state) = self.begins.take() {
            let (sender, events) = mpsc::channel(1);
            let task = tokio::spawn(state.run(sender));
            self.follows = Some((events, task));
        }
        let event = match &mut self.follows {
            Some((events, _)) => events.recv().await,
            None => None,
        };
        // The task ends only with this follower, or with its runtime.
        event.unwrap_or_else(|| {
            Err(SourceError::Server {
                url: self.url.to_string(),
                reason: "it is followed no more: the runtime was shut down".into(),
            })
        })
    }

    fn log_bytes(&self) -> Option<u64> {
        Some(self.listed.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.follows {
            task.abort();
        }
    }
}

/// Who follows, and what he has told.
#[derive(Debug)]
struct State {
    fetcher: Fetcher,
    /// The segments that were told, as long as they were told.
    told: Vec<Told>,
    /// The digest of what was told of the last segment, if it grows.
    tail: Option<(Sha224, u64)>,
    caught_up: bool,
    /// Bytes of all segments that the server listed last.
    listed: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    segment: Segment,
    is_sealed: bool,
}

/// Whom everything is told.
struct Teller(mpsc::Sender<Result<Event, SourceError>>);

impl Teller {
    async fn tell(&self, event: Event) {
        // If nobody listens, the task is about to be ended.
        let _ = self.0.send(Ok(event)).await;
    }

    async fn part(&self, segment: u32, offset: u64, bytes: Bytes) {
        if !bytes.is_empty() {
            let batch = Batch {
                segment,
                offset,
                bytes,
            };
            self.tell(Event::Batch(batch)).await;
        }
    }
}

impl State {
    async fn run(mut self: Box<Self>, events: mpsc::Sender<Result<Event, SourceError>>) {
        let to = Teller(events);
        loop {
            let told = self.round(&to).await;
            self.fetcher.set_ahead(None);
            if let Err(error) = told {
                let _ = to.0.send(Err(error)).await;
                tokio::time::sleep(self.fetcher.retry).await;
            }
        }
    }

    /// Waits for news, and tells them.
    async fn round(&mut self, to: &Teller) -> Result<(), SourceError> {
        let remotes = self.index(to).await?;
        let listed = remotes.iter().map(|remote| remote.segment.size).sum();
        self.listed.store(listed, Ordering::Relaxed);
        let mut at = self.unchanged(&remotes);
        let is_news = !self.caught_up || at < self.told.len() || at < remotes.len();
        if at < self.told.len() {
            if let Some(fetched) = self.extension(&remotes, at).await? {
                self.tell_fetched(&remotes[at], fetched, to).await?;
                at += 1;
            } else {
                let common = self.common(&remotes, at).await?;
                tracing::warn!(common, url = %self.fetcher.server.url, "the log is not what it was");
                self.told.clear();
                self.tail = None;
                to.tell(Event::Split { common }).await;
                at = 0;
            }
        }
        for (at, remote) in remotes.iter().enumerate().skip(at) {
            let known = self.known_of(remote);
            let fetched = self.fetcher.fetch(remote, known, remotes.get(at + 1));
            let fetched = fetched.await?;
            self.tell_fetched(remote, fetched, to).await?;
        }
        self.seal_told(&remotes, to).await?;
        if is_news {
            self.caught_up(to).await;
        } else {
            // A server that does not wait is not to be asked all the time.
            tokio::time::sleep(self.fetcher.retry).await;
        }
        Ok(())
    }

    async fn caught_up(&mut self, to: &Teller) {
        self.caught_up = true;
        let segments = self.segments();
        to.tell(Event::CaughtUp { segments }).await;
    }

    fn segments(&self) -> Vec<Segment> {
        self.told.iter().map(|told| told.segment).collect()
    }

    /// How many leading segments are as they were told.
    fn unchanged(&self, remotes: &[Remote]) -> usize {
        let same = self.told.iter().zip(remotes);
        same.take_while(|(told, remote)| told.segment == remote.segment)
            .count()
    }

    /// Segment `at`, if the log differs from what was told only in that this last segment has
    /// grown.
    async fn extension(
        &self,
        remotes: &[Remote],
        at: usize,
    ) -> Result<Option<Fetched>, SourceError> {
        let (Some(remote), Some(told)) = (remotes.get(at), self.told.get(at).copied()) else {
            return Ok(None);
        };
        if at + 1 < self.told.len() || remote.segment.size <= told.segment.size {
            return Ok(None);
        }
        let fetched = self.fetch(remote).await?;
        let (starts_with, fetched) = starts_with(fetched, told.segment).await?;
        Ok(starts_with.then_some(fetched))
    }

    /// The leading bytes that the log has in common with what was told, differing at `at`.
    async fn common(&self, remotes: &[Remote], at: usize) -> Result<u64, SourceError> {
        let before: u64 = self.told[..at].iter().map(|told| told.segment.size).sum();
        let told = self.told[at].segment;
        let Some(remote) = remotes.get(at) else {
            return Ok(before);
        };
        let new = remote.segment;
        let (shorter, is_prefix) = if new.size < told.size {
            let lock = self.fetcher.lock().await?;
            let cache = self.fetcher.cache.clone();
            let sum = blocking(move || {
                let _lock = lock;
                if let Some(bytes) = cache.sealed(&told, false)? {
                    return Ok(Sha224Sum::of(&bytes[..new.size as usize]));
                }
                let part = cache.part(new.number, new.size, None)?;
                Ok(part.sum())
            });
            (new.size, sum.await? == new.sha224)
        } else if new.size > told.size {
            let fetched = self.fetch(remote).await?;
            (told.size, starts_with(fetched, told).await?.0)
        } else {
            (0, false)
        };
        Ok(before + if is_prefix { shorter } else { 0 })
    }

    /// Tells what is new of a segment.
    async fn tell_fetched(
        &mut self,
        remote: &Remote,
        fetched: Fetched,
        to: &Teller,
    ) -> Result<(), SourceError> {
        let segment = remote.segment;
        let number = segment.number as usize;
        let old = self.told.get(number).map_or(0, |told| told.segment.size);
        let (bytes, all, tail) = match fetched {
            Fetched::Sealed(all) => (all.slice(old as usize..), Some(all), None),
            Fetched::Growing(part) => {
                let tail = part.known();
                let bytes = blocking(move || part.read(old)).await?;
                (bytes, None, Some(tail))
            }
        };
        self.told.truncate(number);
        self.told.push(Told {
            segment,
            is_sealed: all.is_some(),
        });
        self.tail = tail;
        to.part(segment.number, old, bytes).await;
        if let Some(bytes) = all.filter(|_| old > 0) {
            let segment = segment.number;
            to.tell(Event::Remapped { segment, bytes }).await;
        }
        Ok(())
    }

    /// Seals segments that were told whole and have been sealed since.
    async fn seal_told(&mut self, remotes: &[Remote], to: &Teller) -> Result<(), SourceError> {
        for (at, remote) in remotes.iter().enumerate() {
            if remote.is_sealed
                && !self.told[at].is_sealed
                && let Fetched::Sealed(bytes) = self.fetch(remote).await?
            {
                self.told[at].is_sealed = true;
                if at + 1 == self.told.len() {
                    self.tail = None;
                }
                let segment = remote.segment.number;
                to.tell(Event::Remapped { segment, bytes }).await;
            }
        }
        Ok(())
    }

    /// Waits until the server has another log than what was told.
    async fn index(&mut self, to: &Teller) -> Result<Vec<Remote>, SourceError> {
        let mut tries = 0;
        loop {
            let asked = Instant::now();
            let not_len = self.caught_up.then(|| total(&self.segments()));
            let failure = match self.fetcher.server.index(not_len).await {
                Ok(Index::Segments(remotes)) => return Ok(remotes),
                Ok(Index::Unchanged) => {
                    tries = 0;
                    if asked.elapsed() < self.fetcher.retry {
                        tokio::time::sleep(self.fetcher.retry).await;
                    }
                    continue;
                }
                Err(failure) => failure,
            };
            tries += 1;
            let mut limit = INDEX_TRIES;
            if let (Failure::Offline(error), false) = (&failure, self.caught_up) {
                if self.offline(to).await? {
                    let url = &self.fetcher.server.url;
                    tracing::warn!(%error, %url, "offline; using what was fetched before");
                } else {
                    // Who begins with nothing should know at once that nobody is there.
                    limit = tries;
                }
            }
            self.fetcher
                .pause(&self.fetcher.server.url, failure, tries, limit)
                .await?;
        }
    }

    /// Tells what is in the cache; whether there is something.
    async fn offline(&mut self, to: &Teller) -> Result<bool, SourceError> {
        let lock = self.fetcher.lock().await?;
        let cache = self.fetcher.cache.clone();
        let all = blocking(move || {
            let _lock = lock;
            cache.all()
        });
        let all = all.await?;
        if all.is_empty() {
            return Ok(false);
        }
        let same = self.told.iter().zip(&all);
        let same = same.take_while(|(told, (segment, ..))| told.segment == *segment);
        if same.count() < self.told.len() {
            self.told.clear();
            to.tell(Event::Split { common: 0 }).await;
        }
        for (segment, bytes, is_sealed) in all.into_iter().skip(self.told.len()) {
            self.told.push(Told { segment, is_sealed });
            self.tail = None;
            to.part(segment.number, 0, bytes).await;
        }
        self.caught_up(to).await;
        Ok(true)
    }

    /// Brings a segment into the cache.
    async fn fetch(&self, remote: &Remote) -> Result<Fetched, SourceError> {
        self.fetcher
            .fetch(remote, self.known_of(remote), None)
            .await
    }

    /// The digest of what was told of a segment, if that is known.
    fn known_of(&self, remote: &Remote) -> Option<(Sha224, u64)> {
        let is_last_told = remote.segment.number as usize + 1 == self.told.len();
        self.tail.clone().filter(|_| is_last_told)
    }
}
