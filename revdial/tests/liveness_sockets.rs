//! Liveness over real sockets: a proxy that swallows, cuts and resets, and a process that is
//! stopped. Configurations are scaled down, or each case would take 15 s.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::{
    env, io,
    net::SocketAddr,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use revdial::{Dialer, DialerConfig, Listener, ListenerConfig, Registry, Stream, mux};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    task::JoinSet,
    time::timeout,
};

const KEEP_ALIVE: Duration = Duration::from_millis(400);
const IDLE: Duration = Duration::from_millis(2000);

/// As slow as a busy machine may make it.
const LIMIT: Duration = Duration::from_secs(8);

const KINDS: [&str; 3] = ["v1", "v2", "mux"];

fn mux_config() -> mux::Config {
    mux::Config {
        keep_alive: Some(KEEP_ALIVE),
        idle_timeout: IDLE,
        ..mux::Config::default()
    }
}

fn dialer(kind: &str, connection: Stream) -> Dialer {
    match kind {
        "v1" => Dialer::v1(connection, mux_config()),
        "mux" => Dialer::mux(connection, mux_config()),
        _ => {
            let config = DialerConfig {
                keep_alive: KEEP_ALIVE,
                idle_timeout: IDLE,
                ..DialerConfig::default()
            };
            Registry::new().register(connection, config)
        }
    }
}

fn listener(kind: &str, connection: Stream) -> Listener {
    match kind {
        "v1" => Listener::v1(connection, mux_config()),
        "mux" => Listener::mux(connection, mux_config()),
        _ => {
            let config = ListenerConfig {
                keep_alive: KEEP_ALIVE,
                idle_timeout: IDLE,
                ..ListenerConfig::default()
            };
            // Only the control connection is looked at.
            let connect = || async { Err(io::ErrorKind::Unsupported.into()) };
            Listener::new(connection, connect, config)
        }
    }
}

/// What a proxy does with a connection.
#[derive(Default)]
struct Switches {
    swallow_to_dialer: AtomicBool,
    swallow_to_listener: AtomicBool,
    end: Notify,
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallow: impl Fn() -> bool) {
    let mut buf = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buf).await {
        if !swallow() && to.write_all(&buf[..n]).await.is_err() {
            break;
        }
    }
    if swallow() {
        // Nor does the end get through.
        std::future::pending::<()>().await;
    }
}

/// A connection through a proxy: the dialer's end and the listener's.
async fn proxied(switches: Arc<Switches>, resets: bool) -> (Stream, Stream) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(proxy.local_addr().unwrap())
        .await
        .unwrap();
    let (outer, _) = proxy.accept().await.unwrap();
    let inner = TcpStream::connect(server.local_addr().unwrap())
        .await
        .unwrap();
    let (near, _) = server.accept().await.unwrap();
    tokio::spawn(async move {
        if resets {
            outer.set_zero_linger().unwrap();
            inner.set_zero_linger().unwrap();
        }
        let up = Arc::clone(&switches);
        let down = Arc::clone(&switches);
        let mut lanes = JoinSet::new();
        let (outer_reader, outer_writer) = outer.into_split();
        let (inner_reader, inner_writer) = inner.into_split();
        lanes.spawn(pass(outer_reader, inner_writer, move || {
            up.swallow_to_dialer.load(Relaxed)
        }));
        lanes.spawn(pass(inner_reader, outer_writer, move || {
            down.swallow_to_listener.load(Relaxed)
        }));
        tokio::select! {
            () = switches.end.notified() => {}
            _ = async { while lanes.join_next().await.is_some() {} } => {}
        }
        // Dropping ends both connections.
    });
    (Stream::new(near), Stream::new(far))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_swallows_or_cuts() {
    let mut cases = JoinSet::new();
    for kind in KINDS {
        for fault in ["both ways", "to dialer", "to listener", "end", "reset"] {
            cases.spawn(async move {
                let switches = Arc::new(Switches::default());
                let (near, far) = proxied(Arc::clone(&switches), fault == "reset").await;
                let (dialer, listener) = (dialer(kind, near), listener(kind, far));
                tokio::time::sleep(2 * KEEP_ALIVE).await;
                assert!(
                    !dialer.is_closed() && !listener.is_closed(),
                    "{kind} {fault}"
                );
                match fault {
                    "both ways" => {
                        switches.swallow_to_dialer.store(true, Relaxed);
                        switches.swallow_to_listener.store(true, Relaxed);
                    }
                    "to dialer" => switches.swallow_to_dialer.store(true, Relaxed),
                    "to listener" => switches.swallow_to_listener.store(true, Relaxed),
                    _ => switches.end.notify_one(),
                }
                let known = async { tokio::join!(dialer.closed(), listener.closed()) };
                let known = timeout(LIMIT, known).await;
                assert!(known.is_ok(), "{kind} {fault}: not known");
            });
        }
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

const KIND: &str = "REVDIAL_TEST_KIND";
const ADDR: &str = "REVDIAL_TEST_ADDR";

/// The machine that is stopped: this program again. Does nothing as a test.
#[tokio::test]
async fn the_machine() {
    let (Ok(kind), Ok(addr)) = (env::var(KIND), env::var(ADDR)) else {
        return;
    };
    let addr: SocketAddr = addr.parse().unwrap();
    let tcp = TcpStream::connect(addr).await.unwrap();
    let mut listener = listener(&kind, Stream::new(tcp));
    while let Ok(mut stream) = listener.accept().await {
        tokio::spawn(async move {
            while let Ok(byte) = stream.read_u8().await {
                stream.write_u8(byte).await.unwrap();
            }
        });
    }
}

/// A child process, killed when dropped.
struct Machine(Child);

impl Machine {
    fn start(kind: &str, addr: SocketAddr) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "the_machine"]);
        command.env(KIND, kind).env(ADDR, addr.to_string());
        Self(command.stdout(std::process::Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_stopped() {
    let mut cases = JoinSet::new();
    for kind in KINDS {
        cases.spawn(stopped(kind));
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

async fn stopped(kind: &str) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut machine = Machine::start(kind, server.local_addr().unwrap());
    let (tcp, _) = timeout(LIMIT, server.accept()).await.unwrap().unwrap();
    let dialer = dialer(kind, Stream::new(tcp));
    tokio::time::sleep(2 * KEEP_ALIVE).await;

    // Briefly: nobody minds.
    machine.signal("-STOP");
    tokio::time::sleep(IDLE / 2).await;
    machine.signal("-CONT");
    tokio::time::sleep(2 * KEEP_ALIVE).await;
    assert!(!dialer.is_closed(), "{kind}");
    if kind != "v2" {
        let mut stream = dialer.dial().await.unwrap();
        stream.write_u8(7).await.unwrap();
        assert_eq!(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap(), 7);
    }

    // For good: known in time, and when it wakes up the machine knows too.
    machine.signal("-STOP");
    let begin = Instant::now();
    timeout(LIMIT, dialer.closed()).await.expect(kind);
    assert!(
        begin.elapsed() > IDLE / 2,
        "{kind}: given up after {:?}",
        begin.elapsed()
    );
    machine.signal("-CONT");
    let ended = tokio::task::spawn_blocking(move || {
        let begin = Instant::now();
        while begin.elapsed() < LIMIT {
            if machine.0.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    });
    assert!(ended.await.unwrap(), "{kind}: the machine does not know");
}
