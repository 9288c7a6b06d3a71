//! Over a real reverse connection, with the worker played by the test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/reverse.rs"]
mod reverse;

use buildlet_client::{Client, CommError, DeathReason, Exec};
use common::soon;
use revdial::{Listener, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn head(stream: &mut Stream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

async fn answer_status(mut listener: Listener) {
    while let Ok(mut stream) = listener.accept().await {
        tokio::spawn(async move {
            while head(&mut stream).await.is_some() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"Version\":23}";
                stream.write_all(answer).await.unwrap();
            }
        });
    }
}

#[tokio::test]
async fn calls_go_through_picked_up_connections() {
    let (dialer, listener) = reverse::pair().await;
    tokio::spawn(answer_status(listener));
    let client = Client::over("behind-nat", dialer);
    for _ in 0..3 {
        assert_eq!(soon(client.status()).await.unwrap().version, 23);
    }
    assert_eq!(client.name(), "behind-nat");
}

#[tokio::test]
async fn the_end_of_the_registration_is_death_at_once() {
    let (dialer, mut listener) = reverse::pair().await;
    let client = Client::over("behind-nat", dialer);
    let worker = async {
        let mut stream = listener.accept().await.unwrap();
        let head = head(&mut stream).await.unwrap();
        assert!(
            head.starts_with("POST /exec HTTP/1.1\r\nHost: behind-nat\r\n"),
            "{head}"
        );
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        stream
    };
    let (_stream, running) =
        soon(async { tokio::join!(worker, client.exec(Exec::new("x"))) }).await;
    // The worker's host goes away; the stream alone would not tell for long.
    drop(listener);
    let error = soon(running.unwrap().wait()).await.unwrap_err();
    assert!(
        matches!(error, CommError::PeerDead(DeathReason::TransportClosed(_))),
        "{error:?}"
    );
    assert!(matches!(
        soon(client.dead()).await,
        DeathReason::TransportClosed(_)
    ));
}

#[tokio::test]
async fn dropping_a_command_closes_its_stream_and_no_other() {
    let (dialer, mut listener) = reverse::pair().await;
    let client = Client::over("behind-nat", dialer.clone());
    let worker = async {
        let mut stream = listener.accept().await.unwrap();
        head(&mut stream).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        stream
    };
    let (mut stream, running) =
        soon(async { tokio::join!(worker, client.exec(Exec::new("x"))) }).await;
    drop(running.unwrap());
    let mut rest = Vec::new();
    _ = soon(stream.read_to_end(&mut rest)).await;
    assert!(!dialer.is_closed());
    assert!(!client.is_dead());
}
