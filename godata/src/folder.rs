//! Logs in files that nobody writes to.

use std::{collections::VecDeque, fs, io, path::Path};

use bytes::Bytes;
use maintner::log::{Batch, Event, Segment, Source, SourceError};

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
        has_segments |= number(&name.to_string_lossy()).is_some();
    }
    Ok(if has_segments {
        Kind::Segments
    } else {
        Kind::DiskLog
    })
}

/// The number of the segment in a file of this name.
fn number(name: &str) -> Option<u32> {
    let (number, rest) = name.strip_suffix(".mutlog")?.split_once('.')?;
    let is_segment = number.len() == 4 && (rest == "growing" || rest.len() == 56);
    is_segment.then(|| number.parse().ok()).flatten()
}

/// Tells a log as it is now. It will not grow.
#[derive(Debug)]
pub(crate) struct Files(VecDeque<Event>);

impl Files {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        if fs::metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if let Some(number) = number(&name) {
                    files.push((number, path));
                }
            }
            // The sealed file of a segment before one that was growing.
            files.sort();
            files.dedup_by_key(|(number, _)| *number);
        } else {
            files.push((0, path.to_owned()));
        }
        let mut events = VecDeque::new();
        let mut segments = Vec::new();
        for (at, (number, path)) in files.into_iter().enumerate() {
            if number as usize != at {
                let text = format!("segment {at} is missing");
                return Err(io::Error::new(io::ErrorKind::NotFound, text));
            }
            let bytes = map(&path)?;
            segments.push(Segment::of(number, &bytes));
            events.push_back(Event::Batch(Batch {
                segment: number,
                offset: 0,
                bytes,
            }));
        }
        events.push_back(Event::CaughtUp { segments });
        Ok(Self(events))
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
        match self.0.pop_front() {
            Some(event) => Ok(event),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_segments() {
        let sum = "0a".repeat(28);
        assert_eq!(number(&format!("0012.{sum}.mutlog")), Some(12));
        assert_eq!(number("0003.growing.mutlog"), Some(3));
        for name in [
            "maintner-2018-07-09.mutlog",
            "1.growing.mutlog",
            "0001.x.mutlog",
            "0001.growing",
        ] {
            assert_eq!(number(name), None, "{name}");
        }
    }
}
