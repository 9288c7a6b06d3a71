//! Writing a log.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{
    DEFAULT_MAX_PAYLOAD, Header, Record,
    storage::{Cursor, Lock, Storage, write_all},
    sums::{self, Sum},
    verify::{Report, SumsState, scan},
};

/// How an [`Appender`] behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Create the file if there is none, readable and writable by its owner only. Default true.
    pub create: bool,
    /// Keep checksums in a file beside the log, its name with `.sum` appended. Default true.
    pub checksums: bool,
    /// The longest payload in bytes, both in the log and to be appended. Default 64 MiB.
    pub max_payload: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            checksums: true,
            max_payload: DEFAULT_MAX_PAYLOAD,
        }
    }
}

/// Why a log cannot be opened for appending.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another appender, has it open.
    #[error("log {} is in use by another writer", path.display())]
    InUse {
        /// The log.
        path: PathBuf,
    },
    /// Good records stand behind damage: appending would bury it. Look at it with
    /// [`verify`](super::verify), repair it, then open it again.
    #[error(
        "log is damaged at offset {offset}, and good records follow; repair it before appending"
    )]
    Damaged {
        /// Where the first damage begins.
        offset: u64,
        /// All that is damaged.
        report: Box<Report>,
    },
    /// A file could not be opened, read or cut.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What came of it.
        #[source]
        source: io::Error,
    },
}

/// Why a record was not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The payload is longer than [`Options::max_payload`].
    #[error("record of {size} bytes is longer than the limit of {limit}")]
    TooLarge {
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Writing or syncing failed. The records of this call are not in the log.
    #[error("cannot write the log")]
    Io(#[source] io::Error),
    /// After an earlier failure nobody can say what the file holds: open it again.
    #[error("log failed earlier; open it again")]
    Failed,
}

/// What opening found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// How the log was found.
    pub report: Report,
    /// What was cut off its end, if an append had been interrupted.
    pub cut: Option<Cut>,
}

/// A torn end that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// Where the log ends now.
    pub offset: u64,
    /// Bytes that were behind it.
    pub bytes: u64,
    /// The file they are kept in.
    pub saved_to: Option<PathBuf>,
}

/// Appends records to a log. The file stays open and, on local file systems, locked.
///
/// A record is visible to readers of the file when [`append`](Self::append) returns, and survives a
/// power cut when [`sync`](Self::sync) has returned. All methods block.
#[derive(Debug)]
pub struct Appender<S = File> {
    log: S,
    sums: Option<S>,
    /// On the log, if it is a file that was locked.
    _lock: Option<Lock>,
    end: u64,
    records: u64,
    max_payload: u64,
    failed: bool,
    buf: Vec<u8>,
    entries: Vec<u8>,
}

impl Appender {
    /// Opens the log at `path`, looks all of it over, and cuts off a record that an interrupted
    /// append left at its end. The bytes cut off are kept beside it, as `NAME.torn-OFFSET`.
    ///
    /// A damaged log whose damage is not at its end is refused and left as it is.
    pub fn open(path: &Path, options: &Options) -> Result<(Self, Recovery), OpenError> {
        let log = open_file(path, options.create)?;
        let lock = match log.try_clone().and_then(Lock::take) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Err(OpenError::InUse { path: path.into() }),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
            Err(source) => return Err(failed_to("lock", path)(source)),
        };
        let sums_path = beside(path, ".sum");
        let sums = options
            .checksums
            .then(|| open_file(&sums_path, true))
            .transpose()?;
        let mut saved_to = None;
        let keep = |offset: u64, bytes: &mut dyn Read| {
            let path = beside(path, &format!(".torn-{offset:x}"));
            let mut file = File::create(&path)?;
            io::copy(bytes, &mut file)?;
            file.flush()?;
            saved_to = Some(path);
            Ok(())
        };
        let (mut appender, mut recovery) =
            Self::over(log, sums, options, keep).map_err(|error| error.at(path))?;
        appender._lock = lock;
        if let Some(cut) = &mut recovery.cut {
            cut.saved_to = saved_to;
        }
        Ok((appender, recovery))
    }
}

/// Why a [`Storage`] cannot be appended to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// Good records stand behind damage.
    #[error(
        "log is damaged at offset {offset}, and good records follow; repair it before appending"
    )]
    Damaged {
        /// Where the first damage begins.
        offset: u64,
        /// All that is damaged.
        report: Box<Report>,
    },
    /// Reading, or cutting off a torn end, failed.
    #[error("cannot {action} the log")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What came of it.
        #[source]
        source: io::Error,
    },
}

impl RecoverError {
    fn at(self, path: &Path) -> OpenError {
        match self {
            Self::Damaged { offset, report } => OpenError::Damaged { offset, report },
            Self::Io { action, source } => failed_to(action, path)(source),
        }
    }
}

impl<S: Storage> Appender<S> {
    /// [`open`](Appender::open) for storage of any kind. Before a torn end is cut off, `keep` gets
    /// its offset and its bytes; if that fails, nothing is cut.
    pub fn over(
        mut log: S,
        mut sums: Option<S>,
        options: &Options,
        keep: impl FnOnce(u64, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(Self, Recovery), RecoverError> {
        let io = |action| move |source| RecoverError::Io { action, source };
        let mut unconfirmed: Vec<(u64, Sum)> = Vec::new();
        let report = scan(&log, sums.as_ref(), options.max_payload, |number, sum| {
            unconfirmed.push((number, sum));
            Ok(())
        })
        .map_err(io("read"))?;
        let mut cut = None;
        if report.damaged > 0 {
            let Some(torn) = report.torn_tail() else {
                let offset = report.damage.first().map_or(0, |damage| damage.offset);
                let report = Box::new(report);
                return Err(RecoverError::Damaged { offset, report });
            };
            let offset = torn.offset;
            let mut bytes = Cursor {
                storage: &log,
                offset,
            };
            keep(offset, &mut bytes).map_err(io("keep the torn end of"))?;
            log.set_len(offset).map_err(io("cut the torn end of"))?;
            log.sync().map_err(io("sync"))?;
            tracing::warn!(
                offset,
                bytes = report.len - offset,
                "cut a torn record off a log"
            );
            cut = Some(Cut {
                offset,
                bytes: report.len - offset,
                saved_to: None,
            });
        }
        if report.missing > 0 {
            tracing::warn!(
                records = report.missing,
                offset = report.good_end,
                "log has lost records that its checksums know"
            );
        }
        if let Some(storage) = &mut sums
            && let Err(error) = mend(storage, &report, &unconfirmed)
        {
            no_sums(&error);
            sums = None;
        }
        let appender = Self {
            log,
            sums,
            _lock: None,
            end: report.good_end,
            records: report.records,
            max_payload: options.max_payload,
            failed: false,
            buf: Vec::new(),
            entries: Vec::new(),
        };
        Ok((appender, Recovery { report, cut }))
    }

    /// Appends one record; gives the offset at which it begins.
    pub fn append(&mut self, payload: &[u8]) -> Result<u64, AppendError> {
        let start = self.end;
        self.append_all([payload]).map(|_| start)
    }

    /// Appends records with one write, all or none of them; gives the log's new length.
    pub fn append_all<'a>(
        &mut self,
        payloads: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<u64, AppendError> {
        if self.failed {
            return Err(AppendError::Failed);
        }
        self.buf.clear();
        self.entries.clear();
        let (mut end, mut records) = (self.end, self.records);
        for payload in payloads {
            let size = payload.len() as u64;
            if size > self.max_payload {
                let limit = self.max_payload;
                return Err(AppendError::TooLarge { size, limit });
            }
            let header = Header::new(end, size);
            self.buf.extend_from_slice(&header);
            self.buf.extend_from_slice(payload);
            if self.sums.is_some() {
                let sum = Sum::of(&Record {
                    offset: end,
                    header: &header,
                    payload,
                });
                self.entries.extend_from_slice(&sum.encode(records));
            }
            end += header.len() as u64 + size;
            records += 1;
        }
        if let Err(error) = write_all(&mut self.log, self.end, &self.buf) {
            // Part of it may be there. Either it goes, or nobody appends behind it.
            self.failed = self.log.set_len(self.end).is_err();
            return Err(AppendError::Io(error));
        }
        if let Some(storage) = &mut self.sums
            && let Err(error) = write_all(storage, sums::place(self.records), &self.entries)
        {
            no_sums(&error);
            self.sums = None;
        }
        (self.end, self.records) = (end, records);
        Ok(end)
    }

    /// Returns when everything appended would survive a power cut. After an error the log must be
    /// opened again: what the system has of it is unknown.
    pub fn sync(&mut self) -> Result<(), AppendError> {
        if self.failed {
            return Err(AppendError::Failed);
        }
        self.log.sync().map_err(|error| {
            self.failed = true;
            AppendError::Io(error)
        })
    }

    /// The log's storage.
    pub fn storage(&self) -> &S {
        &self.log
    }

    /// The storages of log and checksums; the latter is gone if it could not be written. A file is
    /// locked no more.
    pub fn into_storage(self) -> (S, Option<S>) {
        (self.log, self.sums)
    }

    /// The log's length in bytes: where the next record will begin.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Records in the log.
    pub fn records(&self) -> u64 {
        self.records
    }
}

/// Brings checksums up to what `report` says of the log.
fn mend(storage: &mut impl Storage, report: &Report, unconfirmed: &[(u64, Sum)]) -> io::Result<()> {
    if report.sums == SumsState::Absent || report.sums == SumsState::Damaged(0) {
        storage.set_len(0)?;
        write_all(storage, 0, sums::MAGIC)?;
    }
    storage.set_len(sums::place(report.confirmed).min(storage.len()?))?;
    let entries: Vec<u8> = unconfirmed
        .iter()
        .flat_map(|(number, sum)| sum.encode(*number))
        .collect();
    write_all(storage, sums::place(report.confirmed), &entries)
}

fn no_sums(error: &io::Error) {
    tracing::warn!(%error, "cannot write a log's checksums; going on without them");
}

fn open_file(path: &Path, create: bool) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(create)
        .truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(failed_to("open", path))
}

fn failed_to<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> OpenError + use<'a> {
    move |source| OpenError::Io {
        action,
        path: path.into(),
        source,
    }
}

/// The path with something appended to its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_though_a_child_has_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let open = || Appender::open(&path, &Options::default());
        let (appender, _) = open().unwrap();
        assert!(matches!(open(), Err(OpenError::InUse { .. })));
        // What a child has between fork and exec.
        let inherited = appender.storage().try_clone().unwrap();
        drop(appender);
        assert!(open().is_ok());
        drop(inherited);
    }
}
