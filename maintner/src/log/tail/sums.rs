//! Digests of files that grow no more, so that they need not be read again.
//!
//! They stand in the file `.sums` beside the log: a line for each file with its name, its length, when
//! it was changed last, how many bytes of it are whole records, and their SHA-224; the last line is the
//! SHA-224 of those before. The names of segments have their digests, so only files by date are in it.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::log::{Segment, Sha224Sum, files};

const NAME: &str = ".sums";

/// A file that was changed as lately as this may change again without having a later time.
const FRESH: Duration = Duration::from_secs(3);

/// The longest file that is read: 100,000 days.
const MAX: u64 = 16 << 20;

#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::log) struct Sums {
    files: BTreeMap<String, Known>,
    is_changed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    len: u64,
    /// Nanoseconds since 1970.
    modified: u128,
    end: u64,
    sha224: Sha224Sum,
}

impl Sums {
    /// What is known of the files in `dir`; nothing if there is any doubt.
    pub(super) fn read(dir: &Path) -> Self {
        let path = dir.join(NAME);
        let is_short = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= MAX);
        let text = is_short.then(|| fs::read_to_string(&path).ok()).flatten();
        let files = text.as_deref().and_then(parse).unwrap_or_default();
        let is_changed = false;
        Self { files, is_changed }
    }

    /// How far a file of this name, length and time has whole records, and their digest.
    pub(super) fn find(
        &self,
        name: &str,
        len: u64,
        modified: Option<SystemTime>,
    ) -> Option<(u64, Sha224Sum)> {
        let known = self.files.get(name)?;
        let is_it = known.len == len && known.end <= len && Some(known.modified) == nanos(modified);
        is_it.then_some((known.end, known.sha224))
    }

    pub(super) fn add(
        &mut self,
        name: &str,
        len: u64,
        modified: Option<SystemTime>,
        segment: &Segment,
    ) {
        let is_old = modified.is_some_and(|at| at.elapsed().is_ok_and(|age| age > FRESH));
        let is_plain = !name.contains(char::is_whitespace);
        if let (true, true, Some(modified)) = (is_old, is_plain, nanos(modified)) {
            let known = Known {
                len,
                modified,
                end: segment.size,
                sha224: segment.sha224,
            };
            self.is_changed |= self.files.insert(name.to_owned(), known.clone()) != Some(known);
        }
    }

    /// Writes down what is new. By the log's writer only, who has it locked.
    pub(in crate::log) fn write(&mut self, dir: &Path) -> io::Result<()> {
        if !self.is_changed {
            return Ok(());
        }
        self.files.retain(|name, _| dir.join(name).exists());
        let line = |(name, known): (&String, &Known)| {
            let Known {
                len,
                modified,
                end,
                sha224,
            } = known;
            format!("{name} {len} {modified} {end} {sha224}\n")
        };
        let text: String = self.files.iter().map(line).collect();
        let text = format!("{text}{}\n", Sha224Sum::of(text.as_bytes()));
        let new = dir.join(".sums.new");
        let mut file = files::options().truncate(true).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, dir.join(NAME))?;
        self.is_changed = false;
        Ok(())
    }
}

fn parse(text: &str) -> Option<BTreeMap<String, Known>> {
    let lines = &text[..text
        .trim_end_matches('\n')
        .rfind('\n')
        .map_or(0, |end| end + 1)];
    let sum = text[lines.len()..].strip_suffix('\n')?;
    if Sha224Sum::from_hex(sum)? != Sha224Sum::of(lines.as_bytes()) {
        return None;
    }
    let line = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next()?.to_owned();
        let known = Known {
            len: words.next()?.parse().ok()?,
            modified: words.next()?.parse().ok()?,
            end: words.next()?.parse().ok()?,
            sha224: Sha224Sum::from_hex(words.next()?)?,
        };
        Some((name, known))
    };
    lines.lines().map(line).collect()
}

fn nanos(time: Option<SystemTime>) -> Option<u128> {
    Some(time?.duration_since(UNIX_EPOCH).ok()?.as_nanos())
}
