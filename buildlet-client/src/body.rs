//! Answer bodies: read as they come, under the limits of their operation, ended by the worker's death.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::call::Answer;
use crate::client::Shared;
use crate::error::CommError;
use crate::pool::Conn;
use crate::upload::{Phase, Progress};

/// A body being read.
pub(crate) struct Body {
    op: &'static str,
    incoming: Incoming,
    /// Closed when dropped here; handed back once the body was read to its end.
    conn: Option<Conn>,
    progress: Arc<Progress>,
    shared: Arc<Shared>,
    dead: Pin<Box<WaitForCancellationFutureOwned>>,
    idle: Option<Idle>,
    deadline: Option<Deadline>,
    trailers: Option<HeaderMap>,
    over: Option<Result<(), CommError>>,
}

struct Idle {
    after: Duration,
    sleep: Pin<Box<Sleep>>,
    /// Whether the sleep counts since we last found nothing to read.
    armed: bool,
}

struct Deadline {
    after: Duration,
    at: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Body {
    /// Refuses a body whose end could not be told from a broken connection.
    pub(crate) fn new(
        op: &'static str,
        answer: Answer,
        shared: Arc<Shared>,
        idle: Option<Duration>,
    ) -> Result<Self, CommError> {
        let Answer {
            head,
            body,
            conn,
            progress,
        } = answer;
        if !head.headers.contains_key(header::CONTENT_LENGTH)
            && !head.headers.contains_key(header::TRANSFER_ENCODING)
        {
            let detail = "answer without Content-Length or chunks".to_owned();
            return Err(CommError::Protocol { op, detail });
        }
        let dead = Box::pin(shared.core.dead.clone().cancelled_owned());
        let idle = idle.map(|after| Idle {
            after,
            sleep: Box::pin(tokio::time::sleep(after)),
            armed: false,
        });
        Ok(Self {
            op,
            incoming: body,
            conn: Some(conn),
            progress,
            shared,
            dead,
            idle,
            deadline: None,
            trailers: None,
            over: None,
        })
    }

    /// Ends the body with [`CommError::LocalTimeout`] at `at`.
    pub(crate) fn limit(&mut self, after: Duration, at: Instant) {
        self.deadline = Some(Deadline {
            after,
            at,
            sleep: Box::pin(tokio::time::sleep_until(at)),
        });
    }

    /// Closes the connection when used.
    pub(crate) fn abort_handle(&self) -> Option<tokio::task::AbortHandle> {
        self.conn.as_ref().map(Conn::abort_handle)
    }

    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// The error that ended the body, if one did.
    pub(crate) fn error(&self) -> Option<&CommError> {
        self.over.as_ref().and_then(|over| over.as_ref().err())
    }

    /// The next bytes, never empty; `None` at the end and after an error.
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, CommError>>> {
        if self.over.is_some() {
            return Poll::Ready(None);
        }
        loop {
            if let Some(error) = self.poll_limits(cx) {
                return Poll::Ready(Some(Err(self.fail(error))));
            }
            let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    return self.poll_idle(cx).map(|error| Some(Err(self.fail(error))));
                }
            };
            if let Some(idle) = &mut self.idle {
                idle.armed = false;
            }
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => {
                    let error = CommError::BodyTruncated {
                        op: self.op,
                        source: Arc::new(error),
                    };
                    return Poll::Ready(Some(Err(self.fail(error))));
                }
                None => {
                    self.finish();
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// The rest of a short body, as text.
    pub(crate) async fn text(mut self, max: usize) -> Result<String, CommError> {
        let mut text = Vec::new();
        while let Some(data) = std::future::poll_fn(|cx| self.poll_data(cx)).await {
            text.extend_from_slice(&data?);
            if text.len() > max {
                let detail = format!("answer longer than {max} bytes");
                return Err(CommError::Protocol {
                    op: self.op,
                    detail,
                });
            }
        }
        String::from_utf8(text).map_err(|_| CommError::Protocol {
            op: self.op,
            detail: "answer that is not UTF-8".to_owned(),
        })
    }

    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Option<CommError> {
        if let Some(limit) = &mut self.deadline
            && limit.sleep.as_mut().poll(cx).is_ready()
        {
            return Some(CommError::LocalTimeout { after: limit.after });
        }
        self.dead
            .as_mut()
            .poll(cx)
            .is_ready()
            .then(|| self.shared.core.death())
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<CommError> {
        let Some(idle) = &mut self.idle else {
            return Poll::Pending;
        };
        if !idle.armed {
            idle.armed = true;
            idle.sleep.as_mut().reset(Instant::now() + idle.after);
        }
        ready!(idle.sleep.as_mut().poll(cx));
        Poll::Ready(CommError::Stalled {
            op: self.op,
            after: idle.after,
        })
    }

    /// Ends the body and closes the connection. A connection that broke because its time was up says so.
    fn fail(&mut self, error: CommError) -> CommError {
        self.conn = None;
        let error = match &self.deadline {
            Some(limit) if Instant::now() >= limit.at => {
                CommError::LocalTimeout { after: limit.after }
            }
            _ => error,
        };
        self.over = Some(Err(error.clone()));
        error
    }

    fn finish(&mut self) {
        self.over = Some(Ok(()));
        if let Some(conn) = self.conn.take()
            && self.progress.phase() == Phase::Sent
            && !self.shared.core.dead.is_cancelled()
        {
            self.shared.core.data.put(conn);
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("op", &self.op)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

/// A download on its way, read as [`AsyncRead`] or chunk by chunk.
///
/// A body that the worker cuts short ends with an error of kind `UnexpectedEof`, never with a clean end; the
/// [`CommError`] is the inner error. Dropping it closes the connection, and the worker stops sending. Bytes
/// are taken from the connection only as fast as they are read here.
#[derive(Debug)]
pub struct Download {
    body: Body,
    rest: Bytes,
}

impl Download {
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body,
            rest: Bytes::new(),
        }
    }

    /// The next bytes, never empty; `None` at the end or after an error.
    ///
    /// Cancel safe: no bytes are lost if the future is dropped.
    pub async fn next_chunk(&mut self) -> Option<Result<Bytes, CommError>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CommError>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.rest))));
        }
        self.body.poll_data(cx)
    }
}

impl AsyncRead for Download {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.body.error() {
            return Poll::Ready(Err(error.clone().into()));
        }
        match ready!(self.poll_chunk(cx)) {
            None => Poll::Ready(Ok(())),
            Some(Err(error)) => Poll::Ready(Err(error.into())),
            Some(Ok(mut data)) => {
                let now = data.split_to(data.len().min(buf.remaining()));
                buf.put_slice(&now);
                self.rest = data;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl futures_core::Stream for Download {
    type Item = Result<Bytes, CommError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_chunk(cx)
    }
}
