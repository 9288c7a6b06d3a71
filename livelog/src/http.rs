//! A log as the answer to an HTTP request, with any server that takes [`http_body::Body`] (hyper, axum, tower).
//!
//! * [`respond`]: the log as text, streamed while it grows; single byte ranges.
//! * [`events`]: server-sent events whose id is the offset in the log, so that a browser which was cut off goes on where it
//!   was, with no byte lost or repeated.
//! * [`DropStalled`]: around a connection, ends it when its peer takes nothing for too long.
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use livelog::http::{self as serve, LogBody};
//!
//! # let (mut writer, log) = livelog::log(livelog::Config::default());
//! # writer.append_slice(b"0123456789").unwrap();
//! # writer.finish();
//! let request = Request::get("/log").header("range", "bytes=-4").body(()).unwrap();
//! let response: Response<LogBody> = serve::respond(&log, &request);
//! assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
//! assert_eq!(response.headers()["content-range"], "bytes 6-9/10");
//! ```
//!
//! The bodies are polled when the connection has room, so a slow or stalled client costs its connection and at most some
//! 100 KiB, whatever the log does meanwhile.

mod events;
mod range;
mod stall;
mod tag;
mod text;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use ::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

pub use self::events::{EventsBody, EventsConfig, events};
use self::range::Wanted;
pub use self::stall::DropStalled;
use self::tag::Condition;
use crate::error::{Outcome, ReadError};
use crate::log::Log;
use crate::reader::Reader;

/// Answers a `GET` or `HEAD` request with the log as `text/plain`.
///
/// Without a range: everything from byte 0, and what is appended later, until the log ends. An aborted or failed log ends
/// with an error of the body, which the client sees as a cut connection instead of as a complete answer. The gap of a
/// [`Limit::HeadAndTail`](crate::Limit::HeadAndTail) is there as its marker.
///
/// With one byte range (RFC 9110, section 14): status 206 with those of its bytes that are there now; it does not wait for
/// more. The total length is `*` while the log grows. Status 416 if none is there, with the present length. A range that
/// touches a gap, several ranges and malformed ones are ignored, as the RFC allows. Behind a gap, positions are still those of
/// the log.
///
/// The log has one strong `ETag` for all its life: an answer without a range is the whole log whenever it was asked for, so
/// a log that grows stays the same thing, and a client that was cut off goes on with `Range` and `If-Range`, or learns
/// that there is another log now. It is made up for each log, and not found out from the bytes. `If-Match` and
/// `If-None-Match` are heeded as well; status 304 only for a finished log, because nobody can have the whole of another.
/// A log that may have a gap in the middle ([`Limit::HeadAndTail`](crate::Limit::HeadAndTail)) has no `ETag`, so that its
/// parts and its marker are not put together wrongly.
///
/// Other methods get status 405.
pub fn respond<B>(log: &Log, request: &Request<B>) -> Response<LogBody> {
    if let Some(refused) = refuse(request.method()) {
        return refused.map(|()| LogBody::empty());
    }
    // In this order: a log that ends in between is answered as one that grows.
    let outcome = log.outcome();
    let len = log.len();
    let tag = log.shared.tag();
    let condition = tag::condition(request.headers(), tag.as_deref());
    let wanted = match range::wanted(request.headers(), len) {
        _ if condition == Condition::HoldsForAll => Wanted::All,
        Wanted::Part(part)
            if (log.gap()).is_some_and(|gap| gap.start < part.end && part.start < gap.end) =>
        {
            Wanted::All
        }
        wanted => wanted,
    };
    let total = match outcome {
        Some(_) => len.to_string(),
        None => "*".to_owned(),
    };
    let (status, body, content_range) = match wanted {
        _ if condition == Condition::Fails => {
            (StatusCode::PRECONDITION_FAILED, LogBody::empty(), None)
        }
        _ if condition == Condition::NotModified && outcome == Some(Outcome::Finished) => {
            (StatusCode::NOT_MODIFIED, LogBody::empty(), None)
        }
        Wanted::All => {
            let body = match outcome {
                Some(Outcome::Finished) if log.gap().is_none() => LogBody::exactly(log, 0, len),
                _ => LogBody::new(log.reader()),
            };
            (StatusCode::OK, body, None)
        }
        Wanted::Part(part) => (
            StatusCode::PARTIAL_CONTENT,
            LogBody::exactly(log, part.start, part.end),
            Some(format!("bytes {}-{}/{total}", part.start, part.end - 1)),
        ),
        Wanted::Nothing => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            LogBody::empty(),
            Some(format!("bytes */{len}")),
        ),
    };

    let mut response = Response::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(value) = content_range.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(CONTENT_RANGE, value);
    }
    if let Some(tag) = tag.and_then(|tag| HeaderValue::try_from(tag).ok()) {
        headers.insert(ETAG, tag);
    }
    if status.is_success() {
        describe(headers, "text/plain; charset=utf-8");
    }
    // A length with status 304 would be that of the log.
    if status != StatusCode::NOT_MODIFIED
        && let Some(exact) = body.size_hint().exact()
    {
        headers.insert(CONTENT_LENGTH, exact.into());
    }
    let body = match *request.method() {
        Method::HEAD => LogBody::empty(),
        _ => body,
    };
    response.map(|()| body)
}

fn refuse(method: &Method) -> Option<Response<()>> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let allowed = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, allowed);
    Some(response)
}

fn describe(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // What a build prints is not to be taken for a page.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// What a [`Reader`] reads, as a body.
///
/// Fails with [`ReadError`], which makes servers cut the connection: also if bytes of an exact length were promised and have
/// been dropped since.
#[derive(Debug)]
pub struct LogBody {
    /// `None`: done.
    reader: Option<Reader>,
    /// Bytes still to come, if that was promised.
    exact: Option<u64>,
    /// Told at the next poll.
    error: Option<ReadError>,
}

impl LogBody {
    /// A body of no particular length.
    pub fn new(reader: Reader) -> Self {
        Self {
            reader: Some(reader),
            exact: None,
            error: None,
        }
    }

    /// No bytes.
    pub fn empty() -> Self {
        Self {
            reader: None,
            exact: Some(0),
            error: None,
        }
    }

    /// The bytes `from..to`, all of which must be there.
    fn exactly(log: &Log, from: u64, to: u64) -> Self {
        Self {
            reader: (from < to).then(|| log.reader_at(from).until(to)),
            exact: Some(to - from),
            error: None,
        }
    }
}

impl Body for LogBody {
    type Data = Bytes;
    type Error = ReadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        if let Some(error) = self.error.take() {
            self.reader = None;
            return Poll::Ready(Some(Err(error)));
        }
        let Some(reader) = &mut self.reader else {
            return Poll::Ready(None);
        };
        let chunk = ready!(reader.poll_chunk(cx));
        let chunk = match chunk {
            Ok(Some(chunk)) => chunk,
            Ok(None) => {
                self.reader = None;
                return Poll::Ready(None);
            }
            Err(error) => {
                // A server that is told now cuts the connection before it has sent what it was given. One that is told
                // to wait for a moment sends it.
                self.error = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        };
        if let Some(left) = &mut self.exact {
            if chunk.missing > 0 {
                self.reader = None;
                return Poll::Ready(Some(Err(ReadError::Lost {
                    from: chunk.offset,
                    to: chunk.end(),
                })));
            }
            *left = left.saturating_sub(chunk.data.len() as u64);
            if *left == 0 {
                self.reader = None;
            }
        }
        Poll::Ready(Some(Ok(Frame::data(chunk.data))))
    }

    fn is_end_stream(&self) -> bool {
        self.reader.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.exact {
            Some(left) => SizeHint::with_exact(left),
            None if self.reader.is_none() => SizeHint::with_exact(0),
            None => SizeHint::new(),
        }
    }
}
