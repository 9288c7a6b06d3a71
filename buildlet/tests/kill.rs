//! A command leaves nothing behind: whoever goes away, whatever it started.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, too, say best where they failed"
)]

mod common;

use std::time::Duration;

use buildlet::{Buildlet, Config};
use common::{Fixture, alive, eventually, of_work_dir, pid_in, post, shell, worker, worker_with};

const SOON: Duration = Duration::from_secs(2);

/// Scripts that do what they can to survive, each telling its own number in `pid`.
const ESCAPES: [&str; 6] = [
    "echo $$ > pid; sleep 1000",
    "setsid sh -c 'echo $$ > pid; sleep 1000' & wait",
    "(setsid sh -c 'echo $$ > pid; exec sleep 1000' &) ; sleep 1000",
    "trap '' TERM HUP INT; echo $$ > pid; while :; do sleep 1000; done",
    "sh -c '(setsid sh -c \"trap \\\"\\\" TERM; echo \\$\\$ > pid; while :; do sleep 1000; done\" >/dev/null 2>&1 &)'; sleep 1000",
    "setsid env -i /bin/sh -c 'echo $$ > pid; exec sleep 1000' & wait",
];

async fn disconnect_kills(worker: &Fixture, script: &str) {
    let file = worker.dir.join("pid");
    let _ = std::fs::remove_file(&file);
    let mut client = worker.connect().await;
    client.send(post("/exec", &shell(script))).await;
    let pid = pid_in(&file).await;
    assert!(alive(pid));
    drop(client);
    eventually(SOON, || !alive(pid)).await;
    eventually(SOON, || of_work_dir(&worker.dir).is_empty()).await;
}

#[tokio::test]
async fn client_leaves_a_silent_command() {
    let worker = worker().await;
    for script in ESCAPES {
        disconnect_kills(&worker, script).await;
    }
    eventually(SOON, || worker.buildlet.running() == 0).await;
}

#[tokio::test]
async fn client_leaves_during_output() {
    let worker = worker().await;
    for script in [
        "echo $$ > pid; yes",
        "echo $$ > pid; while :; do echo tick; sleep 0.01; done",
    ] {
        let file = worker.dir.join("pid");
        let _ = std::fs::remove_file(&file);
        let mut client = worker.connect().await;
        client.send(post("/exec", &shell(script))).await;
        client.head().await;
        assert!(!client.chunk().await.unwrap().is_empty());
        let pid = pid_in(&file).await;
        drop(client);
        eventually(SOON, || !alive(pid)).await;
        eventually(SOON, || of_work_dir(&worker.dir).is_empty()).await;
    }
}

#[tokio::test]
async fn client_leaves_at_once() {
    let worker = worker().await;
    for _ in 0..20 {
        let mut client = worker.connect().await;
        client.send(post("/exec", &shell("sleep 1000"))).await;
        drop(client);
    }
    eventually(SOON, || {
        worker.buildlet.running() == 0 && of_work_dir(&worker.dir).is_empty()
    })
    .await;
}

#[tokio::test]
async fn client_that_does_not_read_and_leaves() {
    let worker = worker().await;
    let mut client = worker.connect().await;
    client
        .send(post("/exec", &shell("echo $$ > pid; yes")))
        .await;
    let pid = pid_in(&worker.dir.join("pid")).await;
    // By now, or soon, the writer waits for the client to read.
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(client);
    eventually(SOON, || !alive(pid)).await;
}

#[tokio::test]
async fn left_over_processes_end_with_the_command() {
    let worker = worker_with(|config| config.kill.drain = Duration::from_millis(100)).await;
    // One holds the pipe, one does not.
    for script in [
        "sleep 1000 & echo $! > pid; echo done",
        "setsid sleep 1000 >/dev/null 2>&1 & echo $! > pid; echo done",
    ] {
        let answer = worker.sh(script).await;
        assert_eq!((answer.text().as_str(), answer.state()), ("done\n", "ok"));
        assert_eq!(
            answer.trailer("Buildlet-Strays-Killed"),
            Some("1"),
            "{script}"
        );
        let pid = pid_in(&worker.dir.join("pid")).await;
        assert!(!alive(pid));
    }
}

#[tokio::test]
async fn output_after_the_main_process_is_waited_for() {
    let worker = worker().await;
    let answer = worker.sh("(sleep 0.1; echo late) & echo early").await;
    assert_eq!(
        (answer.text().as_str(), answer.state()),
        ("early\nlate\n", "ok")
    );
    assert_eq!(answer.trailer("Buildlet-Strays-Killed"), None);
}

#[tokio::test]
async fn a_grace_lets_a_command_end_itself() {
    let worker = worker_with(|config| config.kill.grace = Duration::from_secs(5)).await;
    let mut client = worker.connect().await;
    let script =
        "trap 'echo asked > said; exit 0' TERM; echo $$ > pid; while :; do sleep 0.01; done";
    client.send(post("/exec", &shell(script))).await;
    let pid = pid_in(&worker.dir.join("pid")).await;
    drop(client);
    eventually(SOON, || !alive(pid)).await;
    let said = std::fs::read_to_string(worker.dir.join("said")).unwrap();
    assert_eq!(said, "asked\n");
}

#[tokio::test]
async fn a_grace_is_not_for_ever() {
    let worker = worker_with(|config| config.kill.grace = Duration::from_millis(100)).await;
    disconnect_kills(&worker, ESCAPES[3]).await;
}

#[tokio::test]
async fn a_hundred_commands_die_together() {
    let worker = worker().await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = worker.connect().await;
        client
            .send(post("/exec", &shell("sleep 1000 & sleep 1000")))
            .await;
        client.head().await;
        clients.push(client);
    }
    drop(clients);
    eventually(Duration::from_secs(5), || {
        worker.buildlet.running() == 0 && of_work_dir(&worker.dir).is_empty()
    })
    .await;
}

#[tokio::test]
async fn shutdown_kills_and_waits() {
    let worker = worker().await;
    let mut client = worker.connect().await;
    client.send(post("/exec", &shell(ESCAPES[1]))).await;
    let pid = pid_in(&worker.dir.join("pid")).await;
    worker.buildlet.shutdown().await;
    assert!(!alive(pid), "shutdown waits for the end of all");
    let head = client.head().await;
    let answer = client.body(&head).await;
    assert!(!answer.complete, "a killed command must not look ended");
}

#[tokio::test]
async fn stopping_a_connection_kills_its_command() {
    let worker = worker().await;
    let mut client = worker.connect().await;
    client.send(post("/exec", &shell(ESCAPES[0]))).await;
    let pid = pid_in(&worker.dir.join("pid")).await;
    worker.stop.cancel();
    eventually(SOON, || !alive(pid)).await;
}

#[tokio::test]
async fn halting_kills_refuses_and_tells() {
    let worker = worker_with(|config| config.halt_delay = Duration::from_millis(300)).await;
    let mut client = worker.connect().await;
    client.send(post("/exec", &shell(ESCAPES[0]))).await;
    let pid = pid_in(&worker.dir.join("pid")).await;
    let answer = worker.post("/halt", &[]).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert_eq!(worker.sh("true").await.status, 503);
    worker.buildlet.halted().await;
    worker.buildlet.shutdown().await;
    eventually(SOON, || !alive(pid)).await;
}

#[tokio::test]
async fn strays_of_an_earlier_worker_are_killed() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().canonicalize().unwrap();
    let mark = format!("BUILDLET_WORK_DIR={}", dir.display());
    let mut stray = std::process::Command::new("setsid")
        .args(["env", &mark, "sh", "-c", "sleep 1000 & wait"])
        .spawn()
        .unwrap();
    eventually(SOON, || of_work_dir(&dir).len() == 2).await;
    let _worker = Buildlet::new(Config::new(&dir)).unwrap();
    assert!(of_work_dir(&dir).is_empty());
    stray.wait().unwrap();
}

#[tokio::test]
async fn a_work_directory_has_one_worker() {
    let worker = worker().await;
    let error = Buildlet::new(Config::new(&worker.dir)).unwrap_err();
    assert!(error.to_string().ends_with("is in use by another worker"));
}
