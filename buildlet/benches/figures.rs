//! One line per figure, each with a peer measured in the same run.
//!
//! `cargo bench -p buildlet --bench figures`

#![expect(clippy::unwrap_used, reason = "a measurement that fails is none")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use buildlet::{Buildlet, Config, EnvPolicy};
use tokio_util::sync::CancellationToken;

const BULK: usize = 512 << 20;
const ROUNDS: usize = 300;

fn main() {
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let size = BULK.to_string();
    // The peers first: a worker that adopts orphans would take their children for such.
    let bare_spawn = median(|| {
        Command::new("/bin/true")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
            .wait()
            .unwrap();
    });
    let bare_copy = best(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let start = Instant::now();
        let arg = size.clone();
        let copy = std::thread::spawn(move || {
            let mut child = Command::new("/usr/bin/head")
                .args(["-c", &arg, "/dev/zero"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stream = TcpStream::connect(address).unwrap();
            let mut pipe = child.stdout.take().unwrap();
            let mut block = vec![0; 64 * 1024];
            loop {
                let count = pipe.read(&mut block).unwrap();
                if count == 0 {
                    break;
                }
                stream.write_all(&block[..count]).unwrap();
            }
            child.wait().unwrap();
        });
        let (mut stream, _) = listener.accept().unwrap();
        swallow(&mut stream, BULK);
        copy.join().unwrap();
        start
    });

    let temp = tempfile::tempdir().unwrap();
    let mut config = Config::new(temp.path());
    config.env = EnvPolicy::inherit(std::env::vars_os());
    config.adopt_orphans = true;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = runtime.block_on(async {
        let buildlet = Buildlet::new(config).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let buildlet = buildlet.clone();
                tokio::spawn(async move {
                    buildlet
                        .serve_connection(stream, CancellationToken::new())
                        .await;
                });
            }
        });
        address
    });

    let mut client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    let ours = median(|| {
        client.write_all(&request("/bin/true", &[])).unwrap();
        let mut text = Vec::new();
        let mut block = [0; 4096];
        while !text.windows(16).any(|window| window == b"Process-State: o")
            || !text.ends_with(b"\r\n\r\n")
        {
            let count = client.read(&mut block).unwrap();
            assert!(count > 0);
            text.extend_from_slice(&block[..count]);
        }
    });
    figure(
        "exec_true_p50",
        ours * 1e3,
        bare_spawn * 1e3,
        "bare-spawn",
        "ms",
        true,
        3.0,
    );

    let ours = best(|| {
        let mut client = TcpStream::connect(address).unwrap();
        let start = Instant::now();
        let request = request("/usr/bin/head", &["-c", &size, "/dev/zero"]);
        client.write_all(&request).unwrap();
        // The end of an answer is not looked for: so many bytes of it are enough.
        swallow(&mut client, BULK);
        start
    });
    figure(
        "exec_output",
        ours,
        bare_copy,
        "pipe-to-socket-copy",
        "MB/s",
        false,
        0.7,
    );
    runtime.shutdown_background();
}

fn request(cmd: &str, args: &[&str]) -> Vec<u8> {
    let mut body = format!("mode=sys&cmd={}", cmd.replace('/', "%2F"));
    for arg in args {
        body.push_str("&cmdArg=");
        body.push_str(&arg.replace('/', "%2F"));
    }
    format!(
        "POST /exec HTTP/1.1\r\nHost: w\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn swallow(stream: &mut TcpStream, bytes: usize) {
    let mut block = vec![0; 256 * 1024];
    let mut left = bytes;
    while left > 0 {
        let count = stream.read(&mut block).unwrap();
        assert!(count > 0);
        left = left.saturating_sub(count);
    }
}

/// Best of three, in MB/s.
fn best(mut round: impl FnMut() -> Instant) -> f64 {
    (0..3)
        .map(|_| BULK as f64 / 1e6 / round().elapsed().as_secs_f64())
        .fold(0.0, f64::max)
}

fn median(mut round: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn figure(name: &str, ours: f64, peer: f64, who: &str, unit: &str, less: bool, target: f64) {
    let ratio = ours / peer;
    let (sign, good) = if less {
        ("<=", ratio <= target)
    } else {
        (">=", ratio >= target)
    };
    let verdict = if good { "ok" } else { "SHORT" };
    println!(
        "figure {name} ours={ours:.3} peer={peer:.3}({who}) unit={unit} ratio={ratio:.2} target{sign}{target} {verdict}"
    );
}
