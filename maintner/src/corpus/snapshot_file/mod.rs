//! A corpus in a file, so that the next start need not read the log.
//!
//! The file has the rows, not the text: that stays in the log. Opening it maps and verifies it; rows
//! are decoded when somebody looks at them. It says which log it was made of, by the digests of the
//! segments, and is good for that log and all that begin with it; what they have more is replayed.
//! A file about which anything is in doubt is passed over, and the log read from its beginning: it
//! is a cache, and losing it loses nothing.
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use bytes::Bytes;
//! use maintner::{
//!     corpus::{Writer, snapshot_file::{Reason, SnapshotDir}},
//!     log::{Batch, Segment},
//!     testing::History,
//! };
//!
//! let dir = tempfile::tempdir()?;
//! let files = SnapshotDir::new(dir.path());
//! let log = Bytes::from(History::new(1).log(100_000));
//! let segments = [Segment::of(0, &log)];
//! let batches = [Batch { segment: 0, offset: 0, bytes: log }];
//!
//! let mut writer = match files.open(&segments, &batches) {
//!     Ok(opened) => opened.writer,
//!     Err(reason) => {
//!         println!("reading the whole log: {reason}");
//!         Writer::new()
//!     }
//! };
//! // Of an opened file, only `opened.rest`.
//! for batch in &batches {
//!     writer.apply(batch.segment, batch.offset, &batch.bytes)?;
//! }
//! files.save(&writer.checkpoint(), &segments)?;
//!
//! let opened = files.open(&segments, &batches)?;
//! assert!(opened.rest.is_empty());
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cut;
mod format;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{Options, Writer, commits::Waiting, state::State};
use crate::{
    log::{Batch, Segment, total},
    store::{Hasher, Opener, Unusable, saved},
};

/// A directory of snapshot files.
///
/// The last two that fit this program are kept, and the last one that fits another. Several
/// processes may use the same directory at the same time.
#[derive(Debug, Clone)]
pub struct SnapshotDir {
    path: PathBuf,
    max_bytes: u64,
    min_log_bytes: u64,
    options: Options,
}

/// What a [`Writer`] knew at one moment, for a [`SnapshotDir`] to save. Costs next to nothing, and
/// may be taken to another thread.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    pub(super) state: State,
    pub(super) waiting: Waiting,
}

saved!(Checkpoint { state, waiting });

/// A corpus from a file.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// Knows what the file had; readers see it once it [publishes](Writer::publish).
    pub writer: Writer,
    /// What the log has more, to be [applied](Writer::apply).
    pub rest: Vec<Batch>,
    /// The file.
    pub file: PathBuf,
}

/// Why there is no corpus from a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The directory has none.
    #[error("there is no snapshot file")]
    Missing,
    /// It cannot be read.
    #[error("snapshot file cannot be read")]
    Io(#[from] io::Error),
    /// It is larger than allowed ([`SnapshotDir::max_bytes`]).
    #[error("snapshot file has {bytes} bytes, more than allowed")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// It is something else.
    #[error("file is no snapshot of a corpus")]
    NoSnapshot,
    /// It is of another version of the format.
    #[error("snapshot file is of version {version} of the format")]
    Version {
        /// Which.
        version: u32,
    },
    /// Its end is missing.
    #[error("snapshot file was cut short")]
    Truncated,
    /// Some of it is not what was written.
    #[error("snapshot file is damaged")]
    Damaged,
    /// It has other columns, or rows with other fields, or what they say means something else, or it
    /// was made with other options.
    #[error("snapshot file is of a program whose data look different, or of other options")]
    Schema,
    /// Its indices are of no use.
    #[error("snapshot file is of a program that hashes differently")]
    Hashes,
    /// It was made of another log.
    #[error("snapshot file is of a log that differs in segment {segment}")]
    Diverged {
        /// The first segment that is not the same.
        segment: u32,
    },
}

impl From<Unusable> for Reason {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Schema => Self::Schema,
            Unusable::Hashes => Self::Hashes,
        }
    }
}

/// Why a corpus was not saved. The files that there were are still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The log is not the one that the corpus was made of.
    #[error("corpus was made of {known} bytes of log, not of these {given}")]
    OtherLog {
        /// Bytes of the log that it was made of.
        known: u64,
        /// Bytes of the segments.
        given: u64,
    },
    /// It would have taken more bytes than allowed ([`SnapshotDir::max_bytes`]).
    #[error("snapshot file would take more than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: u64,
    },
    /// It cannot be written.
    #[error("snapshot file cannot be written")]
    Io(#[from] io::Error),
}

/// Files that somebody began to write this long ago are nobody's any more.
const ABANDONED: Duration = Duration::from_secs(3600);

impl SnapshotDir {
    /// The files in this directory, which is made when the first is saved. None may have more than
    /// 4 GiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_bytes: 4 << 30,
            min_log_bytes: 16 << 20,
            options: Options::default(),
        }
    }

    /// Opens only what a writer with these options has saved.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Neither writes nor reads files of more bytes.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// A [`Follower`](super::live::Follower) saves nothing of a log shorter than this, which is read
    /// as fast. Default 16 MiB.
    #[must_use]
    pub fn min_log_bytes(mut self, bytes: u64) -> Self {
        self.min_log_bytes = bytes;
        self
    }

    /// What a [`Follower`](super::live::Follower) asks before it saves.
    pub(super) fn is_worth(&self, log_bytes: u64) -> bool {
        log_bytes >= self.min_log_bytes
    }

    /// Whether there is a file that this program can read.
    pub(super) fn has_some(&self) -> bool {
        let files = self.files().unwrap_or_default();
        let schema = (!files.is_empty()).then(|| schema(self.options));
        files.iter().any(|file| Some(file.schema) == schema)
    }

    /// How a writer of these files reads a log.
    pub(super) fn writer(&self) -> Writer {
        Writer::with_options(self.options)
    }

    /// Opens the file that knows most of a log. `segments` say what log that is, `batches` are its
    /// bytes from the first on, mapped if possible.
    ///
    /// Blocks: it reads all of the file, and hashes the part of a segment that has grown since.
    ///
    /// # Errors
    ///
    /// Fails if there is no file, or none that is good; then says why the one that has most is not.
    pub fn open(&self, segments: &[Segment], batches: &[Batch]) -> Result<Opened, Reason> {
        let (checkpoint, rest, file) = self.find(segments, batches)?;
        let mut writer = self.writer();
        writer.adopt(checkpoint);
        Ok(Opened { writer, rest, file })
    }

    /// What the best file knows, what the log has more, and the file.
    pub(super) fn find(
        &self,
        segments: &[Segment],
        batches: &[Batch],
    ) -> Result<(Checkpoint, Vec<Batch>, PathBuf), Reason> {
        let schema = schema(self.options);
        let all = self.files()?;
        let mut reason = match all.is_empty() {
            true => Reason::Missing,
            false => Reason::Schema,
        };
        let mut files: Vec<_> = all.iter().filter(|file| file.schema == schema).collect();
        files.sort_by_key(|file| std::cmp::Reverse((file.log_bytes, file.written)));
        for (rank, file) in files.into_iter().enumerate() {
            match self.open_file(&file.path, schema, segments, batches) {
                Ok((checkpoint, rest)) => return Ok((checkpoint, rest, file.path.clone())),
                Err(why) => {
                    tracing::info!(file = %file.path.display(), %why, "passed over");
                    if rank == 0 {
                        reason = why;
                    }
                }
            }
        }
        Err(reason)
    }

    fn open_file(
        &self,
        path: &Path,
        schema: u64,
        segments: &[Segment],
        batches: &[Batch],
    ) -> Result<(Checkpoint, Vec<Batch>), Reason> {
        let bytes = fs::metadata(path)?.len();
        if bytes == 0 {
            // Nothing cannot be mapped.
            return Err(Reason::Truncated);
        }
        if bytes > self.max_bytes {
            return Err(Reason::TooLarge { bytes });
        }
        let file = mmap_guard::map_file(path).map(Bytes::from_owner)?;
        let contents = format::read(&file, schema)?;
        let (known, rest) = cut::cut(&contents.segments, segments, batches)?;
        let mut opener = Opener::new(contents.rows, contents.columns, contents.numbers, known);
        let checkpoint = <Checkpoint as crate::store::Saved>::open(&mut opener)?;
        opener.finish()?;
        Ok((checkpoint, rest))
    }

    /// Saves what was made of exactly a log of these segments, the last of which may be one that
    /// grows, as long as it was. Gives the file.
    ///
    /// Blocks: writes and syncs a file of about a fifth of the log's size.
    ///
    /// # Errors
    ///
    /// Fails if the segments are not that log, if the file would be too large, or cannot be written.
    pub fn save(
        &self,
        checkpoint: &Checkpoint,
        segments: &[Segment],
    ) -> Result<PathBuf, SaveError> {
        let known = checkpoint.state.sizes();
        let given = segments.iter().map(|segment| segment.size);
        if !given.clone().eq(known.clone()) {
            return Err(SaveError::OtherLog {
                known: known.sum(),
                given: given.sum(),
            });
        }
        fs::create_dir_all(&self.path)?;
        let unfinished = Unfinished::create(&self.path)?;
        let mut to = Capped {
            to: BufWriter::with_capacity(1 << 20, &unfinished.file),
            left: self.max_bytes,
        };
        let written = format::write(&mut to, checkpoint.schema(), segments, checkpoint)
            .and_then(|()| to.to.flush());
        if let Err(error) = written {
            return Err(match error.kind() {
                io::ErrorKind::QuotaExceeded if to.left == 0 => SaveError::TooLarge {
                    limit: self.max_bytes,
                },
                _ => error.into(),
            });
        }
        drop(to);
        let (schema, log_bytes) = (checkpoint.schema(), total(segments));
        let path = self
            .path
            .join(format!("corpus.{schema:016x}.{log_bytes}.snap"));
        unfinished.file.sync_all()?;
        fs::rename(&unfinished.path, &path)?;
        self.tidy(schema, &path);
        Ok(path)
    }

    /// Removes what is not kept. That some of it stays harms nobody.
    fn tidy(&self, schema: u64, newest: &Path) {
        let mut files = self.files().unwrap_or_default();
        files.sort_by_key(|file| std::cmp::Reverse((file.path == newest, file.written)));
        let (ours, others): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| file.schema == schema);
        for file in ours.iter().skip(2).chain(others.iter().skip(1)) {
            let _ = fs::remove_file(&file.path);
        }
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let is_unfinished = Path::new(&entry.file_name())
                .extension()
                .is_some_and(|extension| extension == UNFINISHED);
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            let age = written.ok().and_then(|written| written.elapsed().ok());
            if is_unfinished && age.is_some_and(|age| age > ABANDONED) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The snapshot files of the directory; none if there is no directory.
    fn files(&self) -> io::Result<Vec<Found>> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some((schema, log_bytes)) = name.and_then(parse_name) {
                let written = fs::metadata(&path).and_then(|metadata| metadata.modified());
                files.push(Found {
                    schema,
                    log_bytes,
                    written: written.unwrap_or(SystemTime::UNIX_EPOCH),
                    path,
                });
            }
        }
        Ok(files)
    }
}

/// `corpus.SCHEMA.BYTES.snap`: the hash of the schema in hex digits, the length of the log.
fn parse_name(name: &str) -> Option<(u64, u64)> {
    let name = name.strip_prefix("corpus.")?.strip_suffix(".snap")?;
    let (schema, log_bytes) = name.split_once('.')?;
    Some((
        u64::from_str_radix(schema, 16).ok()?,
        log_bytes.parse().ok()?,
    ))
}

struct Found {
    path: PathBuf,
    schema: u64,
    log_bytes: u64,
    written: SystemTime,
}

impl Checkpoint {
    /// The hash of the schema, different for each of the options.
    fn schema(&self) -> u64 {
        format::schema(self) ^ self.state.gerrit.compat() as u64
    }
}

/// The schema of what this program saves with these options.
fn schema(options: Options) -> u64 {
    Writer::with_options(options).checkpoint().schema()
}

const UNFINISHED: &str = "unfinished";

/// A file that is being written; gone when dropped, unless it was renamed.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    fn create(dir: &Path) -> io::Result<Self> {
        // A name that nobody else has.
        let [one, other] = Hasher::random().seed();
        let path = dir.join(format!("corpus.{one:016x}{other:016x}.{UNFINISHED}"));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        Ok(Self { path, file })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes so many bytes and no more.
struct Capped<W> {
    to: W,
    left: u64,
}

impl<W: Write> Write for Capped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            self.left = 0;
            return Err(io::ErrorKind::QuotaExceeded.into());
        };
        self.to.write_all(bytes)?;
        self.left = left;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
