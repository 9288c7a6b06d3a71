//! The task of a session: reads the transport, finishes what others left unwritten, watches the
//! time.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tracing::debug;

use super::{
    batch::Batch,
    frame::{Dialect, Kind, with_reason},
    limits::GoodbyeCode,
    link::{Link, State, Turn},
};
use crate::{CloseReason, Stream, v2::link::UNANNOUNCED_IDLE};

/// Read buffers are between these. They grow when reads fill them and shrink when it is quiet.
const SMALL: usize = 8 * 1024;
const LARGE: usize = 128 * 1024;

/// Large read buffers kept for reuse while there is much to read.
const KEPT: usize = 32;

/// How long the reader of a stream that is over its limit is waited for.
const READER_TURN: Duration = Duration::from_millis(100);

/// How long a writer who was told that it is next may take to come, while others wait. It may have
/// given up.
const TURN: Duration = Duration::from_millis(20);

/// How often to look around when no keep-alives are sent.
const ROUND: Duration = Duration::from_secs(5);

/// How long closing the transport may take.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// A timer that comes later than this was not late by itself: nothing of this process ran, and
/// the peer, if it shares the machine, neither.
const LATE: Duration = Duration::from_millis(500);

/// Before a peer counts as gone, what has arrived meanwhile is read once more, this much later.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Runs a session to its end.
pub(super) async fn run(link: Arc<Link>, reader: ReadHalf<Stream>) {
    /// Whatever ends the task, a panic or the runtime included, ends the session.
    struct Ends(Arc<Link>);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.end(CloseReason::Local);
        }
    }
    let ends = Ends(link);
    let mut driver = Driver::new(Arc::clone(&ends.0), reader);
    let reason = (&mut driver).await;
    let dialect = ends.0.state().session.dialect();
    debug!(?dialect, %reason, "session ended");
    let Some((mut writer, mut rest)) = ends.0.end(reason.clone()) else {
        return;
    };
    if let Some(code) = farewell(&reason)
        && dialect == Dialect::Mux
    {
        rest.copy(&with_reason(
            Kind::GoAway,
            0,
            code.to_byte(),
            &reason.farewell(),
        ));
    }
    let goodbye = async {
        write_all(&mut writer, &mut rest).await?;
        writer.shutdown().await?;
        // Closing with something unread would destroy what is on its way to the peer.
        let mut sink = vec![0; SMALL];
        while driver.reader.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    // Nobody is left to tell about a failure here.
    let _ = timeout(GOODBYE_LIMIT, goodbye).await;
}

/// What to tell the peer at the end, if it still listens.
fn farewell(reason: &CloseReason) -> Option<GoodbyeCode> {
    match reason {
        CloseReason::Peer(_) | CloseReason::Io(_) | CloseReason::WriteTimeout(_) => None,
        CloseReason::Frames(_) | CloseReason::Protocol(_) => Some(GoodbyeCode::Protocol),
        _ => Some(GoodbyeCode::Close),
    }
}

async fn write_all(writer: &mut WriteHalf<Stream>, rest: &mut Batch) -> io::Result<()> {
    while !rest.is_empty() {
        let n = {
            let mut slots = Batch::slots();
            writer.write_vectored(rest.slices(&mut slots)).await?
        };
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest.advance(n);
    }
    writer.flush().await
}

struct Driver {
    link: Arc<Link>,
    reader: ReadHalf<Stream>,
    buf: BytesMut,
    /// Read buffers that streams may still hold parts of, newest last. Used again once they do
    /// not: fresh memory costs as much as the read.
    used: VecDeque<BytesMut>,
    size: usize,
    /// Whether a read has filled the buffer since the last keep-alive.
    busy: bool,
    timer: Pin<Box<Sleep>>,
    heard: Instant,
    /// When to look around, and to send a keep-alive if that is wanted.
    round: Instant,
    paused: Option<Instant>,
    /// The peer was silent for too long when last looked at.
    suspect: bool,
    /// Somebody was writing when it was time to read.
    read_due: bool,
    /// Something has happened that is not only data.
    care: bool,
    /// The timer will wake this task.
    armed: bool,
    /// The ping that was last sent, and when.
    ping: Option<(u64, Instant)>,
    pings: u64,
    /// The shortest round trip seen: the others had to queue.
    nearest: Duration,
    /// Since when writers wait for their turn and nobody writes, and what was written by then.
    waiting: Option<(Instant, u64)>,
    /// Since when output waits, and what was written by then.
    stuck: Option<(Instant, u64)>,
}

impl Driver {
    fn new(link: Arc<Link>, reader: ReadHalf<Stream>) -> Self {
        let now = Instant::now();
        let round = now + link.config.keep_alive.unwrap_or(ROUND);
        // Before anything else is said: a mux begins with a ping. `N` would be the beginning of
        // version 1 to a peer that was not told which one it is.
        let ping = (link.state().session.dialect() == Dialect::Mux).then_some((0, now));
        if let Some((token, _)) = ping {
            link.state().session.ping(token);
        }
        Self {
            link,
            reader,
            buf: BytesMut::new(),
            used: VecDeque::new(),
            size: SMALL,
            busy: false,
            timer: Box::pin(sleep_until(round)),
            heard: now,
            round,
            paused: None,
            suspect: false,
            read_due: false,
            care: true,
            armed: false,
            ping,
            pings: 0,
            nearest: Duration::MAX,
            waiting: None,
            stuck: None,
        }
    }

    /// Makes room for the next read.
    fn prepare_buf(&mut self) {
        if self.buf.try_reclaim(self.size) {
            return;
        }
        let free = (0..self.used.len())
            .rev()
            .find(|&at| self.used[at].try_reclaim(self.size));
        let next = free.and_then(|at| self.used.remove(at));
        let next = next.unwrap_or_else(|| BytesMut::with_capacity(self.size));
        let old = std::mem::replace(&mut self.buf, next);
        if self.size == LARGE {
            if self.used.len() >= KEPT {
                self.used.pop_front();
            }
            self.used.push_back(old);
        }
    }

    /// Writes what is due, then reads until there is nothing or the session wants no more. Never
    /// waits for the writer.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let mut taken = 0;
        let mut turn = self.link.begin_read(cx, self.read_due);
        loop {
            self.read_due = turn == Turn::Later;
            if turn != Turn::Now {
                self.care = true;
                return Poll::Pending;
            }
            self.prepare_buf();
            let read = pin!(self.reader.read_buf(&mut self.buf)).poll(cx);
            match read {
                Poll::Pending => {
                    self.care |= self.link.end_read();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => {
                    self.link.end_read();
                    let mut state = self.link.state();
                    return Poll::Ready(match state.session.receive_end() {
                        Ok(()) => state.farewell().unwrap_or(CloseReason::Peer(None)),
                        // A cable or a process, not a protocol: nobody chooses to end there.
                        Err(error) => CloseReason::Io(Arc::new(io::Error::new(
                            io::ErrorKind::UnexpectedEof,
                            error,
                        ))),
                    });
                }
                Poll::Ready(Ok(n)) => {
                    self.heard = Instant::now();
                    self.suspect = false;
                    if n >= self.size {
                        self.busy = true;
                        self.size = (2 * self.size).min(LARGE);
                    }
                    let woken;
                    (woken, turn) = match self.link.receive(&mut self.buf) {
                        Ok(received) => received,
                        Err(reason) => return Poll::Ready(reason),
                    };
                    taken += n;
                    if woken && taken >= LARGE {
                        // Their turn, while what they will read is in the processor's cache.
                        if turn == Turn::Now {
                            self.care |= self.link.end_read();
                        }
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.link.end_read();
                    return Poll::Ready(CloseReason::from_io(error));
                }
            }
        }
    }

    /// Whether the timer alone can wait for what is next, as it does while only data comes and
    /// goes.
    fn is_quiet(&self) -> bool {
        self.armed
            && !self.care
            && self.paused.is_none()
            && self.stuck.is_none()
            && !self.timer.is_elapsed()
    }

    /// Forgives the peer the time in which this end did not run, and gives it one more period: it
    /// may have been frozen as well.
    fn forgive(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.timer.deadline());
        if late < LATE {
            return;
        }
        let config = &self.link.config;
        let grace = config.keep_alive.unwrap_or(ROUND);
        let at_least = (now + grace).checked_sub(config.idle_timeout);
        self.heard = (self.heard + late)
            .max(at_least.unwrap_or(self.heard))
            .min(now);
        self.suspect = false;
        for since in self
            .paused
            .iter_mut()
            .chain(self.stuck.iter_mut().map(|(at, _)| at))
        {
            *since = (*since + late).min(now);
        }
    }

    /// Sends signs of life in turn, and lets go of memory that a quiet session does not need.
    fn go_round(&mut self, now: Instant, state: &mut State) {
        let config = &self.link.config;
        if let Some(period) = config.keep_alive {
            match state.session.dialect() {
                Dialect::V1 if state.has_output() => {}
                Dialect::V1 => {
                    let ms = period.as_millis();
                    state.session.keep_alive(ms.try_into().unwrap_or(u32::MAX));
                }
                Dialect::Mux => {
                    self.pings += 1;
                    self.ping = Some((self.pings, now));
                    state.session.ping(self.pings);
                }
            }
        }
        self.round = now + config.keep_alive.unwrap_or(ROUND);
        if !std::mem::take(&mut self.busy) {
            self.size = SMALL;
            self.buf = BytesMut::new();
            self.used.clear();
        }
        // Cheap to fill again, if it is needed.
        if !state.has_output() {
            state.session.trim();
        }
    }

    /// The silence after which the peer counts as gone, if it is known to say something at times.
    fn patience(&self, state: &State) -> Option<Duration> {
        let config = &self.link.config;
        match state.session.dialect() {
            // It answers pings; without them, only what it says by itself counts.
            Dialect::Mux => config.keep_alive.map(|_| config.idle_timeout),
            Dialect::V1 => {
                let period = state.session.peer_period_ms()?;
                let most = UNANNOUNCED_IDLE.max(config.idle_timeout);
                let limit = Duration::from_millis(period.into())
                    .saturating_mul(3)
                    .clamp(config.idle_timeout, most);
                Some(limit)
            }
        }
    }

    /// Does what the time demands; gives when to look again.
    fn watch(&mut self, now: Instant) -> Result<Instant, CloseReason> {
        self.forgive(now);
        let link = Arc::clone(&self.link);
        let config = &link.config;
        let mut state = link.state();
        if let Some(token) = state.session.take_pong()
            && let Some((_, sent)) = self.ping.take_if(|(sent, _)| *sent == token)
        {
            let sample = now - sent;
            self.nearest = self.nearest.min(sample);
            state.session.limit_windows(self.nearest);
            state.rtt = Some(state.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        }
        if now >= self.round {
            self.go_round(now, &mut state);
        }

        self.waiting = match self.waiting {
            _ if !state.watch_turns() => None,
            Some((since, written)) if written == state.written => Some((since, written)),
            _ => Some((now, state.written)),
        };
        if let Some((since, _)) = &mut self.waiting
            && now >= *since + TURN
        {
            *since = now;
            state.skip_turn(None);
        }

        let waiting = state.has_output() || state.has_waiting();
        self.stuck = match self.stuck {
            Some((since, written)) if waiting && written == state.written => Some((since, written)),
            _ if waiting => Some((now, state.written)),
            _ => None,
        };
        let mut next = self.round;
        let mut at = |due: Instant| next = next.min(due);
        if let Some((since, _)) = self.waiting {
            at(since + TURN);
        }

        if state.session.wants_input() {
            if self.paused.take().is_some() {
                // What was said meanwhile is still to be read.
                self.heard = now;
                self.suspect = false;
            }
            if let Some(limit) = self.patience(&state) {
                if now < self.heard + limit {
                    at(self.heard + limit);
                } else if !self.suspect {
                    self.suspect = true;
                    at(now + LAST_LOOK);
                } else if now >= self.heard + limit + LAST_LOOK {
                    return Err(CloseReason::Idle(limit));
                } else {
                    at(self.heard + limit + LAST_LOOK);
                }
            }
            if let Some((since, _)) = self.stuck {
                // A peer that still talks may have its reasons to read nothing just now.
                let alive = if state.open || state.session.stream_count() > 0 {
                    since.max(self.heard)
                } else {
                    since
                };
                if now >= alive + config.write_timeout {
                    return Err(CloseReason::WriteTimeout(config.write_timeout));
                }
                at(alive + config.write_timeout);
            }
        } else {
            let paused = *self.paused.get_or_insert(now);
            if now >= paused + READER_TURN {
                state.session.overlook();
            } else {
                at(paused + READER_TURN);
            }
            if let Some((since, _)) = self.stuck {
                let due = paused.max(since) + config.deadlock_break_after;
                if now >= due {
                    let id = state.session.reset_fullest();
                    debug!(
                        stream = id,
                        "both directions stood still: reset the fullest stream"
                    );
                } else {
                    at(due);
                }
            }
        }
        Ok(next)
    }
}

impl Future for Driver {
    type Output = CloseReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let this = &mut *self;
        loop {
            if let Poll::Ready(reason) = this.poll_input(cx) {
                return Poll::Ready(reason);
            }
            if this.is_quiet() {
                return Poll::Pending;
            }
            this.care = false;
            {
                let mut state = this.link.state();
                if let Some(reason) = state.ended.clone().or_else(|| state.failure.take()) {
                    return Poll::Ready(reason);
                }
                if state.is_over() {
                    let reason = this.link.ending.get().unwrap_or(CloseReason::Local);
                    return Poll::Ready(reason);
                }
            }
            let before = this.link.update(|state| state.session.wants_input());
            let now = Instant::now();
            let next = match this.watch(now) {
                Ok(next) => next,
                Err(reason) => return Poll::Ready(reason),
            };
            // Wakes those whom the time has freed, and writes what it has ordered.
            let after = this.link.update(|state| state.session.wants_input());
            if after && !before {
                continue;
            }
            // A timer that is early only looks again.
            if next < this.timer.deadline() || this.timer.is_elapsed() {
                this.timer.as_mut().reset(next);
            }
            this.armed = this.timer.as_mut().poll(cx).is_pending();
            if this.armed {
                return Poll::Pending;
            }
        }
    }
}
