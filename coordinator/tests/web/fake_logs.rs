//! Logs in memory.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use buildfarm_coordinator::logs::{LogError, LogReader, LogStore, LogWriter, SealedLog};
use buildfarm_coordinator::store::AttemptId;
use bytes::Bytes;
use tokio::sync::watch;

use super::lock;

/// Logs that grow when told to.
#[derive(Debug, Default)]
pub(crate) struct FakeLogs {
    logs: Mutex<HashMap<AttemptId, watch::Sender<LogState>>>,
}

#[derive(Debug, Clone, Default)]
struct LogState {
    bytes: Vec<u8>,
    end: LogEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum LogEnd {
    #[default]
    Open,
    Sealed,
    Cut,
}

impl FakeLogs {
    pub(crate) fn begin(&self, id: AttemptId) {
        lock(&self.logs).insert(id, watch::Sender::new(LogState::default()));
    }

    pub(crate) fn append(&self, id: AttemptId, bytes: impl AsRef<[u8]>) {
        self.with(id, |log| log.bytes.extend_from_slice(bytes.as_ref()));
    }

    pub(crate) fn seal(&self, id: AttemptId) {
        self.with(id, |log| log.end = LogEnd::Sealed);
    }

    /// The writer dies.
    pub(crate) fn cut(&self, id: AttemptId) {
        self.with(id, |log| log.end = LogEnd::Cut);
    }

    pub(crate) fn forget(&self, id: AttemptId) {
        lock(&self.logs).remove(&id);
    }

    pub(crate) fn len(&self, id: AttemptId) -> u64 {
        lock(&self.logs)
            .get(&id)
            .map_or(0, |log| log.borrow().bytes.len() as u64)
    }

    fn with(&self, id: AttemptId, change: impl FnOnce(&mut LogState)) {
        lock(&self.logs)
            .get(&id)
            .expect("tests write logs that were begun")
            .send_modify(change);
    }
}

#[async_trait]
impl LogStore for FakeLogs {
    async fn create(&self, id: AttemptId, _: u64) -> Result<Box<dyn LogWriter>, LogError> {
        Err(LogError::NotFound(id))
    }

    async fn open(&self, id: AttemptId, offset: u64) -> Result<Box<dyn LogReader>, LogError> {
        let logs = lock(&self.logs);
        let log = logs.get(&id).ok_or(LogError::NotFound(id))?;
        Ok(Box::new(FakeReader {
            log: log.subscribe(),
            offset,
        }))
    }

    async fn recover(&self, id: AttemptId) -> Result<SealedLog, LogError> {
        Err(LogError::NotFound(id))
    }
}

#[derive(Debug)]
struct FakeReader {
    log: watch::Receiver<LogState>,
    offset: u64,
}

#[async_trait]
impl LogReader for FakeReader {
    /// In small pieces, so that whoever reads must join them.
    async fn next(&mut self) -> Result<Option<Bytes>, LogError> {
        loop {
            {
                let state = self.log.borrow_and_update();
                let rest = state.bytes.get(self.offset as usize..).unwrap_or_default();
                if !rest.is_empty() {
                    let piece = Bytes::copy_from_slice(&rest[..rest.len().min(1000)]);
                    drop(state);
                    self.offset += piece.len() as u64;
                    return Ok(Some(piece));
                }
                match state.end {
                    LogEnd::Open => {}
                    LogEnd::Sealed => return Ok(None),
                    LogEnd::Cut => return Err(LogError::CutShort),
                }
            }
            if self.log.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn extent(&self) -> (u64, bool) {
        let state = self.log.borrow();
        (state.bytes.len() as u64, state.end != LogEnd::Open)
    }
}
