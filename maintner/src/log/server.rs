//! A log for followers on the network: those of this crate, and the Go original's.
//!
//! | path | answer |
//! |---|---|
//! | `/logs` | the segments as JSON: number, size, SHA-224, address |
//! | `/logs?startseg=N` | from segment N on |
//! | `/logs?waitsizenot=BYTES` | the same, as soon as the log has another length than that; `304` if that takes more than 55 s |
//! | `/logs/N` | the bytes of a segment, or of a part of it (`Range`) |
//!
//! The texts of errors are those of the original (`maintnerd/gcslog`). Beyond it: sealed segments
//! carry `"sealed": true`, an `ETag`, and may be cached for ever. Whatever stands in front of the
//! server must let an answer take a minute.

mod range;

use std::{fmt, num::IntErrorKind, ops::Range, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
    routing::any,
};
use bytes::Bytes;
use serde::Serialize;

use self::range::Asked;
use super::{Feed, Segment};

/// How long a request for news waits before it is told that there are none. The original's
/// followers ask again at once then.
const HEARTBEAT: Duration = Duration::from_secs(55);

/// Serves a log.
///
/// ```
/// use maintner::log::{MemoryLog, server::LogServer};
///
/// let log = MemoryLog::new();
/// let router: axum::Router = LogServer::new(log.feed().clone()).router();
/// ```
#[derive(Clone)]
pub struct LogServer {
    feed: Feed,
    public_url: Option<PublicUrl>,
}

type PublicUrl = Arc<dyn Fn(&Segment) -> Option<String> + Send + Sync>;

impl LogServer {
    /// Serves all segments from here.
    pub fn new(feed: Feed) -> Self {
        Self {
            feed,
            public_url: None,
        }
    }

    /// Sends followers elsewhere for the sealed segments for which `url` gives an address.
    ///
    /// The original's followers take a segment for sealed, and keep it as such, only if its
    /// address begins with `https://storage.googleapis.com/`. In a bucket that everybody may read it
    /// has the name [`Segment::file_name`].
    #[must_use]
    pub fn public_urls(
        mut self,
        url: impl Fn(&Segment) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.public_url = Some(Arc::new(url));
        self
    }

    /// The routes `/logs` and `/logs/N`.
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new()
            .route("/logs", any(index))
            .route("/logs/", any(|| async { bad("bad path") }))
            .route("/logs/{*number}", any(segment))
            .with_state(self)
    }

    fn public_url(&self, segment: &Segment) -> Option<String> {
        self.public_url.as_ref().and_then(|url| url(segment))
    }
}

impl fmt::Debug for LogServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut server = f.debug_struct("LogServer");
        server.field("feed", &self.feed).finish_non_exhaustive()
    }
}

/// An entry of the index, in the original's order.
#[derive(Serialize)]
struct Entry {
    number: u32,
    size: u64,
    sha224: String,
    url: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sealed: bool,
}

async fn index(
    State(server): State<LogServer>,
    method: Method,
    RawQuery(query): RawQuery,
) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return bad("bad method");
    }
    let query = query.unwrap_or_default();
    let start = match parameter(&query, "startseg")
        .unwrap_or_default()
        .parse::<i64>()
    {
        Ok(start) => start,
        Err(error) if *error.kind() == IntErrorKind::NegOverflow => -1,
        Err(_) => 0,
    };
    let Ok(start) = usize::try_from(start) else {
        return bad("bad startseg");
    };
    if let Some(len) = parameter(&query, "waitsizenot").filter(|len| !len.is_empty()) {
        let Some(len) = len
            .parse::<i64>()
            .ok()
            .and_then(|len| u64::try_from(len).ok())
        else {
            return bad("bad waitsizenot");
        };
        let other_len = server.feed.wait_other_len(len);
        if tokio::time::timeout(HEARTBEAT, other_len).await.is_err() {
            return StatusCode::NOT_MODIFIED.into_response();
        }
    }
    let (segments, sealed) = server.feed.segments_and_sealed();
    let start = if start < segments.len() { start } else { 0 };
    let mut sum = 0;
    let entries: Vec<Entry> = segments[start..]
        .iter()
        .enumerate()
        .map(|(at, segment)| {
            sum += segment.size;
            let sealed = start + at < sealed;
            Entry {
                number: segment.number,
                size: segment.size,
                sha224: segment.sha224.to_string(),
                url: url(&server, segment, sealed),
                sealed,
            }
        })
        .collect();
    let mut json = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, indent);
    if let Err(error) = entries.serialize(&mut serializer) {
        // Numbers and texts can always be written.
        return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_LENGTH, json.len().to_string()),
    ];
    let sum = [("x-sum-segment-size", sum.to_string())];
    let body = match method {
        Method::HEAD => Body::empty(),
        _ => Body::from(json),
    };
    (headers, sum, body).into_response()
}

/// Where a follower finds a segment.
fn url(server: &LogServer, segment: &Segment, sealed: bool) -> String {
    let Segment { number, sha224, .. } = segment;
    if !sealed {
        return format!("/logs/{number}");
    }
    // With the digest, so that what is cached for ever under this address is the segment for ever,
    // even if it was once shorter.
    server
        .public_url(segment)
        .unwrap_or_else(|| format!("/logs/{number}?sha224={sha224}"))
}

async fn segment(
    State(server): State<LogServer>,
    method: Method,
    Path(number): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return bad("bad method");
    }
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return bad("bad path");
    }
    let (segments, sealed) = server.feed.segments_and_sealed();
    let number = match number.parse::<u32>() {
        Ok(number) if number as usize <= sealed => number,
        _ => return bad("bad segment number"),
    };
    let read = |range: Range<u64>| server.feed.read(number, range).unwrap_or_default();
    if number as usize == sealed {
        let len = segments.get(sealed).map_or(0, |segment| segment.size);
        let caching = [(header::CACHE_CONTROL, "no-store")];
        return (caching, part(&method, &headers, len, None, read)).into_response();
    }
    let segment = &segments[number as usize];
    if let Some(url) = server.public_url(segment) {
        return (StatusCode::FOUND, [(header::LOCATION, url)]).into_response();
    }
    let etag = format!("\"{}\"", segment.sha224);
    let caching = [
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::ETAG, &etag),
    ];
    let names_it = |value: &HeaderValue| {
        let mut tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
        tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
    };
    if headers.get_all(header::IF_NONE_MATCH).iter().any(names_it) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (
        caching,
        part(&method, &headers, segment.size, Some(&etag), read),
    )
        .into_response()
}

/// All `len` bytes, or the part that is asked for.
fn part(
    method: &Method,
    headers: &HeaderMap,
    len: u64,
    etag: Option<&str>,
    read: impl FnOnce(Range<u64>) -> Bytes,
) -> Response {
    let is_current = match headers.get(header::IF_RANGE) {
        Some(validator) => etag.is_some_and(|etag| validator.as_bytes() == etag.as_bytes()),
        None => true,
    };
    let asked = headers.get(header::RANGE).filter(|_| is_current);
    let (status, range) = match asked.map_or(Asked::All, |range| Asked::parse(range, len)) {
        Asked::All => (StatusCode::OK, 0..len),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Nothing => {
            let content_range = [(header::CONTENT_RANGE, format!("bytes */{len}"))];
            let text = "invalid range: failed to overlap\n";
            return (StatusCode::RANGE_NOT_SATISFIABLE, content_range, text).into_response();
        }
    };
    let content_range = (status == StatusCode::PARTIAL_CONTENT).then(|| {
        let range = format!("bytes {}-{}/{len}", range.start, range.end - 1);
        AppendHeaders([(header::CONTENT_RANGE, range)])
    });
    let always = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (
            header::CONTENT_LENGTH,
            (range.end - range.start).to_string(),
        ),
    ];
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => Body::from(read(range)),
    };
    (status, always, content_range, body).into_response()
}

/// What Go's `http.Error` writes.
fn bad(text: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (StatusCode::BAD_REQUEST, headers, format!("{text}\n")).into_response()
}

/// The first value of a parameter. The values of this server's parameters need no decoding.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}
