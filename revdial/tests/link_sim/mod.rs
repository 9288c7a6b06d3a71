//! Pairs of a dialer and a listener of any version over simulated wires.
#![allow(dead_code, reason = "each test program uses its part")]

mod wire;

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use revdial::{Dialer, DialerConfig, Listener, ListenerConfig, Registry, Stream, mux};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[allow(unused_imports, reason = "each test program uses its part")]
pub(crate) use wire::{Road, Way, Wire};

/// Numbers that look random, the same for the same seed.
#[derive(Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    V1,
    V2,
    Mux,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::V1, Self::V2, Self::Mux];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Both ends with their default configuration, and the wires between them.
pub(crate) struct Pair {
    pub(crate) dialer: Dialer,
    pub(crate) listener: Listener,
    pub(crate) registry: Registry,
    /// The first is the control connection, or the only one.
    pub(crate) wires: Arc<Mutex<Vec<Wire>>>,
}

impl Pair {
    pub(crate) fn new(kind: Kind, road: Road, seed: u64) -> Self {
        Self::with_config(kind, road, seed, &mux::Config::default())
    }

    pub(crate) fn with_config(kind: Kind, road: Road, seed: u64, config: &mux::Config) -> Self {
        let registry = Registry::new();
        let (wire, near, far) = Wire::new(road, seed);
        let (near, far) = (Stream::new(near), Stream::new(far));
        let wires = Arc::new(Mutex::new(vec![wire]));
        let (dialer, listener) = match kind {
            Kind::V1 => (
                Dialer::v1(near, config.clone()),
                Listener::v1(far, config.clone()),
            ),
            Kind::Mux => (
                Dialer::mux(near, config.clone()),
                Listener::mux(far, config.clone()),
            ),
            Kind::V2 => {
                let (registry, wires) = (registry.clone(), Arc::clone(&wires));
                let dialer = registry.register(near, DialerConfig::default());
                let connect = move || {
                    let mut all = wires.lock().unwrap();
                    let (wire, near, far) = Wire::new(road, seed + all.len() as u64);
                    all.push(wire);
                    tokio::spawn(serve(registry.clone(), Stream::new(near)));
                    async { Ok(Stream::new(far)) }
                };
                (
                    dialer,
                    Listener::new(far, connect, ListenerConfig::default()),
                )
            }
        };
        Self {
            dialer,
            listener,
            registry,
            wires,
        }
    }

    /// The wire that a session lives and dies by.
    pub(crate) fn wire(&self) -> Wire {
        self.wires.lock().unwrap()[0].clone()
    }

    /// Does the same to all wires.
    pub(crate) fn each_wire(&self, f: impl FnMut(&Wire)) {
        self.wires.lock().unwrap().iter().for_each(f);
    }
}

/// A server that knows pickups only.
async fn serve(registry: Registry, mut io: Stream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match io.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let answer = match registry.pickup(head.split(' ').nth(1).unwrap()) {
        Ok(pickup) => {
            let switch = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
            if io.write_all(switch).await.is_ok() {
                pickup.deliver(io);
            }
            return;
        }
        Err(error) => format!("HTTP/1.1 {} Bad Request\r\n\r\n", error.status()),
    };
    let _ = io.write_all(answer.as_bytes()).await;
}

/// Runs one case, and ends all that it leaves behind.
pub(crate) fn in_virtual_time(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(case);
}

/// Reads everything from every stream and sends it back.
pub(crate) async fn echo(mut listener: Listener) {
    while let Ok(stream) = listener.accept().await {
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
        });
    }
}

/// Waits until only `tasks` are left in the runtime, at most `limit`.
pub(crate) async fn only_tasks_left(tasks: usize, limit: Duration) -> bool {
    let metrics = tokio::runtime::Handle::current().metrics();
    let rounds = limit.as_millis() / 10;
    for _ in 0..rounds {
        if metrics.num_alive_tasks() <= tasks {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}
