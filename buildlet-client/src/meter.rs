//! Signs of life: which connection last moved bytes, and when.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// A moment that many tasks may move forward, never back.
#[derive(Debug)]
pub(crate) struct Moment {
    epoch: Instant,
    /// Milliseconds since `epoch`, plus one; zero is never.
    at: AtomicU64,
}

impl Moment {
    pub(crate) fn never() -> Self {
        Self {
            epoch: Instant::now(),
            at: AtomicU64::new(0),
        }
    }

    pub(crate) fn now() -> Self {
        let moment = Self::never();
        moment.touch();
        moment
    }

    pub(crate) fn touch(&self) {
        let millis = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.at.fetch_max(millis + 1, Ordering::AcqRel);
    }

    pub(crate) fn last(&self) -> Option<Instant> {
        let at = self.at.load(Ordering::Acquire).checked_sub(1)?;
        self.epoch.checked_add(Duration::from_millis(at))
    }

    /// Whether it was touched at or after `then`, to the millisecond.
    pub(crate) fn since(&self, then: Instant) -> bool {
        self.last()
            .is_some_and(|last| last + Duration::from_millis(1) > then)
    }
}

/// What one connection has moved.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Where to note that the worker was heard; `None` on the heartbeats' own connection.
    heard: Option<Arc<Moment>>,
    moved: Moment,
    received: AtomicU64,
}

impl Meter {
    pub(crate) fn new(heard: Option<Arc<Moment>>) -> Arc<Self> {
        Arc::new(Self {
            heard,
            moved: Moment::now(),
            received: AtomicU64::new(0),
        })
    }

    /// When a byte last moved in either direction.
    pub(crate) fn moved(&self) -> Option<Instant> {
        self.moved.last()
    }

    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    fn hear(&self) {
        if let Some(heard) = &self.heard {
            heard.touch();
        }
    }
}

/// A stream whose traffic a [`Meter`] sees.
pub(crate) struct Metered<T> {
    inner: T,
    meter: Arc<Meter>,
    write_waited: bool,
}

impl<T> Metered<T> {
    pub(crate) fn new(inner: T, meter: Arc<Meter>) -> Self {
        Self {
            inner,
            meter,
            write_waited: false,
        }
    }

    fn note_write(&mut self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Pending => self.write_waited = true,
            Poll::Ready(Ok(1..)) => {
                self.meter.moved.touch();
                // Room after a full buffer means that the far end took bytes: a sign of life. A
                // write that never had to wait may have gone no further than our own kernel.
                if std::mem::take(&mut self.write_waited) {
                    self.meter.hear();
                }
            }
            Poll::Ready(_) => {}
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if read > 0 {
            self.meter.received.fetch_add(read as u64, Ordering::AcqRel);
            self.meter.moved.touch();
            self.meter.hear();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note_write(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.note_write(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn moments_only_move_forward() {
        let moment = Moment::never();
        assert_eq!(moment.last(), None);
        moment.touch();
        let first = moment.last().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!moment.since(Instant::now()));
        moment.touch();
        assert_eq!(moment.last().unwrap() - first, Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_write_that_waited_is_a_sign_of_life() {
        let heard = Arc::new(Moment::never());
        let (ours, mut theirs) = tokio::io::duplex(4);
        let mut ours = Metered::new(ours, Meter::new(Some(heard.clone())));

        ours.write_all(b"1234").await.unwrap();
        assert_eq!(heard.last(), None, "the far end has taken nothing");
        let mut buf = [0; 4];
        let (sent, got) = tokio::join!(ours.write_all(b"5678"), theirs.read_exact(&mut buf));
        sent.unwrap();
        got.unwrap();
        assert!(heard.last().is_some(), "the far end made room");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_is_a_sign_of_life() {
        let heard = Arc::new(Moment::never());
        let (ours, mut theirs) = tokio::io::duplex(64);
        let meter = Meter::new(Some(heard.clone()));
        let mut ours = Metered::new(ours, meter.clone());
        theirs.write_all(b"hello").await.unwrap();
        ours.read_exact(&mut [0; 5]).await.unwrap();
        assert!(heard.last().is_some());
        assert_eq!(meter.received(), 5);
    }
}
