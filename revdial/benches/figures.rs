//! Figures with their peer, raw TCP, in the same run: `cargo bench -p revdial --bench figures`.
//!
//! Everything over loopback, both ends in one process, rounds interleaved, medians printed.
#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot run should say so and stop"
)]

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use revdial::{
    Dialer, DialerConfig, Listener, ListenerConfig, Registry, Stream,
    server::{ServeConfig, answer_pickup, serve_connection},
    v1,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
enum Opener {
    Raw(SocketAddr),
    Dialled(Dialer),
    V1(v1::Dialer),
}

impl Opener {
    async fn open(&self) -> Stream {
        match self {
            Self::Raw(addr) => Stream::new(connect(*addr).await.unwrap()),
            Self::Dialled(dialer) => dialer.dial().await.unwrap(),
            Self::V1(dialer) => dialer.dial().await.unwrap(),
        }
    }
}

async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(addr).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// Does what the first byte of a connection says: `e` echoes, `s` swallows and confirms.
async fn behave(mut stream: Stream) -> io::Result<()> {
    let mut buf = vec![0; 64 * 1024];
    match stream.read_u8().await? {
        b's' => {
            while stream.read(&mut buf).await? > 0 {}
            stream.write_all(b"k").await?;
        }
        _ => {
            stream.write_all(b"e").await?;
            loop {
                let n = stream.read(&mut buf).await?;
                if n == 0 {
                    break;
                }
                stream.write_all(&buf[..n]).await?;
            }
        }
    }
    Ok(())
}

/// A raw server.
async fn raw() -> Opener {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = socket.accept().await {
            tcp.set_nodelay(true).unwrap();
            tokio::spawn(behave(Stream::new(tcp)));
        }
    });
    Opener::Raw(addr)
}

/// A server for pickups and a listener behind it.
async fn dialled(spares: usize) -> Opener {
    let registry = Registry::new();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    let (here, there) = tokio::join!(connect(addr), socket.accept());
    let there = there.unwrap().0;
    // Or Nagle's algorithm holds back one `conn-ready` until the last is acknowledged.
    there.set_nodelay(true).unwrap();
    let config = DialerConfig {
        spares,
        ..DialerConfig::default()
    };
    let dialer = registry.register(Stream::new(here.unwrap()), config);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = socket.accept().await {
            tcp.set_nodelay(true).unwrap();
            let registry = registry.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answer: Response<Full<Bytes>> =
                    answer_pickup(&registry, &request.into_parts().0, true);
                async { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(serve_connection(
                tcp,
                service,
                ServeConfig::default(),
                CancellationToken::new(),
            ));
        }
    });
    let fetch = move || async move { connect(addr).await.map(Stream::new) };
    let mut listener = Listener::new(Stream::new(there), fetch, ListenerConfig::default());
    tokio::spawn(async move {
        while let Ok(stream) = listener.accept().await {
            tokio::spawn(behave(stream));
        }
    });
    Opener::Dialled(dialer)
}

/// A v1 session: all streams over one connection.
async fn multiplexed() -> Opener {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (here, there) = tokio::join!(connect(socket.local_addr().unwrap()), socket.accept());
    let there = there.unwrap().0;
    there.set_nodelay(true).unwrap();
    let mut listener = v1::Listener::new(Stream::new(there), v1::Config::default());
    tokio::spawn(async move {
        while let Ok(stream) = listener.accept().await {
            tokio::spawn(behave(stream));
        }
    });
    Opener::V1(v1::Dialer::new(
        Stream::new(here.unwrap()),
        v1::Config::default(),
    ))
}

/// Open, one byte each way, close; per second, with `lanes` at a time.
async fn set_ups(opener: &Opener, lanes: usize, each: usize) -> f64 {
    let begin = Instant::now();
    let mut work = JoinSet::new();
    for _ in 0..lanes {
        let opener = opener.clone();
        work.spawn(async move {
            for _ in 0..each {
                let mut stream = opener.open().await;
                stream.write_all(b"e").await.unwrap();
                stream.read_u8().await.unwrap();
            }
        });
    }
    work.join_all().await;
    (lanes * each) as f64 / begin.elapsed().as_secs_f64()
}

/// The median time of a 64-byte ping-pong, in microseconds.
async fn ping(opener: &Opener) -> f64 {
    let mut stream = opener.open().await;
    stream.write_all(b"e").await.unwrap();
    stream.read_u8().await.unwrap();
    let mut buf = [0; 64];
    let mut times = Vec::new();
    for _ in 0..10_000 {
        let begin = Instant::now();
        stream.write_all(&buf).await.unwrap();
        stream.read_exact(&mut buf).await.unwrap();
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    median(times)
}

/// One-way throughput in GB/s over `lanes` streams at a time.
async fn bulk(opener: &Opener, lanes: usize) -> f64 {
    const TOTAL: usize = 512 << 20;
    let begin = Instant::now();
    let mut work = JoinSet::new();
    for _ in 0..lanes {
        let mut stream = opener.open().await;
        work.spawn(async move {
            let buf = vec![7; 64 * 1024];
            stream.write_all(b"s").await.unwrap();
            for _ in 0..TOTAL / lanes / buf.len() {
                stream.write_all(&buf).await.unwrap();
            }
            stream.shutdown().await.unwrap();
            stream.read_u8().await.unwrap();
        });
    }
    work.join_all().await;
    TOTAL as f64 / begin.elapsed().as_secs_f64() / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn figure(name: &str, ours: f64, peer: (&str, f64), unit: &str, target: f64, less_is_better: bool) {
    let ratio = ours / peer.1;
    let (sign, ok) = if less_is_better {
        ("<=", ratio <= target)
    } else {
        (">=", ratio >= target)
    };
    let verdict = if ok { "ok" } else { "SHORT" };
    println!(
        "figure {name} ours={ours:.2} peer={:.2}({}) unit={unit} ratio={ratio:.2} target{sign}{target} {verdict}",
        peer.1, peer.0
    );
}

async fn run(rounds: usize, size: usize) {
    let (raw, plain, spared) = (raw().await, dialled(0).await, dialled(16).await);
    let v1 = multiplexed().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); 17];
    for _ in 0..rounds {
        let row = [
            set_ups(&raw, 1, size).await,
            set_ups(&plain, 1, size).await,
            set_ups(&spared, 1, size).await,
            set_ups(&raw, 16, size / 4).await,
            set_ups(&plain, 16, size / 4).await,
            set_ups(&spared, 16, size / 4).await,
            ping(&raw).await,
            ping(&plain).await,
            bulk(&raw, 1).await,
            bulk(&plain, 1).await,
            bulk(&raw, 16).await,
            bulk(&plain, 16).await,
            set_ups(&v1, 1, size).await,
            set_ups(&v1, 16, size / 4).await,
            ping(&v1).await,
            bulk(&v1, 1).await,
            bulk(&v1, 16).await,
        ];
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    let at: Vec<f64> = columns.into_iter().map(median).collect();
    // Go's own v2 keeps this share of Go's raw TCP (9.4 of 27 and 17.8 of 37 thousand per second
    // on a quiet machine). A plain dial has to keep as much, one with spares twice as much.
    let (sequential, parallel) = (0.35, 0.48);
    let raw = |n: usize| ("raw-tcp", at[n]);
    figure("dial_1", at[1], raw(0), "1/s", sequential, false);
    figure(
        "dial_1_spares",
        at[2],
        raw(0),
        "1/s",
        2.0 * sequential,
        false,
    );
    figure("dial_16", at[4], raw(3), "1/s", parallel, false);
    figure(
        "dial_16_spares",
        at[5],
        raw(3),
        "1/s",
        2.0 * parallel,
        false,
    );
    figure("ping_p50", at[7], ("raw-tcp", at[6]), "us", 1.05, true);
    figure("bulk_1", at[9], ("raw-tcp", at[8]), "GB/s", 0.95, false);
    figure("bulk_16", at[11], ("raw-tcp", at[10]), "GB/s", 0.95, false);

    // A v1 stream costs no connection: the goal is a rate.
    let goal = ("goal", 20_000.0);
    figure("v1_set_ups_1", at[12], goal, "1/s", 1.0, false);
    figure("v1_set_ups_16", at[13], goal, "1/s", 1.0, false);
    figure("v1_ping_p50", at[14], ("raw-tcp", at[6]), "us", 1.2, true);
    figure("v1_bulk_1", at[15], ("raw-tcp", at[8]), "GB/s", 0.7, false);
    figure(
        "v1_bulk_16",
        at[16],
        ("raw-tcp", at[10]),
        "GB/s",
        0.8,
        false,
    );
}

fn main() {
    // `cargo test` only asks whether it still works.
    let measure = std::env::args().any(|arg| arg == "--bench");
    let (rounds, size) = if measure { (5, 2000) } else { (1, 20) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(rounds, size));
}
