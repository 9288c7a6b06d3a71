//! Logs as files in a folder.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use buildfarm_dashboard::units::format_size;
use bytes::Bytes;
use livelog::{Backing, Config, DEFAULT_MEMORY_TAIL, Limit, Log};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::{LogError, LogReader, LogStore, LogWriter, SealedLog};
use crate::store::AttemptId;

/// Bytes a reader of a finished log takes from the disk at a time.
const READ_SIZE: usize = 128 << 10;
/// Builds whose logs share a folder, so that no folder grows without bound.
const PER_FOLDER: i64 = 1_000;

/// Logs as files below one folder: `BUILD/1000/BUILD.ATTEMPT.log`.
#[derive(Debug)]
pub struct FileLogs {
    root: PathBuf,
    live: Arc<Live>,
}

type Live = Mutex<HashMap<AttemptId, Log>>;

impl FileLogs {
    /// Opens the folder, creating it as needed.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self {
            root: root.to_owned(),
            live: Arc::default(),
        })
    }

    fn path(&self, id: AttemptId) -> PathBuf {
        self.root
            .join((id.build / PER_FOLDER).to_string())
            .join(format!("{id}.log"))
    }
}

#[async_trait]
impl LogStore for FileLogs {
    async fn create(&self, id: AttemptId, limit: u64) -> Result<Box<dyn LogWriter>, LogError> {
        let path = self.path(id);
        let file = spawn_blocking(move || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&path)?;
            // The folder's entry has to survive a power failure as the content does.
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
            Ok::<_, io::Error>(file)
        })
        .await
        .map_err(io::Error::other)??;
        let for_hash = file.try_clone()?;
        let marker = Bytes::from(format!("\n\n… log cut at {}\n", format_size(limit)));
        let (writer, log) = livelog::log(Config {
            limit: Limit::HeadOnly { max: limit, marker },
            backing: Backing::File(file, DEFAULT_MEMORY_TAIL),
        });
        lock(&self.live).insert(id, log);
        Ok(Box::new(FileWriter {
            writer,
            file: for_hash,
            registered: Registered {
                id,
                live: self.live.clone(),
            },
        }))
    }

    async fn open(&self, id: AttemptId, offset: u64) -> Result<Box<dyn LogReader>, LogError> {
        if let Some(log) = lock(&self.live).get(&id) {
            return Ok(Box::new(LiveReader {
                reader: log.reader_at(offset),
                log: log.clone(),
            }));
        }
        let file = match File::open(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LogError::NotFound(id));
            }
            file => file?,
        };
        let len = file.metadata()?.len();
        Ok(Box::new(SealedReader {
            file: Arc::new(Mutex::new(file)),
            offset: offset.min(len),
            len,
        }))
    }

    async fn recover(&self, id: AttemptId) -> Result<SealedLog, LogError> {
        let path = self.path(id);
        let sealed = spawn_blocking(move || match File::open(path) {
            Ok(file) => {
                file.sync_all()?;
                digest(file)
            }
            // The process stopped between the start of the attempt and that of its log.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(SealedLog {
                bytes: 0,
                sha256: hex(&Sha256::digest(b"")),
            }),
            Err(error) => Err(error),
        });
        Ok(sealed.await.map_err(io::Error::other)??)
    }
}

#[derive(Debug)]
struct FileWriter {
    writer: livelog::Writer,
    file: File,
    registered: Registered,
}

#[async_trait]
impl LogWriter for FileWriter {
    fn append(&mut self, data: Bytes) -> Result<(), LogError> {
        self.writer.append(data).map_err(io::Error::from)?;
        Ok(())
    }

    fn len(&self) -> u64 {
        self.writer.len()
    }

    async fn seal(self: Box<Self>) -> Result<SealedLog, LogError> {
        let Self {
            writer,
            file,
            registered,
        } = *self;
        writer.sync().await?;
        writer.finish();
        let sealed = spawn_blocking(move || digest(file))
            .await
            .map_err(io::Error::other)??;
        drop(registered);
        Ok(sealed)
    }
}

/// Keeps a log in the table of live ones for as long as its writer lives.
#[derive(Debug)]
struct Registered {
    id: AttemptId,
    live: Arc<Live>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.live).remove(&self.id);
    }
}

#[derive(Debug)]
struct LiveReader {
    reader: livelog::Reader,
    log: Log,
}

#[async_trait]
impl LogReader for LiveReader {
    async fn next(&mut self) -> Result<Option<Bytes>, LogError> {
        match self.reader.next().await {
            Ok(chunk) => Ok(chunk.map(|c| c.data)),
            Err(livelog::ReadError::Aborted) => Err(LogError::CutShort),
            Err(error) => Err(LogError::Io(error.into())),
        }
    }

    fn offset(&self) -> u64 {
        self.reader.offset()
    }

    fn extent(&self) -> (u64, bool) {
        // Asked in this order, a log that grows and ends in between is reported as still growing.
        let finished = self.log.is_finished();
        (self.log.len(), finished)
    }
}

#[derive(Debug)]
struct SealedReader {
    file: Arc<Mutex<File>>,
    offset: u64,
    len: u64,
}

#[async_trait]
impl LogReader for SealedReader {
    async fn next(&mut self) -> Result<Option<Bytes>, LogError> {
        let want = usize::try_from(self.len - self.offset)
            .unwrap_or(READ_SIZE)
            .min(READ_SIZE);
        if want == 0 {
            return Ok(None);
        }
        let (file, offset) = (self.file.clone(), self.offset);
        let read = spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(offset))?;
            let mut data = vec![0; want];
            file.read_exact(&mut data)?;
            Ok::<_, io::Error>(data)
        });
        let data = read.await.map_err(io::Error::other)??;
        self.offset += data.len() as u64;
        Ok(Some(data.into()))
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn extent(&self) -> (u64, bool) {
        (self.len, true)
    }
}

fn digest(mut file: File) -> io::Result<SealedLog> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_SIZE];
    let mut bytes = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(SealedLog {
                bytes,
                sha256: hex(&hash.finalize()),
            });
        }
        hash.update(&buffer[..n]);
        bytes += n as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            use std::fmt::Write as _;
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn lock(live: &Live) -> std::sync::MutexGuard<'_, HashMap<AttemptId, Log>> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: AttemptId = AttemptId {
        build: 7,
        number: 1,
    };

    async fn drain(mut reader: Box<dyn LogReader>) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(data) = reader.next().await.unwrap() {
            all.extend_from_slice(&data);
        }
        all
    }

    #[tokio::test]
    async fn readers_follow_a_growing_log_and_late_ones_read_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let logs = FileLogs::open(dir.path()).unwrap();
        let mut writer = logs.create(ID, 1 << 20).await.unwrap();
        writer.append(Bytes::from_static(b"hello ")).unwrap();
        let early = tokio::spawn(drain(logs.open(ID, 0).await.unwrap()));
        let mut middle = logs.open(ID, 3).await.unwrap();
        assert_eq!(middle.extent(), (6, false));
        assert_eq!(middle.next().await.unwrap().unwrap(), "lo ");
        writer.append(Bytes::from_static(b"world")).unwrap();
        let sealed = writer.seal().await.unwrap();
        assert_eq!(sealed.bytes, 11);
        assert_eq!(sealed.sha256, hex(&Sha256::digest(b"hello world")));
        assert_eq!(early.await.unwrap(), b"hello world");
        assert_eq!(drain(middle).await, b"world");
        let late = logs.open(ID, 6).await.unwrap();
        assert_eq!(late.extent(), (11, true));
        assert_eq!(drain(late).await, b"world");
        assert_eq!(drain(logs.open(ID, 99).await.unwrap()).await, b"");
    }

    #[tokio::test]
    async fn a_log_cut_short_is_recovered_as_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let logs = FileLogs::open(dir.path()).unwrap();
        let mut writer = logs.create(ID, 1 << 20).await.unwrap();
        writer.append(Bytes::from_static(b"half")).unwrap();
        drop(writer);
        let again = FileLogs::open(dir.path()).unwrap();
        assert_eq!(again.recover(ID).await.unwrap().bytes, 4);
        assert_eq!(drain(again.open(ID, 0).await.unwrap()).await, b"half");
        let never = AttemptId {
            build: 8,
            number: 1,
        };
        assert_eq!(again.recover(never).await.unwrap().bytes, 0);
        assert!(matches!(again.open(never, 0).await, Err(LogError::NotFound(id)) if id == never));
    }

    #[tokio::test]
    async fn a_log_over_its_limit_says_so_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let logs = FileLogs::open(dir.path()).unwrap();
        let mut writer = logs.create(ID, 1 << 20).await.unwrap();
        for _ in 0..20 {
            writer.append(Bytes::from(vec![b'x'; 100_000])).unwrap();
        }
        assert_eq!(writer.seal().await.unwrap().bytes, 1 << 20);
        let log = drain(logs.open(ID, 0).await.unwrap()).await;
        assert!(String::from_utf8_lossy(&log).ends_with("… log cut at 1MiB\n"));

        let small = AttemptId {
            build: 8,
            number: 1,
        };
        let mut writer = logs.create(small, 64 << 10).await.unwrap();
        writer.append(Bytes::from(vec![b'x'; 100_000])).unwrap();
        writer.seal().await.unwrap();
        let log = drain(logs.open(small, 0).await.unwrap()).await;
        assert!(String::from_utf8_lossy(&log).ends_with("… log cut at 64KiB\n"));
    }
}
