//! Many streams, one after the other and some at a time, and what they leave behind: nothing.
//!
//! `cargo run --release -p revdial --example soak -- mux 1000000` (or `v1`, or `v2 50000`).
//!
//! Each stream is dialled, used both ways and closed in one of several manners. Prints a line with
//! the rate, what is still counted as open, and the resident memory half-way and at the end; exits
//! with 1 if it grew by more than 5 % in the second half, as it would with any leak.

use std::{env, fs, process::ExitCode, time::Instant};

use revdial::{Dialer, DialerConfig, Listener, ListenerConfig, Registry, Stream, mux};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinSet,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Streams at a time.
const LANES: u64 = 32;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let args: Vec<String> = env::args().skip(1).collect();
    let (kind, streams) = match &args[..] {
        [] => ("mux", 20_000),
        [kind] => (kind.as_str(), 20_000),
        [kind, streams, ..] => (kind.as_str(), streams.parse()?),
    };
    let left = soak(kind, streams).await?;
    Ok(ExitCode::from(u8::from(left.grown > 0.05 || !left.clean)))
}

/// What is left after a soak.
pub(crate) struct Left {
    /// By how much the resident memory grew, in the second half.
    pub(crate) grown: f64,
    /// Nothing is counted as open, and both ends counted the same streams.
    pub(crate) clean: bool,
}

/// Uses `streams` streams of one version.
pub(crate) async fn soak(kind: &str, streams: u64) -> Result<Left, BoxError> {
    let registry = Registry::new();
    let (near, far) = duplex(64 * 1024);
    let (near, far) = (Stream::new(near), Stream::new(far));
    let config = mux::Config::default();
    let (dialer, listener) = match kind {
        "mux" => (
            Dialer::mux(near, config.clone()),
            Listener::mux(far, config),
        ),
        "v1" => (Dialer::v1(near, config.clone()), Listener::v1(far, config)),
        "v2" => {
            let dialer = registry.register(near, DialerConfig::default());
            let connect = connector(registry.clone());
            (
                dialer,
                Listener::new(far, connect, ListenerConfig::default()),
            )
        }
        _ => return Err("usage: soak [mux | v1 | v2] [STREAMS]".into()),
    };
    let far_end = tokio::spawn(accept(listener));

    let begin = Instant::now();
    run(&dialer, streams / 2).await?;
    let before = resident();
    run(&dialer, streams / 2).await?;
    let rate = streams as f64 / begin.elapsed().as_secs_f64();
    let after = resident();

    let stats = dialer.stats();
    println!(
        "{kind}: {} streams, {rate:.0}/s, still open {}, failed {}, resident {:.1} MiB half-way, {:.1} MiB at the end ({:+.1} %)",
        stats.streams,
        stats.open,
        stats.failures,
        before / 1024.0,
        after / 1024.0,
        (after / before - 1.0) * 100.0,
    );
    dialer.close();
    drop(dialer);
    let accepted = far_end.await?;
    println!(
        "{kind}: the other end accepted {accepted}, registry holds {}",
        registry.len()
    );
    Ok(Left {
        grown: after / before - 1.0,
        clean: stats.open == 0 && accepted == stats.streams && registry.is_empty(),
    })
}

/// Uses `streams` streams.
async fn run(dialer: &Dialer, streams: u64) -> Result<(), BoxError> {
    let mut work = JoinSet::new();
    for lane in 0..LANES {
        let dialer = dialer.clone();
        work.spawn(async move {
            for at in 0..streams / LANES {
                use_one(dialer.dial().await?, lane + at).await?;
            }
            Ok::<_, BoxError>(())
        });
    }
    while let Some(done) = work.join_next().await {
        done??;
    }
    Ok(())
}

/// The first byte says how it will end; then some bytes there and back.
async fn use_one(mut stream: Stream, number: u64) -> Result<(), BoxError> {
    let manner = (number % 4) as u8;
    stream.write_all(&[manner; 100]).await?;
    let mut answer = [0; 100];
    stream.read_exact(&mut answer).await?;
    match manner {
        // Both ends say that they are done.
        0 => {
            stream.shutdown().await?;
            stream.read_to_end(&mut Vec::new()).await?;
        }
        // The other end goes first.
        1 => drop(stream.read_to_end(&mut Vec::new()).await?),
        // With something still to be read, or without.
        _ => {}
    }
    Ok(())
}

/// Answers every stream; gives how many there were.
async fn accept(mut listener: Listener) -> u64 {
    let mut streams = JoinSet::new();
    let mut accepted = 0;
    while let Ok(stream) = listener.accept().await {
        accepted += 1;
        streams.spawn(answer(stream));
        while streams.try_join_next().is_some() {}
    }
    streams.join_all().await;
    accepted
}

async fn answer(mut stream: Stream) -> std::io::Result<()> {
    let mut question = [0; 100];
    stream.read_exact(&mut question).await?;
    stream.write_all(&question).await?;
    match question[0] {
        0 => drop(stream.read_to_end(&mut Vec::new()).await?),
        1 => stream.shutdown().await?,
        2 => stream.write_all(&[2; 1000]).await?,
        _ => {}
    }
    Ok(())
}

/// Connections to a server that knows pickups only.
fn connector(registry: Registry) -> impl revdial::Connect {
    move || {
        let (near, far) = duplex(8 * 1024);
        tokio::spawn(pick_up(registry.clone(), far));
        async { Ok(Stream::new(near)) }
    }
}

async fn pick_up(registry: Registry, mut far: DuplexStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(far.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    if let Ok(pickup) = registry.pickup(head.split(' ').nth(1).unwrap_or_default()) {
        far.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            .await?;
        pickup.deliver(Stream::new(far));
    }
    Ok(())
}

/// In KiB; 1 where there is no `/proc`, so that nothing grows.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value.and_then(|kib| kib.parse().ok()).unwrap_or(1.0)
}
