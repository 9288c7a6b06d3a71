//! One port: who is served how, what noise does, and how it stops.

mod common;

use std::error::Error as _;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use buildfarm_https::client::{danger_no_verification, pinned};
use buildfarm_https::{Limits, Plain, ServeError, Server};
use common::{Running, ask, connect, identity, rest, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

async fn tcp(running: &Running) -> TcpStream {
    TcpStream::connect(running.addr).await.expect("connected")
}

#[tokio::test]
async fn one_port_speaks_both() {
    let identity = identity();
    let pin = identity.spki_sha256();
    let running = start(Some(identity), Plain::Loopback, Limits::default()).await;
    let answer = ask(tcp(&running).await, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("plain 127.0.0.1"), "{answer}");

    let tls = connect(running.addr, pinned(pin), "localhost")
        .await
        .unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let answer = ask(tls, "/").await;
    assert!(answer.ends_with("tls 127.0.0.1"), "{answer}");
    running.finish().await;
}

#[tokio::test]
async fn plain_http_by_policy() {
    let identity = identity();
    for (plain, status, location) in [
        (Plain::Serve, "200", None),
        (Plain::Loopback, "200", None),
        (
            Plain::Redirect,
            "308",
            Some("https://farm.example:8119/a?b=c"),
        ),
        (Plain::Refuse, "403", None),
    ] {
        let running = start(Some(identity.clone()), plain, Limits::default()).await;
        let path = if location.is_some() { "/a?b=c" } else { "/" };
        let answer = ask(tcp(&running).await, path).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{plain:?}: {answer}"
        );
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("location: "));
        assert_eq!(line, location, "{plain:?}");

        let tls = connect(running.addr, danger_no_verification(), "localhost")
            .await
            .unwrap();
        assert!(ask(tls, "/").await.contains("tls 127.0.0.1"), "{plain:?}");
        running.finish().await;
    }
}

#[tokio::test]
async fn without_a_certificate_only_plain_http() {
    let running = start(None, Plain::Loopback, Limits::default()).await;
    assert!(
        ask(tcp(&running).await, "/")
            .await
            .ends_with("plain 127.0.0.1")
    );
    let error = connect(running.addr, danger_no_verification(), "localhost").await;
    assert!(error.is_err());
    running.finish().await;

    let running = start(None, Plain::Refuse, Limits::default()).await;
    assert!(
        ask(tcp(&running).await, "/")
            .await
            .starts_with("HTTP/1.1 403")
    );
    running.finish().await;

    let running = start(None, Plain::Redirect, Limits::default()).await;
    let served = running.served.await.unwrap();
    assert!(matches!(served, Err(ServeError::NoIdentity)), "{served:?}");
}

#[tokio::test]
async fn noise_is_closed_and_does_no_harm() {
    let running = start(Some(identity()), Plain::Serve, Limits::default()).await;
    for noise in [
        &b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c",
        b"\x80\x2e\x01\x00\x02",
        b"\0",
        b"get / http/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b" ",
    ] {
        let mut tcp = tcp(&running).await;
        tcp.write_all(noise).await.unwrap();
        assert_eq!(rest(tcp).await, "", "{noise:?}");
    }
    // These look like HTTP at first, so HTTP answers them.
    for noise in [
        &b"SSH-2.0-x\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"PROXYING / HTTP\r\n\r\n",
    ] {
        let mut tcp = tcp(&running).await;
        tcp.write_all(noise).await.unwrap();
        let answer = rest(tcp).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{noise:?}: {answer}");
    }
    // A TLS record that is none, and one that never comes to its end.
    for noise in [
        &b"\x16garbage, and enough of it to be refused"[..],
        b"\x16\x03\x01",
    ] {
        let mut tcp = tcp(&running).await;
        tcp.write_all(noise).await.unwrap();
        tcp.shutdown().await.unwrap();
        rest(tcp).await;
    }
    drop(tcp(&running).await);
    assert!(
        ask(tcp(&running).await, "/")
            .await
            .starts_with("HTTP/1.1 200")
    );
    running.finish().await;
}

#[tokio::test]
async fn who_does_not_start_is_closed() {
    let limits = limits(|limits| limits.handshake = Duration::from_millis(30));
    let running = start(Some(identity()), Plain::Serve, limits).await;
    for beginning in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00"] {
        let mut tcp = tcp(&running).await;
        tcp.write_all(beginning).await.unwrap();
        assert_eq!(rest(tcp).await, "", "{beginning:?}");
    }
    running.finish().await;
}

#[tokio::test]
async fn a_slow_request_head_is_cut() {
    let limits = limits(|limits| limits.http.head_timeout = Duration::from_millis(30));
    let running = start(Some(identity()), Plain::Serve, limits).await;
    let mut plain = tcp(&running).await;
    plain.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    rest(plain).await;
    let mut tls = connect(running.addr, danger_no_verification(), "localhost")
        .await
        .unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    rest(tls).await;
    running.finish().await;
}

#[tokio::test]
async fn a_handler_takes_the_connection_over() {
    let running = start(Some(identity()), Plain::Loopback, Limits::default()).await;
    let mut tls = connect(running.addr, danger_no_verification(), "localhost")
        .await
        .unwrap();
    // As Go's peers do it: no Upgrade header, an empty Host, and bytes right behind the head.
    tls.write_all(b"GET /echo HTTP/1.1\r\nHost: \r\n\r\nearly ")
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tls.read_u8().await.unwrap());
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    tls.write_all(b"late").await.unwrap();
    let mut echo = [0; 10];
    tls.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"early late");
    tls.shutdown().await.unwrap();
    assert_eq!(rest(tls).await, "");
    running.finish().await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_after_the_stop() {
    let running = start(Some(identity()), Plain::Loopback, Limits::default()).await;
    let tls = connect(running.addr, danger_no_verification(), "localhost")
        .await
        .unwrap();
    let request = tokio::spawn(ask(tls, "/held"));
    running.gate.wait_entered().await;

    // One that only stays open, and one that has not said anything, must not delay the stop.
    let mut idle = tcp(&running).await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    idle.read_u8().await.unwrap();
    let silent = tcp(&running).await;

    running.stop.cancel();
    rest(idle).await;
    assert_eq!(rest(silent).await, "");
    running.gate.released.add_permits(1);
    assert!(request.await.unwrap().ends_with("released"));
    running.served.await.unwrap().unwrap();
    let refused = TcpStream::connect(running.addr).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn after_the_grace_the_rest_is_cut() {
    let limits = limits(|limits| limits.grace = Duration::from_millis(30));
    let running = start(None, Plain::Loopback, limits).await;
    let request = tokio::spawn(ask(tcp(&running).await, "/held"));
    running.gate.wait_entered().await;
    running.stop.cancel();
    running.served.await.unwrap().unwrap();
    assert_eq!(request.await.unwrap(), "");
}

#[tokio::test]
async fn dropping_the_future_closes_everything() {
    let running = start(None, Plain::Loopback, Limits::default()).await;
    let request = tokio::spawn(ask(tcp(&running).await, "/held"));
    running.gate.wait_entered().await;
    running.served.abort();
    assert_eq!(request.await.unwrap(), "");
    assert!(running.served.await.unwrap_err().is_cancelled());
    TcpStream::connect(running.addr).await.unwrap_err();
}

#[tokio::test]
async fn over_the_cap_connections_wait() {
    let limits = limits(|limits| limits.connections = 1);
    let running = start(None, Plain::Loopback, limits).await;
    let requests: Vec<_> = (0..5)
        .map(|_| {
            let addr = running.addr;
            tokio::spawn(async move { ask(TcpStream::connect(addr).await.unwrap(), "/held").await })
        })
        .collect();
    for _ in 0..5 {
        running.gate.wait_entered().await;
        running.gate.released.add_permits(1);
    }
    for request in requests {
        assert!(request.await.unwrap().ends_with("released"));
    }
    assert_eq!(running.gate.most_inside.load(Ordering::SeqCst), 1);
    running.finish().await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let running = start(None, Plain::Loopback, Limits::default()).await;
    let error = Server::bind(running.addr).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {}", running.addr)
    );
    assert!(error.source().is_some());
    running.finish().await;

    let error = Server::bind("256.0.0.1:x").await.unwrap_err();
    assert_eq!(error.to_string(), "cannot listen on 256.0.0.1:x");
}

#[tokio::test]
async fn stopped_before_it_starts() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    server
        .serve(common::app(common::Gate::new()), stop)
        .await
        .unwrap();
}
