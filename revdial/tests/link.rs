//! Random work over a slow, stalling link that cuts at any byte, against a simple model: every
//! byte is the right one, an end comes only after all that the other end wrote, sessions end at both
//! ends and leave nothing behind. Virtual time; a failing seed is named.
#![allow(clippy::unwrap_used, reason = "a test program")]

mod link_sim;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use link_sim::{Kind, Pair, Rng, Road, in_virtual_time, only_tasks_left};
use revdial::Stream;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    task::JoinSet,
    time::{sleep, timeout},
};

const HOUR: Duration = Duration::from_secs(3600);

/// The byte at a place of one direction of a stream.
fn byte(key: u64, at: u64) -> u8 {
    (key ^ at.wrapping_mul(0x9e37_79b9)).rotate_right(11) as u8
}

/// Bytes that each side has got rid of, by its key.
type Written = Mutex<HashMap<u64, u64>>;

/// What one side of a stream is going to do, known to both.
#[derive(Clone, Copy)]
struct Plan {
    key: u64,
    /// Bytes it writes.
    len: u64,
    /// Whether it shuts the stream down afterwards; else it only drops it.
    ends: bool,
    /// Bytes after which it reads no more and lets go of all.
    gives_up: Option<u64>,
}

impl Plan {
    /// That of `side` in the stream called `name`.
    fn new(name: u64, side: u64) -> Self {
        let mut rng = Rng::new(name.wrapping_mul(2).wrapping_add(side));
        let len = match rng.below(4) {
            0 => rng.below(20),
            1 => rng.below(3000),
            2 => 65_530 + rng.below(12),
            _ => rng.below(300_000),
        };
        Self {
            key: rng.next(),
            len,
            ends: rng.below(5) > 0,
            gives_up: (rng.below(6) == 0).then(|| rng.below(100_000)),
        }
    }

    async fn write(
        self,
        mut to: impl AsyncWrite + Unpin,
        rng: &mut Rng,
        written: &Written,
    ) -> Result<(), ()> {
        let mut at = 0;
        while at < self.len {
            let n = (1 + rng.below(40_000)).min(self.len - at);
            let bytes: Vec<u8> = (at..at + n).map(|at| byte(self.key, at)).collect();
            let n = to.write(&bytes).await.map_err(drop)?;
            at += n as u64;
            written.lock().unwrap().insert(self.key, at);
            if rng.below(4) == 0 {
                sleep(Duration::from_millis(rng.below(700))).await;
            }
        }
        if self.ends {
            to.shutdown().await.map_err(drop)?;
        }
        Ok(())
    }

    /// Reads what `self`, the other side, writes. `None` if it ended in an error.
    async fn read(
        self,
        mut from: ReadHalf<Stream>,
        most: Option<u64>,
        rng: &mut Rng,
    ) -> Option<u64> {
        let (mut at, mut buf) = (0, vec![0; 50_000]);
        loop {
            let room = 1 + rng.below(buf.len() as u64) as usize;
            let n = match from.read(&mut buf[..room]).await {
                Ok(0) => return Some(at),
                Ok(n) => n as u64,
                Err(_) => return None,
            };
            for (offset, got) in buf[..n as usize].iter().enumerate() {
                let at = at + offset as u64;
                assert_eq!(*got, byte(self.key, at), "byte {at}");
            }
            at += n;
            assert!(at <= self.len, "more than was written");
            if most.is_some_and(|most| at >= most) {
                return None;
            }
            if rng.below(8) == 0 {
                sleep(Duration::from_millis(rng.below(300))).await;
            }
        }
    }
}

/// One side of a stream, from its first byte to its drop. True if it read the other's end.
async fn play(stream: Stream, name: u64, side: u64, kind: Kind, written: &Written) -> bool {
    let (mine, theirs) = (Plan::new(name, side), Plan::new(name, 1 - side));
    let (reader, writer) = tokio::io::split(stream);
    let mut rng = Rng::new(name ^ (side + 77));
    let mut other = rng.clone();
    let mut write = async |mut writer: WriteHalf<Stream>| {
        let done = mine.write(&mut writer, &mut rng, written).await;
        // Keeps it: half of a stream is no drop.
        (done, writer)
    };
    let read = theirs.read(reader, mine.gives_up, &mut other);
    let read = async {
        let got = read.await;
        if let Some(got) = got {
            // A version 2 stream is a connection: whoever closes that on the way ends it.
            let sent = written.lock().unwrap().get(&theirs.key).copied();
            assert!(
                got == sent.unwrap_or(0) || kind == Kind::V2,
                "stream {name}: an end after {got} of {sent:?} bytes"
            );
        }
        got.is_some()
    };
    if mine.gives_up.is_some() {
        // Whatever is first: the whole stream goes.
        tokio::select! {
            end = read => end,
            _ = write(writer) => false,
        }
    } else {
        tokio::join!(read, write(writer)).0
    }
}

async fn story(kind: Kind, seed: u64) {
    let mut rng = Rng::new(seed);
    let road = Road {
        latency: Duration::from_millis(rng.below(200)),
        rate: [20_000, 200_000, 5_000_000][rng.below(3) as usize],
        room: [3000, 64 * 1024, 512 * 1024][rng.below(3) as usize],
        stalls: rng.below(10),
        stall: Duration::from_secs(rng.below(4)),
        segment: [1, 7, 1500, 65_536][rng.below(4) as usize].max(rng.below(100) as usize),
    };
    let pair = Pair::new(kind, road, seed);
    let cut = (rng.below(3) > 0).then(|| Duration::from_millis(rng.below(60_000)));
    let wires = Arc::clone(&pair.wires);
    let resets = rng.below(2) == 0;
    let written = Arc::new(Written::default());

    let (dialer, mut listener) = (pair.dialer.clone(), pair.listener);
    let ends = (dialer.closed(), listener.closed());
    let streams = 1 + rng.below(12);
    let theirs = Arc::clone(&written);
    let accepting = tokio::spawn(async move {
        let mut playing = JoinSet::new();
        while let Ok(mut stream) = listener.accept().await {
            let written = Arc::clone(&theirs);
            playing.spawn(async move {
                if let Ok(name) = stream.read_u64().await {
                    play(stream, name, 1, kind, &written).await;
                }
            });
        }
        while let Some(done) = playing.join_next().await {
            done.unwrap();
        }
        assert_eq!(listener.stats().open, 0);
    });
    let dialing = async {
        let mut playing = JoinSet::new();
        for _ in 0..streams {
            let (dialer, written, name) = (dialer.clone(), Arc::clone(&written), rng.next());
            playing.spawn(async move {
                let Ok(mut stream) = dialer.dial().await else {
                    return false;
                };
                if stream.write_u64(name).await.is_err() {
                    return false;
                }
                play(stream, name, 0, kind, &written).await
            });
            if rng.below(3) == 0 {
                sleep(Duration::from_millis(rng.below(5000))).await;
            }
        }
        let mut whole = 0;
        while let Some(done) = playing.join_next().await {
            whole += u64::from(done.unwrap());
        }
        whole
    };
    let cutting = async {
        match cut {
            Some(after) => {
                sleep(after).await;
                for wire in wires.lock().unwrap().iter() {
                    if resets { wire.reset() } else { wire.end() }
                }
                std::future::pending().await
            }
            None => std::future::pending::<()>().await,
        }
    };
    tokio::select! {
        _ = timeout(HOUR, dialing) => {}
        () = cutting => {}
    }
    dialer.close();
    drop((dialer, pair.dialer));
    let (one, other) = timeout(HOUR, async { tokio::join!(ends.0, ends.1) })
        .await
        .expect("both sessions end");
    drop((one, other));
    timeout(HOUR, accepting)
        .await
        .expect("all streams end")
        .unwrap();
    assert!(pair.registry.is_empty());
    assert!(only_tasks_left(0, HOUR).await, "a task is left");
}

fn stories(kind: Kind, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        eprintln!("{kind} seed {seed}");
        in_virtual_time(story(kind, seed));
    }
}

#[test]
fn v1_over_a_link_that_cuts() {
    stories(Kind::V1, 0..6);
}

#[test]
fn v2_over_a_link_that_cuts() {
    stories(Kind::V2, 1000..1006);
}

#[test]
fn mux_over_a_link_that_cuts() {
    stories(Kind::Mux, 2000..2006);
}
