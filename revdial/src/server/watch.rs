//! Notices where in the life of an HTTP connection we are, to tell idle from slow.
//!
//! hyper's own head timer also runs while a kept-alive connection is merely idle, so one value
//! would have to serve both; here they are apart.

use std::{
    io::IoSlice,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::ServeError;
use crate::Io;

/// Shared by the transport, the service and the response bodies of one connection.
#[derive(Debug, Clone)]
pub(super) struct Watch(Arc<Mutex<Phase>>);

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Between requests, since.
    Idle(Instant),
    /// A request head has begun to arrive, at.
    Head(Instant),
    /// A request is being answered.
    Busy,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Phase::Idle(Instant::now()))))
    }

    fn update(&self, change: impl FnOnce(Phase) -> Phase) {
        let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *phase = change(*phase);
    }

    pub(super) fn request_begins(&self) {
        self.update(|_| Phase::Busy);
    }

    fn response_ends(&self) {
        self.update(|_| Phase::Idle(Instant::now()));
    }

    fn bytes_arrive(&self) {
        self.update(|phase| {
            if let Phase::Idle(_) = phase {
                Phase::Head(Instant::now())
            } else {
                phase
            }
        });
    }

    /// When the connection is to be given up if nothing changes, and as what.
    pub(super) fn deadline(&self, idle: Duration, head: Duration) -> Option<(Instant, ServeError)> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Idle(since) => Some((since + idle, ServeError::Idle(idle))),
            Phase::Head(since) => Some((since + head, ServeError::SlowHead(head))),
            Phase::Busy => None,
        }
    }
}

/// The transport; tells the watch when bytes arrive.
pub(super) struct WatchedIo<T> {
    pub(super) io: T,
    pub(super) watch: Watch,
}

impl<T: Io> AsyncRead for WatchedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.watch.bytes_arrive();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Io> AsyncWrite for WatchedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// A response body; tells the watch when hyper is done with it.
pub(super) struct WatchedBody<B> {
    body: Pin<Box<B>>,
    watch: Watch,
}

impl<B> WatchedBody<B> {
    pub(super) fn new(body: B, watch: Watch) -> Self {
        Self {
            body: Box::pin(body),
            watch,
        }
    }
}

impl<B> Drop for WatchedBody<B> {
    fn drop(&mut self) {
        self.watch.response_ends();
    }
}

impl<B: Body> Body for WatchedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.body.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
