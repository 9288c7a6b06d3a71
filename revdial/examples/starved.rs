//! Two ends in a process that hardly gets a processor: they must not give each other up.
//!
//! `cargo run --release -p revdial --example starved -- 30 32`: for 30 seconds, beside 32 threads
//! that spin. Default configuration, loopback TCP, mux, version 1 and the control connection of
//! version 2. Prints how late a timer of 10 ms came at worst.

use std::{
    env,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use revdial::{Dialer, DialerConfig, Listener, ListenerConfig, Registry, Stream, mux};
use tokio::net::{TcpListener, TcpStream};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, BoxError> {
    let args: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize, default: u64| args.get(at).map_or(Ok(default), |arg| arg.parse());
    let (seconds, threads) = (number(0, 30)?, number(1, 32)?);

    let registry = Registry::new();
    let mut pairs = Vec::new();
    for kind in ["mux", "v1", "v2"] {
        let (near, far) = tcp().await?;
        let config = mux::Config::default();
        let connect = || async { Err(std::io::ErrorKind::Unsupported.into()) };
        pairs.push(match kind {
            "mux" => (
                kind,
                Dialer::mux(near, config.clone()),
                Listener::mux(far, config),
            ),
            "v1" => (
                kind,
                Dialer::v1(near, config.clone()),
                Listener::v1(far, config),
            ),
            _ => (
                kind,
                registry.register(near, DialerConfig::default()),
                Listener::new(far, connect, ListenerConfig::default()),
            ),
        });
    }

    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..threads {
        let stop = Arc::clone(&stop);
        thread::spawn(move || while !stop.load(Relaxed) {});
    }
    let (begin, mut latest) = (Instant::now(), Duration::ZERO);
    while begin.elapsed() < Duration::from_secs(seconds) {
        let asleep = Instant::now();
        tokio::time::sleep(Duration::from_millis(10)).await;
        latest = latest.max(asleep.elapsed());
    }
    stop.store(true, Relaxed);

    let mut dead = 0;
    for (kind, dialer, listener) in &pairs {
        for (end, closed) in [
            ("dialer", dialer.is_closed()),
            ("listener", listener.is_closed()),
        ] {
            if closed {
                dead += 1;
                println!("{kind} {end}: given up");
            }
        }
    }
    println!(
        "{seconds} s beside {threads} spinning threads: {dead} of 6 ends given up; a timer of 10 ms took up to {latest:?}"
    );
    Ok(ExitCode::from(u8::from(dead > 0)))
}

async fn tcp() -> Result<(Stream, Stream), BoxError> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let near = TcpStream::connect(socket.local_addr()?).await?;
    let (far, _) = socket.accept().await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((Stream::new(near), Stream::new(far)))
}
