//! The task of a session: reads the transport, finishes what others left unwritten, watches the
//! time.

use std::{
    collections::VecDeque,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tracing::debug;

use super::link::Link;
use crate::{CloseReason, Stream, link::UNANNOUNCED_IDLE};

/// Read buffers are between these. They grow when reads fill them and shrink when it is quiet.
const SMALL: usize = 8 * 1024;
const LARGE: usize = 128 * 1024;

/// Large read buffers kept for reuse while there is much to read.
const KEPT: usize = 8;

/// How long the reader of a stream that is over its limit is waited for.
const READER_TURN: Duration = Duration::from_millis(100);

/// How often to look around when no keep-alives are sent.
const ROUND: Duration = Duration::from_secs(5);

/// How long closing the transport may take.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

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
    let reason = Driver::new(Arc::clone(&ends.0), reader).await;
    debug!(%reason, "v1 session ended");
    if let Some(mut writer) = ends.0.end(reason) {
        // Nobody is left to tell about a failure here.
        let _ = timeout(GOODBYE_LIMIT, writer.shutdown()).await;
    }
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
    /// Since when output waits, and what was written by then.
    stuck: Option<(Instant, u64)>,
}

impl Driver {
    fn new(link: Arc<Link>, reader: ReadHalf<Stream>) -> Self {
        let now = Instant::now();
        let round = now + link.config.keep_alive.unwrap_or(ROUND);
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

    /// Reads until there is nothing or the session wants no more. Never waits for the writer.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        loop {
            if !self.link.state().session.wants_input() {
                return Poll::Pending;
            }
            self.prepare_buf();
            let read = pin!(self.reader.read_buf(&mut self.buf)).poll(cx);
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    let whole = self.link.state().session.receive_end();
                    return Poll::Ready(match whole {
                        Ok(()) => CloseReason::Peer(None),
                        Err(error) => CloseReason::Frames(error),
                    });
                }
                Poll::Ready(Ok(n)) => {
                    self.heard = Instant::now();
                    if n >= self.size {
                        self.busy = true;
                        self.size = (2 * self.size).min(LARGE);
                    }
                    if let Err(reason) = self.link.receive(&mut self.buf) {
                        return Poll::Ready(reason);
                    }
                    self.link.driver_flush();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(CloseReason::from_io(error)),
            }
        }
    }

    /// Does what the time demands; gives when to look again.
    fn watch(&mut self, now: Instant) -> Result<Instant, CloseReason> {
        let config = &self.link.config;
        let mut state = self.link.state();
        if now >= self.round {
            if let Some(period) = config.keep_alive
                && !state.has_output()
            {
                let ms = period.as_millis();
                state.session.keep_alive(ms.try_into().unwrap_or(u32::MAX));
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

        let waiting = state.has_output();
        self.stuck = match self.stuck {
            Some((since, written)) if waiting && written == state.written => Some((since, written)),
            _ if waiting => Some((now, state.written)),
            _ => None,
        };
        let mut next = self.round;
        let mut at = |due: Instant| next = next.min(due);

        if state.session.wants_input() {
            if self.paused.take().is_some() {
                // What was said meanwhile is still to be read.
                self.heard = now;
            }
            if let Some(period) = state.session.peer_period_ms() {
                let most = UNANNOUNCED_IDLE.max(config.idle_timeout);
                let limit = Duration::from_millis(period.into())
                    .saturating_mul(3)
                    .clamp(config.idle_timeout, most);
                if now >= self.heard + limit {
                    return Err(CloseReason::Idle(limit));
                }
                at(self.heard + limit);
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
        this.link.state().set_driver(cx);
        loop {
            this.link.driver_flush();
            if let Poll::Ready(reason) = this.poll_input(cx) {
                return Poll::Ready(reason);
            }
            {
                let mut state = this.link.state();
                if let Some(reason) = state.ended.clone().or_else(|| state.failure.take()) {
                    return Poll::Ready(reason);
                }
                if state.is_over() {
                    return Poll::Ready(CloseReason::Local);
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
            if this.timer.as_mut().poll(cx).is_ready() {
                continue;
            }
            return Poll::Pending;
        }
    }
}
