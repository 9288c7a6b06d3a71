//! A leader's segments as files.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use bytes::Bytes;

use super::{Dir, Entry, OpenError, SegmentOptions, failed, is_full, writer::Place};
use crate::{
    log::{
        Feed, Segment, Sha224Sum, SinkError,
        feed::frame,
        names::{self, Name},
    },
    reclog::{Appender, Options, RecoverError, Storage},
};

type Growing = Appender<Box<dyn Storage>>;

pub(super) struct Files {
    dir: Box<dyn Dir>,
    /// The file of the segment that grows. None if it is to be made anew from what readers see:
    /// because there is none yet, or because nobody knows any more what is in it.
    growing: Option<Growing>,
}

impl Files {
    /// Opens what is in `dir` and shows it in `feed`.
    pub(super) fn open(
        dir: Box<dyn Dir>,
        options: &SegmentOptions,
        feed: &Feed,
    ) -> Result<Self, OpenError> {
        let entries = dir.list().map_err(failed("list", "the directory"))?;
        let mut found = Found::of(entries);
        found.settle(&*dir)?;
        found.resume(&*dir, options.segment_size)?;
        for (&number, (entry, sum)) in &found.sealed {
            if entry.len > u64::from(u32::MAX) {
                let (name, size) = (entry.name.clone(), entry.len);
                return Err(OpenError::TooLarge { name, size });
            }
            let bytes = dir.read(&entry.name).map_err(failed("read", &entry.name))?;
            if options.verify && Sha224Sum::of(&bytes) != *sum {
                let name = entry.name.clone();
                return Err(OpenError::Digest { name });
            }
            let segment = Segment {
                number,
                size: bytes.len() as u64,
                sha224: *sum,
            };
            feed.seal(segment, bytes);
        }
        let growing = match found.growing.keys().next() {
            Some(&number) => {
                let growing = open_growing(&*dir, number)?;
                let name = names::growing(number);
                let bytes = read_all(growing.storage(), growing.end());
                feed.push(&bytes.map_err(failed("read", &name))?);
                Some(growing)
            }
            None => None,
        };
        dir.sync().map_err(failed("sync", "the directory"))?;
        Ok(Self { dir, growing })
    }
}

impl Place for Files {
    fn append(&mut self, feed: &Feed, payloads: &[Bytes]) -> Result<Bytes, SinkError> {
        let (segment, offset) = feed.growing();
        // Whatever fails from here on leaves it gone: it is made anew by the next call.
        let mut growing = match self.growing.take() {
            Some(growing) => growing,
            None => rewrite(&*self.dir, feed, segment).map_err(cannot("begin a segment of"))?,
        };
        growing
            .append_all(payloads.iter().map(|payload| &payload[..]))
            .and_then(|_| growing.sync())
            .map_err(|error| cannot("append to")(io::Error::other(error)))?;
        let bytes = Bytes::from(frame(payloads, offset));
        debug_assert_eq!(growing.end(), offset + bytes.len() as u64);
        self.growing = Some(growing);
        Ok(bytes)
    }

    fn seal(&mut self, feed: &Feed) -> Result<(), SinkError> {
        // Closed before it gets its new name, because not every system can rename open files.
        self.growing = None;
        seal(&*self.dir, feed).map_err(cannot("seal a segment of"))
    }

    fn close(&mut self, _: &Feed) {}
}

/// Gives the segment that grows the name of a sealed one. May be done again if it failed.
fn seal(dir: &dyn Dir, feed: &Feed) -> io::Result<()> {
    let segments = feed.segments();
    let Some(segment) = segments.last() else {
        return Ok(());
    };
    let (from, to) = (names::growing(segment.number), names::sealed(segment));
    match dir.rename(&from, &to) {
        // An earlier try did it, although it failed later.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    let bytes = dir.read(&to)?;
    if bytes.len() as u64 != segment.size {
        return Err(io::Error::other("the file has grown by itself"));
    }
    dir.sync()?;
    // The digest in the name says more than they do.
    if let Err(error) = dir.remove(&sums(segment.number)) {
        tracing::debug!(%error, segment = segment.number, "kept the checksums of a sealed segment");
    }
    feed.seal(*segment, bytes);
    Ok(())
}

/// Makes the file of the segment that grows anew, from what readers have seen of it.
fn rewrite(dir: &dyn Dir, feed: &Feed, number: u32) -> io::Result<Growing> {
    let name = names::growing(number);
    let new = format!("{name}.new");
    let bytes = feed.read(number, 0..u64::MAX).unwrap_or_default();
    let mut file = dir.open(&new)?;
    file.set_len(0)?;
    write_all(&mut *file, &bytes)?;
    file.sync()?;
    drop(file);
    remove_if_there(dir, &sums(number))?;
    dir.rename(&new, &name)?;
    dir.sync()?;
    let growing = open_growing(dir, number).map_err(io::Error::other)?;
    if growing.end() != bytes.len() as u64 {
        return Err(io::Error::other("the file is not what was written"));
    }
    Ok(growing)
}

/// Opens the file of the segment that grows. A torn end is kept beside it.
fn open_growing(dir: &dyn Dir, number: u32) -> Result<Growing, OpenError> {
    let name = names::growing(number);
    let log = dir.open(&name).map_err(failed("open", &name))?;
    let known = dir.open(&sums(number)).map_err(failed("open", &name))?;
    let keep = |offset: u64, torn: &mut dyn Read| {
        let mut bytes = Vec::new();
        torn.read_to_end(&mut bytes)?;
        let mut file = dir.open(&format!("{name}.torn-{offset:x}"))?;
        file.set_len(0)?;
        write_all(&mut *file, &bytes)
    };
    match Appender::over(log, Some(known), &Options::default(), keep) {
        Ok((growing, _)) => Ok(growing),
        Err(RecoverError::Io { action, source }) => Err(failed(action, &name)(source)),
        Err(source) => Err(OpenError::Damaged { name, source }),
    }
}

/// The files of a log's segments.
pub(super) struct Found {
    pub(super) sealed: BTreeMap<u32, (Entry, Sha224Sum)>,
    growing: BTreeMap<u32, Entry>,
}

impl Found {
    pub(super) fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut sealed: BTreeMap<u32, (Entry, Sha224Sum)> = BTreeMap::new();
        let mut growing = BTreeMap::new();
        for entry in entries {
            match Name::parse(&entry.name) {
                Some(Name::Growing(number)) => {
                    growing.insert(number, entry);
                }
                Some(Name::Sealed(number, sum)) => {
                    // The original uploads a segment anew when it has grown, and removes the old
                    // file afterwards: of two, the newer one counts.
                    let age = |entry: &Entry| (entry.modified, entry.len);
                    let other = sealed.get(&number).map(|(other, _)| age(other));
                    if other.is_some() {
                        tracing::warn!(
                            segment = number,
                            "a segment is there twice; the newer file counts"
                        );
                    }
                    if other.is_none_or(|other| other < age(&entry)) {
                        sealed.insert(number, (entry, sum));
                    }
                }
                None => {}
            }
        }
        Self { sealed, growing }
    }

    /// Ends what was interrupted; each segment is there once then, and none is missing.
    fn settle(&mut self, dir: &dyn Dir) -> Result<(), OpenError> {
        let twice: Vec<u32> = self.growing.keys().copied().collect();
        for number in twice {
            let Some((entry, sum)) = self.sealed.get(&number) else {
                continue;
            };
            let name = names::growing(number);
            let sealed = dir.read(&entry.name).map_err(failed("read", &entry.name))?;
            let growing = dir.read(&name).map_err(failed("read", &name))?;
            if sealed.starts_with(&growing) && Sha224Sum::of(&sealed) == *sum {
                remove(dir, &name)?;
                self.growing.remove(&number);
            } else if growing.starts_with(&sealed) && self.is_last(number) {
                remove(dir, &entry.name)?;
                self.sealed.remove(&number);
            } else {
                return Err(OpenError::Twice { segment: number });
            }
        }
        self.has_no_gap()
    }

    pub(super) fn has_no_gap(&self) -> Result<(), OpenError> {
        let numbers = self.sealed.keys().chain(self.growing.keys());
        let mut next = 0;
        let mut numbers: Vec<u32> = numbers.copied().collect();
        numbers.sort_unstable();
        for number in &numbers {
            if *number != next {
                let last = numbers.last().copied().unwrap_or(*number);
                return Err(OpenError::Gap {
                    missing: next,
                    last,
                });
            }
            next += 1;
        }
        match self.growing.keys().find(|number| !self.is_last(**number)) {
            Some(&segment) => Err(OpenError::Gap {
                missing: segment,
                last: next - 1,
            }),
            None => Ok(()),
        }
    }

    fn is_last(&self, number: u32) -> bool {
        let last = |keys: Option<&u32>| keys.is_none_or(|last| *last <= number);
        last(self.sealed.keys().next_back()) && last(self.growing.keys().next_back())
    }

    /// Lets the last segment grow again if it is not full.
    fn resume(&mut self, dir: &dyn Dir, segment_size: u64) -> Result<(), OpenError> {
        if self.growing.is_empty()
            && let Some((&number, (entry, sum))) = self.sealed.last_key_value()
            && !is_full(entry.len, segment_size)
        {
            let name = entry.name.clone();
            let bytes = dir.read(&name).map_err(failed("read", &name))?;
            if Sha224Sum::of(&bytes) != *sum {
                return Err(OpenError::Digest { name });
            }
            drop(bytes);
            remove_if_there(dir, &sums(number)).map_err(failed("remove checksums of", &name))?;
            dir.rename(&name, &names::growing(number))
                .map_err(failed("rename", &name))?;
            if let Some((number, (entry, _))) = self.sealed.pop_last() {
                self.growing.insert(number, entry);
            }
        }
        Ok(())
    }
}

/// The checksums of the segment that grows.
fn sums(number: u32) -> String {
    format!("{}.sum", names::growing(number))
}

fn remove(dir: &dyn Dir, name: &str) -> Result<(), OpenError> {
    tracing::info!(name, "removed what an interrupted sealing left");
    dir.remove(name).map_err(failed("remove", name))
}

fn remove_if_there(dir: &dyn Dir, name: &str) -> io::Result<()> {
    match dir.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn write_all(file: &mut dyn Storage, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write_at(written as u64, &bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The first `len` bytes of a file.
fn read_all(file: &dyn Storage, len: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    let mut read = 0;
    while read < len {
        match file.read_at(read as u64, &mut bytes[read..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

fn cannot(action: &'static str) -> impl FnOnce(io::Error) -> SinkError {
    move |source| SinkError::Io { action, source }
}
