//! A worker that adopts orphans. One test: adoption is a property of the process.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, too, say best where they failed"
)]

mod common;

use std::time::Duration;

use common::{alive, eventually, pid_in, post, shell, worker_with};

#[tokio::test]
async fn nothing_hides_from_the_parent_of_orphans() {
    let worker = worker_with(|config| {
        config.adopt_orphans = true;
        config.kill.drain = Duration::from_millis(100);
    })
    .await;
    let file = worker.dir.join("pid");
    // Leaves session, tree and environment: only adoption finds it.
    let hide = "(setsid env -i /bin/sh -c 'echo $$ > pid; exec sleep 1000 >/dev/null 2>&1' &)";

    let answer = worker
        .sh(&format!("{hide}; while ! test -s pid; do sleep 0.01; done"))
        .await;
    assert_eq!(answer.state(), "ok");
    assert_eq!(answer.trailer("Buildlet-Strays-Killed"), Some("1"));
    let pid = pid_in(&file).await;
    assert!(!alive(pid));

    std::fs::remove_file(&file).unwrap();
    let mut client = worker.connect().await;
    client
        .send(post("/exec", &shell(&format!("{hide}; sleep 1000"))))
        .await;
    let pid = pid_in(&file).await;
    drop(client);
    eventually(Duration::from_secs(2), || !alive(pid)).await;

    // With nothing left over, ending is cheap, and nobody is killed by mistake.
    let answer = worker.sh("echo fine").await;
    assert_eq!(
        (
            answer.text().as_str(),
            answer.trailer("Buildlet-Strays-Killed")
        ),
        ("fine\n", None)
    );

    // Orphans that end while their command runs are reaped, so no zombies gather.
    let mut client = worker.connect().await;
    let script =
        "for i in 1 2 3 4 5; do (true &); (sh -c 'sleep 0.1' &); done; echo $$ > pid; sleep 1000";
    std::fs::remove_file(&file).unwrap();
    client.send(post("/exec", &shell(script))).await;
    pid_in(&file).await;
    eventually(Duration::from_secs(5), || children().len() == 1).await;
    drop(client);
    eventually(Duration::from_secs(2), || children().is_empty()).await;

    // Many at once, each with something to hide: nobody kills a neighbour's child, and in the end all are gone.
    let mut tasks = tokio::task::JoinSet::new();
    let worker = std::sync::Arc::new(worker);
    for number in 0..30 {
        let worker = worker.clone();
        tasks.spawn(async move {
            let script = format!(
                "(setsid env -i sleep 1000 >/dev/null 2>&1 &); (setsid sleep 1000 >/dev/null 2>&1 &); sleep 0.2; sh -c 'echo {number}'"
            );
            let answer = worker.sh(&script).await;
            assert_eq!((answer.text(), answer.state()), (format!("{number}\n"), "ok"));
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    eventually(Duration::from_secs(2), || children().is_empty()).await;

    // The same with clients that go away, and with a shutdown.
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = worker.connect().await;
        client
            .send(post(
                "/exec",
                &shell("(setsid env -i sleep 1000 >/dev/null 2>&1 &); sleep 1000"),
            ))
            .await;
        client.head().await;
        clients.push(client);
    }
    eventually(Duration::from_secs(5), || children().len() == 20).await;
    clients.truncate(5);
    eventually(Duration::from_secs(2), || children().len() <= 15).await;
    worker.buildlet.shutdown().await;
    assert!(children().is_empty(), "{:?}", children());
}

/// Children of this process, zombies too.
fn children() -> Vec<i32> {
    let me = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| stat.rsplit(") ").next().unwrap().split(' ').nth(1) == Some(&me))
        })
        .collect()
}
