//! Reading a directory that may change.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;

use super::sums::Sums;
use crate::{
    log::{
        Feed, Segment, Sha224Sum, SourceError, common_prefix,
        files::map,
        names::{self, Name},
    },
    reclog::{Records, find_record},
};

/// How often a directory is looked at before it is believed that files are gone.
const LOOKS: u32 = 3;

/// What is known of a directory.
#[derive(Debug)]
pub(in crate::log) struct Scan {
    dir: PathBuf,
    /// The files that were read, in order.
    files: Vec<LogFile>,
    /// Whether the last of them may grow.
    grows: bool,
    /// The digests of those that grow no more, as far as they are known.
    pub(in crate::log) sums: Sums,
}

/// A file of a log that is not empty.
#[derive(Debug, Clone)]
pub(in crate::log) struct LogFile {
    pub(in crate::log) name: String,
    len: u64,
    modified: Option<SystemTime>,
    /// The number of its segment, if it is in the name.
    number: Option<u32>,
}

impl LogFile {
    fn new(name: String, metadata: &fs::Metadata) -> Option<Self> {
        let number = match Name::parse(&name) {
            Some(Name::Sealed(number, _) | Name::Growing(number)) => Some(number),
            None if names::is_dated(&name) => None,
            None => return None,
        };
        (metadata.is_file() && metadata.len() > 0).then(|| Self {
            name,
            len: metadata.len(),
            modified: metadata.modified().ok(),
            number,
        })
    }

    /// Whether this is the same part of the log as `other`. A segment gets another name when it is
    /// sealed.
    fn is(&self, other: &Self) -> bool {
        match self.number {
            Some(_) => self.number == other.number,
            None => self.name == other.name,
        }
    }

    /// In the order of the log; of two files of a segment the one that counts first.
    fn order(&self) -> impl Ord + use<> {
        let grows = matches!(Name::parse(&self.name), Some(Name::Growing(_)));
        let by_age = std::cmp::Reverse(self.modified);
        match self.number {
            Some(number) => (number, grows, by_age, String::new()),
            None => (0, false, std::cmp::Reverse(None), self.name.clone()),
        }
    }

    /// The digest in a name like `0000.<sha224>.mutlog`, or `maintner-0000.<sha224>.mutlog`.
    fn digest(&self) -> Option<Sha224Sum> {
        Sha224Sum::from_hex(self.name.split('.').nth(1)?)
    }
}

impl Scan {
    pub(in crate::log) fn new(dir: PathBuf) -> Self {
        Self {
            sums: Sums::read(&dir),
            dir,
            files: Vec::new(),
            grows: false,
        }
    }

    /// The log's files, in order: segments if there are some, else files by date.
    pub(in crate::log) fn list(&self) -> Result<Vec<LogFile>, SourceError> {
        let failed = || failed("list", &self.dir);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if let Ok(name) = entry.file_name().into_string()
                && let Ok(metadata) = entry.metadata()
            {
                files.extend(LogFile::new(name, &metadata));
            }
        }
        if files.iter().any(|file| file.number.is_some()) {
            files.retain(|file| file.number.is_some());
        }
        files.sort_unstable_by_key(LogFile::order);
        files.dedup_by(|later, first| later.is(first));
        for (segment, file) in (0..).zip(&files) {
            if file.number.is_some_and(|number| number != segment) {
                return Err(SourceError::Missing { segment });
            }
        }
        Ok(files)
    }

    /// Shows in `feed` what is new.
    pub(in crate::log) fn refresh(&mut self, feed: &Feed) -> Result<(), SourceError> {
        let mut files = self.list()?;
        self.forget_emptied(&files, feed);
        let mut looks = 1;
        while !self.goes_on(&files, feed) {
            // A file that gets another name may be missed.
            if looks == LOOKS {
                return self.begin_anew(feed);
            }
            files = self.list()?;
            looks += 1;
        }
        let known = self.files.len();
        if self.grows {
            // It may have another name by now.
            self.files[known - 1]
                .name
                .clone_from(&files[known - 1].name);
            self.grow(feed)?;
            if files.len() > known && !self.seal_last(feed)? {
                return self.begin_anew(feed);
            }
        } else if let Some(last) = self.files.last()
            && files[known - 1].len > last.len
        {
            // Its successor is gone, and it is gone on with.
            return self.begin_anew(feed);
        }
        for (at, file) in files.iter().enumerate().skip(known) {
            if at + 1 < files.len() {
                let (segment, bytes) = self.sealed(feed.growing().0, file)?;
                if segment.size > 0 {
                    feed.seal(segment, bytes);
                }
                self.files.push(file.clone());
            } else {
                self.files.push(file.clone());
                self.grows = true;
                self.grow(feed)?;
            }
        }
        Ok(())
    }

    /// A file of which nothing was told is gone: it had a torn record, which was cut off.
    fn forget_emptied(&mut self, files: &[LogFile], feed: &Feed) {
        if self.grows && feed.growing().1 == 0 {
            let gone = |last: &mut LogFile| !files.iter().any(|file| last.is(file));
            self.grows = self.files.pop_if(gone).is_none();
        }
    }

    fn last(&self) -> PathBuf {
        let last = self.files.last().map_or("", |file| &file.name);
        self.dir.join(last)
    }

    /// Whether these are the files that were read, the last of which may have grown, and perhaps
    /// more.
    fn goes_on(&self, files: &[LogFile], feed: &Feed) -> bool {
        let same = self.files.iter().zip(files);
        let same = same.take_while(|(known, found)| known.is(found)).count();
        let last = same.checked_sub(1).map(|last| &files[last]);
        same == self.files.len() && last.is_none_or(|last| last.len >= feed.growing().1)
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

    /// The last file has a successor: it grows no more. Whether it is what its name says.
    fn seal_last(&mut self, feed: &Feed) -> Result<bool, SourceError> {
        if let Some(segment) = feed.growing_segment() {
            let digest = self.files.last().and_then(LogFile::digest);
            if digest.is_some_and(|digest| digest != segment.sha224) {
                return Ok(false);
            }
            let path = self.last();
            let bytes = map(&path).map_err(failed("map", &path))?;
            if (bytes.len() as u64) < segment.size {
                return Ok(false);
            }
            if let Some(file) = self.files.last_mut() {
                file.len = bytes.len() as u64;
            }
            feed.seal(segment, bytes.slice(..segment.size as usize));
        }
        Ok(true)
    }

    /// A file's records as a sealed segment.
    fn sealed(&mut self, number: u32, file: &LogFile) -> Result<(Segment, Bytes), SourceError> {
        let path = self.dir.join(&file.name);
        let bytes = map(&path).map_err(failed("map", &path))?;
        let size = bytes.len() as u64;
        if size > u64::from(u32::MAX) {
            return Err(SourceError::TooLarge {
                segment: number,
                size,
            });
        }
        if let Some(sha224) = file.digest() {
            let segment = Segment {
                number,
                size,
                sha224,
            };
            return Ok((segment, bytes));
        }
        if let Some((end, sha224)) = self.sums.find(&file.name, size, file.modified) {
            let segment = Segment {
                number,
                size: end,
                sha224,
            };
            return Ok((segment, bytes.slice(..end as usize)));
        }
        let end = whole(number, &bytes, 0)?;
        let whole = bytes.slice(..end as usize);
        let segment = Segment::of(number, &whole);
        self.sums.add(&file.name, size, file.modified, &segment);
        Ok((segment, whole))
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

/// How far a segment has whole records, which is to its end unless an append was interrupted or is
/// under way. A wrong length in the middle, behind which there are whole records, is neither.
fn whole(segment: u32, bytes: &[u8], offset: u64) -> Result<u64, SourceError> {
    let mut records = Records::new(bytes, offset);
    for record in records.by_ref() {
        match record {
            Ok(_) => {}
            Err(error)
                if error.is_torn()
                    && find_record(bytes, offset, (error.offset() - offset) as usize).is_none() =>
            {
                break;
            }
            Err(source) => return Err(SourceError::Damaged { segment, source }),
        }
    }
    Ok(records.offset())
}

pub(in crate::log) fn failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> SourceError {
    let path = path.to_owned();
    move |source| SourceError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests;
