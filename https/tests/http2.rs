//! HTTP/2 on the same port, over TLS and in the clear, for servers that have it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use axum::body::Body;
use buildfarm_https::client::danger_no_verification;
use buildfarm_https::{Plain, Server};
use common::{Gate, Running, app, ask, connect, identity};
use http::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use revdial::Io;
use rustls::ClientConfig;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

async fn start(plain: Plain) -> Running {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let server = server.identity(identity()).plain(plain).http2();
    let (addr, stop, gate) = (server.local_addr(), CancellationToken::new(), Gate::new());
    let served = tokio::spawn(server.serve(app(gate.clone()), stop.clone()));
    Running {
        addr,
        stop,
        served,
        gate,
    }
}

type Requests = hyper::client::conn::http2::SendRequest<Body>;

async fn http2(io: impl Io) -> hyper::Result<Requests> {
    let io = TokioIo::new(io);
    let (requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    Ok(requests)
}

async fn get(requests: &mut Requests, path: &str) -> hyper::Result<(StatusCode, String)> {
    let request = Request::get(format!("http://localhost{path}"));
    let request = request.body(Body::empty()).unwrap();
    let answer = requests.send_request(request).await?;
    assert_eq!(answer.version(), Version::HTTP_2);
    let status = answer.status();
    let body = axum::body::to_bytes(Body::new(answer.into_body()), 1000).await;
    let body = String::from_utf8(body.unwrap().to_vec()).unwrap();
    Ok((status, body))
}

fn trusting(protocols: &[&str]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&danger_no_verification());
    let bytes = |name: &&str| name.as_bytes().to_vec();
    config.alpn_protocols = protocols.iter().map(bytes).collect();
    Arc::new(config)
}

#[tokio::test]
async fn whoever_asks_for_it_gets_it() {
    let running = start(Plain::Loopback).await;
    let tls = connect(running.addr, trusting(&["h2"]), "localhost").await;
    let mut over_tls = http2(tls.unwrap()).await.unwrap();
    let mut plain = http2(TcpStream::connect(running.addr).await.unwrap())
        .await
        .unwrap();
    for _ in 0..3 {
        let answer = get(&mut over_tls, "/").await.unwrap();
        assert_eq!(answer, (StatusCode::OK, "tls 127.0.0.1".into()));
        let answer = get(&mut plain, "/").await.unwrap();
        assert_eq!(answer, (StatusCode::OK, "plain 127.0.0.1".into()));
    }
    // The others go on as before.
    for protocols in [&["http/1.1"][..], &[]] {
        let tls = connect(running.addr, trusting(protocols), "localhost").await;
        assert!(ask(tls.unwrap(), "/").await.starts_with("HTTP/1.1 200"));
    }
    let tcp = TcpStream::connect(running.addr).await.unwrap();
    assert!(ask(tcp, "/").await.starts_with("HTTP/1.1 200"));
    running.finish().await;
}

#[tokio::test]
async fn what_has_begun_ends_after_the_stop() {
    let running = start(Plain::Loopback).await;
    let tls = connect(running.addr, trusting(&["h2"]), "localhost").await;
    let mut requests = http2(tls.unwrap()).await.unwrap();
    let mut same = requests.clone();
    let held = tokio::spawn(async move { get(&mut same, "/held").await });
    running.gate.wait_entered().await;
    running.stop.cancel();
    running.gate.released.add_permits(1);
    let answer = held.await.unwrap().unwrap();
    assert_eq!(answer, (StatusCode::OK, "released".into()));
    running.served.await.unwrap().unwrap();
    assert!(get(&mut requests, "/").await.is_err());
}

#[tokio::test]
async fn the_policy_for_plain_http_holds() {
    for plain in [Plain::Redirect, Plain::Refuse] {
        let running = start(plain).await;
        let tcp = TcpStream::connect(running.addr).await.unwrap();
        if let Ok(mut requests) = http2(tcp).await {
            assert!(get(&mut requests, "/").await.is_err(), "{plain:?}");
        }
        running.finish().await;
    }
}
