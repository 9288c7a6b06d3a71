//! Logs and events as they happen.

use std::time::Duration;

use axum::body::BodyDataStream;
use buildfarm_coordinator::Event;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;

const LOG: &str = "/api/v1/builds/1/log";

async fn ranged(farm: &FakeFarm, range: &str) -> Answer {
    send(
        farm,
        Request::get(LOG)
            .header("range", range)
            .body(Body::empty())
            .expect("a request"),
    )
    .await
}

/// A stream that is under way.
async fn open(farm: &FakeFarm, target: &str) -> (HeaderMap, BodyDataStream) {
    let response = ask(
        farm,
        Request::get(target).body(Body::empty()).expect("a request"),
    )
    .await;
    assert_eq!(response.status(), StatusCode::OK, "{target}");
    let (head, body) = response.into_parts();
    (head.headers, body.into_data_stream())
}

#[tokio::test]
async fn a_log_is_its_bytes() {
    let farm = small_farm();
    let id = farm.start(1, "w1", &[], ago(9));
    let bytes: Vec<u8> = (0..10_000).map(|n| (n % 251) as u8).collect();
    farm.logs.append(id, &bytes);
    let answer = page(&farm, LOG).await;
    assert_eq!(answer.body, bytes);
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("content-length"), "10000");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let told = |answer: &Answer| {
        ["x-log-attempt", "x-log-offset", "x-log-complete"]
            .map(|name| answer.header(name).to_owned())
    };
    assert_eq!(told(&answer), ["1", "0", "false"]);
    farm.finish(id, Outcome::Passed, "", true, ago(1));
    let answer = page(&farm, &format!("{LOG}?offset=9990&attempt=1")).await;
    assert_eq!(answer.body, bytes[9990..]);
    assert_eq!(told(&answer), ["1", "9990", "true"]);
    for offset in [10_000, 10_001, i64::MAX] {
        assert_eq!(
            page(&farm, &format!("{LOG}?offset={offset}")).await.body,
            b""
        );
    }
}

#[tokio::test]
async fn ranges_are_served_where_they_mean_something() {
    let farm = small_farm();
    let id = farm.start(1, "w1", &[], ago(9));
    farm.logs.append(id, "0123456789");
    for (range, body, content_range) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
    ] {
        let answer = ranged(&farm, range).await;
        assert_eq!(
            (answer.status, answer.text()),
            (StatusCode::PARTIAL_CONTENT, body)
        );
        assert_eq!(answer.header("content-range"), content_range);
        assert_eq!(answer.header("content-length"), body.len().to_string());
    }
    let answer = ranged(&farm, "bytes=10-").await;
    assert_eq!(
        (answer.status, answer.header("content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10")
    );
    assert_eq!(ranged(&farm, "bytes=0-1,3-4").await.text(), "0123456789");
}

/// Many readers that break off and come back, while the log grows, all get all of it once.
#[tokio::test]
async fn followers_lose_nothing_and_get_nothing_twice() {
    let farm = small_farm();
    let id = farm.start(1, "w1", &[], ago(9));
    let text: Vec<u8> = (0..3_000)
        .flat_map(|n| format!("line {n} é\n").into_bytes())
        .collect();
    let writer = {
        let (farm, text) = (farm.clone(), text.clone());
        async move {
            for piece in text.chunks(997) {
                farm.logs.append(id, piece);
                tokio::task::yield_now().await;
            }
            farm.finish(id, Outcome::Passed, "", true, ago(0));
        }
    };
    let reader = async |patience: usize| {
        let mut read = Vec::new();
        loop {
            let (headers, mut body) =
                open(&farm, &format!("{LOG}?follow=1&offset={}", read.len())).await;
            assert_eq!(headers["x-log-offset"], read.len().to_string());
            assert!(!headers.contains_key("content-length"));
            let mut ended = true;
            let mut chunks = 0;
            while let Some(chunk) = body.next().await {
                read.extend_from_slice(&chunk.expect("a chunk"));
                chunks += 1;
                if chunks == patience {
                    ended = false;
                    break;
                }
            }
            if ended {
                return read;
            }
        }
    };
    let (a, b, c, ()) = tokio::join!(reader(1), reader(7), reader(usize::MAX), writer);
    assert!(a == text && b == text && c == text);
}

#[tokio::test]
async fn a_follower_gets_bytes_as_soon_as_they_are_there() {
    let farm = small_farm();
    let id = farm.start(1, "w1", &[], ago(9));
    let (_, mut body) = open(&farm, &format!("{LOG}?follow=1")).await;
    farm.logs.append(id, "now");
    assert_eq!(body.next().await.expect("a chunk").expect("bytes"), "now");
    assert!(futures_util::poll!(body.next()).is_pending());
    // A writer that dies ends the log: what it left is all there will be.
    farm.logs.append(id, "!");
    farm.logs.cut(id);
    assert_eq!(body.next().await.expect("a chunk").expect("bytes"), "!");
    assert!(body.next().await.is_none());
}

/// The next event that is not the greeting.
async fn event(body: &mut BodyDataStream) -> (String, Value) {
    loop {
        let bytes = body
            .next()
            .await
            .expect("the stream goes on")
            .expect("bytes");
        let text = std::str::from_utf8(&bytes).expect("UTF-8");
        assert!(text.ends_with("\n\n"));
        if let Some(rest) = text.strip_prefix("event: ") {
            let (name, data) = rest
                .trim_end()
                .split_once("\ndata: ")
                .expect("an event has data");
            return (
                name.to_owned(),
                serde_json::from_str(data).expect("data is JSON on one line"),
            );
        }
    }
}

#[tokio::test]
async fn events_are_records() {
    let farm = small_farm();
    let (headers, mut body) = open(&farm, "/api/v1/events").await;
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-store");
    let id = farm.start(1, "w1", &["test"], ago(9));
    assert_eq!(
        event(&mut body).await,
        (
            "build".into(),
            serde_json::to_value(farm.store.build_now(1).expect("build").build).expect("JSON")
        )
    );
    farm.begin_step(id, 0, ago(8));
    assert_eq!(
        event(&mut body).await,
        (
            "step".into(),
            json!({ "build": 1, "attempt": 1, "step": 0, "name": "test" })
        )
    );
    farm.finish(id, Outcome::InfraFailed, "line\nbreak", false, ago(7));
    assert_eq!(event(&mut body).await.1["state"], "queued");
    let worker = page(&farm, "/api/v1/workers").await.json()[0].clone();
    let record = serde_json::from_value(worker.clone()).expect("a worker");
    farm.events.send(Event::Worker(record)).expect("a listener");
    assert_eq!(event(&mut body).await, ("worker".into(), worker));
    farm.events
        .send(Event::Notice("disk\n\nevent: build".into()))
        .expect("a listener");
    assert_eq!(
        event(&mut body).await,
        ("notice".into(), json!({ "text": "disk\n\nevent: build" }))
    );
}

#[tokio::test]
async fn a_commit_is_told_as_all_its_builds() {
    let farm = FakeFarm::new();
    let (_, mut body) = open(&farm, "/api/v1/events").await;
    let _greeting = body.next().await;
    farm.commit(commit(HASH), &["a", "b"], ago(0));
    let bytes = body
        .next()
        .await
        .expect("the stream goes on")
        .expect("bytes");
    assert_eq!(
        bytes
            .windows(13)
            .filter(|part| part == b"event: build\n")
            .count(),
        2
    );
}

#[tokio::test]
async fn who_reads_too_slowly_is_told_to_look_again() {
    let farm = small_farm();
    let (_, mut body) = open(&farm, "/api/v1/events").await;
    for n in 0..40 {
        farm.events
            .send(Event::Notice(n.to_string()))
            .expect("a listener");
    }
    assert_eq!(
        event(&mut body).await,
        ("resync".into(), json!({ "missed": 24 }))
    );
    assert_eq!(
        event(&mut body).await,
        ("notice".into(), json!({ "text": "24" }))
    );
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_every_fifteen_seconds() {
    let farm = small_farm();
    let (_, mut body) = open(&farm, "/api/v1/events").await;
    let _greeting = body.next().await;
    for _ in 0..3 {
        assert!(timeout(Duration::from_secs(14), body.next()).await.is_err());
        let beat = timeout(Duration::from_secs(2), body.next())
            .await
            .expect("in time");
        assert!(
            beat.expect("the stream goes on")
                .expect("bytes")
                .starts_with(b":")
        );
    }
}

#[tokio::test]
async fn a_farm_that_closes_ends_its_streams() {
    let farm = small_farm();
    let (_, mut body) = open(&farm, "/api/v1/events").await;
    let _greeting = body.next().await;
    drop(farm);
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn streams_are_counted() {
    let farm = small_farm();
    let service = router(farm.view());
    let request = || {
        Request::get("/api/v1/events")
            .body(Body::empty())
            .expect("a request")
    };
    let mut held = Vec::new();
    let refused = loop {
        let response = service
            .clone()
            .oneshot(request())
            .await
            .expect("the router always answers");
        if response.status() != StatusCode::OK {
            break response;
        }
        held.push(response);
        assert!(held.len() < 10_000, "no limit");
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    held.pop();
    let again = service
        .oneshot(request())
        .await
        .expect("the router always answers");
    assert_eq!(again.status(), StatusCode::OK);
}
