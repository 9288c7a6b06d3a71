//! Reading a directory that may change.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{failed, sealed, whole};
use crate::log::{Feed, Segment, Sha224Sum, SourceError, common_prefix, files::map};

const PREFIX: &str = "maintner-";
const SUFFIX: &str = ".mutlog";

/// What is known of a directory.
#[derive(Debug)]
pub(super) struct Scan {
    dir: PathBuf,
    /// The files that were read, in order; the last one may grow.
    files: Vec<String>,
}

impl Scan {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            files: Vec::new(),
        }
    }

    /// The log's files that are not empty, in order.
    pub(super) fn names(&self) -> Result<Vec<String>, SourceError> {
        let failed = || failed("list", &self.dir);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if let Ok(name) = entry.file_name().into_string()
                && name.starts_with(PREFIX)
                && name.ends_with(SUFFIX)
                && let Ok(metadata) = entry.metadata()
                && metadata.is_file()
                && metadata.len() > 0
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Shows in `feed` what is new.
    pub(super) fn refresh(&mut self, feed: &Feed) -> Result<(), SourceError> {
        let names = self.names()?;
        if !names.starts_with(&self.files) || self.is_cut(feed)? {
            return self.begin_anew(feed);
        }
        if !self.files.is_empty() {
            self.grow(feed)?;
            if names.len() > self.files.len() {
                self.seal_last(feed)?;
            }
        }
        while self.files.len() < names.len() {
            let name = &names[self.files.len()];
            if self.files.len() + 1 < names.len() {
                let path = self.dir.join(name);
                let bytes = map(&path).map_err(failed("map", &path))?;
                let (segment, bytes) = sealed(feed.growing().0, name, bytes)?;
                feed.seal(segment, bytes);
                self.files.push(name.clone());
            } else {
                self.files.push(name.clone());
                self.grow(feed)?;
            }
        }
        Ok(())
    }

    fn last(&self) -> PathBuf {
        let last = self.files.last().map_or("", String::as_str);
        self.dir.join(last)
    }

    /// Whether the last file has lost what was read of it.
    fn is_cut(&self, feed: &Feed) -> Result<bool, SourceError> {
        if self.files.is_empty() {
            return Ok(false);
        }
        let path = self.last();
        let metadata = fs::metadata(&path).map_err(failed("read", &path))?;
        Ok(metadata.len() < feed.growing().1)
    }

    /// Shows the whole records by which the last file has grown.
    fn grow(&self, feed: &Feed) -> Result<(), SourceError> {
        let (number, offset) = feed.growing();
        let path = self.last();
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|mut file| {
            if file.metadata()?.len() == offset {
                return Ok(0);
            }
            file.seek(SeekFrom::Start(offset))?;
            file.read_to_end(&mut bytes)
        });
        read.map_err(failed("read", &path))?;
        let end = whole(number, &bytes, offset)?;
        bytes.truncate((end - offset) as usize);
        if !bytes.is_empty() {
            feed.push(&bytes);
        }
        Ok(())
    }

    /// The last file has a successor: it grows no more.
    fn seal_last(&self, feed: &Feed) -> Result<(), SourceError> {
        if let Some(segment) = feed.growing_segment() {
            let path = self.last();
            let bytes = map(&path).map_err(failed("map", &path))?;
            feed.seal(segment, bytes.slice(..segment.size as usize));
        }
        Ok(())
    }

    /// Files were changed that were not to change: reads all of them again.
    fn begin_anew(&mut self, feed: &Feed) -> Result<(), SourceError> {
        let new = Feed::new();
        let mut scan = Self::new(self.dir.clone());
        scan.refresh(&new)?;
        let (old, now) = (feed.segments(), new.segments());
        let first = |feed: &Feed, segments: &[Segment], number: u32, size: u64| {
            let segment = segments.get(number as usize)?;
            let bytes = feed.read(number, 0..size)?;
            (segment.size > size).then(|| Sha224Sum::of(&bytes))
        };
        let common = common_prefix(&old, &now, |number, size| {
            first(feed, &old, number, size).or_else(|| first(&new, &now, number, size))
        });
        tracing::warn!(common, dir = %self.dir.display(), "the log is not what it was");
        feed.replace(new, common);
        *self = scan;
        Ok(())
    }
}

/// The name of a day's file.
pub(super) fn name_of(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (year, month, day) = date(seconds / 86_400);
    format!("{PREFIX}{year:04}-{month:02}-{day:02}{SUFFIX}")
}

/// The date of a day, counted from 1970-01-01. Years are counted from March, so that the day that
/// some of them have more is their last.
fn date(days: u64) -> (u64, u64, u64) {
    const FOUR_CENTURIES: u64 = 146_097;
    // From 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days / FOUR_CENTURIES, days % FOUR_CENTURIES);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months have 153 days, whichever they are.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (year, month + 3),
        _ => (year + 1, month - 9),
    };
    (era * 400 + year, month, day)
}

/// The digest in a name like `maintner-0000.<sha224>.mutlog`.
pub(super) fn digest_in(name: &str) -> Option<Sha224Sum> {
    let name = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    Sha224Sum::from_hex(name.split_once('.')?.1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn days_have_the_names_of_the_original() {
        let name = |seconds| name_of(UNIX_EPOCH + Duration::from_secs(seconds));
        for (seconds, date) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_531_094_400, "2018-07-09"),
            (1_531_180_799, "2018-07-09"),
            (1_531_180_800, "2018-07-10"),
            (1_798_761_599, "2026-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(name(seconds), format!("maintner-{date}.mutlog"));
        }
        // Each day follows the one before.
        let mut last = date(0);
        for day in 1..200_000 {
            let (year, month, day) = date(day);
            let (y, m, d) = last;
            let next = (year, month, day) == (y, m, d + 1)
                || (year, month, day) == (y, m + 1, 1) && d >= 28
                || (year, month, day) == (y + 1, 1, 1) && (m, d) == (12, 31);
            assert!(next, "{last:?}");
            last = (year, month, day);
        }
    }
}
