use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use ::http::{Method, Request, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep};

use super::text::{incomplete_tail, push_json};
use crate::error::ReadError;
use crate::log::Log;
use crate::reader::{Chunk, Reader};

/// Bytes of the log in one event at most.
const MAX_EVENT: usize = 16 << 10;

/// Ends the id of the last event, so that a browser which comes again after it is told to stop.
const END: &str = "/end";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How [`events`] are sent.
#[derive(Debug, Clone)]
pub struct EventsConfig {
    /// A comment is sent when nothing else was for this long: both ends, and what lies between them, see that the connection
    /// lives. Default: 15 s.
    pub heartbeat: Duration,
    /// How long a browser waits before it connects again. Default: 2 s.
    pub retry: Duration,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(2),
        }
    }
}

/// Answers a `GET` request with the log as server-sent events (`text/event-stream`, for a browser's `EventSource`).
///
/// | event | data (JSON) | id |
/// | --- | --- | --- |
/// | (unnamed) | string: some of the log's text | offset behind it |
/// | `gap` | `{"from":N,"to":N}`: bytes that [`Limit::HeadAndTail`](crate::Limit::HeadAndTail) has dropped | `to` |
/// | `end` | `"finished"`, `"aborted"` or `"failed"`; nothing follows | length of the log, and `/end` |
///
/// It begins at the offset in the header `Last-Event-ID`, which browsers send when they connect again; else at that in the
/// query parameter `offset`; else at 0. The texts of all events, over any number of connections that resume so, are together
/// the log as [`String::from_utf8_lossy`] gives it: UTF-8 sequences are not torn, what is none becomes U+FFFD, and control
/// characters come as they were written.
///
/// A browser that comes again after the `end` gets status 204, which stops it. An offset that is no number gets 400,
/// other methods 405.
///
/// Must be called within a tokio runtime, for its timer.
pub fn events<B>(log: &Log, request: &Request<B>, config: &EventsConfig) -> Response<EventsBody> {
    if let Some(refused) = super::refuse(request.method()) {
        return refused.map(|()| EventsBody { live: None });
    }
    let given = request.headers().get(LAST_EVENT_ID);
    let given = given.map(|id| id.to_str().unwrap_or("not a number"));
    let status = |status| {
        let mut response = Response::new(EventsBody { live: None });
        *response.status_mut() = status;
        response
    };
    if given.is_some_and(|id| id.ends_with(END)) {
        return status(StatusCode::NO_CONTENT);
    }
    let offset = match given.or_else(|| offset_in_query(request.uri().query()?)) {
        None => 0,
        Some(given) => match given.parse() {
            Ok(offset) => offset,
            Err(_) => return status(StatusCode::BAD_REQUEST),
        },
    };

    let live = (request.method() != Method::HEAD).then(|| Box::new(Live::new(log, offset, config)));
    let mut response = Response::new(EventsBody { live });
    let headers = response.headers_mut();
    super::describe(headers, "text/event-stream");
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Understood by nginx and others: pass events on as they come.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    response
}

fn offset_in_query(query: &str) -> Option<&str> {
    let mut parameters = query.split('&');
    parameters.find_map(|parameter| parameter.strip_prefix("offset="))
}

/// The events of a log; made by [`events`].
#[derive(Debug)]
pub struct EventsBody {
    /// `None`: done.
    live: Option<Box<Live>>,
}

#[derive(Debug)]
struct Live {
    log: Log,
    reader: Reader,
    retry: Option<Duration>,
    heartbeat: Duration,
    next_heartbeat: Pin<Box<Sleep>>,
    /// Read and not sent: at most an incomplete sequence, then bytes of one chunk.
    unsent: Bytes,
    /// Of the first byte not sent.
    offset: u64,
    /// What comes when `unsent` is empty.
    then: Option<Then>,
    done: bool,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Gap(u64),
    End(&'static str),
}

impl Live {
    fn new(log: &Log, offset: u64, config: &EventsConfig) -> Self {
        Self {
            log: log.clone(),
            reader: log.reader_at(offset),
            retry: Some(config.retry),
            heartbeat: config.heartbeat,
            next_heartbeat: Box::pin(sleep(config.heartbeat)),
            unsent: Bytes::new(),
            offset,
            then: None,
            done: false,
        }
    }

    /// The next events; `None` if something has to come first.
    fn event(&mut self) -> Option<String> {
        let mut out = String::new();
        if let Some(retry) = self.retry.take() {
            out = format!("retry: {}\n\n", retry.as_millis());
        }
        let piece = self.unsent.slice(..self.unsent.len().min(MAX_EVENT));
        // Before a gap or the end, a sequence stays incomplete; otherwise its rest has to come.
        let last = piece.len() == self.unsent.len() && self.then.is_some();
        let held_back = if last { 0 } else { incomplete_tail(&piece) };
        let piece = piece.slice(..piece.len() - held_back);
        if !piece.is_empty() {
            self.unsent = self.unsent.slice(piece.len()..);
            self.offset += piece.len() as u64;
            out.reserve(piece.len() + 64);
            out.push_str("data: ");
            push_json(&mut out, &String::from_utf8_lossy(&piece));
            // Writing to a string does not fail.
            let _ = write!(out, "\nid: {}\n\n", self.offset);
        } else if self.unsent.is_empty() {
            match self.then.take() {
                Some(Then::Gap(to)) => {
                    let from = self.offset;
                    self.offset = to;
                    let _ = write!(
                        out,
                        "event: gap\ndata: {{\"from\":{from},\"to\":{to}}}\nid: {to}\n\n"
                    );
                }
                Some(Then::End(how)) => {
                    let len = self.offset.min(self.log.len());
                    let _ = write!(out, "event: end\ndata: \"{how}\"\nid: {len}{END}\n\n");
                    self.done = true;
                }
                None => {}
            }
        }
        (!out.is_empty()).then_some(out)
    }

    fn take(&mut self, read: Result<Option<Chunk>, ReadError>) -> Result<(), ReadError> {
        match read {
            Ok(Some(chunk)) if chunk.missing > 0 => self.then = Some(Then::Gap(chunk.end())),
            Ok(Some(chunk)) if self.unsent.is_empty() => self.unsent = chunk.data,
            Ok(Some(mut chunk)) => {
                // At most three bytes wait for their rest. The chunk may be large: what is not copied is read again.
                let mut joined = BytesMut::from(&*self.unsent);
                joined.extend_from_slice(&chunk.data.split_to(chunk.data.len().min(MAX_EVENT)));
                if !chunk.data.is_empty() {
                    self.reader = self.log.reader_at(self.offset + joined.len() as u64);
                }
                self.unsent = joined.freeze();
            }
            Ok(None) => self.then = Some(Then::End("finished")),
            Err(ReadError::Aborted) => self.then = Some(Then::End("aborted")),
            Err(ReadError::Failed(_)) => self.then = Some(Then::End("failed")),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<String, ReadError>>> {
        loop {
            if self.done {
                return Poll::Ready(None);
            }
            if let Some(event) = self.event() {
                self.next_heartbeat
                    .as_mut()
                    .reset(Instant::now() + self.heartbeat);
                return Poll::Ready(Some(Ok(event)));
            }
            match self.reader.poll_chunk(cx) {
                Poll::Ready(read) => {
                    if let Err(error) = self.take(read) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                Poll::Pending => {
                    if self.next_heartbeat.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.next_heartbeat
                        .as_mut()
                        .reset(Instant::now() + self.heartbeat);
                    return Poll::Ready(Some(Ok(":\n\n".to_owned())));
                }
            }
        }
    }
}

/// Fails only if the log's file cannot be read; the client then comes again.
impl Body for EventsBody {
    type Data = Bytes;
    type Error = ReadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        let Some(live) = &mut self.live else {
            return Poll::Ready(None);
        };
        let event = std::task::ready!(live.poll(cx));
        if !matches!(event, Some(Ok(_))) {
            self.live = None;
        }
        Poll::Ready(event.map(|event| event.map(|text| Frame::data(text.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.live.is_none()
    }
}
