//! Request bodies that say how far they are.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::io::AsyncRead;
use tokio::time::Instant;

use crate::error::Cause;
use crate::meter::Moment;

/// How much is read from a source at once.
const CHUNK: usize = 64 << 10;

pub(crate) type Source = Pin<Box<dyn AsyncRead + Send>>;

/// What a request carries.
pub(crate) enum Payload {
    /// All of it, possibly nothing: sent with its length, and again if need be.
    Bytes(Bytes),
    /// A stream of unknown length, sent chunked and only once.
    Reader(Source),
}

impl Payload {
    pub(crate) fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }
}

const SENDING: u8 = 0;
const SOURCE: u8 = 1;
const SENT: u8 = 2;

/// Who an upload is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// For the connection to take more.
    Sending,
    /// For the caller's reader to give more.
    Source,
    /// For nobody: the connection has taken all.
    Sent,
}

/// The progress of one request body, seen from outside the connection.
pub(crate) struct Progress {
    phase: AtomicU8,
    /// When the body last gave the connection something.
    given: Moment,
    failed: OnceLock<Cause>,
}

impl Progress {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            SENT => Phase::Sent,
            SOURCE => Phase::Source,
            _ => Phase::Sending,
        }
    }

    pub(crate) fn given(&self) -> Option<Instant> {
        self.given.last()
    }

    /// The error of the caller's reader.
    pub(crate) fn failed(&self) -> Option<Cause> {
        self.failed.get().cloned()
    }

    fn set(&self, phase: u8) {
        self.phase.store(phase, Ordering::Release);
    }
}

/// A request body.
pub(crate) struct Upload {
    payload: Payload,
    buffer: BytesMut,
    progress: Arc<Progress>,
}

impl Upload {
    pub(crate) fn new(payload: Payload) -> Self {
        let sent = matches!(&payload, Payload::Bytes(bytes) if bytes.is_empty());
        let progress = Progress {
            phase: AtomicU8::new(if sent { SENT } else { SENDING }),
            given: Moment::now(),
            failed: OnceLock::new(),
        };
        Self {
            payload,
            buffer: BytesMut::new(),
            progress: Arc::new(progress),
        }
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Payload::Reader(reader) = &mut self.payload else {
            return Poll::Ready(None);
        };
        self.buffer.reserve(CHUNK);
        let read = ready!(tokio_util::io::poll_read_buf(
            reader.as_mut(),
            cx,
            &mut self.buffer
        ))?;
        if read == 0 {
            self.payload = Payload::empty();
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(self.buffer.split().freeze())))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let given = match &mut self.payload {
            Payload::Bytes(bytes) => {
                let all = std::mem::take(bytes);
                (!all.is_empty()).then_some(Ok(all))
            }
            Payload::Reader(_) => match self.poll_source(cx) {
                Poll::Ready(given) => given,
                Poll::Pending => {
                    self.progress.set(SOURCE);
                    return Poll::Pending;
                }
            },
        };
        self.progress.given.touch();
        let over = given.is_none() || self.is_end_stream();
        self.progress.set(if over { SENT } else { SENDING });
        Poll::Ready(match given {
            None => None,
            Some(Ok(data)) => Some(Ok(Frame::data(data))),
            Some(Err(error)) => {
                let kind = error.kind();
                _ = self.progress.failed.set(Arc::new(error));
                Some(Err(io::Error::from(kind)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.payload, Payload::Bytes(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.payload {
            Payload::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Payload::Reader(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("phase", &self.progress.phase())
            .finish_non_exhaustive()
    }
}
