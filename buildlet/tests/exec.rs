//! `/exec`: what is run, where, with what, and what is told of it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, too, say best where they failed"
)]

mod common;

use std::time::{Duration, Instant};

use common::{post, shell, worker, worker_with};

#[tokio::test]
async fn golden_answer() {
    let worker = worker().await;
    worker.write("go/src/make.bash", "#!/bin/sh\nprintf 'out\\n'\nexit 3\n");
    std::process::Command::new("chmod")
        .args(["+x", "go/src/make.bash"])
        .current_dir(&worker.dir)
        .status()
        .unwrap();
    let body = "cmd=go%2Fsrc%2Fmake.bash&debug=false&dir=&env=A%3D1&mode=&path=%24EMPTY";
    let mut client = worker.connect().await;
    client
        .send(format!(
            "POST /exec HTTP/1.1\r\nHost: \r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    let head = client.head().await;
    let lines: Vec<&str> = head
        .lines()
        .filter(|line| !line.starts_with("Date: "))
        .collect();
    assert_eq!(
        lines,
        [
            "HTTP/1.1 200 OK",
            "Trailer: Process-State",
            "Transfer-Encoding: chunked",
            ""
        ]
    );
    assert_eq!(client.chunk().await.unwrap(), b"out\n");
    let mut rest = client.body("Transfer-Encoding: chunked").await;
    assert!(rest.complete);
    assert_eq!(
        std::mem::take(&mut rest.trailers),
        "Process-State: exit status 3\r\nBuildlet-Outcome: exited\r\nBuildlet-Exit-Code: 3\r\n"
    );
    // The connection is good for another request.
    client.send(post("/exec", &shell("true"))).await;
    let answer = client.answer().await;
    assert_eq!(answer.state(), "ok");
    assert_eq!(answer.trailer("Buildlet-Exit-Code"), Some("0"));
}

#[tokio::test]
async fn process_states() {
    let worker = worker().await;
    for (script, state, outcome) in [
        ("exit 0", "ok", "exited"),
        ("exit 77", "exit status 77", "exited"),
        ("kill -9 $$", "signal: killed", "signaled"),
        ("kill -TERM $$", "signal: terminated", "signaled"),
        ("kill -SEGV $$", "signal: segmentation fault", "signaled"),
    ] {
        let answer = worker.sh(script).await;
        let got = answer.state().trim_end_matches(" (core dumped)");
        assert_eq!(
            (got, answer.trailer("Buildlet-Outcome")),
            (state, Some(outcome))
        );
    }
}

#[tokio::test]
async fn what_cannot_start_is_told_in_the_trailer() {
    let worker = worker().await;
    worker.write("plain.txt", "text");
    let w = worker.dir.display();
    for (cmd, dir, state) in [
        (
            "./nope",
            "",
            format!("fork/exec {w}/nope: no such file or directory"),
        ),
        (
            "/bin/sh",
            "nodir",
            format!("chdir {w}/nodir: no such file or directory"),
        ),
        (
            "./plain.txt",
            "",
            format!("fork/exec {w}/plain.txt: permission denied"),
        ),
    ] {
        let answer = worker.post("/exec", &[("cmd", cmd), ("dir", dir)]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.state(), state);
        assert_eq!(answer.trailer("Buildlet-Outcome"), Some("not-started"));
    }
}

#[tokio::test]
async fn refusals() {
    let worker = worker().await;
    let answer = worker.get("/exec").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (400, "requires POST method\n")
    );
    let answer = worker.ask("POST /exec?cmd=sh HTTP/1.0\r\n\r\n").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.text(), "HTTP/1.1 or higher required\n");
    let answer = worker.post("/exec", &[("mode", "sys")]).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (400, "requires 'cmd' parameter\n")
    );
    assert!(answer.head.contains("\r\nTrailer: Process-State\r\n"));
    assert_eq!(answer.trailers, "");
    let answer = worker.post("/exec", &[("cmd", "nosuchcmd")]).await;
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.text(),
        "invalid 'cmd' parameter: command \"nosuchcmd\" not found\n"
    );
}

#[tokio::test]
async fn environment_and_arguments() {
    let worker = worker_with(|config| {
        config.env = buildlet::EnvPolicy::inherit([
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("META_password".into(), "secret".into()),
            ("HOME".into(), "/root".into()),
        ]);
    })
    .await;
    let mut form = vec![
        ("cmd", "sh"),
        ("cmdArg", "-c"),
        ("cmdArg", "pwd; echo \"$0|$1\"; env"),
        ("cmdArg", "zero;semi"),
        ("cmdArg", "a b&c=d\u{e9}"),
        ("dir", "."),
        ("env", "X=1"),
        ("env", "X=2"),
        ("env", "TMPDIR=/elsewhere"),
        ("path", "/first"),
        ("path", "$WORKDIR/bin"),
        ("path", "$PATH"),
    ];
    let answer = worker.post("/exec", &form).await;
    let w = worker.dir.display().to_string();
    let text = answer.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], [w.as_str(), "zero;semi|a b&c=d\u{e9}"]);
    for entry in [
        "X=2".to_owned(),
        "HOME=/root".to_owned(),
        format!("WORKDIR={w}"),
        format!("PWD={w}"),
        format!("TMPDIR={w}/tmp"),
        format!("GOCACHE={w}/gocache"),
        format!("PATH=/first:{w}/bin:/usr/bin:/bin"),
    ] {
        assert!(lines.contains(&entry.as_str()), "{entry} in {text}");
    }
    assert!(!text.contains("secret"));
    assert!(worker.dir.join("tmp").is_dir());

    form.push(("debug", "1"));
    let answer = worker.post("/exec", &form).await;
    assert!(
        answer
            .text()
            .starts_with(":: Running /usr/bin/sh with args ["),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn output_streams_as_it_comes() {
    let worker = worker().await;
    nix::unistd::mkfifo(&worker.dir.join("gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut client = worker.connect().await;
    client
        .send(post(
            "/exec",
            &shell("echo one; read x < gate; echo two >&2"),
        ))
        .await;
    client.head().await;
    assert_eq!(client.chunk().await.unwrap(), b"one\n");
    tokio::fs::write(worker.dir.join("gate"), "go\n")
        .await
        .unwrap();
    let rest = client.body("Transfer-Encoding: chunked").await;
    assert_eq!(rest.text(), "two\n");
    assert_eq!(rest.state(), "ok");
}

#[tokio::test]
async fn the_head_comes_before_any_output() {
    let worker = worker().await;
    let mut client = worker.connect().await;
    let start = Instant::now();
    client.send(post("/exec", &shell("sleep 30"))).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 OK"));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn binary_output_in_bulk_with_a_slow_reader() {
    let worker = worker().await;
    let mut client = worker.connect().await;
    client
        .send(post(
            "/exec",
            &shell("head -c 50000000 /dev/zero | tr '\\0' '\\377'; echo end >&2"),
        ))
        .await;
    let head = client.head().await;
    // Long enough for every buffer between to fill up.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = client.body(&head).await;
    assert_eq!(answer.body.len(), 50_000_004);
    assert!(answer.body[..50_000_000].iter().all(|&byte| byte == 0xff));
    assert_eq!(answer.state(), "ok");
}

#[tokio::test]
async fn a_hundred_at_a_time() {
    let worker = std::sync::Arc::new(worker().await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let worker = worker.clone();
        tasks.spawn(async move {
            let answer = worker
                .sh(&format!("echo {number}; exit {}", number % 3))
                .await;
            assert_eq!(answer.text(), format!("{number}\n"));
            let want = match number % 3 {
                0 => "ok".to_owned(),
                code => format!("exit status {code}"),
            };
            assert_eq!(answer.state(), want);
        });
    }
    // The heartbeat is answered meanwhile.
    let start = Instant::now();
    assert_eq!(worker.get("/status").await.status, 200);
    assert!(start.elapsed() < Duration::from_secs(5));
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(worker.buildlet.running(), 0);
}

#[tokio::test]
async fn too_many_are_refused() {
    let worker = worker_with(|config| config.limits.execs = 1).await;
    let mut client = worker.connect().await;
    client.send(post("/exec", &shell("sleep 30"))).await;
    client.head().await;
    assert_eq!(worker.sh("true").await.status, 503);
}

#[tokio::test]
async fn a_program_just_written_can_be_run() {
    let worker = std::sync::Arc::new(worker().await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let worker = worker.clone();
        tasks.spawn(async move {
            let script = format!("#!/bin/sh\necho {number}\n");
            let target = format!("/write?path=bin/{number}&mode=493");
            assert_eq!(worker.put(&target, script.as_bytes()).await.text(), "OK");
            let name = format!("bin/{number}");
            let answer = worker.post("/exec", &[("cmd", &name)]).await;
            assert_eq!(
                (answer.text(), answer.state()),
                (format!("{number}\n"), "ok")
            );
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
