//! Notices where in the life of an HTTP connection we are, to tell idle from slow, and a slow peer
//! from a slow handler.
//!
//! hyper's own head timer also runs while a kept-alive connection is merely idle, so one value
//! would have to serve both; here they are apart.

use std::{
    io::IoSlice,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{ServeConfig, ServeError, framing::Framing};
use crate::Io;

/// The part of a request body that a peer must send within
/// [`body_timeout`](ServeConfig::body_timeout), in bytes.
const SHARE: usize = 1024;

/// Shared by the transport, the service and the response bodies of one connection.
#[derive(Debug, Clone)]
pub(super) struct Watch(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    phase: Phase,
    framing: Framing,
    /// Since when the transport has nothing to read although we want it.
    reading: Option<Instant>,
    /// The time waited for the current share of a body, and how much of that has come.
    waited: Duration,
    share: usize,
    /// Since when the transport takes nothing although we have it.
    writing: Option<Instant>,
}

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
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Idle(Instant::now()),
            framing: Framing::new(),
            reading: None,
            waited: Duration::ZERO,
            share: 0,
            writing: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn request_begins(&self) {
        let mut state = self.state();
        state.phase = Phase::Busy;
        (state.waited, state.share, state.reading) = (Duration::ZERO, 0, None);
    }

    fn response_ends(&self) {
        self.state().phase = Phase::Idle(Instant::now());
    }

    fn bytes_arrive(&self, bytes: &[u8]) {
        let mut state = self.state();
        if let Phase::Idle(_) = state.phase {
            state.phase = Phase::Head(Instant::now());
        }
        if let Some(since) = state.reading.take() {
            state.waited += since.elapsed();
        }
        state.share += bytes.len();
        if state.share >= SHARE {
            (state.waited, state.share) = (Duration::ZERO, 0);
        }
        state.framing.feed(bytes);
    }

    fn waits_for_bytes(&self) {
        self.state().reading.get_or_insert_with(Instant::now);
    }

    fn wrote<T>(&self, written: &Poll<T>) {
        let mut state = self.state();
        match written {
            Poll::Ready(_) => state.writing = None,
            Poll::Pending => {
                state.writing.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Whether a part of a request has arrived, or all of its head, and the rest has not.
    pub(super) fn is_in_request(&self) -> bool {
        !self.state().framing.is_between_requests()
    }

    /// When the connection is to be given up if nothing changes, and as what.
    pub(super) fn deadline(&self, config: &ServeConfig) -> Option<(Instant, ServeError)> {
        let state = self.state();
        if let Some(since) = state.writing {
            let limit = config.answer_timeout;
            // Nothing else counts: what is not read yet may be the end of an answer.
            return Some((since.checked_add(limit)?, ServeError::SlowReader(limit)));
        }
        match state.phase {
            Phase::Idle(since) => {
                let limit = config.idle_timeout;
                Some((since.checked_add(limit)?, ServeError::Idle(limit)))
            }
            Phase::Head(since) => {
                let limit = config.head_timeout;
                Some((since.checked_add(limit)?, ServeError::SlowHead(limit)))
            }
            Phase::Busy if state.framing.in_body() => {
                let limit = config.body_timeout;
                let left = limit.saturating_sub(state.waited);
                Some((
                    state.reading?.checked_add(left)?,
                    ServeError::SlowBody(limit),
                ))
            }
            Phase::Busy => None,
        }
    }
}

/// The transport; tells the watch when bytes come and go, and when they do not.
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
        let Poll::Ready(read) = Pin::new(&mut self.io).poll_read(cx, buf) else {
            self.watch.waits_for_bytes();
            return Poll::Pending;
        };
        read?;
        if buf.filled().len() > before {
            self.watch.bytes_arrive(&buf.filled()[before..]);
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
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch.wrote(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let written = Pin::new(&mut self.io).poll_flush(cx);
        self.watch.wrote(&written);
        written
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch.wrote(&written);
        written
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
