use std::io;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;

use crate::crowd;
use crate::error::AppendError;
use crate::file::FileStore;
use crate::limit::Limiter;
use crate::shared::{End, Shared};

/// The one writer of a log.
///
/// Dropping it without [`finish`](Self::finish) ends the log as [`Aborted`](crate::Outcome::Aborted).
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    limiter: Limiter,
    /// What to sync: the caller's file, not one of our own that nobody finds again.
    lasting: bool,
    /// Where the next bytes go.
    len: u64,
    ended: bool,
    /// Empty between calls; keeps the allocation.
    wakers: Vec<Option<Waker>>,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Bytes that are now in the log, from the start of the append.
    pub accepted: usize,
    /// Bytes that the log's [`Limit`](crate::Limit) refused.
    pub dropped: usize,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, limiter: Limiter) -> Self {
        Self {
            lasting: shared.file.get().is_some(),
            shared,
            limiter,
            len: 0,
            ended: false,
            wakers: Vec::new(),
        }
    }

    /// Appends `data` and wakes the readers that wait for it.
    ///
    /// Never waits for readers: it wakes some of them, and leaves crowds to a thread of the log. With
    /// [`Backing::File`](crate::Backing::File) it writes the file, which takes the time of a write to the page cache. With
    /// [`Backing::Spill`](crate::Backing::Spill) the file is written in the background; it waits only if that comes no
    /// further and memory is full.
    ///
    /// Small appends are copied; one of 16 KiB or more is kept as it is, together with the buffer that it is a slice of.
    ///
    /// # Errors
    ///
    /// Only with a file, of yours or one that it spills to: see [`AppendError`]. Bytes beyond the log's limit are not an
    /// error; the answer counts them.
    pub fn append(&mut self, data: Bytes) -> Result<Appended, AppendError> {
        self.add(&data, Some(&data))
    }

    /// As [`append`](Self::append), for bytes that are borrowed; always copies.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub fn append_slice(&mut self, data: &[u8]) -> Result<Appended, AppendError> {
        self.add(data, None)
    }

    /// Bytes in the log now.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the log holds no byte now.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ends the log: it is whole, and readers that have read all of it are told so.
    ///
    /// After a failed append the log has ended already, and stays as it is.
    pub fn finish(mut self) {
        self.end(End::Finished);
    }

    /// Waits until what was appended is in [`Backing::File`](crate::Backing::File) on the disk (`fdatasync`), away from the
    /// async threads. Does nothing for other logs, which do not outlive the process.
    ///
    /// Cancel safe; what the disk has begun, it completes.
    ///
    /// # Errors
    ///
    /// What the operating system answers. Whether bytes appended since the last success are on the disk is then unknown.
    pub async fn sync(&self) -> io::Result<()> {
        match self.lasting_file() {
            Some(file) => file.sync().await,
            None => Ok(()),
        }
    }

    /// As [`sync`](Self::sync), but blocks the thread.
    ///
    /// # Errors
    ///
    /// As [`sync`](Self::sync).
    pub fn sync_blocking(&self) -> io::Result<()> {
        match self.lasting_file() {
            Some(file) => file.sync_blocking(),
            None => Ok(()),
        }
    }

    fn lasting_file(&self) -> Option<&FileStore> {
        self.shared.file.get().filter(|_| self.lasting)
    }

    fn add(&mut self, data: &[u8], shared: Option<&Bytes>) -> Result<Appended, AppendError> {
        if self.ended {
            return Err(AppendError::Sealed);
        }
        let admitted = self.limiter.admit(data.len());
        let kept = &data[..admitted.keep];
        let marker = admitted.marker.as_deref().unwrap_or_default();
        let appended = Appended {
            accepted: kept.len(),
            dropped: data.len() - kept.len(),
        };
        if appended.dropped > 0 {
            self.shared.lock().dropped += appended.dropped as u64;
        }
        if kept.is_empty() && marker.is_empty() {
            return Ok(appended);
        }

        let len = self.len + (kept.len() + marker.len()) as u64;
        if let Err(error) = self.write([kept, marker], len) {
            return Err(self.fail(error));
        }

        self.len = len;
        let mut lines = self.shared.lines();
        lines.add(kept);
        lines.add(marker);
        drop(lines);
        let mut state = self.shared.lock();
        match shared {
            Some(data) => state.kept.push_shared(data.slice(..kept.len())),
            None => state.kept.push_slice(kept),
        }
        state.kept.push_slice(marker);
        crowd::wake(&self.shared, state, &mut self.wakers);
        Ok(appended)
    }

    /// Does for the file what has to be done before the log becomes `len` bytes long.
    fn write(&self, data: [&[u8]; 2], len: u64) -> Result<(), Arc<io::Error>> {
        if let Some(spill) = &self.shared.spill {
            return spill.before(&self.shared, data, self.len, len);
        }
        let Some(file) = self.shared.file.get() else {
            return Ok(());
        };
        file.append(&self.shared, data, self.len).map_err(|error| {
            // Whoever reads the file itself should not find more than readers of the log do.
            file.cut_back(self.len);
            Arc::new(error)
        })
    }

    fn fail(&mut self, error: Arc<io::Error>) -> AppendError {
        self.end(End::Failed(error.clone()));
        AppendError::File(error)
    }

    fn end(&mut self, end: End) {
        if self.ended {
            return;
        }
        self.ended = true;
        let mut state = self.shared.lock();
        state.end = Some(end);
        state.kept.close();
        crowd::wake(&self.shared, state, &mut self.wakers);
        crowd::dismiss(&self.shared);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end(End::Aborted);
    }
}

/// Accepts everything, as the Go build system's log does: bytes beyond the limit are dropped without an error.
impl io::Write for Writer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.append_slice(data)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
