//! The copy of a log in a directory. Everything here blocks.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest, Sha224};

use crate::{
    log::{
        Segment, Sha224Sum, SourceError,
        files::{self, lock, map},
        names::{self, Name},
    },
    reclog::{Lock, Records},
};

/// A directory with the segments that were fetched, named as the original names them.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    pub(super) dir: PathBuf,
}

/// A segment that is being fetched: the first bytes of it, in its growing file.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    path: PathBuf,
    sum: Sha224,
    /// How many bytes are in the file and in the sum.
    pub(super) len: u64,
    /// Whether it goes on from what was known of it.
    pub(super) goes_on: bool,
}

impl Cache {
    /// Locks the directory against other processes, if nobody else has.
    pub(super) fn lock(&self) -> Result<Option<Lock>, SourceError> {
        fs::create_dir_all(&self.dir).map_err(failed("make", &self.dir))?;
        lock(&self.dir).map_err(failed("lock", &self.dir))
    }

    /// The file of a sealed segment, if it is there.
    pub(super) fn sealed(
        &self,
        segment: &Segment,
        verify: bool,
    ) -> Result<Option<Bytes>, SourceError> {
        let path = self.dir.join(names::sealed(segment));
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == segment.size => {}
            _ => return Ok(None),
        }
        let bytes = map(&path).map_err(failed("map", &path))?;
        if verify && Sha224Sum::of(&bytes) != segment.sha224 {
            tracing::warn!(path = %path.display(), "a segment is damaged; fetching it again");
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// Whether there is nothing of a segment.
    pub(super) fn lacks(&self, segment: &Segment) -> bool {
        let names = [names::sealed(segment), names::growing(segment.number)];
        names.iter().all(|name| !self.dir.join(name).exists())
    }

    /// What there is of a segment in its growing file: at most `size` bytes. The bytes that `known`
    /// is about are not read again.
    pub(super) fn part(
        &self,
        number: u32,
        size: u64,
        known: Option<(Sha224, u64)>,
    ) -> Result<Part, SourceError> {
        let path = self.dir.join(names::growing(number));
        let file = files::options()
            .open(&path)
            .map_err(failed("open", &path))?;
        let found = file.metadata().map_err(failed("read", &path))?.len();
        let known = known.filter(|(_, len)| *len <= size.min(found));
        let goes_on = known.is_some();
        let (mut sum, len) = known.unwrap_or_default();
        hash(&file, &mut sum, len..size.min(found)).map_err(failed("read", &path))?;
        Ok(Part {
            file,
            path,
            sum,
            len: size.min(found),
            goes_on,
        })
    }

    /// Gives the growing file, which has exactly this segment, its final name.
    pub(super) fn seal(&self, part: Part, segment: &Segment) -> Result<Bytes, SourceError> {
        let to = self.dir.join(names::sealed(segment));
        // By its name it will be trusted: it must not lose anything in a power cut.
        let synced = part.file.set_len(segment.size);
        let synced = synced.and_then(|()| part.file.sync_all());
        synced.map_err(failed("sync", &part.path))?;
        drop(part.file);
        fs::rename(&part.path, &to).map_err(failed("rename", &part.path))?;
        map(&to).map_err(failed("map", &to))
    }

    /// Everything that is there, in order, as far as it goes without a server: sealed segments,
    /// then at most one that grew. Gives whether each is sealed.
    pub(super) fn all(&self) -> Result<Vec<(Segment, Bytes, bool)>, SourceError> {
        let mut names = Vec::new();
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", &self.dir)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed("list", &self.dir))?;
            names.extend(entry.file_name().to_str().and_then(Name::parse));
        }
        let mut all = Vec::new();
        for number in 0.. {
            let sealed = names.iter().find_map(|name| match name {
                Name::Sealed(n, sum) if *n == number => Some(*sum),
                _ => None,
            });
            if let Some(sha224) = sealed {
                let name = Segment {
                    number,
                    size: 0,
                    sha224,
                };
                let path = self.dir.join(names::sealed(&name));
                let bytes = map(&path).map_err(failed("map", &path))?;
                let size = bytes.len() as u64;
                all.push((Segment { size, ..name }, bytes, true));
                continue;
            }
            if names.contains(&Name::Growing(number)) {
                let path = self.dir.join(names::growing(number));
                let mut bytes = fs::read(&path).map_err(failed("read", &path))?;
                // A download may have been interrupted anywhere.
                let mut records = Records::new(&bytes, 0);
                records.by_ref().for_each(drop);
                let whole = records.offset() as usize;
                bytes.truncate(whole);
                if !bytes.is_empty() {
                    all.push((Segment::of(number, &bytes), bytes.into(), false));
                }
            }
            break;
        }
        Ok(all)
    }
}

impl Part {
    pub(super) fn sum(&self) -> Sha224Sum {
        Sha224Sum(self.sum.clone().finalize().into())
    }

    /// What is needed to go on from here later.
    pub(super) fn known(&self) -> (Sha224, u64) {
        (self.sum.clone(), self.len)
    }

    /// Appends what was fetched. Anything that was in the file behind this part goes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        let mut file = &self.file;
        file.set_len(self.len)
            .and_then(|()| file.seek(SeekFrom::Start(self.len)))
            .and_then(|_| file.write_all(bytes))
            .map_err(failed("write", &self.path))?;
        self.sum.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.sum = Sha224::new();
        self.len = 0;
        self.goes_on = false;
    }

    /// The bytes from `start` on.
    pub(super) fn read(&self, start: u64) -> Result<Bytes, SourceError> {
        let len = self.len.saturating_sub(start);
        let mut bytes = Vec::with_capacity(len as usize);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.take(len).read_to_end(&mut bytes))
            .and_then(|read| match read as u64 == len {
                true => Ok(Bytes::from(bytes)),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            })
            .map_err(failed("read", &self.path))
    }

    /// The digest of the first `len` bytes.
    pub(super) fn sum_of_first(&self, len: u64) -> Result<Sha224Sum, SourceError> {
        let mut sum = Sha224::new();
        hash(&self.file, &mut sum, 0..len).map_err(failed("read", &self.path))?;
        Ok(Sha224Sum(sum.finalize().into()))
    }
}

/// Adds bytes of a file to a digest.
fn hash(mut file: &File, sum: &mut Sha224, range: std::ops::Range<u64>) -> io::Result<()> {
    file.seek(SeekFrom::Start(range.start))?;
    let mut rest = file.take(range.end - range.start);
    let mut block = vec![0; 256 * 1024];
    loop {
        match rest.read(&mut block) {
            Ok(0) if rest.limit() > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(0) => return Ok(()),
            Ok(n) => sum.update(&block[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SourceError {
    let path = path.to_owned();
    move |source| SourceError::Io {
        action,
        path,
        source,
    }
}
