//! A wire: what is written at one end comes out at the other, in order, once its time has come.
//! Works in tokio's paused time.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::Rng;

/// What one direction of a wire is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Road {
    /// From one end to the other.
    pub(crate) latency: Duration,
    /// Bytes per second.
    pub(crate) rate: u64,
    /// Bytes under way, socket buffers included, before writers wait.
    pub(crate) room: usize,
    /// Of a hundred pieces, how many are held up, all that follows behind them.
    pub(crate) stalls: u64,
    /// For how long at most.
    pub(crate) stall: Duration,
    /// The most that is read at a time; cuts are at random places below.
    pub(crate) segment: usize,
}

impl Road {
    /// A good one: 1 ms, 100 MB/s.
    pub(crate) const GOOD: Self = Self {
        latency: Duration::from_millis(1),
        rate: 100_000_000,
        room: 256 * 1024,
        stalls: 0,
        stall: Duration::ZERO,
        segment: usize::MAX,
    };
    /// A modem.
    pub(crate) const MODEM: Self = Self {
        latency: Duration::from_millis(150),
        rate: 56_000 / 8,
        room: 64 * 1024,
        ..Self::GOOD
    };
    /// Two seconds of latency, a fifth of all pieces held up by up to five more.
    pub(crate) const STALLING: Self = Self {
        latency: Duration::from_secs(2),
        rate: 1_000_000,
        stalls: 20,
        stall: Duration::from_secs(5),
        room: 64 * 1024,
        ..Self::GOOD
    };
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToDialer,
    ToListener,
}

enum Piece {
    Data(Vec<u8>),
    End,
}

struct Lane {
    road: Road,
    rng: Rng,
    pieces: VecDeque<(Instant, Piece)>,
    /// Bytes written and not read.
    held: usize,
    /// When the last piece is through.
    free: Instant,
    /// Nothing arrives before this.
    frozen: Instant,
    /// Everything written is swallowed.
    hole: bool,
    /// The reader was told of the end.
    ended: bool,
    /// The reading end is gone.
    deaf: bool,
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lane {
    fn new(road: Road, rng: Rng) -> Arc<Mutex<Self>> {
        let now = Instant::now();
        Arc::new(Mutex::new(Self {
            road,
            rng,
            pieces: VecDeque::new(),
            held: 0,
            free: now,
            frozen: now,
            hole: false,
            ended: false,
            deaf: false,
            reset: false,
            reader: None,
            writer: None,
        }))
    }

    fn push(&mut self, piece: Piece, len: usize) {
        self.held += len;
        if self.hole {
            return;
        }
        let begin = self.free.max(Instant::now());
        self.free = begin + Duration::from_secs_f64(len as f64 / self.road.rate as f64);
        if self.rng.below(100) < self.road.stalls {
            let most = self.road.stall.as_millis() as u64;
            self.free += Duration::from_millis(self.rng.below(most + 1));
        }
        self.pieces
            .push_back((self.free + self.road.latency, piece));
        self.wake();
    }

    fn wake(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
        self.writer.take().into_iter().for_each(Waker::wake);
    }
}

fn lock(lane: &Mutex<Lane>) -> MutexGuard<'_, Lane> {
    lane.lock().unwrap()
}

/// Holds the strings of a wire.
#[derive(Clone)]
pub(crate) struct Wire {
    to_dialer: Arc<Mutex<Lane>>,
    to_listener: Arc<Mutex<Lane>>,
}

impl Wire {
    /// A wire; the dialer's end and the listener's.
    pub(crate) fn new(road: Road, seed: u64) -> (Self, End, End) {
        let to_dialer = Lane::new(road, Rng::new(seed));
        let to_listener = Lane::new(road, Rng::new(seed ^ 0xabcd));
        let end = |rx: &Arc<_>, tx: &Arc<_>| End {
            rx: Arc::clone(rx),
            tx: Arc::clone(tx),
            timer: None,
        };
        let dialer = end(&to_dialer, &to_listener);
        let listener = end(&to_listener, &to_dialer);
        let wire = Self {
            to_dialer,
            to_listener,
        };
        (wire, dialer, listener)
    }

    fn lanes(&self) -> [MutexGuard<'_, Lane>; 2] {
        [lock(&self.to_dialer), lock(&self.to_listener)]
    }

    /// From now on this way swallows everything, what is under way included.
    pub(crate) fn blackhole(&self, way: Way) {
        let mut lane = match way {
            Way::ToDialer => lock(&self.to_dialer),
            Way::ToListener => lock(&self.to_listener),
        };
        lane.hole = true;
        lane.pieces.clear();
    }

    /// Both ends get an error, at once.
    pub(crate) fn reset(&self) {
        for mut lane in self.lanes() {
            lane.reset = true;
            lane.pieces.clear();
            lane.wake();
        }
    }

    /// Both ends find the other closed after what is under way.
    pub(crate) fn end(&self) {
        for mut lane in self.lanes() {
            lane.push(Piece::End, 0);
            lane.deaf = true;
            lane.wake();
        }
    }

    /// For a time nothing arrives; then all of it.
    pub(crate) fn freeze(&self, time: Duration) {
        for mut lane in self.lanes() {
            lane.frozen = Instant::now() + time;
        }
    }
}

/// One end of a wire.
pub(crate) struct End {
    rx: Arc<Mutex<Lane>>,
    tx: Arc<Mutex<Lane>>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let due = {
                let mut lane = lock(&this.rx);
                if lane.reset {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                if lane.ended {
                    return Poll::Ready(Ok(()));
                }
                let frozen = lane.frozen;
                let due = lane.pieces.front().map(|(due, _)| (*due).max(frozen));
                if due.is_some_and(|due| due <= Instant::now()) {
                    let most = match lane.road.segment {
                        usize::MAX => usize::MAX,
                        most => 1 + lane.rng.below(most as u64) as usize,
                    };
                    match lane.pieces.pop_front() {
                        Some((due, Piece::Data(mut data))) => {
                            let n = most.min(data.len()).min(buf.remaining());
                            buf.put_slice(&data[..n]);
                            lane.held -= n;
                            if n < data.len() {
                                data.drain(..n);
                                lane.pieces.push_front((due, Piece::Data(data)));
                            }
                            lane.writer.take().into_iter().for_each(Waker::wake);
                        }
                        _ => lane.ended = true,
                    }
                    return Poll::Ready(Ok(()));
                }
                lane.reader = Some(cx.waker().clone());
                due
            };
            let Some(due) = due else {
                return Poll::Pending;
            };
            let mut timer = Box::pin(sleep_until(due));
            if timer.as_mut().poll(cx).is_pending() {
                this.timer = Some(timer);
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut lane = lock(&self.tx);
        if lane.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if lane.deaf && !lane.hole {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let n = buf.len().min(lane.road.room.saturating_sub(lane.held));
        if n == 0 && !buf.is_empty() {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        lane.push(Piece::Data(buf[..n].to_vec()), n);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.tx).push(Piece::End, 0);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        lock(&self.tx).push(Piece::End, 0);
        let mut lane = lock(&self.rx);
        lane.deaf = true;
        lane.wake();
    }
}
