//! A log on disk, mapped, and what comes after it.

use std::{fs, path::Path, time::Instant};

use bytes::Bytes;
use maintner::{
    log::{Batch, Segment, Sha224Sum},
    reclog::{Header, Records},
    testing::History,
};
use prost::Message;

pub(crate) struct Log {
    pub(crate) segments: Vec<Bytes>,
    /// What the names of the files say of them.
    pub(crate) index: Vec<Segment>,
}

pub(crate) fn write(history: &mut History, size: u64, dir: &Path) -> Log {
    let start = Instant::now();
    for (number, segment) in history.segments(size).enumerate() {
        let name = format!("{number:04}.{}.mutlog", Sha224Sum::of(&segment));
        fs::write(dir.join(name), segment).expect("room for the log");
    }
    println!(
        "# log made at {:.0} MB/s",
        size as f64 / 1e6 / start.elapsed().as_secs_f64()
    );
    Log::open(dir)
}

impl Log {
    pub(crate) fn open(dir: &Path) -> Self {
        let entries = fs::read_dir(dir).expect("the log's directory");
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("its files").path())
            .collect();
        paths.sort();
        let (mut segments, mut index) = (Vec::new(), Vec::new());
        for path in paths {
            let mapped = mmap_guard::map_file(&path).expect("a segment");
            let name = path.file_name().and_then(|name| name.to_str());
            let mut parts = name.expect("a name").split('.');
            index.push(Segment {
                number: parts
                    .next()
                    .and_then(|number| number.parse().ok())
                    .expect("a number"),
                size: mapped.len() as u64,
                sha224: parts
                    .next()
                    .and_then(Sha224Sum::from_hex)
                    .expect("a digest"),
            });
            segments.push(Bytes::from_owner(mapped));
        }
        Self { segments, index }
    }

    pub(crate) fn batches(&self) -> Vec<Batch> {
        let batch = |(segment, bytes): (u32, &Bytes)| Batch {
            segment,
            offset: 0,
            bytes: bytes.clone(),
        };
        (0..).zip(&self.segments).map(batch).collect()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| segment.len() as u64)
            .sum()
    }

    pub(crate) fn records(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| Records::new(segment, 0).count())
            .sum()
    }

    pub(crate) fn tail<'a>(&self, history: &'a mut History) -> Tail<'a> {
        Tail {
            history,
            segment: self.segments.len() as u32,
            offset: 0,
        }
    }
}

/// Records that are appended to a segment of their own.
pub(crate) struct Tail<'a> {
    history: &'a mut History,
    segment: u32,
    offset: u64,
}

impl Tail<'_> {
    /// So many records, in batches: their segment, where in it they begin, and their bytes.
    pub(crate) fn batches(&mut self, records: usize, each: usize) -> Vec<(u32, u64, Bytes)> {
        let mut batches = Vec::new();
        for _ in 0..records / each {
            let (begin, mut bytes) = (self.offset, Vec::new());
            for mutation in self.history.by_ref().take(each) {
                let payload = mutation.encode_to_vec();
                let header = Header::new(begin + bytes.len() as u64, payload.len() as u64);
                bytes.extend_from_slice(&header);
                bytes.extend(payload);
            }
            self.offset += bytes.len() as u64;
            batches.push((self.segment, begin, bytes.into()));
            if self.offset > 16 << 20 {
                (self.segment, self.offset) = (self.segment + 1, 0);
            }
        }
        batches
    }
}
