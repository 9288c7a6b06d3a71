//! Request heads: parsing, and what the head says about the body.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Most header lines a request may have.
const MAX_HEADERS: usize = 100;

/// The head of a request.
#[derive(Debug, Clone)]
pub struct Head {
    /// Method as sent, case kept.
    pub method: String,
    /// Path of the target, percent-decoded; starts with `/` unless the target was `*`.
    pub path: Vec<u8>,
    /// Query of the target, still encoded, without the question mark; empty if there is none.
    pub query: String,
    /// True for HTTP/1.1 and later minor versions, false for HTTP/1.0.
    pub http11: bool,
    /// Header lines.
    pub headers: HeaderMap,
    /// How long the body is.
    pub body: BodyLength,
}

/// How the end of a request body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes, 0 without a body.
    Sized(u64),
    /// Chunks, of unknown total.
    Chunked,
}

/// Why a request head was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The head is longer than allowed.
    #[error("request head is longer than {0} bytes")]
    TooLong(usize),
    /// More than 100 header lines.
    #[error("request has more than 100 header lines")]
    TooManyHeaders,
    /// Not a request line and header lines.
    #[error("malformed request head: {0}")]
    Malformed(&'static str),
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("unsupported HTTP version")]
    Version,
    /// A transfer coding other than `chunked`.
    #[error("unsupported transfer coding")]
    TransferCoding,
    /// An `Expect` other than `100-continue`.
    #[error("unsupported expectation")]
    Expectation,
    /// The head did not arrive in time.
    #[error("request head did not arrive in time")]
    Slow,
    /// The connection ended within a head.
    #[error("connection ended within a request head")]
    Truncated,
}

impl HeadError {
    /// Status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLong(_) | Self::TooManyHeaders => 431,
            Self::Malformed(_) | Self::Truncated => 400,
            Self::Version => 505,
            Self::TransferCoding => 501,
            Self::Expectation => 417,
            Self::Slow => 408,
        }
    }
}

impl Head {
    /// First value of a header as text, if it is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.http11 && self.header("expect").is_some()
    }

    /// Whether the client is willing to use the connection again.
    pub(super) fn keep_alive(&self) -> bool {
        let has = |token: &str| {
            self.headers
                .get_all(header::CONNECTION)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .any(|word| word.trim().eq_ignore_ascii_case(token))
        };
        if self.http11 {
            !has("close")
        } else {
            has("keep-alive")
        }
    }
}

/// Index just past the blank line that ends a head, looking from `from` on.
pub(super) fn find_end(buf: &[u8], from: usize) -> Option<usize> {
    let mut at = from.saturating_sub(2);
    while let Some(found) = buf.get(at..)?.iter().position(|&byte| byte == b'\n') {
        let newline = at + found;
        match buf.get(newline + 1..) {
            Some([b'\n', ..]) => return Some(newline + 2),
            Some([b'\r', b'\n', ..]) => return Some(newline + 3),
            _ => at = newline + 1,
        }
    }
    None
}

/// Parses one whole head, blank line included. Never panics, whatever the bytes.
pub fn parse(buf: &[u8]) -> Result<Head, HeadError> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(buf) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(HeadError::Malformed("incomplete")),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyHeaders),
        Err(httparse::Error::Version) => return Err(HeadError::Version),
        Err(httparse::Error::HeaderName) => return Err(HeadError::Malformed("header name")),
        Err(httparse::Error::HeaderValue) => return Err(HeadError::Malformed("header value")),
        Err(_) => return Err(HeadError::Malformed("request line")),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(HeadError::Malformed("request line"));
    };
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for line in request.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes())
            .map_err(|_| HeadError::Malformed("header name"))?;
        let value = HeaderValue::from_bytes(line.value)
            .map_err(|_| HeadError::Malformed("header value"))?;
        headers.append(name, value);
    }
    let http11 = minor >= 1;
    let body = body_length(&headers, http11)?;
    if http11
        && headers
            .get_all(header::EXPECT)
            .iter()
            .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(HeadError::Expectation);
    }
    let (path, query) = split_target(target)?;
    Ok(Head {
        method: method.to_owned(),
        path,
        query,
        http11,
        headers,
        body,
    })
}

/// RFC 9112 §6.3, strict: what two parsers could read differently is refused.
fn body_length(headers: &HeaderMap, http11: bool) -> Result<BodyLength, HeadError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(coding) = codings.next() {
        if lengths.next().is_some() {
            return Err(HeadError::Malformed(
                "both Content-Length and Transfer-Encoding",
            ));
        }
        if !http11 || codings.next().is_some() {
            return Err(HeadError::TransferCoding);
        }
        if !coding
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked")
        {
            return Err(HeadError::TransferCoding);
        }
        return Ok(BodyLength::Chunked);
    }
    let Some(first) = lengths.next() else {
        return Ok(BodyLength::Sized(0));
    };
    if lengths.any(|other| other != first) {
        return Err(HeadError::Malformed("conflicting Content-Length"));
    }
    let digits = first.as_bytes().trim_ascii();
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::Malformed("Content-Length"));
    }
    // At most 19 digits always fit.
    let length = digits
        .iter()
        .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Ok(BodyLength::Sized(length))
}

fn split_target(target: &str) -> Result<(Vec<u8>, String), HeadError> {
    let origin = match target.find("://") {
        // Absolute form: drop scheme and authority.
        Some(scheme) if !target.starts_with('/') => {
            let rest = target.get(scheme + 3..).unwrap_or_default();
            match rest.find(['/', '?']) {
                Some(at) => rest.get(at..).unwrap_or_default(),
                None => "/",
            }
        }
        _ => target,
    };
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    if !path.starts_with('/') && path != "*" && !path.is_empty() {
        return Err(HeadError::Malformed("request target"));
    }
    let path = crate::form::percent_decode(path.as_bytes(), false)
        .ok_or(HeadError::Malformed("request target"))?;
    let path = if path.is_empty() { b"/".to_vec() } else { path };
    Ok((path, query.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Head, HeadError> {
        parse(text.as_bytes())
    }

    #[test]
    fn takes_an_empty_host_and_an_absolute_target() {
        let head = head("GET http://w/ls%2Fx?dir=a%20b HTTP/1.1\r\nHost: \r\n\r\n").unwrap();
        assert_eq!(head.path, b"/ls/x");
        assert_eq!(head.query, "dir=a%20b");
        assert!(head.keep_alive());
        assert_eq!(head.body, BodyLength::Sized(0));
    }

    #[test]
    fn refuses_what_two_parsers_could_read_differently() {
        for (headers, status) in [
            ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Content-Length: 3\r\nContent-Length: 4\r\n", 400),
            ("Content-Length: +3\r\n", 400),
            ("Content-Length: 99999999999999999999\r\n", 400),
            ("Transfer-Encoding: gzip, chunked\r\n", 501),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                501,
            ),
            ("Expect: 200-ok\r\n", 417),
        ] {
            let error = head(&format!("PUT /write HTTP/1.1\r\n{headers}\r\n")).unwrap_err();
            assert_eq!(error.status(), status, "{headers:?}");
        }
        assert_eq!(
            head("GET / HTTP/2.0\r\n\r\n").unwrap_err(),
            HeadError::Version
        );
        assert_eq!(
            head("GET status HTTP/1.1\r\n\r\n").unwrap_err().status(),
            400
        );
    }

    #[test]
    fn finds_the_end_wherever_the_reads_were_cut() {
        let text = b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest";
        for from in 0..text.len() - 4 {
            assert_eq!(
                find_end(text, from.min(20)),
                Some(text.len() - 4),
                "from {from}"
            );
        }
        assert_eq!(find_end(b"GET / HTTP/1.1\r\nA: b\r\n", 0), None);
    }
}
