//! A log as it is, while it grows.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::App;
use super::error::Fault;
use super::params::{Params, no_build};
use crate::logs::{LogError, LogReader};
use crate::store::AttemptId;

/// `GET /api/v1/builds/{id}/log`.
///
/// Without `follow` the answer holds the bytes there are; with it, it goes on until the log is final.
pub(crate) async fn log(
    app: &App,
    id: i64,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    params.only(&["attempt", "offset", "follow"])?;
    let follow = params.flag("follow")?;
    let offset = params.offset("offset")?;
    let detail = app
        .view
        .store
        .build(id)
        .await?
        .ok_or_else(|| no_build(id))?;
    let number = match params.attempt()? {
        Some(number)
            if detail
                .attempts
                .iter()
                .any(|attempt| attempt.number == number) =>
        {
            number
        }
        Some(number) => {
            return Err(Fault::NotFound(format!(
                "build {id} has no attempt {number}"
            )));
        }
        None => match detail.attempts.last() {
            Some(attempt) => attempt.number,
            None => {
                return Err(Fault::NotFound(format!(
                    "build {id} has no log: it has not started"
                )));
            }
        },
    };
    let attempt = AttemptId { build: id, number };
    let permit = app.stream()?;
    let first = app.view.logs.open(attempt, offset.unwrap_or(0)).await?;
    let (len, complete) = first.extent();
    let range = match headers.get(RANGE) {
        Some(range) if !follow && offset.is_none() => range.to_str().ok().and_then(parse_range),
        _ => None,
    };

    let (from, to, reader) = match range {
        None => (
            offset.unwrap_or(0),
            if follow {
                u64::MAX
            } else {
                len.max(offset.unwrap_or(0))
            },
            first,
        ),
        Some(range) => {
            let (from, to) = range.within(len).ok_or(Fault::Range(len))?;
            (from, to, app.view.logs.open(attempt, from).await?)
        }
    };
    let mut response = body(reader, to - from, permit).into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        HeaderName::from_static("x-log-attempt"),
        HeaderValue::from(number),
    );
    headers.insert(
        HeaderName::from_static("x-log-offset"),
        HeaderValue::from(from),
    );
    headers.insert(
        HeaderName::from_static("x-log-complete"),
        HeaderValue::from_static(if complete { "true" } else { "false" }),
    );
    if !follow {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(to - from));
    }
    if range.is_some() {
        if let Ok(value) = HeaderValue::try_from(format!("bytes {from}-{}/{len}", to - 1)) {
            headers.insert(CONTENT_RANGE, value);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// At most `left` bytes of a log.
fn body(reader: Box<dyn LogReader>, left: u64, permit: OwnedSemaphorePermit) -> Body {
    let state = (reader, left, permit);
    Body::from_stream(stream::try_unfold(
        state,
        |(mut reader, left, permit)| async move {
            if left == 0 {
                return Ok(None);
            }
            match reader.next().await {
                Ok(None) => Ok(None),
                Ok(Some(data)) => {
                    let keep = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - keep as u64;
                    Ok::<_, LogError>(Some((data.slice(..keep), (reader, left, permit))))
                }
                // What the writer left is all there will ever be.
                Err(LogError::CutShort) => Ok::<Option<(Bytes, _)>, _>(None),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "log broke off while it was read"
                    );
                    Err(error)
                }
            }
        },
    ))
}

/// A single range of bytes, as in RFC 9110 §14.1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteRange {
    From(u64, Option<u64>),
    Last(u64),
}

impl ByteRange {
    /// First byte and the byte after the last, if any of it lies in `len` bytes.
    fn within(self, len: u64) -> Option<(u64, u64)> {
        let (from, to) = match self {
            Self::From(first, last) => (
                first,
                last.map_or(len, |last| last.saturating_add(1).min(len)),
            ),
            Self::Last(n) => (len.saturating_sub(n), len),
        };
        (from < to).then_some((from, to))
    }
}

/// Reads a `Range` header. What is malformed, or asks for several ranges, is ignored, as the RFC allows.
fn parse_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<u64>().ok())
            .flatten()
    };
    match (first, last) {
        ("", last) => Some(ByteRange::Last(number(last)?)),
        (first, "") => Some(ByteRange::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::From(first, Some(last)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let within = |text, len| parse_range(text).and_then(|range| range.within(len));
        assert_eq!(within("bytes=0-4", 10), Some((0, 5)));
        assert_eq!(within("bytes=4-", 10), Some((4, 10)));
        assert_eq!(within("bytes=4-99", 10), Some((4, 10)));
        assert_eq!(within("bytes=-3", 10), Some((7, 10)));
        assert_eq!(within("bytes=-99", 10), Some((0, 10)));
        assert_eq!(within("bytes=10-", 10), None);
        assert_eq!(within("bytes=0-18446744073709551615", 10), Some((0, 10)));
        for text in [
            "bytes=",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=+1-2",
            "bytes=a-b",
            "bytes=-",
        ] {
            assert_eq!(parse_range(text), None, "{text}");
        }
    }
}
