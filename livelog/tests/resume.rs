//! Clients that stall until the server drops them, and go on where they were: by range and by event id.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use livelog::http::{DropStalled, EventsConfig, events, respond};
use livelog::{Backing, Bytes, Config, Log, Writer};
use tokio::io::duplex;
use tokio::time::{Instant, sleep, timeout};

const STALL: Duration = Duration::from_secs(60);
const TOTAL: usize = 1_200_000;

/// Lines, all of them different; no character that JSON escapes but the line ends.
fn text(from: usize, to: usize) -> Vec<u8> {
    let line = |i: usize| format!("line {i:09}\n").into_bytes();
    let all = (from / 15..=to / 15).flat_map(line).collect::<Vec<_>>();
    all[from % 15..][..to - from].to_vec()
}

fn logs() -> impl Iterator<Item = (Writer, Log)> {
    let backings = [
        Backing::Memory,
        Backing::Spill {
            memory: 10_000,
            dir: None,
        },
    ];
    backings.into_iter().map(|backing| {
        livelog::log(Config {
            backing,
            ..Config::default()
        })
    })
}

/// Appends for five minutes, and finishes.
async fn write(mut writer: Writer) {
    for i in 0..300 {
        let (from, to) = (i * TOTAL / 300, (i + 1) * TOTAL / 300);
        writer.append(text(from, to).into()).unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    writer.finish();
}

/// A request over a connection of its own, whose other end gives up clients that stall.
async fn ask(log: &Log, request: http::request::Builder) -> Response<Incoming> {
    let (client, server) = duplex(4096);
    let log = log.clone();
    let service = service_fn(move |request: Request<_>| {
        let response = match request.uri().path() {
            "/events" => events(&log, &request, &EventsConfig::default()).map(BodyExt::boxed),
            _ => respond(&log, &request).map(BodyExt::boxed),
        };
        async { Ok::<_, Infallible>(response) }
    });
    let io = TokioIo::new(DropStalled::new(server, STALL));
    let server = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
    tokio::spawn(server.into_future());
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(client));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    sender.send_request(request).await.unwrap()
}

/// Takes at least `enough` bytes, then nothing until the server has dropped the connection, then what is left.
///
/// `true`: the answer was complete, or ended before there were so many bytes.
async fn take_and_stall(body: &mut Incoming, enough: usize, into: &mut Vec<u8>) -> bool {
    let (begun, before) = (into.len(), Instant::now());
    let mut has_stalled = false;
    loop {
        if into.len() - begun >= enough && !has_stalled {
            has_stalled = true;
            sleep(STALL + Duration::from_secs(30)).await;
        }
        match timeout(STALL * 10, body.frame()).await.unwrap() {
            Some(Ok(frame)) => into.extend_from_slice(&frame.into_data().unwrap()),
            Some(Err(_)) => {
                assert!(has_stalled && before.elapsed() > STALL, "it was not slow");
                return false;
            }
            None => return true,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn by_range() {
    for (writer, log) in logs() {
        let writing = tokio::spawn(write(writer));
        let response = ask(&log, Request::get("/")).await;
        assert_eq!(response.status(), StatusCode::OK);
        let tag = response.headers()["etag"].clone();
        let mut seen = Vec::new();
        let mut body = response.into_body();
        assert!(!take_and_stall(&mut body, 100_000, &mut seen).await);
        assert!(seen.len() >= 100_000 && seen.len() < TOTAL);

        let mut cut_off = 0;
        loop {
            let range = format!("bytes={}-", seen.len());
            let request = Request::get("/").header("range", range);
            let response = ask(&log, request.header("if-range", &tag)).await;
            let content_range = response.headers()["content-range"].to_str().unwrap();
            if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                // Nothing more yet.
                assert_eq!(content_range, format!("bytes */{}", seen.len()));
                sleep(Duration::from_secs(1)).await;
                continue;
            }
            assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
            assert_eq!(response.headers()["etag"], tag);
            let expected = format!("bytes {}-", seen.len());
            assert!(content_range.starts_with(&expected), "{content_range}");
            let is_last = content_range.ends_with(&format!("/{TOTAL}"));
            let complete = take_and_stall(&mut response.into_body(), 150_000, &mut seen).await;
            cut_off += u32::from(!complete);
            if complete && is_last {
                break;
            }
        }
        assert!(cut_off >= 1);
        assert!(seen == text(0, TOTAL));
        writing.await.unwrap();

        // Of another log, which is no longer or shorter, a client gets everything.
        let (mut writer, other) = livelog::log(Config::default());
        writer.append(seen.into()).unwrap();
        writer.finish();
        let request = Request::get("/").header("range", "bytes=5-");
        let response = ask(&other, request.header("if-range", &tag)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body == text(0, TOTAL));
    }
}

#[tokio::test(start_paused = true)]
async fn by_event_id() {
    for (writer, log) in logs() {
        let writing = tokio::spawn(write(writer));
        let (mut texts, mut last_id, mut cut_off) = (String::new(), None::<String>, 0);
        while last_id.as_ref().is_none_or(|id| !id.ends_with("/end")) {
            let mut request = Request::get("/events");
            if let Some(id) = &last_id {
                request = request.header("last-event-id", id);
            }
            let mut body = ask(&log, request).await.into_body();
            let mut seen = Vec::new();
            cut_off += u32::from(!take_and_stall(&mut body, 200_000, &mut seen).await);
            // An event that did not come to its end does not count.
            let seen = String::from_utf8(seen).unwrap();
            let (whole, _) = seen.rsplit_once("\n\n").unwrap_or_default();
            for event in whole.split("\n\n") {
                let field = |name| event.lines().find_map(|line| line.strip_prefix(name));
                let (Some(data), Some(id)) = (field("data: "), field("id: ")) else {
                    continue;
                };
                last_id = Some(id.to_owned());
                let data = data.trim_matches('"').replace("\\n", "\n");
                if field("event: ").is_some() {
                    assert_eq!(data, "finished");
                } else {
                    texts += &data;
                    assert_eq!(id, texts.len().to_string());
                }
            }
        }
        assert!(cut_off >= 2);
        assert!(texts.as_bytes() == text(0, TOTAL));
        assert_eq!(last_id.unwrap(), format!("{TOTAL}/end"));
        writing.await.unwrap();
    }
}
