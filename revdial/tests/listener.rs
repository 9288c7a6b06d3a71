//! The listener against a scripted dialer and a scripted server.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use revdial::{AcceptError, CloseReason, Connect, Listener, ListenerConfig, Stream};
use support::{Script, pipe, secs};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

const ALIVE: &str = "{\"command\":\"keep-alive\",\"every_ms\":5000}\n";
const GO_101: &[u8] = b"HTTP/0.0 101 Switching Protocols\r\n\r\n";

/// The server's ends of connections as the listener opens them.
struct Server(mpsc::UnboundedReceiver<Stream>);

fn connector() -> (impl Connect, Server) {
    let (opened, connections) = mpsc::unbounded_channel();
    let connect = move || {
        let (near, far) = pipe();
        let taken = opened.send(far).map(|()| near);
        async { taken.map_err(|_| io::Error::other("no route")) }
    };
    (connect, Server(connections))
}

impl Server {
    /// The next connection and the request head on it.
    async fn request(&mut self) -> (Stream, String) {
        let mut stream = timeout(secs(60), self.0.recv())
            .await
            .expect("nobody connects")
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        (stream, String::from_utf8(head).unwrap())
    }

    async fn answer(&mut self, answer: &[u8]) -> Stream {
        let (mut stream, _) = self.request().await;
        stream.write_all(answer).await.unwrap();
        stream
    }
}

fn start() -> (Listener, Script, Server) {
    start_with(ListenerConfig::default())
}

fn start_with(config: ListenerConfig) -> (Listener, Script, Server) {
    let (script, control) = Script::new();
    let (connect, server) = connector();
    (Listener::new(control, connect, config), script, server)
}

fn ready(path: &str) -> String {
    format!("{{\"command\":\"conn-ready\",\"connPath\":\"{path}\"}}\n")
}

#[tokio::test(start_paused = true)]
async fn what_a_go_dialer_and_its_server_see() {
    let (mut listener, mut script, mut server) = start();
    assert_eq!(script.line().await, ALIVE);
    script.send("{\"command\":\"keep-alive\"}\n").await;
    script.send("{\"command\":\"conn-ready\",\"connPath\":\"/revdial?revdial.dialer=e97a716ef5a0c77c3488a2bba14069a9\"}\n").await;
    script.send("{\"command\":\"keep-alive\"}\n").await;
    let (mut far, head) = server.request().await;
    assert_eq!(
        head,
        "GET /revdial?revdial.dialer=e97a716ef5a0c77c3488a2bba14069a9 HTTP/1.1\r\nHost: \r\n\
         User-Agent: Go-http-client/1.1\r\n\r\n"
    );
    // The answer and the first request in one segment, as TLS here delivers them.
    far.write_all(&[GO_101, b"GET /status"].concat())
        .await
        .unwrap();
    let mut stream = listener.accept().await.unwrap();
    let mut got = [0; 11];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"GET /status");
    stream.write_all(b"200").await.unwrap();
    let mut got = [0; 3];
    far.read_exact(&mut got).await.unwrap();
    listener.close();
    assert_eq!(script.end().await, "{\"command\":\"close\"}\n");
    // Accepted connections live on.
    stream.write_all(b"more").await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'm');
}

#[tokio::test(start_paused = true)]
async fn failures_are_reported_as_go_words_them() {
    let (_listener, mut script, mut server) = start();
    script.send(&ready("/x?revdial.dialer=1")).await;
    server
        .answer(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 8\r\n\r\nunknown\n")
        .await;
    assert_eq!(
        script.order().await,
        "{\"command\":\"pickup-failed\",\"connPath\":\"/x?revdial.dialer=1\",\"err\":\"switch failed: want HTTP status 101 or 307; got 400 Bad Request:\\n\\tunknown\\n\"}\n"
    );
    script.send(&ready("/x")).await;
    let to = |path: &str| {
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n")
    };
    let (mut far, _) = server.request().await;
    far.write_all(to("/y").as_bytes()).await.unwrap();
    far.write_all(to("/z").as_bytes()).await.unwrap();
    assert_eq!(
        script.order().await,
        "{\"command\":\"pickup-failed\",\"connPath\":\"/x\",\"err\":\"too many redirects\"}\n"
    );
    script.send(&ready("/gone")).await;
    drop(server.request().await);
    assert_eq!(
        script.order().await,
        "{\"command\":\"pickup-failed\",\"connPath\":\"/gone\",\"err\":\"switch failed: error reading response: unexpected end of file\"}\n"
    );
    drop(server);
    script.send(&ready("/x?revdial.dialer=1")).await;
    assert_eq!(
        script.order().await,
        "{\"command\":\"pickup-failed\",\"connPath\":\"/x?revdial.dialer=1\",\"err\":\"no route\"}\n"
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_text_may_be_huge() {
    let (_listener, mut script, mut server) = start();
    script.send(&ready("/x")).await;
    let body = "<\u{1}>".repeat(30_000);
    server
        .answer(
            format!(
                "HTTP/1.1 500 Oops\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )
        .await;
    let line = script.order().await;
    assert!(
        line.len() <= 4096 && line.ends_with("\"}\n") && !line.contains("\\u0001"),
        "{line}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_followed() {
    let (mut listener, mut script, mut server) = start();
    script.send(&ready("/revdial?revdial.dialer=00")).await;
    let (mut far, _) = server.request().await;
    far.write_all(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /host/revdial?revdial.dialer=00\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    let mut second = [0; 44];
    far.read_exact(&mut second).await.unwrap();
    assert!(
        second.starts_with(b"GET /host/revdial?revdial.dialer=00 HTTP/1.1"),
        "{}",
        String::from_utf8_lossy(&second)
    );
    far.write_all(GO_101).await.unwrap();
    listener.accept().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn paths_from_the_peer_are_not_trusted() {
    let (mut listener, mut script, mut server) = start();
    let long = format!("/{}", "x".repeat(3000));
    for bad in [
        "",
        "revdial",
        "http://evil/",
        "/a b",
        "/a\\r\\nX: y",
        "/\\u0000",
        "/\\u00e9",
        long.as_str(),
    ] {
        script.send(&ready(bad)).await;
        let answer = script.order().await;
        assert!(
            answer.contains("\"err\":\"refusing connPath: path "),
            "{bad:?}: {answer}"
        );
    }
    script.send("{\"command\":\"conn-ready\"}\n").await;
    assert!(script.order().await.contains("does not start with a slash"));
    // Odd, but harmless: it is the server's business.
    script.send(&ready("/%zz")).await;
    let (mut far, head) = server.request().await;
    assert!(head.starts_with("GET /%zz HTTP/1.1\r\n"));
    far.write_all(GO_101).await.unwrap();
    listener.accept().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_step_of_a_pickup_is_limited() {
    let (script_control, control) = Script::new();
    let mut script = script_control;
    let never = || std::future::pending::<io::Result<Stream>>();
    let _listener = Listener::new(control, never, ListenerConfig::default());
    let begin = Instant::now();
    script.send(&ready("/x")).await;
    let report = script.order().await;
    assert_eq!(begin.elapsed(), secs(20));
    assert!(
        report.contains("connecting took longer than 20s"),
        "{report}"
    );

    let (_listener, mut script, mut server) = start();
    script.send(&ready("/x")).await;
    let (mut far, _) = server.request().await;
    let begin = Instant::now();
    far.write_all(b"HTTP/1.1 101 Swit").await.unwrap();
    let report = script.order().await;
    assert_eq!(begin.elapsed(), secs(30));
    assert!(
        report.contains("switch failed: no answer within 30s"),
        "{report}"
    );
    assert_eq!(
        far.read(&mut [0; 8]).await.unwrap(),
        0,
        "given up means closed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_answered_within_bounds() {
    let (opened, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (Arc::clone(&opened), Arc::clone(&peak));
    let connect = move || {
        let (opened, peak) = counted.clone();
        peak.fetch_max(
            opened.fetch_add(1, Ordering::Relaxed) + 1,
            Ordering::Relaxed,
        );
        async move {
            sleep(secs(1)).await;
            opened.fetch_sub(1, Ordering::Relaxed);
            Err::<Stream, _>(io::Error::other("no"))
        }
    };
    let (mut script, control) = Script::new();
    let config = ListenerConfig {
        max_pickups: 4,
        max_waiting: 16,
        ..ListenerConfig::default()
    };
    let listener = Listener::new(control, connect, config);
    script.send(&ready("/x").repeat(50)).await;
    let mut answers = Vec::new();
    for _ in 0..50 {
        answers.push(script.order().await);
    }
    let refused = answers
        .iter()
        .filter(|line| line.contains("too many pickups under way"))
        .count();
    assert_eq!((refused, answers.len()), (30, 50));
    assert_eq!(peak.load(Ordering::Relaxed), 4);
    // Far more than anybody wants to answer: some go unanswered, nothing stops.
    script.send(&ready("bad").repeat(1000)).await;
    sleep(secs(1)).await;
    assert!(!listener.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_application_does_not_stop_the_control_connection() {
    let (mut listener, mut script, mut server) = start_with(ListenerConfig {
        accept_queue: 1,
        ..ListenerConfig::default()
    });
    let mut far = Vec::new();
    for _ in 0..5 {
        script.send(&ready("/x")).await;
        far.push(server.answer(GO_101).await);
    }
    for _ in 0..20 {
        assert_eq!(script.line().await, ALIVE);
        script.send(ALIVE).await;
    }
    assert!(!listener.is_closed());
    for _ in 0..5 {
        listener.accept().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn closing_during_pickups_harms_nobody() {
    for way in 0..3 {
        let (mut listener, mut script, mut server) = start_with(ListenerConfig {
            accept_queue: 1,
            ..ListenerConfig::default()
        });
        // One accepted by nobody yet, one that finds the queue full, one half-way.
        script.send(&ready("/x").repeat(3)).await;
        let queued = server.answer(GO_101).await;
        let _ = script.line().await;
        let mut full = server.answer(GO_101).await;
        let (mut half, _) = server.request().await;
        sleep(secs(1)).await;
        let closed = listener.closed();
        let expected = match way {
            0 => {
                listener.close();
                CloseReason::Local
            }
            1 => {
                drop(script);
                CloseReason::Peer(None)
            }
            _ => {
                script
                    .send("{\"command\":\"close\",\"err\":\"restart\"}\n")
                    .await;
                CloseReason::Peer(Some("restart".to_owned()))
            }
        };
        let reason = timeout(secs(1), closed).await.unwrap();
        assert_eq!(reason.to_string(), expected.to_string());
        assert_eq!(half.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(full.read(&mut [0; 8]).await.unwrap(), 0);
        // What was there before the end is given out first.
        listener.accept().await.unwrap();
        let AcceptError::Closed(reason) = listener.accept().await.unwrap_err() else {
            unreachable!()
        };
        assert_eq!(reason.to_string(), expected.to_string());
        assert!(listener.is_closed());
        drop(queued);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_it_stops_everything() {
    let (listener, mut script, mut server) = start();
    script.send(&ready("/x")).await;
    let (mut half, _) = server.request().await;
    let closed = listener.closed();
    drop(listener);
    assert!(matches!(closed.await, CloseReason::Local));
    assert_eq!(half.read(&mut [0; 8]).await.unwrap(), 0);
    script.end().await;
}

#[tokio::test(start_paused = true)]
async fn silence_is_judged_by_what_the_dialer_announced() {
    let go = "{\"command\":\"keep-alive\"}\n".to_owned();
    for (line, patience) in [
        (None, 90),
        (Some(go), 90),
        (Some(ALIVE.to_owned()), 15),
        (Some(ALIVE.replace("5000", "10000")), 30),
        (Some(ALIVE.replace("5000", "40000")), 90),
    ] {
        let (listener, mut script, _server) = start();
        let begin = Instant::now();
        if let Some(line) = line {
            script.send(&line).await;
        }
        let reason = listener.closed().await;
        assert_eq!(begin.elapsed(), secs(patience));
        assert!(matches!(reason, CloseReason::Idle(limit) if limit == secs(patience)));
    }
}
