//! Which connection a request goes over, and what happens when that one is gone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use buildlet_client::{CommError, Exec};
use common::{quiet, soon};
use tokio::time::sleep;

#[tokio::test]
async fn connections_are_used_again() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        for _ in 0..3 {
            peer.request().await;
            peer.ok(r#"{"Version":29}"#).await;
        }
        let request = peer.request().await;
        peer.exec_head().await;
        peer.end("Process-State: ok\r\n").await;
        assert_eq!(peer.request().await.line(), "GET /workdir");
        peer.ok("/w").await;
        (request, peer)
    };
    let calls = async {
        for _ in 0..3 {
            client.status().await.unwrap();
        }
        assert!(
            client
                .exec(Exec::new("x"))
                .await
                .unwrap()
                .wait()
                .await
                .unwrap()
                .success()
        );
        assert_eq!(client.work_dir().await.unwrap(), "/w");
    };
    let ((request, _peer), ()) = soon(async { tokio::join!(server, calls) }).await;
    assert_eq!(request.line(), "POST /exec");
    assert_eq!(worker.waiting(), 0);
}

#[tokio::test]
async fn parallel_calls_do_not_wait_for_each_other() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut first = worker.accept().await;
        let mut second = worker.accept().await;
        first.request().await;
        second.request().await;
        second.ok("/w").await;
        first.ok("/w").await;
    };
    let ((), a, b) =
        soon(async { tokio::join!(server, client.work_dir(), client.work_dir()) }).await;
    a.unwrap();
    b.unwrap();
}

/// Does one call, so that a connection is idle.
async fn used_once(client: &buildlet_client::Client, worker: &mut common::Worker) -> common::Peer {
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer.ok(r#"{"Version":29}"#).await;
        peer
    };
    tokio::join!(server, async { client.status().await.unwrap() }).0
}

#[tokio::test]
async fn an_idle_connection_that_died_is_not_noticed() {
    let (client, mut worker) = quiet();
    drop(used_once(&client, &mut worker).await);
    used_once(&client, &mut worker).await;
}

#[tokio::test]
async fn one_that_dies_as_it_is_used_is_replaced_for_what_may_be_done_twice() {
    let (client, mut worker) = quiet();
    let mut peer = used_once(&client, &mut worker).await;
    let server = async {
        // The worker's idle limit struck as the request was on its way.
        peer.head().await;
        drop(peer);
        let mut peer = worker.accept().await;
        let again = peer.request().await;
        peer.ok("").await;
        again
    };
    let (again, result) = soon(async { tokio::join!(server, client.remove_all(&["a"])) }).await;
    result.unwrap();
    assert_eq!(again.body, b"path=a");
}

#[tokio::test]
async fn an_exec_is_never_sent_twice() {
    let (client, mut worker) = quiet();
    let mut peer = used_once(&client, &mut worker).await;
    let server = async {
        peer.head().await;
        drop(peer);
    };
    let ((), result) = soon(async { tokio::join!(server, client.exec(Exec::new("x"))) }).await;
    let error = result.unwrap_err();
    assert!(
        matches!(error, CommError::Lost { op: "/exec", .. }),
        "{error:?}"
    );
    assert!(error.is_retryable());
    assert_eq!(worker.waiting(), 0);
}

#[tokio::test]
async fn a_new_connection_that_breaks_is_an_error() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        peer.head().await;
    };
    let ((), result) = soon(async { tokio::join!(server, client.status()) }).await;
    assert!(matches!(result, Err(CommError::Lost { .. })), "{result:?}");
    assert_eq!(worker.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_exec_does_not_trust_a_connection_that_rested() {
    let (client, mut worker) = quiet();
    let _idle = used_once(&client, &mut worker).await;
    sleep(Duration::from_secs(6)).await;
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer.exec_head().await;
        peer.end("Process-State: ok\r\n").await;
        peer
    };
    let call = async { client.exec(Exec::new("x")).await?.wait().await };
    let (_peer, outcome) = tokio::join!(server, call);
    assert!(outcome.unwrap().success());
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_after_a_minute() {
    let (client, mut worker) = quiet();
    let mut peer = used_once(&client, &mut worker).await;
    sleep(Duration::from_secs(59)).await;
    assert!(futures_are_pending(&mut peer).await);
    peer.gone().await;
    drop(client);
}

/// Whether the client has kept the connection open.
async fn futures_are_pending(peer: &mut common::Peer) -> bool {
    tokio::time::timeout(Duration::from_millis(1), peer.gone())
        .await
        .is_err()
}

#[tokio::test]
async fn a_connection_with_an_unfinished_upload_is_not_used_again() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut first = worker.accept().await;
        first.head().await;
        first.ok("OK").await;
        let mut second = worker.accept().await;
        second.request().await;
        second.ok("/w").await;
        first
    };
    let calls = async {
        client.put_tar("", tokio::io::repeat(0)).await.unwrap();
        client.work_dir().await.unwrap();
    };
    let (mut first, ()) = soon(async { tokio::join!(server, calls) }).await;
    soon(first.gone()).await;
}

#[tokio::test]
async fn a_refused_connection_names_the_worker() {
    let (client, worker) = quiet();
    drop(worker);
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, CommError::Connect { .. }), "{error:?}");
    assert_eq!(error.to_string(), "worker w1: cannot connect");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn dropping_the_client_closes_its_idle_connections() {
    let (client, mut worker) = quiet();
    let mut peer = used_once(&client, &mut worker).await;
    let clone = client.clone();
    drop(client);
    assert!(futures_are_pending(&mut peer).await);
    drop(clone);
    soon(peer.gone()).await;
}
