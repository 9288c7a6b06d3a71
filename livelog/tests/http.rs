//! Logs as answers to HTTP requests.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use std::convert::Infallible;
use std::time::Duration;

use futures_util::FutureExt;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use livelog::http::{DropStalled, EventsBody, EventsConfig, LogBody, events, respond};
use livelog::{Backing, Bytes, Config, Limit, Log, ReadError, Writer};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;

fn finished(text: &[u8]) -> Log {
    let (mut writer, log) = livelog::log(Config::default());
    writer.append_slice(text).unwrap();
    writer.finish();
    log
}

fn get(range: Option<&str>) -> Request<()> {
    let mut request = Request::get("/log");
    if let Some(range) = range {
        request = request.header("range", range);
    }
    request.body(()).unwrap()
}

async fn body(response: Response<LogBody>) -> Result<Bytes, ReadError> {
    Ok(response.into_body().collect().await?.to_bytes())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn whole_and_parts() {
    let log = finished(b"0123456789");
    let response = respond(&log, &get(None));
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers();
    assert_eq!(header(headers, "content-length"), Some("10"));
    assert_eq!(header(headers, "accept-ranges"), Some("bytes"));
    assert_eq!(header(headers, "x-content-type-options"), Some("nosniff"));
    assert_eq!(
        header(headers, "content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(body(response).await.unwrap(), "0123456789");

    for (range, content_range, text) in [
        ("bytes=0-3", "bytes 0-3/10", "0123"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
    ] {
        let response = respond(&log, &get(Some(range)));
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        let headers = response.headers();
        assert_eq!(header(headers, "content-range"), Some(content_range));
        assert_eq!(
            header(headers, "content-length"),
            Some(&*text.len().to_string())
        );
        assert_eq!(body(response).await.unwrap(), text);
    }
    let response = respond(&log, &get(Some("bytes=10-")));
    assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(
        header(response.headers(), "content-range"),
        Some("bytes */10")
    );
    assert_eq!(body(response).await.unwrap(), "");
    let response = respond(&log, &get(Some("bytes=1-2,4-5")));
    assert_eq!(response.status(), StatusCode::OK);

    let head = Request::head("/").body(()).unwrap();
    let response = respond(&log, &head);
    assert_eq!(header(response.headers(), "content-length"), Some("10"));
    assert_eq!(body(response).await.unwrap(), "");
    let post = Request::post("/").body(()).unwrap();
    let response = respond(&log, &post);
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(header(response.headers(), "allow"), Some("GET, HEAD"));
    let response = events(&log, &post, &EventsConfig::default());
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_log_that_grows() {
    let (mut writer, log) = livelog::log(Config::default());
    writer.append_slice(b"0123456789").unwrap();
    // A part is what is there now.
    let response = respond(&log, &get(Some("bytes=4-")));
    assert_eq!(
        header(response.headers(), "content-range"),
        Some("bytes 4-9/*")
    );
    assert_eq!(body(response).await.unwrap(), "456789");
    let response = respond(&log, &get(Some("bytes=10-")));
    assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    // The whole is what will be there.
    let response = respond(&log, &get(None));
    assert_eq!(header(response.headers(), "content-length"), None);
    let mut whole = response.into_body();
    let first = whole.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "0123456789");
    assert!(whole.frame().now_or_never().is_none());
    writer.append_slice(b"ab").unwrap();
    let next = whole.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(next, "ab");
    drop(writer);
    assert!(matches!(whole.frame().await, Some(Err(ReadError::Aborted))));
    assert!(whole.frame().await.is_none());
    assert!(matches!(
        body(respond(&log, &get(None))).await,
        Err(ReadError::Aborted)
    ));
    assert_eq!(
        body(respond(&log, &get(Some("bytes=11-")))).await.unwrap(),
        "b"
    );
}

/// One tag for as long as the log lives; none if parts of it may go.
#[tokio::test]
async fn conditions() {
    let (mut writer, log) = livelog::log(Config::default());
    writer.append_slice(b"0123456789").unwrap();
    let response = respond(&log, &get(None));
    let tag = header(response.headers(), "etag").unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10);
    let ask = |lines: &[(&'static str, &str)]| {
        let request = Request::get("/").header("range", "bytes=4-5");
        let add = |request: http::request::Builder, (name, value): &(&'static str, &str)| {
            request.header(*name, *value)
        };
        let request = lines.iter().fold(request, add);
        let response = respond(&log, &request.body(()).unwrap());
        assert_eq!(header(response.headers(), "etag"), Some(&*tag));
        response.status()
    };
    for _ in 0..2 {
        assert_eq!(ask(&[("if-range", &tag)]), StatusCode::PARTIAL_CONTENT);
        assert_eq!(ask(&[("if-range", "\"other\"")]), StatusCode::OK);
        assert_eq!(ask(&[("if-range", &format!("W/{tag}"))]), StatusCode::OK);
        assert_eq!(ask(&[("if-match", &tag)]), StatusCode::PARTIAL_CONTENT);
        let others = ask(&[("if-match", "\"other\"")]);
        assert_eq!(others, StatusCode::PRECONDITION_FAILED);
        // Nobody can have all of a log that grows.
        let changed = ask(&[("if-none-match", &tag)]);
        assert_eq!(changed, StatusCode::PARTIAL_CONTENT);
        writer.append_slice(b"more").unwrap();
    }
    writer.finish();
    assert_eq!(ask(&[("if-none-match", &tag)]), StatusCode::NOT_MODIFIED);
    assert_eq!(ask(&[("if-range", &tag)]), StatusCode::PARTIAL_CONTENT);
    let request = Request::get("/").header("if-none-match", &*tag);
    let response = respond(&log, &request.body(()).unwrap());
    assert_eq!(header(response.headers(), "content-length"), None);
    assert_eq!(body(response).await.unwrap(), "");

    let other = respond(&finished(b"0123456789more"), &get(None));
    assert_ne!(header(other.headers(), "etag"), Some(&*tag));
    let (_writer, log) = gapped();
    let response = respond(&log, &get(None));
    assert_eq!(header(response.headers(), "etag"), None);
}

#[tokio::test]
async fn a_log_with_a_gap() {
    let (mut writer, log) = gapped();
    writer.append_slice(b"0123456789").unwrap();
    let promised = respond(&log, &get(Some("bytes=2-7")));
    assert_eq!(promised.status(), StatusCode::PARTIAL_CONTENT);
    writer.append_slice(b"abcdef").unwrap();
    // Promised and lost since: the connection is cut, not filled with something else.
    let cut = body(promised).await;
    assert!(matches!(cut, Err(ReadError::Lost { from: 4, to: 8 })));

    let touching = respond(&log, &get(Some("bytes=3-5")));
    assert_eq!(touching.status(), StatusCode::OK);
    let behind = respond(&log, &get(Some("bytes=8-9")));
    assert_eq!(body(behind).await.unwrap(), "89");
    writer.finish();
    let whole = respond(&log, &get(None));
    assert_eq!(header(whole.headers(), "content-length"), None);
    assert_eq!(body(whole).await.unwrap(), "0123[..]89abcdef");

    let (texts, _, _) = receive(&log, None).await;
    assert_eq!(
        texts,
        "0123<gap {\"from\":4,\"to\":8}>89abcdef<end \"finished\">"
    );
}

fn gapped() -> (Writer, Log) {
    livelog::log(Config {
        limit: Limit::HeadAndTail {
            head: 4,
            tail: 8,
            marker: Bytes::from_static(b"[..]"),
        },
        backing: Backing::Memory,
    })
}

fn ask(last_event_id: Option<&str>) -> Request<()> {
    let mut request = Request::get("/events");
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    request.body(()).unwrap()
}

/// One event as a browser understands it: name, decoded data, id. `None` for comments and `retry`.
fn parse(event: &str) -> Option<(String, String, String)> {
    let (mut name, mut data, mut id) = ("", None, "");
    for line in event.lines() {
        match line.split_once(": ") {
            Some(("event", value)) => name = value,
            Some(("data", value)) => assert!(data.replace(value).is_none(), "one line"),
            Some(("id", value)) => id = value,
            Some(("retry", _)) => {}
            _ => assert_eq!(line, ":"),
        }
    }
    let data = data?;
    let data = match name {
        "" => from_json(data),
        _ => format!("<{name} {data}>"),
    };
    Some((name.to_owned(), data, id.to_owned()))
}

fn from_json(json: &str) -> String {
    let mut text = String::new();
    let inner = json.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        assert!(c >= ' ' && c != '"');
        text.push(match c {
            '\\' => match chars.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let code = chars.by_ref().take(4).collect::<String>();
                    char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap()
                }
                c => c,
            },
            c => c,
        });
    }
    text
}

async fn next_event(body: &mut EventsBody) -> Option<(String, String, String)> {
    loop {
        let frame = body.frame().await?.unwrap().into_data().unwrap();
        let text = String::from_utf8(frame.into()).unwrap();
        assert!(text.ends_with("\n\n"));
        for event in text.trim_end().split("\n\n") {
            if let Some(event) = parse(event) {
                return Some(event);
            }
        }
    }
}

/// All texts until the end, the last id, and how many events there were.
async fn receive(log: &Log, from: Option<&str>) -> (String, String, usize) {
    let mut body = events(log, &ask(from), &EventsConfig::default()).into_body();
    let (mut texts, mut last, mut count) = (String::new(), String::new(), 0);
    while let Some((_, data, id)) = next_event(&mut body).await {
        texts.push_str(&data);
        last = id;
        count += 1;
    }
    (texts, last, count)
}

#[tokio::test]
async fn events_until_the_end() {
    let text = "eins\r\nzw\u{1b}[1mei\"\\\n".as_bytes();
    let log = finished(text);
    let response = events(&log, &ask(None), &EventsConfig::default());
    assert_eq!(
        header(response.headers(), "content-type"),
        Some("text/event-stream")
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let expected = concat!(
        "retry: 2000\n\n",
        "data: \"eins\\r\\nzw\\u001b[1mei\\\"\\\\\\n\"\nid: 17\n\n",
        "event: end\ndata: \"finished\"\nid: 17/end\n\n"
    );
    assert_eq!(String::from_utf8(body.into()).unwrap(), expected);

    let (texts, last, _) = receive(&log, Some("6")).await;
    assert_eq!(
        (&*texts, &*last),
        ("zw\u{1b}[1mei\"\\\n<end \"finished\">", "17/end")
    );
    let in_query = Request::get("/e?x=1&offset=15").body(()).unwrap();
    let mut body = events(&log, &in_query, &EventsConfig::default()).into_body();
    assert_eq!(next_event(&mut body).await.unwrap().1, "\\\n");
    // It came again after the end.
    let again = events(&log, &ask(Some("17/end")), &EventsConfig::default());
    assert_eq!(again.status(), StatusCode::NO_CONTENT);
    // It did not see the end.
    assert_eq!(receive(&log, Some("17")).await.0, "<end \"finished\">");
    let wrong = events(&log, &ask(Some("x")), &EventsConfig::default());
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);

    let (mut writer, log) = livelog::log(Config::default());
    writer.append_slice(b"half \xe2\x82").unwrap();
    drop(writer);
    assert_eq!(
        receive(&log, None).await.0,
        "half \u{fffd}<end \"aborted\">"
    );
}

#[tokio::test(start_paused = true)]
async fn heartbeats_while_nothing_is_written() {
    let (mut writer, log) = livelog::log(Config::default());
    let mut body = events(&log, &ask(None), &EventsConfig::default()).into_body();
    let mut frame = async || {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(frame.into()).unwrap()
    };
    let begun = tokio::time::Instant::now();
    assert_eq!(frame().await, "retry: 2000\n\n");
    assert_eq!(frame().await, ":\n\n");
    assert_eq!(frame().await, ":\n\n");
    assert_eq!(begun.elapsed().as_secs(), 30);
    tokio::time::advance(Duration::from_secs(10)).await;
    writer.append_slice(b"x\xc3").unwrap();
    assert_eq!(frame().await, "data: \"x\"\nid: 1\n\n");
    // The rest of the sequence does not come, the connection lives all the same.
    assert_eq!(frame().await, ":\n\n");
    assert_eq!(begun.elapsed().as_secs(), 55);
    writer.append_slice(b"\xa4").unwrap();
    assert_eq!(frame().await, "data: \"\u{e4}\"\nid: 3\n\n");
}

fn some_text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => "[a-z \\n\\r\\x1b\"\\\\äß€😀]{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
        1 => (0_usize..3).prop_map(|n| "€".repeat(9000 * n).into_bytes()),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the log was appended and however often the browser was cut off.
    #[test]
    fn nothing_is_lost_or_repeated(
        text in some_text(),
        cuts in prop::collection::vec(1_usize..20_000, 1..40),
        patience in prop::collection::vec(0_usize..5, 1..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let played = timeout(Duration::from_secs(20), cut_off_and_resumed(&text, &cuts, &patience));
            let received = played.await.expect("an event never comes");
            assert_eq!(received, format!("{}<end \"finished\">", String::from_utf8_lossy(&text)));
        });
    }
}

async fn cut_off_and_resumed(text: &[u8], cuts: &[usize], patience: &[usize]) -> String {
    let backing = Backing::Spill {
        memory: 10_000,
        dir: None,
    };
    let (mut writer, log) = livelog::log(Config {
        backing,
        ..Config::default()
    });
    let mut received = String::new();
    let mut last_id = None::<String>;
    let mut left = text;
    for (cut, patience) in cuts.iter().zip(patience.iter().cycle()) {
        let (now, later) = left.split_at((*cut).min(left.len()));
        writer.append(Bytes::copy_from_slice(now)).unwrap();
        left = later;
        let request = ask(last_id.as_deref());
        let mut body = events(&log, &request, &EventsConfig::default()).into_body();
        for _ in 0..*patience {
            let next = timeout(Duration::from_micros(300), next_event(&mut body));
            if let Ok(Some((_, data, id))) = next.await {
                received.push_str(&data);
                last_id = Some(id);
            }
        }
    }
    writer.append_slice(left).unwrap();
    writer.finish();
    received + &receive(&log, last_id.as_deref()).await.0
}

fn serve(log: Log, buffer: usize) -> (DuplexStream, JoinHandle<hyper::Result<()>>) {
    let (client, server) = duplex(buffer);
    let io = TokioIo::new(DropStalled::new(server, Duration::from_secs(60)));
    let service = service_fn(move |request: Request<_>| {
        let response = match request.uri().path() {
            "/events" => events(&log, &request, &EventsConfig::default()).map(BodyExt::boxed),
            _ => respond(&log, &request).map(BodyExt::boxed),
        };
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new().serve_connection(io, service);
    (client, tokio::spawn(connection.into_future()))
}

async fn exchange(log: &Log, request: &str) -> String {
    let (mut client, server) = serve(log.clone(), 4096);
    let head = format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    let _ = server.await.unwrap();
    answer
}

#[tokio::test]
async fn through_a_real_server() {
    let log = finished("0123456789".repeat(2000).as_bytes());
    let answer = exchange(&log, "GET / HTTP/1.1").await;
    assert!(answer.contains("content-length: 20000\r\n"));
    assert!(answer.ends_with("789") && answer.len() > 20_000);
    let answer = exchange(&log, "GET / HTTP/1.1\r\nrange: bytes=19990-").await;
    assert!(answer.starts_with("HTTP/1.1 206 Partial Content\r\n"));
    assert!(answer.contains("content-range: bytes 19990-19999/20000\r\n"));
    assert!(answer.ends_with("\r\n\r\n0123456789"));
    let answer = exchange(&log, "HEAD / HTTP/1.1").await;
    assert!(answer.contains("content-length: 20000\r\n") && answer.ends_with("\r\n\r\n"));
    let answer = exchange(&log, "GET / HTTP/1.1\r\nrange: bytes=20000-").await;
    assert!(answer.starts_with("HTTP/1.1 416 ") && answer.contains("bytes */20000\r\n"));
    let answer = exchange(&log, "GET /events HTTP/1.1\r\nlast-event-id: 19999").await;
    assert!(answer.contains("data: \"9\"\nid: 20000\n\n"));
    let answer = exchange(&log, "GET /events HTTP/1.1\r\nlast-event-id: 20000/end").await;
    assert!(answer.starts_with("HTTP/1.1 204 "));

    // The client of an aborted log can tell: the last chunk is missing.
    let (mut writer, log) = livelog::log(Config::default());
    writer.append_slice(b"half").unwrap();
    drop(writer);
    let answer = exchange(&log, "GET / HTTP/1.1").await;
    assert!(answer.contains("half") && !answer.ends_with("0\r\n\r\n"));
}

#[tokio::test(start_paused = true)]
async fn stalled_readers_are_dropped_and_slow_ones_are_not() {
    let log = finished(&vec![b'x'; 600_000]);
    let (mut stalled, server) = serve(log.clone(), 4096);
    stalled
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let begun = tokio::time::Instant::now();
    let ended = timeout(Duration::from_secs(600), server).await;
    assert!(ended.expect("still served").unwrap().is_err());
    assert_eq!(begun.elapsed().as_secs(), 60);

    let (mut slow, server) = serve(log, 4096);
    slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut read = 0;
    let mut buffer = [0; 8192];
    loop {
        tokio::time::sleep(Duration::from_secs(40)).await;
        match slow.read(&mut buffer).await.unwrap() {
            0 => break,
            n => read += n,
        }
    }
    assert!(read > 600_000);
    server.await.unwrap().unwrap();
}
