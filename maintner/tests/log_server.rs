//! A log served to followers: what the original answers, byte for byte, and what goes beyond.
#![cfg(feature = "serve")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod log_common;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use log_common::{contents, payload, payloads};
use maintner::log::{MemoryLog, Segment, server::LogServer};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

async fn send(router: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

async fn get(router: &Router, path: &str) -> Answer {
    send(router, "GET", path, &[]).await
}

fn routes(log: &MemoryLog) -> Router {
    LogServer::new(log.feed().clone()).router()
}

/// A log of two sealed segments and one that grows.
fn log() -> MemoryLog {
    let log = MemoryLog::with_segment_size(1000);
    log.append_now(&payloads(8, 300)).unwrap();
    assert_eq!(log.feed().segments_and_sealed().1, 2);
    log
}

#[tokio::test]
async fn the_index_is_the_originals() {
    let empty = MemoryLog::new();
    let answer = get(&routes(&empty), "/logs").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "[]"));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-sum-segment-size"), "0");

    let log = log();
    let [a, b, c] = log.feed().segments()[..] else {
        panic!("three segments")
    };
    let public = |segment: &Segment| {
        Some(format!(
            "https://storage.googleapis.com/golang-maintner-log/{:04}.{}.mutlog",
            segment.number, segment.sha224
        ))
    };
    let router = LogServer::new(log.feed().clone())
        .public_urls(public)
        .router();
    let answer = get(&router, "/logs").await;
    let expected = format!(
        "[\n\
         \t{{\n\t\t\"number\": 0,\n\t\t\"size\": {},\n\t\t\"sha224\": \"{}\",\n\t\t\"url\": \"{}\",\n\t\t\"sealed\": true\n\t}},\n\
         \t{{\n\t\t\"number\": 1,\n\t\t\"size\": {},\n\t\t\"sha224\": \"{}\",\n\t\t\"url\": \"{}\",\n\t\t\"sealed\": true\n\t}},\n\
         \t{{\n\t\t\"number\": 2,\n\t\t\"size\": {},\n\t\t\"sha224\": \"{}\",\n\t\t\"url\": \"/logs/2\"\n\t}}\n\
         ]",
        a.size,
        a.sha224,
        public(&a).unwrap(),
        b.size,
        b.sha224,
        public(&b).unwrap(),
        c.size,
        c.sha224,
    );
    assert_eq!(answer.text(), expected);
    let sum = a.size + b.size + c.size;
    assert_eq!(answer.header("x-sum-segment-size"), sum.to_string());

    let head = send(&router, "HEAD", "/logs", &[]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), expected.len().to_string());
}

#[tokio::test]
async fn parameters_are_read_as_the_original_reads_them() {
    let router = routes(&log());
    let numbers = |answer: &Answer| -> Vec<u64> {
        let entries: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let entries = entries.as_array().unwrap().clone();
        entries
            .iter()
            .map(|entry| entry["number"].as_u64().unwrap())
            .collect()
    };
    for (query, expected) in [
        ("startseg=1", &[1, 2][..]),
        ("startseg=2&waitsizenot=0", &[2]),
        ("startseg=3", &[0, 1, 2]),
        ("startseg=99999999999999999999", &[0, 1, 2]),
        ("startseg=", &[0, 1, 2]),
        ("startseg=one", &[0, 1, 2]),
        ("waitsizenot=", &[0, 1, 2]),
        ("waitsizenot=7&other=x", &[0, 1, 2]),
    ] {
        let answer = get(&router, &format!("/logs?{query}")).await;
        assert_eq!(numbers(&answer), expected, "{query}");
    }
    for (path, text) in [
        ("/logs?startseg=-1", "bad startseg\n"),
        ("/logs?startseg=-99999999999999999999", "bad startseg\n"),
        ("/logs?waitsizenot=-1", "bad waitsizenot\n"),
        ("/logs?waitsizenot=x", "bad waitsizenot\n"),
        (
            "/logs?waitsizenot=99999999999999999999",
            "bad waitsizenot\n",
        ),
        ("/logs/", "bad path\n"),
        ("/logs/x", "bad path\n"),
        ("/logs/0/1", "bad path\n"),
        ("/logs/-1", "bad path\n"),
        ("/logs/3", "bad segment number\n"),
        ("/logs/99999999999999999999", "bad segment number\n"),
    ] {
        let answer = get(&router, path).await;
        assert_eq!(
            (answer.status, answer.text()),
            (StatusCode::BAD_REQUEST, text),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    for path in ["/logs", "/logs/1"] {
        let answer = send(&router, "POST", path, &[]).await;
        assert_eq!(
            (answer.status, answer.text()),
            (StatusCode::BAD_REQUEST, "bad method\n")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_for_news_waits_55_seconds() {
    let log = log();
    let router = routes(&log);
    let path = format!("/logs?waitsizenot={}", log.feed().len());
    let start = Instant::now();
    let answer = get(&router, &path).await;
    assert_eq!(
        (answer.status, answer.body.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
    assert_eq!(start.elapsed().as_secs(), 55);

    let (answer, ()) = tokio::join!(get(&router, &path), async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        log.append_now(&payloads(1, 10)).unwrap();
    });
    assert_eq!(answer.status, StatusCode::OK);
    let waited = start.elapsed() - Duration::from_secs(55);
    assert_eq!(waited.as_secs(), 10, "woken at once");
    let more = format!("/logs?waitsizenot={}", log.feed().len() + 1);
    timeout(Duration::ZERO, get(&router, &more))
        .await
        .expect("any difference counts");
}

/// The original's tail ends with a panic when it is given an index without segments. It says that it
/// has nothing yet.
#[tokio::test(start_paused = true)]
async fn who_has_nothing_waits_for_the_first_segment() {
    let log = MemoryLog::new();
    let router = routes(&log);
    let answer = get(&router, "/logs?waitsizenot=0").await;
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
    let (answer, ()) = tokio::join!(get(&router, "/logs?waitsizenot=0"), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        log.append_now(&payloads(1, 10)).unwrap();
    });
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains("\"number\": 0"));
}

#[tokio::test]
async fn segments_are_sent_whole_and_in_part() {
    let log = log();
    let router = routes(&log);
    let contents = contents(log.feed());
    for (number, content) in contents.iter().enumerate() {
        let path = format!("/logs/{number}");
        let whole = get(&router, &path).await;
        assert_eq!((whole.status, &whole.body), (StatusCode::OK, content));
        assert_eq!(whole.header("content-type"), "application/octet-stream");
        assert_eq!(whole.header("accept-ranges"), "bytes");
        let is_sealed = number < 2;
        assert_eq!(whole.header("etag").is_empty(), !is_sealed);
        assert_eq!(
            whole.header("cache-control").contains("immutable"),
            is_sealed
        );
        let len = content.len();
        let part = send(&router, "GET", &path, &[("range", "bytes=7-19")]).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.body, content[7..20]);
        assert_eq!(part.header("content-range"), format!("bytes 7-19/{len}"));
        let none = format!("bytes={len}-");
        let none = send(&router, "GET", &path, &[("range", &none)]).await;
        assert_eq!(none.status, StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(none.header("content-range"), format!("bytes */{len}"));
        let head = send(&router, "HEAD", &path, &[]).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
        assert_eq!(head.header("content-length"), len.to_string());
    }
    let etag = format!("\"{}\"", Segment::of(0, &contents[0]).sha224);
    let known = send(&router, "GET", "/logs/0", &[("if-none-match", &etag)]).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    let range = ("range", "bytes=1-2");
    let same = send(&router, "GET", "/logs/0", &[range, ("if-range", &etag)]).await;
    assert_eq!(same.body, contents[0][1..3]);
    let other = send(&router, "GET", "/logs/0", &[range, ("if-range", "\"x\"")]).await;
    assert_eq!(other.body, contents[0]);
    // The address in the index.
    let index = get(&router, "/logs").await;
    let index: serde_json::Value = serde_json::from_slice(&index.body).unwrap();
    let sealed = get(&router, index[1]["url"].as_str().unwrap()).await;
    assert_eq!(sealed.body, contents[1]);
}

#[tokio::test]
async fn the_segment_that_will_grow_may_be_empty() {
    let log = MemoryLog::with_segment_size(1000);
    let router = routes(&log);
    let empty = get(&router, "/logs/0").await;
    assert_eq!((empty.status, empty.body.len()), (StatusCode::OK, 0));
    log.append_now(&[payload(0, 10)]).unwrap();
    log.seal();
    assert_eq!(get(&router, "/logs/1").await.status, StatusCode::OK);
    assert_eq!(
        get(&router, "/logs/2").await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn sealed_segments_may_be_elsewhere() {
    let log = log();
    let elsewhere =
        |segment: &Segment| (segment.number == 1).then(|| "https://example.org/one".to_owned());
    let router = LogServer::new(log.feed().clone())
        .public_urls(elsewhere)
        .router();
    assert_eq!(get(&router, "/logs/0").await.status, StatusCode::OK);
    let answer = get(&router, "/logs/1").await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(answer.header("location"), "https://example.org/one");
    let index = get(&router, "/logs").await;
    let index: serde_json::Value = serde_json::from_slice(&index.body).unwrap();
    assert_eq!(index[1]["url"], "https://example.org/one");
}
