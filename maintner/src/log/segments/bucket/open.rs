//! Taking over the log in a bucket.

use std::{
    hash::{BuildHasher, RandomState},
    io,
};

use bytes::Bytes;
use object_store::{Error, ObjectMeta, PutMode};
use sha2::{Digest, Sha224};
use tokio::runtime::Handle;

use super::{
    cache::Cache,
    head::{self, Head},
    objects::{Objects, TRIES, may_pass},
    place::{Led, MAX_HEAD, NotSwapped, piece_prefix},
};
use crate::{
    log::{
        Feed, Segment, Sha224Sum,
        names::{self, Name},
        segments::{Entry, OpenError, SegmentOptions, failed, files::Found, is_full},
    },
    reclog::Records,
};

/// How often a leader that still writes may be faster.
const CLAIMS: u32 = 100;

/// Takes the log over, and shows it in `feed`.
pub(super) async fn open(
    objects: Objects,
    cache: Cache,
    options: &SegmentOptions,
    feed: &Feed,
    runtime: Handle,
) -> Result<Led, OpenError> {
    let leader = random_name();
    // Fetched before anybody is stopped: sealed segments stay as they are.
    let mut sealed: Vec<(Segment, Bytes)> = Vec::new();
    let mut epoch = None;
    'claims: for _ in 0..CLAIMS {
        let (encoded, version) = match objects.get(head::NAME, MAX_HEAD).await {
            Err(Error::NotFound { .. }) => {
                begin(&objects, options).await?;
                continue;
            }
            found => found.map_err(not_done("read", head::NAME))?,
        };
        let (head, newest) = Head::decode(&encoded).ok_or_else(|| {
            wrong(format!(
                "{} is none; it may be of a later version",
                head::NAME
            ))
        })?;
        if *epoch.get_or_insert(head.epoch) != head.epoch {
            return Err(OpenError::Taken);
        }
        let listed = head.sealed().unwrap_or_default();
        // A leader that was not told that it has sealed a segment may let it grow on.
        let same = sealed.iter().zip(&listed);
        let same = same.take_while(|((known, _), listed)| known == *listed);
        sealed.truncate(same.count());
        for segment in &listed[sealed.len()..] {
            match fetch(&objects, &cache, segment, options.verify).await {
                Ok(bytes) => sealed.push((*segment, bytes)),
                Err(error) if is_current(&objects, &encoded).await => return Err(error),
                // Nobody needs it any more.
                Err(_) => continue 'claims,
            }
        }
        let mut next = head.clone();
        next.epoch += 1;
        next.leader.clone_from(&leader);
        next.write = 0;
        let mut led = Led {
            objects: objects.clone(),
            cache: cache.clone(),
            runtime: runtime.clone(),
            leader: leader.clone(),
            remove: head.remove.clone(),
            head,
            newest: newest.clone(),
            encoded,
            version: Some(version),
            sum: Sha224::new(),
            writes: 0,
        };
        match led.swap(next, newest).await {
            Ok(()) => {
                return match led.begin(sealed, feed).await {
                    // What is there is of somebody who came still later.
                    Err(_) if matches!(led.leads().await, Ok(false)) => Err(OpenError::Taken),
                    Err(error) => Err(error),
                    Ok(()) => Ok(led),
                };
            }
            // Another wrote in between.
            Err(NotSwapped::Fenced) => {}
            Err(NotSwapped::Store(error)) => return Err(not_written("replace", error)),
        }
    }
    Err(OpenError::Taken)
}

/// Writes the first head, of what the original has left.
async fn begin(objects: &Objects, options: &SegmentOptions) -> Result<(), OpenError> {
    let entry = |(name, object): (String, ObjectMeta)| Entry {
        name,
        len: object.size,
        modified: object.last_modified.into(),
    };
    let listed = objects
        .list()
        .await
        .map_err(not_done("list", "the bucket"))?;
    let entries: Vec<Entry> = listed.into_iter().map(entry).collect();
    let found = Found::of(entries.iter().cloned());
    found.has_no_gap()?;
    let segment = |(number, (entry, sum)): (&u32, &(Entry, Sha224Sum))| Segment {
        number: *number,
        size: entry.len,
        sha224: *sum,
    };
    let mut sealed: Vec<Segment> = found.sealed.iter().map(segment).collect();
    let grown = sealed.pop_if(|last| !is_full(last.size, options.segment_size));
    let grown = grown.map(|segment| (segment, names::sealed(&segment)));
    let mut head = Head::new(&sealed, grown);
    // Of two objects of a segment the older one, as in the original; and pieces of a head that was
    // removed.
    let is_nobodys = |name: &String| match Name::parse(name) {
        Some(Name::Sealed(number, _)) => found
            .sealed
            .get(&number)
            .is_some_and(|(newer, _)| newer.name != *name),
        Some(Name::Growing(_)) => false,
        None => epoch_of(name).is_some(),
    };
    head.remove = entries
        .into_iter()
        .map(|entry| entry.name)
        .filter(is_nobodys)
        .collect();
    let head = head.encode(b"");
    let head = head.map_err(|error| failed("write", head::NAME)(io::Error::other(error)))?;
    let mut failures = 0;
    loop {
        let created = objects.put_once(head::NAME, head.clone().into(), PutMode::Create);
        let error = match created.await {
            // There by now, perhaps by another.
            Ok(_) | Err(Error::AlreadyExists { .. }) => return Ok(()),
            Err(error) => error,
        };
        if !may_pass(&error) {
            return Err(not_written("write", error));
        }
        match objects.get(head::NAME, MAX_HEAD).await {
            // Only the answer was lost.
            Ok(_) => return Ok(()),
            Err(Error::NotFound { .. }) if failures + 1 < TRIES => {
                objects.pause(&error, failures).await;
                failures += 1;
            }
            Err(Error::NotFound { .. }) => return Err(not_written("write", error)),
            Err(error) => return Err(not_done("read", head::NAME)(error)),
        }
    }
}

/// Whether the head is still this one.
async fn is_current(objects: &Objects, encoded: &Bytes) -> bool {
    let found = objects.get(head::NAME, MAX_HEAD).await;
    found.is_ok_and(|(bytes, _)| bytes == *encoded)
}

/// A sealed segment.
async fn fetch(
    objects: &Objects,
    cache: &Cache,
    segment: &Segment,
    verify: bool,
) -> Result<Bytes, OpenError> {
    let name = names::sealed(segment);
    if segment.size > u64::from(u32::MAX) {
        let size = segment.size;
        return Err(OpenError::TooLarge { name, size });
    }
    if let Some(bytes) = cache.find(segment, verify) {
        return Ok(bytes);
    }
    let bytes = read(objects, &name, segment.size).await?;
    if Sha224Sum::of(&bytes) != segment.sha224 {
        return Err(OpenError::Digest { name });
    }
    Ok(cache.keep(segment, bytes))
}

/// An object that the head names.
async fn read(objects: &Objects, name: &str, size: u64) -> Result<Bytes, OpenError> {
    match objects.get(name, size).await {
        Ok((bytes, _)) if bytes.len() as u64 == size => Ok(bytes),
        Ok((bytes, _)) => Err(wrong(format!(
            "{name} has {} bytes instead of {size}; bring the object back",
            bytes.len()
        ))),
        Err(Error::NotFound { .. }) => Err(wrong(format!(
            "{name} is gone; bring the object back or, if the original's leader has gone on with the log since, remove {}",
            head::NAME
        ))),
        Err(error) => Err(not_done("read", name)(error)),
    }
}

impl Led {
    /// Shows the log, which is this leader's now, and tidies up.
    async fn begin(&mut self, sealed: Vec<(Segment, Bytes)>, feed: &Feed) -> Result<(), OpenError> {
        let grown = self.grown().await?;
        for (segment, bytes) in sealed {
            feed.seal(segment, bytes);
        }
        self.sum.update(&grown);
        feed.push(&grown);
        self.find_litter(feed).await?;
        self.tidy().await;
        Ok(())
    }

    /// All of the segment that grows.
    async fn grown(&self) -> Result<Vec<u8>, OpenError> {
        let mut bytes = Vec::new();
        for piece in &self.head.pieces {
            bytes.extend_from_slice(&read(&self.objects, &piece.name, piece.size).await?);
        }
        bytes.extend_from_slice(&self.newest);
        let growing = self.head.growing();
        let segment = growing.map_or(0, |segment| segment.number);
        let mut records = Records::new(&bytes, 0);
        let is_whole = records.by_ref().all(|record| record.is_ok());
        if !is_whole || growing != Some(Segment::of(segment, &bytes)) {
            return Err(wrong(format!(
                "what is there of segment {segment}, which grows, is damaged"
            )));
        }
        Ok(bytes)
    }

    /// Looks for what leaders have left that were interrupted: it is to be removed.
    ///
    /// Only what will never be needed: somebody who came later may be at work already.
    async fn find_litter(&mut self, feed: &Feed) -> Result<(), OpenError> {
        let listed = self.objects.list().await;
        let sealed = self.head.sealed().unwrap_or_default();
        let growing = sealed.len() as u32;
        for (name, object) in listed.map_err(not_done("list", "the bucket"))? {
            let is_needed = self.head.pieces.iter().any(|piece| piece.name == name)
                || sealed.iter().any(|segment| names::sealed(segment) == name);
            if is_needed || self.remove.contains(&name) {
                continue;
            }
            let is_litter = match Name::parse(&name) {
                // The segment as it is: it may be sealed like this.
                Some(_)
                    if feed
                        .growing_segment()
                        .is_some_and(|all| names::sealed(&all) == name) =>
                {
                    continue;
                }
                Some(Name::Sealed(number, _)) if number <= growing => {
                    let all = feed.read(number, 0..u64::MAX).unwrap_or_default();
                    let bytes = read(&self.objects, &name, object.size).await?;
                    all.starts_with(&bytes)
                }
                Some(_) => false,
                None => match epoch_of(&name) {
                    Some(epoch) if epoch <= self.head.epoch => true,
                    _ => continue,
                },
            };
            if !is_litter {
                return Err(wrong(format!(
                    "{name} holds what {} knows nothing of; remove the object or, if the original's leader has gone on with the log since, {}",
                    head::NAME,
                    head::NAME,
                )));
            }
            tracing::info!(name, "removing what an interrupted leader left");
            self.remove.push(name);
        }
        Ok(())
    }
}

/// Which leader wrote this piece; `None` if it is none.
fn epoch_of(name: &str) -> Option<u64> {
    let number = name.split('.').next()?.parse().ok()?;
    let place = name.strip_prefix(&piece_prefix(number))?;
    place.split('-').next()?.parse().ok()
}

/// A name that nobody else has.
fn random_name() -> String {
    let random = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", random(), random())
}

fn wrong(reason: String) -> OpenError {
    OpenError::Bucket { reason }
}

/// Why there is no head, or no new one.
fn not_written(action: &'static str, error: Error) -> OpenError {
    match error {
        Error::NotImplemented { .. } | Error::NotSupported { .. } => wrong(
            "its store cannot replace an object on condition that it is the one that was read; \
             a directory is opened as a LocalDir"
                .into(),
        ),
        error => not_done(action, head::NAME)(error),
    }
}

fn not_done(action: &'static str, name: &str) -> impl FnOnce(Error) -> OpenError {
    let failed = failed(action, name);
    move |error| failed(error.into())
}
