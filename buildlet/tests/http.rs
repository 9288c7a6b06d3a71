//! The surface all endpoints share, and what hostile clients send.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, too, say best where they failed"
)]

mod common;

use std::time::Duration;

use common::{post, shell, worker, worker_with};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn open_endpoints() {
    let worker = worker_with(|config| config.password = Some("p".to_owned())).await;
    let answer = worker.get("/").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        format!("buildlet running on {}\n", buildlet::go_platform())
    );
    assert_eq!(worker.get("/healthz").await.text(), "ok\n");
    assert_eq!(worker.get("/debug/x?n=5").await.text(), "XXXXX");
    assert_eq!(worker.get("/debug/x?n=-5").await.text(), "");
    assert_eq!(worker.get("/debug/x?n=99999999").await.body.len(), 1 << 20);
    let answer = worker.get("/nope").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (404, "404 page not found\n")
    );
    assert_eq!(worker.ask(post("/connect-ssh", &[])).await.status, 404);
}

#[tokio::test]
async fn passwords() {
    let worker = worker_with(|config| config.password = Some("p:w".to_owned())).await;
    for path in [
        "/status",
        "/workdir",
        "/ls",
        "/tgz",
        "/exec",
        "/halt",
        "/debug/goroutines",
    ] {
        let answer = worker.get(path).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (403, "invalid password\n"),
            "{path}"
        );
        assert!(!answer.head.contains("WWW-Authenticate"));
    }
    // "any:p:w", "any:wrong", "p:w", nonsense
    for (code, status) in [
        ("Basic YW55OnA6dw==", 200),
        ("basic YW55OnA6dw==", 200),
        ("Basic YW55Ondyb25n", 403),
        ("Basic cDp3", 403),
        ("Basic %%%", 403),
        ("Bearer p:w", 403),
    ] {
        let request = format!("GET /status HTTP/1.1\r\nAuthorization: {code}\r\n\r\n");
        assert_eq!(worker.ask(request).await.status, status, "{code}");
    }
}

#[tokio::test]
async fn golden_status_and_work_dir() {
    let worker = worker().await;
    let answer = worker.get("/status").await;
    assert!(
        answer
            .head
            .contains("\r\nContent-Type: application/json; charset=utf-8\r\n")
    );
    assert!(
        answer.text().starts_with("{\"Version\":29,\"Impl\":"),
        "{}",
        answer.text()
    );
    let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(status["RunningExecs"], 0);
    let answer = worker.get("/workdir").await;
    assert_eq!(answer.text(), worker.dir.display().to_string());
    let answer = worker
        .ask("POST /status HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (400, "requires GET method\n")
    );
    assert!(
        answer
            .head
            .contains("\r\nX-Content-Type-Options: nosniff\r\n")
    );
}

#[tokio::test]
async fn connections_are_used_again() {
    let worker = worker().await;
    let mut client = worker.connect().await;
    for _ in 0..3 {
        // All at once: they are answered in order.
        client
            .send("GET /healthz HTTP/1.1\r\n\r\nGET /nope HTTP/1.1\r\n\r\n")
            .await;
        client.send(post("/exec", &shell("echo hi"))).await;
        assert_eq!(client.answer().await.text(), "ok\n");
        assert_eq!(client.answer().await.status, 404);
        let answer = client.answer().await;
        assert_eq!((answer.text().as_str(), answer.state()), ("hi\n", "ok"));
    }
    client
        .send("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert!(answer.head.contains("\r\nConnection: close\r\n"));
    assert_eq!(
        client.stream.read_u8().await.unwrap_err().kind(),
        std::io::ErrorKind::UnexpectedEof
    );
}

#[tokio::test]
async fn http_1_0_gets_plain_bodies() {
    let worker = worker().await;
    worker.write("f", "x");
    let answer = worker.ask("GET /ls HTTP/1.0\r\n\r\n").await;
    assert!(!answer.head.contains("chunked"));
    assert!(answer.text().starts_with("-rw"));
    let answer = worker
        .ask("HEAD /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.head.contains("\r\nContent-Length: 3\r\n"));
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn bodies_are_asked_for() {
    let worker = worker().await;
    let mut client = worker.connect().await;
    client
        .send("PUT /write?path=f&mode=420 HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("3\r\nabc\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "OK");
    assert_eq!(std::fs::read(worker.dir.join("f")).unwrap(), b"abc");

    // Not asked for if the request is refused anyway.
    client
        .send("PUT /write?path=..&mode=420 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 400);
    assert!(answer.head.contains("\r\nConnection: close\r\n"));
}

#[tokio::test]
async fn a_refused_upload_still_gets_its_answer() {
    let worker = worker().await;
    let mut client = worker.connect().await;
    client
        .send("PUT /write?path=..&mode=420 HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n")
        .await;
    let (mut reader, mut writer) = client.stream.split();
    let mut text = String::new();
    let block = vec![b'x'; 100_000];
    let write = async {
        for _ in 0..20 {
            if writer.write_all(&block).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = reader.read_to_string(&mut text) => {}
        () = write => {}
    }
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
}

#[tokio::test]
async fn slow_and_endless_heads() {
    let worker = worker_with(|config| {
        config.limits.http.head = 4096;
        config.limits.http.head_time = Duration::from_millis(100);
        config.limits.http.body_idle = Duration::from_millis(100);
    })
    .await;
    assert_eq!(worker.ask("GET / HTTP/1.1\r\nA: b").await.status, 408);
    let endless = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(5000));
    assert_eq!(worker.ask(endless).await.status, 431);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
    assert_eq!(worker.ask(many).await.status, 431);
    let answer = worker
        .ask("PUT /write?path=f&mode=420 HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc")
        .await;
    assert_eq!(answer.status, 408);
}

#[tokio::test]
async fn smuggling_is_refused() {
    let worker = worker().await;
    for (request, status) in [
        (
            "POST /exec HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST /exec HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "POST /exec HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            400,
        ),
        ("GET / HTTP/3.0\r\n\r\n", 505),
        ("\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        ("GET /%zz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\n A: folded\r\n\r\n", 400),
    ] {
        assert_eq!(worker.ask(request).await.status, status, "{request:?}");
    }
}

#[tokio::test]
async fn a_form_too_large_reads_as_empty() {
    let worker = worker_with(|config| config.limits.form = 100).await;
    let long = "x".repeat(200);
    let answer = worker
        .post("/exec", &[("cmd", "sh"), ("cmdArg", &long)])
        .await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (400, "requires 'cmd' parameter\n")
    );
}

#[tokio::test]
async fn multipart_forms_work_too() {
    let worker = worker().await;
    let body = "--b\r\nContent-Disposition: form-data; name=\"cmd\"\r\n\r\nsh\r\n--b\r\nContent-Disposition: form-data; name=\"cmdArg\"\r\n\r\n-c\r\n--b\r\nContent-Disposition: form-data; name=\"cmdArg\"\r\n\r\necho hi\r\n--b--\r\n";
    let answer = worker
        .ask(format!(
            "POST /exec HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    assert_eq!((answer.text().as_str(), answer.state()), ("hi\n", "ok"));
}

#[test]
fn random_bytes_never_hurt() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let worker = runtime.block_on(worker_with(|config| {
        config.limits.http.head_time = Duration::from_millis(50);
        config.limits.http.body_idle = Duration::from_millis(50);
    }));
    let piece = prop_oneof![
        Just(b"GET ".to_vec()),
        Just(b"PUT /write?path=f&mode=420 HTTP/1.1\r\n".to_vec()),
        Just(b"POST /removeall HTTP/1.1\r\n".to_vec()),
        Just(b"Content-Length: 5\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"Expect: 100-continue\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"5\r\nabcde\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    let strategy = prop::collection::vec(piece, 0..12);
    runner
        .run(&strategy, |pieces| {
            runtime.block_on(async {
                let mut client = worker.connect().await;
                // The worker may have hung up by now.
                let _ = client.stream.write_all(&pieces.concat()).await;
                let _ = client.stream.shutdown().await;
                let mut all = Vec::new();
                let read = client.stream.read_to_end(&mut all);
                let ended = tokio::time::timeout(Duration::from_secs(5), read).await;
                assert!(ended.is_ok(), "connection hangs");
            });
            Ok(())
        })
        .unwrap();
    assert_eq!(runtime.block_on(worker.get("/healthz")).status, 200);
}
