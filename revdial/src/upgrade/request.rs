//! The exchange: a request, at most one redirect, the switch.

use std::{
    fmt::{self, Write as _},
    io,
    time::Duration,
};

use tokio::{io::AsyncWriteExt, time::timeout};

use super::{
    HeadError, ResponseHead,
    body::{Buffered, Rest},
    head::Status,
};
use crate::{
    Stream,
    path::{InvalidTarget, check_target, redact},
};

/// What the Go programs call themselves.
const USER_AGENT: &str = "Go-http-client/1.1";

/// A request without a body, to be answered by a switch of protocols. Its `Debug` form shows
/// neither header values nor dialer ids, which are secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, for example `GET`.
    pub method: String,
    /// The path and query, written as it is.
    pub target: String,
    /// The value of the `Host` field; the Go programs leave it empty.
    pub host: String,
    /// Further fields. Written sorted by name; fields of the same name keep their order.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// `GET target` with an empty host and no further fields.
    pub fn get(target: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.into(),
            host: String::new(),
            headers: Vec::new(),
        }
    }

    /// The request with one more field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The bytes the Go original would write.
    fn to_bytes(&self, target: &str) -> Result<Vec<u8>, UpgradeError> {
        check_target(target).map_err(UpgradeError::BadTarget)?;
        let is_token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        };
        let is_value = |text: &str| !text.bytes().any(|b| b.is_ascii_control() && b != b'\t');
        if !is_token(&self.method) {
            return Err(UpgradeError::BadRequest("method"));
        }
        if !is_value(&self.host) {
            return Err(UpgradeError::BadRequest("host"));
        }
        if !self
            .headers
            .iter()
            .all(|(name, value)| is_token(name) && is_value(value))
        {
            return Err(UpgradeError::BadRequest("header"));
        }
        let mut out = format!(
            "{} {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {USER_AGENT}\r\n",
            self.method, self.host
        );
        if matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            out.push_str("Content-Length: 0\r\n");
        }
        let mut headers: Vec<_> = self.headers.iter().collect();
        headers.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, value) in headers {
            // Writing to a string does not fail.
            let _ = write!(out, "{name}: {}\r\n", value.trim());
        }
        out.push_str("\r\n");
        Ok(out.into_bytes())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &redact(&self.target))
            .field("host", &self.host)
            .field("headers", &names)
            .finish()
    }
}

/// Bounds of one [`request()`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest response head, in bytes. Default 16 KiB.
    pub head: usize,
    /// The longest response body kept for an error, or skipped before a redirect, in bytes.
    /// Default 64 KiB.
    pub body: usize,
    /// How long the whole exchange may take. Default 30 s.
    pub deadline: Duration,
    /// How many redirects are followed. Default 1.
    pub redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 16 * 1024,
            body: 64 * 1024,
            deadline: Duration::from_secs(30),
            redirects: 1,
        }
    }
}

/// Why a connection was not switched. The texts are those of the Go original.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The server answered with another status.
    #[error("want HTTP status 101 or 307; got {}:\n\t{body}", Status { status: *.status, reason })]
    Refused {
        /// The status code.
        status: u16,
        /// The text after it in the status line.
        reason: String,
        /// The body as the server wrote it, cut at [`Limits::body`]. It may repeat the request's
        /// target with the secret in it, and hold bytes that a terminal obeys.
        body: String,
    },
    /// The server redirected without saying where to.
    #[error("redirect missing Location header; got {}", Status { status: *.status, reason })]
    NoLocation {
        /// The status code.
        status: u16,
        /// The text after it in the status line.
        reason: String,
    },
    /// The server redirected to another server, which would need another connection.
    #[error("redirect Location must be relative: URL {location:?} is not relative: {fault}")]
    BadLocation {
        /// Where to, without secrets.
        location: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The server redirected once more than [`Limits::redirects`].
    #[error("too many redirects")]
    TooManyRedirects,
    /// The server's answer is not HTTP.
    #[error("error reading response")]
    Malformed(#[source] HeadError),
    /// The server's answer does not end.
    #[error("error reading response: head is longer than {0} bytes")]
    HeadTooLarge(usize),
    /// The answer could not be read.
    #[error("error reading response")]
    Read(#[source] io::Error),
    /// The request could not be written.
    #[error("error writing request")]
    Write(#[source] io::Error),
    /// The exchange took longer than [`Limits::deadline`].
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server redirected and ended the connection.
    #[error("connection ended with the redirect to {0:?}")]
    ClosedByRedirect(String),
    /// The caller's target cannot be written into a request.
    #[error("request target is unusable")]
    BadTarget(#[source] InvalidTarget),
    /// A part of the caller's request cannot be written.
    #[error("request {0} holds a byte that cannot be sent")]
    BadRequest(&'static str),
}

/// Sends `request` on `stream` and waits for `101 Switching Protocols`. Bytes that came along
/// with the answer are kept in front of the returned stream.
///
/// A `307` with a relative `Location` is followed on the same connection. Dropping the future
/// closes the connection.
pub async fn request(
    stream: Stream,
    request: &Request,
    limits: &Limits,
) -> Result<(Stream, ResponseHead), UpgradeError> {
    let exchange = Box::pin(exchange(stream, request, limits));
    timeout(limits.deadline, exchange)
        .await
        .unwrap_or(Err(UpgradeError::Timeout(limits.deadline)))
}

async fn exchange(
    stream: Stream,
    request: &Request,
    limits: &Limits,
) -> Result<(Stream, ResponseHead), UpgradeError> {
    let mut connection = Buffered::new(stream);
    let mut target = request.target.clone();
    for _ in 0..=limits.redirects {
        let bytes = request.to_bytes(&target)?;
        let stream = connection.stream();
        stream
            .write_all(&bytes)
            .await
            .map_err(UpgradeError::Write)?;
        stream.flush().await.map_err(UpgradeError::Write)?;

        let head = final_head(&mut connection, limits).await?;
        if head.status == 101 {
            return Ok((connection.into_stream(), head));
        }
        let (body, rest) = connection
            .body(&head, limits.body)
            .await
            .map_err(UpgradeError::Read)?;
        if head.status != 307 {
            let body = String::from_utf8_lossy(&body).into_owned();
            return Err(UpgradeError::Refused {
                status: head.status,
                reason: head.reason,
                body,
            });
        }
        target = location(&head)?;
        if rest == Rest::Unread {
            return Err(UpgradeError::ClosedByRedirect(redact(&target)));
        }
    }
    Err(UpgradeError::TooManyRedirects)
}

/// Skips what a proxy may say in between, such as 103.
async fn final_head(
    connection: &mut Buffered,
    limits: &Limits,
) -> Result<ResponseHead, UpgradeError> {
    for _ in 0..8 {
        let head = connection.head(limits.head).await?;
        if head.status == 101 || !(100..200).contains(&head.status) {
            return Ok(head);
        }
    }
    Err(UpgradeError::HeadTooLarge(limits.head))
}

fn location(head: &ResponseHead) -> Result<String, UpgradeError> {
    let Some(location) = head.header("location").filter(|value| !value.is_empty()) else {
        return Err(UpgradeError::NoLocation {
            status: head.status,
            reason: head.reason.clone(),
        });
    };
    let before = location.split(['/', '?', '#']).next().unwrap_or_default();
    let fault = if before.contains(':') {
        Some("contains scheme")
    } else if location.starts_with("//") {
        Some("contains host")
    } else if !location.starts_with('/') {
        Some("does not start with a slash")
    } else if location.contains('#') || check_target(location).is_err() {
        Some("cannot be written into a request")
    } else {
        None
    };
    match fault {
        Some(fault) => Err(UpgradeError::BadLocation {
            location: redact(location).chars().take(200).collect(),
            fault,
        }),
        None => Ok(location.to_owned()),
    }
}
