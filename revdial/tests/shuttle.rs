//! Random schedules of whole sessions, drivers and all, by `shuttle`: no wake-up is lost, nothing
//! stays unsent, every stream learns of the end.
//!
//! The crate's own sources, with shuttle's locks and tasks in the place of those of the standard
//! library and tokio. No timer ever fires, so nothing is saved by one.
//! `REVDIAL_SCHEDULES=100000 cargo test -p revdial --test shuttle` tries more; a word after `--`
//! chooses.
#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "these are the crate's private modules"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]
#![allow(
    clippy::needless_pass_by_ref_mut,
    reason = "what is public in the crate is not here"
)]

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use shuttle::{
    future::{block_on, spawn},
    rand::{Rng, thread_rng},
    scheduler::RandomScheduler,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

#[path = "../src/connect.rs"]
mod connect;
#[path = "../src/control/mod.rs"]
mod control;
#[path = "../src/dialer.rs"]
mod dialer;
#[path = "../src/io.rs"]
mod io;
#[path = "../src/ledger.rs"]
mod ledger;
#[path = "../src/listener.rs"]
mod listener;
#[path = "../src/mux/mod.rs"]
mod mux;
#[path = "../src/path.rs"]
mod path;
#[path = "../src/reason.rs"]
mod reason;
#[path = "../src/register.rs"]
mod register;
#[path = "../src/upgrade/mod.rs"]
mod upgrade;
#[path = "../src/v1/mod.rs"]
mod v1;
#[path = "../src/v2/mod.rs"]
mod v2;
#[path = "../src/version.rs"]
mod version;

mod sync {
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};

    /// Used up with every stream, there and back. Both ways together hold more than is written
    /// before anything is read, or two that echo would wait for each other by right.
    pub(crate) const WINDOW: usize = 16;

    /// Either write of a stream is much, what is left of one is not.
    pub(crate) const MUCH: usize = 8;

    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        drop(shuttle::future::spawn(task));
    }
}

use connect::Connect;
use dialer::{DialError, Dialer, DialerConfig};
use io::{Io, Stream};
use ledger::{Peer, Stats, StreamInfo};
use listener::{AcceptError, Listener, ListenerConfig};
use mux::{Config, Limits};
use path::{InvalidTarget, redact};
use reason::CloseReason;
use register::RegisterError;
use v2::{Pickup, PickupError, Registry};
use version::{NegotiateError, OFFER_HEADER, VERSION_HEADER, Version, Versions, negotiate};

fn main() {
    // Timers want one, even if they never fire.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let _context = runtime.enter();

    for version in [Version::V1, Version::Mux] {
        explore(&format!("{version}: streams there and back"), move || {
            let (dialer, listener) = session(version);
            let far = spawn(echo(listener));
            block_on(async {
                let streams = [0, 1].map(|_| {
                    let dialer = dialer.clone();
                    spawn(async move { there_and_back(dialer.dial().await.unwrap()).await })
                });
                for stream in streams {
                    assert!(stream.await.unwrap());
                }
                // Nothing is left, so everything ends.
                let closed = dialer.closed();
                drop(dialer);
                closed.await;
                far.await.unwrap();
            });
        });

        explore(&format!("{version}: a dialer that leaves"), move || {
            let (dialer, listener) = session(version);
            let far = spawn(echo(listener));
            block_on(async {
                let stream = dialer.dial().await.unwrap();
                let work = spawn(there_and_back(stream));
                // Streams outlive it.
                drop(dialer);
                assert!(work.await.unwrap());
                far.await.unwrap();
            });
        });

        explore(&format!("{version}: a connection that breaks"), move || {
            let (near, far) = pipe();
            let breaking = near.clone();
            let (dialer, listener) = over(version, near, far);
            let far = spawn(echo(listener));
            block_on(async {
                let work = [0, 1].map(|_| {
                    let dialer = dialer.clone();
                    spawn(async move {
                        match dialer.dial().await {
                            Ok(stream) => there_and_back(stream).await,
                            Err(_) => false,
                        }
                    })
                });
                let cut = spawn(async move { breaking.cut() });
                // Whether they were done or not, all come to an end.
                for stream in work {
                    stream.await.unwrap();
                }
                cut.await.unwrap();
                dialer.closed().await;
                far.await.unwrap();
            });
        });

        explore(&format!("{version}: a stream dropped unread"), move || {
            let (dialer, listener) = session(version);
            let far = spawn(echo(listener));
            block_on(async {
                let mut stream = dialer.dial().await.unwrap();
                let other = dialer.dial().await.unwrap();
                let other = spawn(there_and_back(other));
                stream.write_all(&[1; 10]).await.unwrap();
                drop(stream);
                assert!(other.await.unwrap());
                let closed = dialer.closed();
                drop(dialer);
                closed.await;
                far.await.unwrap();
            });
        });
    }
}

/// Accepts until there is no more, and echoes.
async fn echo(mut listener: Listener) {
    let mut tasks = Vec::new();
    while let Ok(stream) = listener.accept().await {
        tasks.push(spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let mut buf = [0; 16];
            while let Ok(n @ 1..) = reader.read(&mut buf).await {
                if writer.write_all(&buf[..n]).await.is_err() {
                    return;
                }
            }
            let _ = writer.shutdown().await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// More than the connection holds, read back. Whether all of it came.
async fn there_and_back(mut stream: Stream) -> bool {
    let sent: Vec<u8> = (0..20).collect();
    for part in sent.chunks(10) {
        if stream.write_all(part).await.is_err() {
            return false;
        }
    }
    let _ = stream.shutdown().await;
    let mut back = Vec::new();
    let ended = stream.read_to_end(&mut back).await.is_ok();
    assert!(sent.starts_with(&back));
    ended && back == sent
}

fn session(version: Version) -> (Dialer, Listener) {
    let (near, far) = pipe();
    over(version, near, far)
}

fn over(version: Version, near: End, far: End) -> (Dialer, Listener) {
    let config = Config {
        limits: Limits {
            stream_send_limit: 8,
            quantum: 4,
            ..Limits::default()
        },
        ..Config::default()
    };
    let (near, far) = (Stream::new(near), Stream::new(far));
    if version == Version::V1 {
        (Dialer::v1(near, config.clone()), Listener::v1(far, config))
    } else {
        (
            Dialer::mux(near, config.clone()),
            Listener::mux(far, config),
        )
    }
}

/// One direction of a connection: short, and taking what it likes. Its lock is never held when
/// another task gets its turn.
#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    over: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone)]
struct End {
    from: Arc<Mutex<Way>>,
    to: Arc<Mutex<Way>>,
}

const ROOM: usize = 12;

fn pipe() -> (End, End) {
    let ways: [Arc<Mutex<Way>>; 2] = Default::default();
    let [from, to] = ways;
    (
        End {
            from: Arc::clone(&from),
            to: Arc::clone(&to),
        },
        End { from: to, to: from },
    )
}

fn with<T>(way: &Mutex<Way>, f: impl FnOnce(&mut Way) -> T) -> T {
    f(&mut way.lock().unwrap_or_else(PoisonError::into_inner))
}

fn wake(wakers: [Option<Waker>; 2]) {
    wakers.into_iter().flatten().for_each(Waker::wake);
}

impl Way {
    fn finish(&mut self) -> [Option<Waker>; 2] {
        self.over = true;
        [self.reader.take(), self.writer.take()]
    }
}

impl End {
    fn cut(&self) {
        wake(with(&self.from, Way::finish));
        wake(with(&self.to, Way::finish));
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let woken = with(&self.from, |way| {
            if way.bytes.is_empty() && !way.over {
                way.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let most = way.bytes.len().min(buf.remaining());
            let n = most.min(thread_rng().gen_range(1..=ROOM));
            way.bytes.drain(..n).for_each(|byte| buf.put_slice(&[byte]));
            Poll::Ready(way.writer.take())
        });
        woken.map(|writer| {
            wake([writer, None]);
            Ok(())
        })
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = with(&self.to, |way| {
            if way.over {
                return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
            }
            let room = ROOM - way.bytes.len();
            if room == 0 {
                way.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let n = room.min(buf.len()).min(thread_rng().gen_range(1..=ROOM));
            way.bytes.extend(&buf[..n]);
            Poll::Ready(Ok((n, way.reader.take())))
        });
        written.map_ok(|(n, reader)| {
            wake([reader, None]);
            n
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        wake(with(&self.to, Way::finish));
        Poll::Ready(Ok(()))
    }
}

fn explore(name: &str, model: impl Fn() + Sync + Send + 'static) {
    let mut wanted = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    if wanted.next().is_some_and(|part| !name.contains(&part)) {
        return;
    }
    let begun = Instant::now();
    let schedules = std::env::var("REVDIAL_SCHEDULES");
    let schedules = schedules.ok().and_then(|n| n.parse().ok()).unwrap_or(50);
    let mut config = shuttle::Config::new();
    // That it takes all atomics as sequentially consistent.
    config.silence_warnings = true;
    shuttle::Runner::new(RandomScheduler::new(schedules), config).run(model);
    println!("{name}: {schedules} schedules in {:.1?}", begun.elapsed());
}
