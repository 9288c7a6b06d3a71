//! The exact requests, as the Go original's client sends them.

mod common;

use buildlet_client::{CommError, Exec, ExecOutcome, Heartbeat, ListOptions, PutOutcome};
use common::{Request, quiet, worker};
use tokio::io::AsyncReadExt;

/// Answers one request with 200 and `answer`, and returns it as text beside what the call gave.
async fn exchange<T>(
    call: impl Future<Output = T>,
    worker: &mut common::Worker,
    answer: &str,
) -> (String, T) {
    let server = async {
        let mut peer = worker.accept().await;
        let request = peer.request().await;
        peer.ok(answer).await;
        (request.text(), peer)
    };
    let ((text, _peer), result) = tokio::join!(server, call);
    (text, result)
}

#[tokio::test]
async fn put_names_mode_and_path_in_the_query() {
    let (client, mut worker) = quiet();
    let (text, result) = exchange(client.put("go/VERSION", 0o644, "v"), &mut worker, "OK").await;
    result.unwrap();
    assert_eq!(
        text,
        "PUT /write?mode=420&path=go%2FVERSION HTTP/1.1\r\nHost: w1\r\nContent-Length: 1\r\n\r\nv"
    );
}

#[tokio::test]
async fn an_empty_file_and_a_special_mode() {
    let (client, mut worker) = quiet();
    let (text, result) = exchange(client.put("a b", 0o4755, ""), &mut worker, "OK").await;
    result.unwrap();
    assert_eq!(
        text,
        "PUT /write?mode=8389101&path=a+b HTTP/1.1\r\nHost: w1\r\nContent-Length: 0\r\n\r\n"
    );
}

#[tokio::test]
async fn put_tar_streams_its_body_in_chunks() {
    let (client, mut worker) = quiet();
    let (text, result) = exchange(
        client.put_tar("go/src", &b"not really a tar"[..]),
        &mut worker,
        "OK",
    )
    .await;
    result.unwrap();
    assert_eq!(
        text,
        "PUT /writetgz?dir=go%2Fsrc HTTP/1.1\r\nHost: w1\r\nTransfer-Encoding: chunked\r\n\r\nnot really a tar"
    );
}

#[tokio::test]
async fn put_tar_from_url_posts_a_form() {
    let (client, mut worker) = quiet();
    let call = client.put_tar_from_url("go1.4", "https://example.com/a.tar.gz?x=1&y=2");
    let (text, result) = exchange(call, &mut worker, "SKIP").await;
    assert_eq!(result.unwrap(), PutOutcome::Skipped);
    assert_eq!(
        text,
        "POST /writetgz?dir=go1.4 HTTP/1.1\r\nHost: w1\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 56\r\n\r\n\
         url=https%3A%2F%2Fexample.com%2Fa.tar.gz%3Fx%3D1%26y%3D2"
    );

    let (client, mut worker) = quiet();
    let (text, result) = exchange(client.put_tar_from_url("", "u"), &mut worker, "OK").await;
    assert_eq!(result.unwrap(), PutOutcome::Written);
    assert!(text.starts_with("POST /writetgz?dir= HTTP/1.1\r\n"));
}

#[tokio::test]
async fn get_tar_with_and_without_one_member() {
    let (client, mut worker) = quiet();
    let (text, download) = exchange(client.get_tar("a/b"), &mut worker, "bytes").await;
    assert_eq!(text, "GET /tgz?dir=a%2Fb HTTP/1.1\r\nHost: w1\r\n\r\n");
    let mut got = String::new();
    download.unwrap().read_to_string(&mut got).await.unwrap();
    assert_eq!(got, "bytes");

    let (client, mut worker) = quiet();
    let (text, _) = exchange(client.get_tar_single_member(""), &mut worker, "").await;
    assert_eq!(text, "GET /tgz?dir=&pargzip=0 HTTP/1.1\r\nHost: w1\r\n\r\n");
}

#[tokio::test]
async fn exec_sends_the_four_fixed_keys_even_when_empty() {
    let (client, mut worker) = quiet();
    let exec = Exec::new("go/src/make.bash").env("A", 1).path::<&str>([]);
    let (text, running) = exchange(client.exec(exec), &mut worker, "").await;
    assert_eq!(
        text,
        "POST /exec HTTP/1.1\r\nHost: w1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 71\r\n\r\ncmd=go%2Fsrc%2Fmake.bash&debug=false&dir=&env=A%3D1&mode=&path=%24EMPTY"
    );
    assert!(matches!(
        running.unwrap().wait().await,
        Err(CommError::MissingTrailer)
    ));
}

#[tokio::test]
async fn remove_all_repeats_path_and_sends_nothing_for_nothing() {
    let (client, mut worker) = quiet();
    client.remove_all(&[]).await.unwrap();
    assert_eq!(worker.waiting(), 0);
    let (text, result) = exchange(client.remove_all(&["b", "a/c"]), &mut worker, "").await;
    result.unwrap();
    assert_eq!(
        text,
        "POST /removeall HTTP/1.1\r\nHost: w1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 17\r\n\r\npath=b&path=a%2Fc"
    );
}

#[tokio::test]
async fn small_questions() {
    let (client, mut worker) = quiet();
    let (text, status) = exchange(client.status(), &mut worker, r#"{"Version":17}"#).await;
    assert_eq!(text, "GET /status HTTP/1.1\r\nHost: w1\r\n\r\n");
    assert_eq!(status.unwrap().version, 17);

    let (client, mut worker) = quiet();
    let (text, dir) = exchange(client.work_dir(), &mut worker, r"C:\workdir").await;
    assert_eq!(text, "GET /workdir HTTP/1.1\r\nHost: w1\r\n\r\n");
    assert_eq!(dir.unwrap(), r"C:\workdir");
}

#[tokio::test]
async fn list_dir_sorts_its_keys_and_keeps_its_skips() {
    let (client, mut worker) = quiet();
    let options = ListOptions {
        recursive: true,
        digest: true,
        skip: vec!["z".into(), ".git".into()],
    };
    let lines = "drwxr-xr-x\ta/\n-rw-r--r--\ta/b.txt\t6\t2026-11-22T08:49:39Z\tf572d396fae9206628714fb2ce00f72e94f2258f\n";
    let (text, list) = exchange(client.list_dir("", &options), &mut worker, lines).await;
    assert_eq!(
        text,
        "GET /ls?digest=true&dir=&recursive=true&skip=z&skip=.git HTTP/1.1\r\nHost: w1\r\n\r\n"
    );
    let entries = list.unwrap().all().await.unwrap();
    assert_eq!(
        entries
            .iter()
            .map(|e| e.path().into_owned())
            .collect::<Vec<_>>(),
        ["a", "a/b.txt"]
    );
}

#[tokio::test]
async fn close_halts_the_worker_and_ends_the_client() {
    let (client, mut worker) = quiet();
    let (text, ()) = exchange(client.close(), &mut worker, "").await;
    assert_eq!(
        text,
        "POST /halt HTTP/1.1\r\nHost: w1\r\nContent-Length: 0\r\n\r\n"
    );
    assert!(matches!(client.status().await, Err(CommError::Closed)));
    client.close().await;
}

#[tokio::test]
async fn the_password_is_sent_with_the_user_gomote() {
    let (builder, mut worker) = worker();
    let client = builder
        .password("secret")
        .heartbeat(Heartbeat::off())
        .build();
    let (text, _) = exchange(client.status(), &mut worker, "{}").await;
    // base64 of "gomote:secret"
    assert!(
        text.contains("\r\nAuthorization: Basic Z29tb3RlOnNlY3JldA==\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_recorded_exec_answer_of_the_original() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        let Request { .. } = peer.request().await;
        peer.write(
            "HTTP/1.1 200 OK\r\nTrailer: Process-State\r\nTransfer-Encoding: chunked\r\n\r\n\
             4\r\nout\n\r\n0\r\nProcess-State: exit status 3\r\n\r\n",
        )
        .await;
        peer
    };
    let (_peer, running) = tokio::join!(server, client.exec(Exec::new("t.sh")));
    let mut running = running.unwrap();
    assert_eq!(running.next_output().await.unwrap().unwrap(), "out\n");
    assert!(running.next_output().await.is_none());
    assert_eq!(running.wait().await.unwrap(), ExecOutcome::Exited(3));
}
