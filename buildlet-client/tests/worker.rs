//! Against the real worker, over TCP and over a reverse connection.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/reverse.rs"]
mod reverse;

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use buildlet::{Buildlet, Config};
use buildlet_client::{Client, CommError, Exec, ExecOutcome, ListOptions, TcpConnector};
use revdial::Stream;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A worker and a client of it.
struct Farm {
    client: Client,
    worker: Buildlet,
    dir: TempDir,
    stop: CancellationToken,
    _server: AbortOnDropHandle<()>,
}

fn config(dir: &TempDir) -> Config {
    Config::new(dir.path().join("work"))
}

async fn over_tcp(change: impl FnOnce(&mut Config)) -> (Farm, String) {
    let dir = TempDir::new().unwrap();
    let mut config = config(&dir);
    change(&mut config);
    let worker = Buildlet::new(config).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap().to_string();
    let stop = CancellationToken::new();
    let server = tokio::spawn({
        let (worker, stop) = (worker.clone(), stop.clone());
        async move {
            while let Ok((tcp, _)) = socket.accept().await {
                let (worker, stop) = (worker.clone(), stop.clone());
                tokio::spawn(async move { worker.serve_connection(Stream::new(tcp), stop).await });
            }
        }
    });
    let client = Client::tcp(addr.clone());
    (
        Farm {
            client,
            worker,
            dir,
            stop,
            _server: AbortOnDropHandle::new(server),
        },
        addr,
    )
}

async fn over_revdial() -> Farm {
    let dir = TempDir::new().unwrap();
    let worker = Buildlet::new(config(&dir)).unwrap();
    let (dialer, mut listener) = reverse::pair().await;
    let stop = CancellationToken::new();
    let server = tokio::spawn({
        let (worker, stop) = (worker.clone(), stop.clone());
        async move {
            while let Ok(stream) = listener.accept().await {
                let (worker, stop) = (worker.clone(), stop.clone());
                tokio::spawn(async move { worker.serve_connection(stream, stop).await });
            }
        }
    });
    let client = Client::over("worker", dialer);
    Farm {
        client,
        worker,
        dir,
        stop,
        _server: AbortOnDropHandle::new(server),
    }
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), Box::pin(work))
        .await
        .expect("done soon")
}

fn sh(script: &str) -> Exec {
    Exec::system("/bin/sh").args(["-c", script])
}

async fn run(client: &Client, exec: Exec) -> (ExecOutcome, String) {
    let running = soon(client.exec(exec)).await.unwrap();
    let (outcome, output) = soon(running.wait_with_output(1 << 20)).await.unwrap();
    (outcome, String::from_utf8(output).unwrap())
}

async fn listing(client: &Client, dir: &str) -> Vec<(String, String, Option<String>)> {
    let options = ListOptions {
        recursive: true,
        digest: true,
        ..ListOptions::default()
    };
    let entries = soon(client.list_dir(dir, &options))
        .await
        .unwrap()
        .all()
        .await
        .unwrap();
    entries
        .iter()
        .map(|e| {
            (
                e.mode_text().to_owned(),
                e.path().into_owned(),
                e.digest().map(str::to_owned),
            )
        })
        .collect()
}

async fn trees_travel(farm: Farm) {
    let client = &farm.client;
    let large = vec![7; 3 << 20];
    client.put("a/one.txt", 0o644, "hello\n").await.unwrap();
    client
        .put("a/b c/run+me.sh", 0o755, "#!/bin/sh\n")
        .await
        .unwrap();
    client.put("a/empty", 0o600, "").await.unwrap();
    client
        .put_reader("a/large", 0o644, io::Cursor::new(large))
        .await
        .unwrap();

    let before = listing(client, "a").await;
    assert_eq!(
        before.iter().map(|e| e.1.as_str()).collect::<Vec<_>>(),
        ["b c", "b c/run+me.sh", "empty", "large", "one.txt"]
    );
    assert_eq!(before[1].0, "-rwxr-xr-x");
    assert_eq!(
        before[4].2.as_deref(),
        Some("f572d396fae9206628714fb2ce00f72e94f2258f")
    );

    // Straight from one directory into another, through us.
    let archive = client.get_tar("a").await.unwrap();
    soon(client.put_tar("copy", archive)).await.unwrap();
    assert_eq!(listing(client, "copy").await, before);

    client.remove_all(&["a", "copy/b c"]).await.unwrap();
    let rest = listing(client, "copy").await;
    assert_eq!(
        rest.iter().map(|e| e.1.as_str()).collect::<Vec<_>>(),
        ["empty", "large", "one.txt"]
    );
    let work_dir = client.work_dir().await.unwrap();
    let expected = farm.dir.path().join("work").canonicalize().unwrap();
    assert_eq!(Path::new(&work_dir).canonicalize().unwrap(), expected);
    assert_eq!(client.status().await.unwrap().version, 29);
}

#[tokio::test]
async fn trees_travel_over_tcp() {
    trees_travel(over_tcp(|_| ()).await.0).await;
}

#[tokio::test]
async fn trees_travel_over_revdial() {
    trees_travel(over_revdial().await).await;
}

async fn commands_end_in_every_way(farm: Farm) {
    let client = &farm.client;
    assert_eq!(
        run(client, sh("echo out; echo err >&2")).await.0,
        ExecOutcome::Exited(0)
    );
    let (outcome, output) = run(client, sh("echo out; exit 3")).await;
    assert_eq!(
        (outcome, output.as_str()),
        (ExecOutcome::Exited(3), "out\n")
    );
    let killed = ExecOutcome::Signaled {
        signal: "killed".to_owned(),
        core: false,
    };
    assert_eq!(run(client, sh("kill -9 $$")).await.0, killed);

    let (_, output) = run(client, sh("echo $A-$B").env("A", "x y").env("B", "&=;%+")).await;
    assert_eq!(output, "x y-&=;%+\n");

    client
        .put("bad.sh", 0o755, "#!/nonexistent/interpreter\n")
        .await
        .unwrap();
    let (outcome, _) = run(client, Exec::new("./bad.sh")).await;
    assert!(matches!(outcome, ExecOutcome::NotStarted(_)), "{outcome:?}");
    let error = client.exec(Exec::new("")).await.unwrap_err();
    assert!(
        matches!(error, CommError::Status { code: 400, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn commands_end_in_every_way_over_tcp() {
    commands_end_in_every_way(over_tcp(|_| ()).await.0).await;
}

#[tokio::test]
async fn commands_end_in_every_way_over_revdial() {
    commands_end_in_every_way(over_revdial().await).await;
}

/// Waits until no process with this id is left.
async fn process_gone(pid: &str) {
    let proc = Path::new("/proc").join(pid.trim());
    soon(async {
        while proc.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[cfg(target_os = "linux")]
async fn dropping_a_command_kills_its_tree(farm: Farm) {
    // The grandchild has left the shell's session and ignores polite signals.
    let script = "setsid sh -c 'trap \"\" TERM HUP; echo $$; sleep 1000' & wait";
    let mut running = farm.client.exec(sh(script)).await.unwrap();
    let pid = soon(running.next_output()).await.unwrap().unwrap();
    let pid = String::from_utf8(pid.to_vec()).unwrap();
    drop(running);
    process_gone(&pid).await;

    let limit = Duration::from_millis(500);
    let mut running = farm.client.exec(sh(script).timeout(limit)).await.unwrap();
    let pid = soon(running.next_output()).await.unwrap().unwrap();
    let pid = String::from_utf8(pid.to_vec()).unwrap();
    let error = soon(running.wait()).await.unwrap_err();
    assert!(matches!(error, CommError::LocalTimeout { .. }), "{error:?}");
    process_gone(&pid).await;
    assert!(run(&farm.client, sh("true")).await.0.success());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn dropping_a_command_kills_its_tree_over_tcp() {
    dropping_a_command_kills_its_tree(over_tcp(|_| ()).await.0).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn dropping_a_command_kills_its_tree_over_revdial() {
    dropping_a_command_kills_its_tree(over_revdial().await).await;
}

#[tokio::test]
async fn large_output_arrives_whole() {
    let farm = over_revdial().await;
    let mut running = farm
        .client
        .exec(sh("head -c 20000000 /dev/zero; echo end"))
        .await
        .unwrap();
    let mut length = 0;
    while let Some(output) = soon(running.next_output()).await {
        length += output.unwrap().len();
    }
    assert_eq!(length, 20_000_004);
    assert!(running.wait().await.unwrap().success());
}

#[tokio::test]
async fn many_commands_at_once() {
    let (farm, _) = over_tcp(|_| ()).await;
    let mut all = tokio::task::JoinSet::new();
    for code in 0..40 {
        let client = farm.client.clone();
        all.spawn(async move {
            let (outcome, _) = run(&client, sh(&format!("exit {code}"))).await;
            assert_eq!(outcome, ExecOutcome::Exited(code));
        });
    }
    while let Some(result) = soon(all.join_next()).await {
        result.unwrap();
    }
}

#[tokio::test]
async fn the_password_is_asked_for() {
    let (farm, addr) = over_tcp(|config| config.password = Some("secret".to_owned())).await;
    let error = farm.client.status().await.unwrap_err();
    assert!(
        matches!(&error, CommError::Auth { body, .. } if body == "invalid password"),
        "{error:?}"
    );
    let trusted = Client::builder(TcpConnector::new(addr))
        .password("secret")
        .build();
    assert_eq!(trusted.status().await.unwrap().version, 29);
}

#[tokio::test]
async fn a_failed_upload_leaves_no_file() {
    let (farm, _) = over_tcp(|_| ()).await;
    farm.client.put("f", 0o644, "old").await.unwrap();
    let broken = io::Cursor::new(vec![1; 1 << 20]).chain(Failing);
    let error = soon(farm.client.put_reader("f", 0o644, broken))
        .await
        .unwrap_err();
    assert!(matches!(error, CommError::Source(_)), "{error:?}");
    let entries = listing(&farm.client, "").await;
    let digest = entries
        .iter()
        .find(|e| e.1 == "f")
        .unwrap()
        .2
        .clone()
        .unwrap();
    // The SHA-1 of "old".
    assert_eq!(digest, "c00dbbc9dadfbe1e232e93a729dd4752fade0abf");
}

struct Failing;

impl AsyncRead for Failing {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("gone")))
    }
}

#[tokio::test]
async fn a_missing_directory_is_said_before_the_download() {
    let (farm, _) = over_tcp(|_| ()).await;
    let error = farm.client.get_tar("nowhere").await.unwrap_err();
    assert!(matches!(error, CommError::Status { .. }), "{error:?}");
}

#[tokio::test]
async fn a_worker_stopped_in_mid_command_is_no_outcome() {
    let (farm, _) = over_tcp(|_| ()).await;
    let mut running = farm
        .client
        .exec(sh("echo started; sleep 1000"))
        .await
        .unwrap();
    soon(running.next_output()).await.unwrap().unwrap();
    farm.stop.cancel();
    let error = soon(running.wait()).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn close_halts_the_worker() {
    let (farm, _) = over_tcp(|config| config.halt_delay = Duration::ZERO).await;
    soon(farm.client.close()).await;
    soon(farm.worker.halted()).await;
    assert!(matches!(farm.client.status().await, Err(CommError::Closed)));
}
