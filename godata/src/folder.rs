//! Logs in files that nobody writes to.

use std::{collections::VecDeque, fs, io, path::Path};

use bytes::Bytes;
use maintner::log::{Batch, Event, Segment, Sha224Sum, Source, SourceError, total};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder of `maintner-DATE.mutlog`.
    DiskLog,
    /// A folder of `NNNN.SHA224.mutlog` and `NNNN.growing.mutlog`: a cache, a leader's folder.
    Segments,
    /// One file.
    File,
}

pub(crate) fn kind(path: &Path) -> io::Result<Kind> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(Kind::File);
    }
    let mut has_segments = false;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        has_segments |= parse(&name.to_string_lossy()).is_some();
    }
    Ok(if has_segments {
        Kind::Segments
    } else {
        Kind::DiskLog
    })
}

/// The number of the segment in a file of this name, and its digest if it is sealed.
fn parse(name: &str) -> Option<(u32, Option<Sha224Sum>)> {
    let (number, rest) = name.strip_suffix(".mutlog")?.split_once('.')?;
    let number = number.parse().ok().filter(|_| number.len() == 4)?;
    match rest {
        "growing" => Some((number, None)),
        digest => Some((number, Some(Sha224Sum::from_hex(digest)?))),
    }
}

/// Tells a log as it is now. It will not grow.
#[derive(Debug)]
pub(crate) struct Files {
    events: VecDeque<Event>,
    bytes: u64,
}

impl Files {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        if fs::metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if let Some((number, digest)) = parse(&name) {
                    files.push((number, digest, path));
                }
            }
            // The sealed file of a segment before one that was growing.
            files.sort_by_key(|&(number, digest, _)| (number, digest.is_none()));
            files.dedup_by_key(|(number, ..)| *number);
        } else {
            files.push((0, None, path.to_owned()));
        }
        let mut events = VecDeque::new();
        let mut segments = Vec::new();
        for (at, (number, digest, path)) in files.into_iter().enumerate() {
            if number as usize != at {
                let text = format!("segment {at} is missing");
                return Err(io::Error::new(io::ErrorKind::NotFound, text));
            }
            let bytes = map(&path)?;
            // A file is what its name says; reading all of them takes its time.
            segments.push(Segment {
                number,
                size: bytes.len() as u64,
                sha224: digest.unwrap_or_else(|| Sha224Sum::of(&bytes)),
            });
            events.push_back(Event::Batch(Batch {
                segment: number,
                offset: 0,
                bytes,
            }));
        }
        let bytes = total(&segments);
        events.push_back(Event::CaughtUp { segments });
        Ok(Self { events, bytes })
    }
}

fn map(path: &Path) -> io::Result<Bytes> {
    if fs::metadata(path)?.len() == 0 {
        // Nothing cannot be mapped.
        return Ok(Bytes::new());
    }
    mmap_guard::map_file(path).map(Bytes::from_owner)
}

impl Source for Files {
    async fn next(&mut self) -> Result<Event, SourceError> {
        match self.events.pop_front() {
            Some(event) => Ok(event),
            None => std::future::pending().await,
        }
    }

    fn log_bytes(&self) -> Option<u64> {
        Some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_segments() {
        let digest = "0a".repeat(28);
        let sealed = Some((12, Some(Sha224Sum([10; 28]))));
        assert_eq!(parse(&format!("0012.{digest}.mutlog")), sealed);
        assert_eq!(parse("0003.growing.mutlog"), Some((3, None)));
        for name in [
            "maintner-2018-07-09.mutlog",
            "1.growing.mutlog",
            "0001.x.mutlog",
            "0001.growing",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
