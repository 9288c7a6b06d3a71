//! Uploads, downloads and listings: truncation, standing still, slow sources.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use buildlet_client::{CommError, Download, ListOptions};
use common::{Peer, quiet, soon};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, sleep};

/// Asks for an archive and answers with `head`.
async fn download(head: &str) -> (Download, Peer) {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer.write(head).await;
        peer
    };
    let (peer, got) = tokio::join!(server, client.get_tar("x"));
    (got.unwrap(), peer)
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn a_download_cut_short_is_no_clean_end() {
    for head in [CHUNKED, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"] {
        let (mut got, mut peer) = download(head).await;
        peer.write("5\r\nhello\r\n").await;
        drop(peer);
        let mut bytes = Vec::new();
        let error = got.read_to_end(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<CommError>());
        assert!(
            matches!(inner, Some(CommError::BodyTruncated { op: "/tgz", .. })),
            "{inner:?}"
        );
        assert!(!bytes.is_empty());
        // Reading on does not turn the failure into an end.
        assert!(got.read_to_end(&mut bytes).await.is_err());
    }
}

#[tokio::test]
async fn a_download_is_read_in_pieces_of_any_size() {
    let (mut got, mut peer) = download(CHUNKED).await;
    peer.write_chunk("hello ").await;
    peer.write_chunk("world").await;
    peer.end("").await;
    let mut two = [0; 2];
    got.read_exact(&mut two).await.unwrap();
    assert_eq!(&two, b"he");
    assert_eq!(got.next_chunk().await.unwrap().unwrap(), "llo ");
    let mut rest = String::new();
    got.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "world");
}

#[tokio::test(start_paused = true)]
async fn a_download_may_be_slow_but_not_stand_still() {
    let (mut got, mut peer) = download(CHUNKED).await;
    let server = async {
        for _ in 0..10 {
            sleep(Duration::from_secs(100)).await;
            peer.write_chunk("x").await;
        }
        peer
    };
    let began = Instant::now();
    let mut bytes = Vec::new();
    let (_peer, result) = tokio::join!(server, got.read_to_end(&mut bytes));
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(bytes.len(), 10);
    assert_eq!(began.elapsed().as_secs(), 1000 + 120);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_the_workers_fault() {
    let (mut got, mut peer) = download(CHUNKED).await;
    let mut one = [0; 1];
    for _ in 0..3 {
        peer.write_chunk("x").await;
        sleep(Duration::from_secs(1000)).await;
        got.read_exact(&mut one).await.unwrap();
    }
    peer.end("").await;
    assert_eq!(got.read(&mut one).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_upload_nobody_takes_is_given_up() {
    let (client, mut worker) = quiet();
    let call = client.put_tar("", tokio::io::repeat(0));
    let server = async {
        let mut peer = worker.accept().await;
        peer.head().await;
        peer
    };
    let began = Instant::now();
    let (mut peer, result) = tokio::join!(server, call);
    assert!(
        matches!(
            result,
            Err(CommError::Stalled {
                op: "/writetgz",
                ..
            })
        ),
        "{result:?}"
    );
    assert_eq!(began.elapsed().as_secs(), 120);
    peer.gone().await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_may_be_slow_on_either_side() {
    let (client, mut worker) = quiet();
    let (mut source, reader) = tokio::io::duplex(1 << 10);
    let feed = async {
        for _ in 0..5 {
            sleep(Duration::from_secs(500)).await;
            source.write_all(b"x").await.unwrap();
        }
        drop(source);
    };
    let server = async {
        let mut peer = worker.accept().await;
        let request = peer.request().await;
        sleep(Duration::from_secs(500)).await;
        peer.ok("OK").await;
        (request.body.len(), peer)
    };
    let (result, (), (length, _peer)) = tokio::join!(client.put_tar("", reader), feed, server);
    result.unwrap();
    assert_eq!(length, 5);
}

#[tokio::test(start_paused = true)]
async fn a_worker_must_answer_an_upload_in_the_end() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer
    };
    let began = Instant::now();
    let (_peer, result) = tokio::join!(server, client.put("f", 0o644, "x"));
    assert!(
        matches!(result, Err(CommError::HeadTimeout { op: "/write", .. })),
        "{result:?}"
    );
    assert_eq!(began.elapsed().as_secs(), 600);
}

struct Failing(bool);

impl AsyncRead for Failing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(Err(io::Error::other("disk on fire")));
        }
        buf.put_slice(b"some");
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_failing_source_is_the_callers_error_and_no_clean_end_for_the_worker() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        peer.head().await;
        let mut rest = Vec::new();
        peer.0.read_to_end(&mut rest).await.unwrap();
        rest
    };
    let (rest, result) =
        soon(async { tokio::join!(server, client.put_tar("", Failing(false))) }).await;
    let Err(CommError::Source(source)) = result else {
        panic!("{result:?}")
    };
    assert_eq!(source.to_string(), "disk on fire");
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the worker saw a whole body");
}

#[tokio::test]
async fn a_refusal_during_an_upload_is_heard() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        peer.head().await;
        peer.answer("400 Bad Request", "tar error: x\n").await;
        peer
    };
    let (mut peer, result) =
        soon(async { tokio::join!(server, client.put_tar("", tokio::io::repeat(0))) }).await;
    assert!(
        matches!(result, Err(CommError::Status { code: 400, .. })),
        "{result:?}"
    );
    soon(peer.gone()).await;
}

#[tokio::test]
async fn a_listing_cut_short_gives_its_entries_and_then_an_error() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer.write(CHUNKED).await;
        // Entries cross chunk borders.
        peer.write_chunk("drwxr-xr-x\ta/\n-rw-r").await;
        peer.write_chunk("--r--\tb\t1\t2026-01-01T00:00:00Z\ndrwx")
            .await;
    };
    let options = ListOptions::default();
    let ((), list) = tokio::join!(server, client.list_dir("", &options));
    let mut list = list.unwrap();
    assert_eq!(list.next().await.unwrap().unwrap().path(), "a");
    assert_eq!(list.next().await.unwrap().unwrap().size(), Some(1));
    assert!(matches!(
        list.next().await,
        Some(Err(CommError::BodyTruncated { .. }))
    ));
    assert!(list.next().await.is_none());
}

#[tokio::test]
async fn a_listing_line_has_a_bound() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer.write(CHUNKED).await;
        // The client hangs up before it has read all of this.
        _ = peer
            .0
            .write_all(format!("{:x}\r\n{}", 1 << 20, "x".repeat(1 << 20)).as_bytes())
            .await;
    };
    let options = ListOptions::default();
    let read = async { client.list_dir("", &options).await?.all().await };
    let ((), result) = soon(async { tokio::join!(server, read) }).await;
    assert!(
        matches!(result, Err(CommError::Protocol { op: "/ls", .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_short_answer_has_a_bound() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer.write(CHUNKED).await;
        _ = peer
            .0
            .write_all(format!("{:x}\r\n{}", 1 << 20, "x".repeat(1 << 20)).as_bytes())
            .await;
    };
    let ((), result) = soon(async { tokio::join!(server, client.work_dir()) }).await;
    assert!(
        matches!(result, Err(CommError::Protocol { op: "/workdir", .. })),
        "{result:?}"
    );
}
