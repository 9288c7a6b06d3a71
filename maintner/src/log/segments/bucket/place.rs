//! The one who leads a log in a bucket.

use std::io;

use bytes::Bytes;
use object_store::{Error, PutMode, UpdateVersion};
use sha2::{Digest, Sha224};
use tokio::runtime::Handle;

use super::{
    cache::Cache,
    head::{self, Head, Piece},
    objects::{Objects, TRIES, may_pass},
};
use crate::log::{Feed, Segment, SinkError, feed::frame, names, segments::writer::Place};

/// How many bytes of records stand behind the head, and are written again with every append, before
/// they become a piece: a segment has 64 of those, unless appends are longer.
const NEWEST: usize = 256 << 10;

/// The longest head that is read.
pub(super) const MAX_HEAD: u64 = 64 << 20;

/// A log in a bucket, as this leader knows it.
pub(in crate::log::segments) struct Led {
    pub(super) objects: Objects,
    pub(super) cache: Cache,
    pub(super) runtime: Handle,
    /// Who leads.
    pub(super) leader: String,
    /// What was in the bucket when it was last known.
    pub(super) head: Head,
    pub(super) newest: Bytes,
    pub(super) encoded: Bytes,
    /// Which version of the object that is; `None` if it may have been replaced.
    pub(super) version: Option<UpdateVersion>,
    /// The digest of the segment that grows.
    pub(super) sum: Sha224,
    /// Counts what was tried.
    pub(super) writes: u64,
    /// Objects that nobody needs any more, unless the next head names them.
    pub(super) remove: Vec<String>,
}

/// Why the head was not replaced.
#[derive(Debug)]
pub(super) enum NotSwapped {
    /// It is another's.
    Fenced,
    /// Nobody knows.
    Store(Error),
}

impl Led {
    /// The head as it would be after the next write.
    fn next(&mut self) -> Head {
        let mut next = self.head.clone();
        self.writes += 1;
        next.write = self.writes;
        next
    }

    /// Replaces the head. If that fails, it may have been replaced all the same; whoever comes next
    /// finds out.
    pub(super) async fn swap(&mut self, mut next: Head, newest: Bytes) -> Result<(), NotSwapped> {
        let is_named = |name: &String| next.pieces.iter().any(|piece| piece.name == *name);
        self.remove.retain(|name| !is_named(name));
        next.remove.clone_from(&self.remove);
        let encoded = next.encode(&newest);
        let encoded = encoded.map_err(|error| NotSwapped::Store(generic(error)))?;
        let mut failures = 0;
        let version = loop {
            match self.try_swap(&encoded).await {
                Err(NotSwapped::Store(error)) if failures + 1 < TRIES && may_pass(&error) => {
                    // Somebody was faster: most likely this leader itself, whose answer was lost.
                    if !matches!(error, Error::Precondition { .. }) {
                        self.objects.pause(&error, failures).await;
                    }
                    failures += 1;
                }
                ended => break ended?,
            }
        };
        // A store that does not say is asked before the next write.
        self.version = (version.e_tag.is_some() || version.version.is_some()).then_some(version);
        (self.head, self.newest, self.encoded) = (next, newest, encoded);
        Ok(())
    }

    async fn try_swap(&mut self, encoded: &Bytes) -> Result<UpdateVersion, NotSwapped> {
        let seen = match self.version.take() {
            Some(version) => version,
            None => {
                let found = self.objects.get_once(head::NAME, MAX_HEAD).await;
                let (bytes, version) = found.map_err(NotSwapped::Store)?;
                // An earlier try did it.
                if bytes == *encoded {
                    return Ok(version);
                }
                // What was there before, or what an earlier write, given up since, has made of it.
                let is_ours =
                    || Head::decode(&bytes).is_some_and(|(head, _)| head.leader == self.leader);
                if bytes != self.encoded && !is_ours() {
                    return Err(NotSwapped::Fenced);
                }
                version
            }
        };
        let mode = PutMode::Update(seen);
        let put = self
            .objects
            .put_once(head::NAME, encoded.clone().into(), mode);
        put.await.map_err(NotSwapped::Store)
    }

    /// Whether nobody has taken the log over.
    pub(super) async fn leads(&self) -> Result<bool, Error> {
        let (bytes, _) = self.objects.get(head::NAME, MAX_HEAD).await?;
        Ok(Head::decode(&bytes).is_some_and(|(head, _)| head.leader == self.leader))
    }

    /// Removes what the head says that nobody needs.
    pub(super) async fn tidy(&mut self) {
        self.objects.remove(&mut self.remove).await;
    }

    async fn append(&mut self, feed: &Feed, records: &Bytes) -> Result<(), NotSwapped> {
        let (number, offset) = feed.growing();
        let mut next = self.next();
        let mut sum = self.sum.clone();
        sum.update(records);
        next.grow(offset + records.len() as u64, &sum);
        let mut newest = Bytes::from([&self.newest[..], records].concat());
        if newest.len() > NEWEST {
            let name = format!("{}{}-{}", piece_prefix(number), next.epoch, next.write);
            self.put(&name, &newest).await?;
            next.pieces.push(Piece {
                name,
                size: newest.len() as u64,
            });
            newest = Bytes::new();
        }
        self.swap(next, newest).await?;
        self.sum = sum;
        Ok(())
    }

    /// Writes an object that the next head is to name.
    async fn put(&mut self, name: &str, bytes: &Bytes) -> Result<(), NotSwapped> {
        // Until then nobody needs it.
        self.remove.push(name.to_owned());
        let put = self.objects.put(name, [bytes.clone()]).await;
        put.map_err(NotSwapped::Store)
    }

    /// Makes the segment that grows one object, under the name of a sealed one. Gives its bytes.
    async fn flush(&mut self, feed: &Feed, segment: &Segment) -> Result<Bytes, NotSwapped> {
        let bytes = feed.read(segment.number, 0..u64::MAX).unwrap_or_default();
        let name = names::sealed(segment);
        if !self.head.pieces.iter().any(|piece| piece.name == name) {
            self.put(&name, &bytes).await?;
        }
        Ok(bytes)
    }

    async fn seal(&mut self, feed: &Feed) -> Result<(), NotSwapped> {
        let Some(segment) = feed.growing_segment() else {
            return Ok(());
        };
        let bytes = self.flush(feed, &segment).await?;
        let mut next = self.next();
        let pieces = next.pieces.iter().map(|piece| piece.name.clone());
        let kept = self.remove.clone();
        self.remove.extend(pieces);
        next.seal(&segment);
        let name = names::sealed(&segment);
        self.remove.retain(|other| *other != name);
        if let Err(error) = self.swap(next, Bytes::new()).await {
            self.remove = kept;
            return Err(error);
        }
        self.sum = Sha224::new();
        feed.seal(segment, self.cache.keep(&segment, bytes));
        self.tidy().await;
        Ok(())
    }

    /// Leaves the log as the original would.
    async fn leave(&mut self, feed: &Feed) -> Result<(), NotSwapped> {
        let Some(segment) = feed.growing_segment() else {
            return Ok(());
        };
        // Who leads no more leaves nothing behind.
        if !self.leads().await.map_err(NotSwapped::Store)? {
            return Err(NotSwapped::Fenced);
        }
        let bytes = self.flush(feed, &segment).await?;
        let mut next = self.next();
        let pieces = next.pieces.drain(..).map(|piece| piece.name);
        self.remove.extend(pieces);
        next.pieces.push(Piece {
            name: names::sealed(&segment),
            size: bytes.len() as u64,
        });
        self.swap(next, Bytes::new()).await?;
        self.tidy().await;
        Ok(())
    }
}

impl Place for Led {
    fn append(&mut self, feed: &Feed, payloads: &[Bytes]) -> Result<Bytes, SinkError> {
        let records = Bytes::from(frame(payloads, feed.growing().1));
        let runtime = self.runtime.clone();
        let appended = runtime.block_on(self.append(feed, &records));
        appended.map_err(cannot("append to"))?;
        Ok(records)
    }

    fn seal(&mut self, feed: &Feed) -> Result<(), SinkError> {
        let runtime = self.runtime.clone();
        let sealed = runtime.block_on(self.seal(feed));
        sealed.map_err(cannot("seal a segment of"))
    }

    fn close(&mut self, feed: &Feed) {
        let runtime = self.runtime.clone();
        if let Err(error) = runtime.block_on(self.leave(feed)) {
            tracing::warn!(
                ?error,
                "the log is whole, but not for the original's programs"
            );
        }
    }
}

/// What the names of a segment's pieces begin with.
pub(super) fn piece_prefix(number: u32) -> String {
    format!("{number:04}.growing.")
}

fn generic(error: serde_json::Error) -> Error {
    Error::Generic {
        store: "bucket",
        source: error.into(),
    }
}

fn cannot(action: &'static str) -> impl FnOnce(NotSwapped) -> SinkError {
    move |error| match error {
        NotSwapped::Fenced => SinkError::Fenced,
        NotSwapped::Store(error) => SinkError::Io {
            action,
            source: io::Error::from(error),
        },
    }
}
