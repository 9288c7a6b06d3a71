//! Commands: outcomes, streaming, cancellation, limits.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use buildlet_client::{CommError, Exec, ExecOutcome, Running};
use common::{PIPE, Peer, Worker, quiet, soon};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

/// Starts a command and answers its head.
async fn start(
    client: &buildlet_client::Client,
    worker: &mut Worker,
    exec: Exec,
) -> (Running, Peer) {
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer.exec_head().await;
        peer
    };
    let (peer, running) = tokio::join!(server, client.exec(exec));
    (running.unwrap(), peer)
}

#[tokio::test]
async fn trailers_become_outcomes() {
    for (trailers, outcome) in [
        ("Process-State: ok\r\n", ExecOutcome::Exited(0)),
        ("Process-State: exit status 7\r\n", ExecOutcome::Exited(7)),
        (
            "Process-State: signal: killed\r\n",
            ExecOutcome::Signaled {
                signal: "killed".to_owned(),
                core: false,
            },
        ),
        (
            "Process-State: fork/exec /w/nope: no such file or directory\r\n",
            ExecOutcome::NotStarted("fork/exec /w/nope: no such file or directory".to_owned()),
        ),
        (
            "Process-State: disk full\r\nBuildlet-Outcome: not-started\r\n",
            ExecOutcome::NotStarted("disk full".to_owned()),
        ),
    ] {
        let (client, mut worker) = quiet();
        let (running, mut peer) = start(&client, &mut worker, Exec::new("x")).await;
        peer.end(trailers).await;
        assert_eq!(running.wait().await.unwrap(), outcome);
    }
}

#[tokio::test]
async fn an_end_without_process_state_is_an_error() {
    for trailers in ["", "Some-Other: ok\r\n"] {
        let (client, mut worker) = quiet();
        let (running, mut peer) = start(&client, &mut worker, Exec::new("x")).await;
        peer.write_chunk("output").await;
        peer.end(trailers).await;
        let error = running.wait().await.unwrap_err();
        assert!(matches!(error, CommError::MissingTrailer), "{error:?}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn a_body_cut_short_is_an_error_and_stays_one() {
    let (client, mut worker) = quiet();
    let (mut running, mut peer) = start(&client, &mut worker, Exec::new("x")).await;
    peer.write_chunk("some").await;
    drop(peer);
    assert_eq!(running.next_output().await.unwrap().unwrap(), "some");
    let error = running.next_output().await.unwrap().unwrap_err();
    assert!(
        matches!(error, CommError::BodyTruncated { .. }),
        "{error:?}"
    );
    assert!(running.next_output().await.is_none());
    assert!(matches!(
        running.wait().await,
        Err(CommError::BodyTruncated { .. })
    ));
}

#[tokio::test]
async fn dropping_a_running_command_closes_its_connection() {
    let (client, mut worker) = quiet();
    let (mut running, mut peer) = start(&client, &mut worker, Exec::new("x")).await;
    peer.write_chunk("some").await;
    running.next_output().await.unwrap().unwrap();
    drop(running);
    soon(peer.gone()).await;
}

#[tokio::test]
async fn dropping_an_exec_before_its_head_closes_its_connection() {
    let (client, mut worker) = quiet();
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.exec(Exec::new("x")).await.map(drop) }
    });
    let mut peer = worker.accept().await;
    peer.request().await;
    call.abort();
    soon(peer.gone()).await;
}

#[tokio::test]
async fn next_output_may_be_cancelled_without_losing_a_byte() {
    let (client, mut worker) = quiet();
    let (mut running, mut peer) = start(&client, &mut worker, Exec::new("x")).await;
    let server = async {
        for n in 0..500 {
            peer.write_chunk(&format!("{n};")).await;
            if n % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        peer.end("Process-State: ok\r\n").await;
    };
    let reader = async {
        let mut text = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = std::future::ready(()), if text.len() % 3 == 1 => text.push(b' '),
                output = running.next_output() => match output {
                    Some(data) => text.extend_from_slice(&data.unwrap()),
                    None => break,
                },
                () = tokio::task::yield_now() => {}
            }
        }
        text.retain(|&byte| byte != b' ');
        (String::from_utf8(text).unwrap(), running)
    };
    let ((), (text, running)) = soon(async { tokio::join!(server, reader) }).await;
    assert_eq!(text, (0..500).map(|n| format!("{n};")).collect::<String>());
    assert!(running.wait().await.unwrap().success());
}

#[tokio::test]
async fn output_nobody_reads_stays_with_the_worker() {
    let (client, mut worker) = quiet();
    let (running, mut peer) = start(&client, &mut worker, Exec::new("x")).await;
    let chunk = format!("{:x}\r\n{}\r\n", PIPE, "x".repeat(PIPE));
    let mut written = 0;
    // Each write that cannot be done within the pause finds all buffers between the two full.
    while timeout(Duration::from_millis(100), peer.write(&chunk))
        .await
        .is_ok()
    {
        written += PIPE;
        assert!(written < 4 << 20, "the client buffers without bound");
    }
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_silent_command_may_run_for_hours() {
    let (client, mut worker) = quiet();
    let (running, mut peer) = start(&client, &mut worker, Exec::new("x")).await;
    let server = async {
        tokio::time::sleep(Duration::from_secs(10 * 3600)).await;
        peer.end("Process-State: ok\r\n").await;
    };
    let ((), outcome) = tokio::join!(server, running.wait());
    assert!(outcome.unwrap().success());
}

#[tokio::test(start_paused = true)]
async fn the_head_must_come_in_time() {
    let (client, mut worker) = quiet();
    let began = Instant::now();
    let error = client.exec(Exec::new("x")).await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 20);
    assert!(
        matches!(error, CommError::HeadTimeout { op: "/exec", .. }),
        "{error:?}"
    );
    worker.accept().await.gone().await;
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_is_an_error_of_its_own() {
    let limit = Duration::from_secs(60);
    let (client, mut worker) = quiet();
    let began = Instant::now();
    let (running, mut peer) = start(&client, &mut worker, Exec::new("x").timeout(limit)).await;
    let error = running.wait().await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 60);
    assert!(matches!(error, CommError::LocalTimeout { .. }), "{error:?}");
    assert!(!error.is_retryable());
    peer.gone().await;
    assert!(!client.is_dead());
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_holds_before_the_head_and_under_constant_output() {
    let limit = Duration::from_secs(5);
    let (client, mut worker) = quiet();
    let error = client
        .exec(Exec::new("x").timeout(limit))
        .await
        .unwrap_err();
    assert!(matches!(error, CommError::LocalTimeout { .. }), "{error:?}");
    drop(worker.accept().await);

    let (mut running, mut peer) = start(&client, &mut worker, Exec::new("x").timeout(limit)).await;
    let flood = tokio::spawn(async move {
        while peer.0.write_all(b"1\r\nx\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let began = Instant::now();
    let error = loop {
        if let Err(error) = running.next_output().await.unwrap() {
            break error;
        }
    };
    assert!(matches!(error, CommError::LocalTimeout { .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(6));
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_closes_the_connection_even_if_nobody_reads() {
    let (client, mut worker) = quiet();
    let exec = Exec::new("x").timeout(Duration::from_secs(5));
    let (mut running, mut peer) = start(&client, &mut worker, exec).await;
    peer.gone().await;
    let error = running.next_output().await.unwrap().unwrap_err();
    assert!(matches!(error, CommError::LocalTimeout { .. }), "{error:?}");
}

#[tokio::test]
async fn refusals_name_status_and_body() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer.write(
            "HTTP/1.1 400 Bad Request\r\nTrailer: Process-State\r\nTransfer-Encoding: chunked\r\n\r\n\
             18\r\nrequires 'cmd' parameter\r\n0\r\n\r\n",
        )
        .await;
        peer.request().await;
        peer.answer("403 Forbidden", "invalid password\n").await;
    };
    let calls = async {
        let error = client.exec(Exec::new("")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "worker answered /exec with 400 Bad Request; body: requires 'cmd' parameter"
        );
        assert!(!error.is_retryable());
        let error = client.exec(Exec::new("")).await.unwrap_err();
        assert!(
            matches!(&error, CommError::Auth { body, .. } if body == "invalid password"),
            "{error:?}"
        );
    };
    soon(async { tokio::join!(server, calls) }).await;
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer.write("SSH-2.0-OpenSSH_9.7\r\n\r\n").await;
        peer
    };
    let (_peer, result) = tokio::join!(server, client.exec(Exec::new("x")));
    assert!(
        matches!(result, Err(CommError::Protocol { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn an_answer_whose_end_cannot_be_told_is_refused() {
    let (client, mut worker) = quiet();
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer.write("HTTP/1.1 200 OK\r\n\r\nhalf of it").await;
    };
    let ((), result) = tokio::join!(server, client.get_tar("x"));
    assert!(
        matches!(result, Err(CommError::Protocol { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn output_can_be_kept_up_to_a_size() {
    let (client, mut worker) = quiet();
    let (running, mut peer) = start(&client, &mut worker, Exec::new("x")).await;
    peer.write_chunk("abcdef").await;
    peer.write_chunk("ghi").await;
    peer.end("Process-State: ok\r\n").await;
    let (outcome, output) = running.wait_with_output(7).await.unwrap();
    assert!(outcome.success());
    assert_eq!(output, b"abcdefg");
}

#[tokio::test]
async fn a_form_too_large_for_workers_is_not_sent() {
    let (client, worker) = quiet();
    let error = client
        .exec(Exec::new("x").arg("y".repeat(11 << 20)))
        .await
        .unwrap_err();
    assert!(matches!(error, CommError::Invalid(_)), "{error:?}");
    assert_eq!(worker.waiting(), 0);
}
