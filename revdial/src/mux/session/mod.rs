//! The state of one session: which streams there are, what they hold, what is to be sent. No
//! I/O and no clock; bytes come in, frames and events go out.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use bytes::{BufMut, BytesMut};

use super::{
    batch::{Batch, Pool},
    entry::{Entry, Told},
    frame::{Decoder, Dialect, Header, Kind, MAX_PAYLOAD, with_reason},
    ids::{ById, Seed},
    limits::{
        Goodbye, GoodbyeCode, Limits, OpenError, Overflow, ProtocolError, Reset, ResetCode, Role,
        StreamError,
    },
};

mod receive;
mod transmit;

/// Refusals that may wait for a peer that opens streams without ever reading.
const MAX_REFUSALS: usize = 65_536;

/// Ids remembered because the peer has not closed its side of them.
const MAX_UNANSWERED: usize = 65_536;

/// Bytes put together for the transport at a time.
const BATCH: usize = 256 * 1024;

/// The most that a peer may allow altogether.
const MAX_ALLOWANCE: u32 = 1 << 30;

/// Larger windows than the connection can fill leave the processor's cache. So none is larger than
/// twice what comes in a round trip at 2 GB/s, in bytes per microsecond, unless that is very little,
/// and all together do not grow by more.
const WINDOW_PER_MICROSECOND: u32 = 4000;
const LARGE_ANYWHERE: u32 = 1024 * 1024;

/// What a stream has for its reader.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// The next bytes, never none.
    Data(BytesMut),
    /// The peer sent its end.
    End,
    /// Nothing yet; [`Event::Readable`] will come.
    Blocked,
}

/// Something its user may be waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// [`Session::read`] of this stream gives something else than `Blocked`.
    Readable(u32),
    /// [`Session::write`] of this stream takes bytes again.
    Writable(u32),
    /// [`Session::accept`] gives a stream.
    Acceptable,
    /// The peer goes away: see [`Session::goodbye`].
    GoAway,
}

/// One end of a session. Give it bytes with [`receive`](Self::receive) while
/// [`wants_input`](Self::wants_input), write what [`transmit`](Self::transmit) puts together, and
/// tell users what [`next_event`](Self::next_event) says.
#[derive(Debug)]
pub struct Session {
    dialect: Dialect,
    role: Role,
    limits: Limits,
    decoder: Decoder,
    streams: ById<Entry>,
    /// The last id that was opened, by whichever end opens.
    last_id: u32,
    /// Version 1: ids that this dialer has closed and the peer has not.
    unanswered: HashSet<u32, Seed>,
    accept_queue: VecDeque<u32>,
    accepting: bool,
    ready: VecDeque<u32>,
    refusals: VecDeque<(u32, &'static str)>,
    alive_due: Option<u32>,
    peer_alive: Option<u32>,
    ping_due: Option<u64>,
    pong_due: Option<u64>,
    pong: Option<u64>,
    goodbye_due: Option<BytesMut>,
    goodbye: Option<Goodbye>,
    received: usize,
    /// The mux: what windows begin with.
    initial: u32,
    /// The mux: what windows grow to.
    largest: u32,
    /// The mux: what all windows together may grow by.
    growth: u32,
    /// The mux: what they have grown by.
    grown: u32,
    full: bool,
    over: usize,
    queued: usize,
    /// Streams whose writers wait for room in the session.
    blocked: VecDeque<u32>,
    events: VecDeque<Event>,
    pool: Pool,
    ended: bool,
}

impl Session {
    /// A session without streams. Nothing is sent before the first is opened.
    pub fn new(dialect: Dialect, role: Role, limits: Limits) -> Self {
        Self {
            dialect,
            role,
            decoder: Decoder::new(dialect),
            streams: ById::default(),
            last_id: 0,
            unanswered: HashSet::default(),
            accept_queue: VecDeque::new(),
            accepting: role == Role::Listener,
            ready: VecDeque::new(),
            refusals: VecDeque::new(),
            alive_due: None,
            peer_alive: None,
            ping_due: None,
            pong_due: None,
            pong: None,
            goodbye_due: None,
            goodbye: None,
            received: 0,
            initial: crate::sync::WINDOW as u32,
            largest: limits.max_window.min(MAX_ALLOWANCE as usize) as u32,
            growth: limits.window_growth.min(u32::MAX as usize) as u32,
            limits,
            grown: 0,
            full: false,
            over: 0,
            queued: 0,
            blocked: VecDeque::new(),
            events: VecDeque::new(),
            pool: Pool::default(),
            ended: false,
        }
    }

    /// Tells how near the peer is, so that windows grow no further than that makes sense. Without
    /// it they grow to [`max_window`](Limits::max_window).
    pub fn limit_windows(&mut self, nearest: std::time::Duration) {
        let useful = u32::try_from(nearest.as_micros())
            .unwrap_or(u32::MAX)
            .saturating_mul(WINDOW_PER_MICROSECOND)
            .max(LARGE_ANYWHERE);
        let least = |limit: usize| limit.min(useful as usize) as u32;
        self.largest = least(self.limits.max_window).min(MAX_ALLOWANCE);
        self.growth = least(self.limits.window_growth);
    }

    /// What it speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Opens a stream. Its id is new: ids repeat only after 2^32 of them, and even then not while
    /// either end may still use the old stream.
    pub fn open(&mut self) -> Result<u32, OpenError> {
        if self.ended || self.role == Role::Listener || self.goodbye.is_some() {
            return Err(OpenError::Ended);
        }
        if self.streams.len() >= self.limits.max_streams {
            return Err(OpenError::TooMany(self.limits.max_streams));
        }
        let mut id = self.last_id.wrapping_add(1);
        while self.streams.contains_key(&id)
            || self.unanswered.contains(&id)
            || (id == 0 && self.dialect == Dialect::Mux)
        {
            id = id.wrapping_add(1);
        }
        self.last_id = id;
        let entry = Entry {
            opening: true,
            ready: true,
            ..Entry::new(self.dialect, self.initial)
        };
        self.streams.insert(id, entry);
        self.ready.push_back(id);
        Ok(id)
    }

    /// The next stream that the peer opened.
    pub fn accept(&mut self) -> Option<u32> {
        self.accept_queue.pop_front()
    }

    /// From now on streams that the peer opens are refused.
    pub fn refuse_streams(&mut self) {
        self.accepting = false;
    }

    fn writable(&self, id: u32) -> Result<&Entry, StreamError> {
        match self.streams.get(&id) {
            Some(entry) if entry.reset => Err(StreamError::Reset),
            Some(entry) if entry.end != Told::Not => Err(StreamError::Finished),
            Some(Entry {
                broken: Some(reset),
                ..
            }) => Err(StreamError::PeerReset(Arc::clone(reset))),
            Some(entry) if entry.peer_stopped => Err(StreamError::Stopped),
            Some(entry) if !self.ended => Ok(entry),
            _ => Err(StreamError::SessionEnded),
        }
    }

    /// Takes as much of `bytes` as there is room for. Nothing means that
    /// [`Event::Writable`] will come.
    pub fn write(&mut self, id: u32, bytes: &[u8]) -> Result<usize, StreamError> {
        let entry = self.writable(id)?;
        let own = self
            .limits
            .stream_send_limit
            .saturating_sub(entry.out.len())
            .min(entry.allowance as usize);
        let common = self.limits.session_send_limit.saturating_sub(self.queued);
        let taken = own.min(common).min(bytes.len());
        if let Some(entry) = self.streams.get_mut(&id) {
            if taken == 0 {
                if bytes.is_empty() {
                    return Ok(0);
                }
                let starved = entry.allowance == 0 && entry.starved == Told::Not;
                if starved {
                    entry.starved = Told::Wanted;
                }
                if own > 0 && !entry.blocked {
                    self.blocked.push_back(id);
                }
                entry.blocked = true;
                if starved {
                    self.enqueue(id);
                }
                return Ok(0);
            }
            if self.dialect == Dialect::Mux {
                entry.allowance -= taken as u32;
            }
            entry.out.copy(&bytes[..taken], &mut self.pool);
        }
        self.queued += taken;
        self.enqueue(id);
        Ok(taken)
    }

    /// Whether a stream could write and has nothing in its queue.
    pub(in crate::mux) fn may_wait(&self, id: u32) -> bool {
        self.writable(id)
            .is_ok_and(|entry| entry.allowance > 0 && entry.out.is_empty())
    }

    /// How many of `len` bytes may bypass the queue: none when data is queued or nothing is
    /// allowed. The caller writes all else that is due, then so many bytes in frames, or gives
    /// them back with [`not_bypassed`](Self::not_bypassed).
    pub fn bypass(&mut self, id: u32, len: usize) -> Result<usize, StreamError> {
        let allowance = self.writable(id)?.allowance;
        if self.queued > 0 {
            return Ok(0);
        }
        let taken = len.min(allowance as usize);
        if self.dialect == Dialect::Mux
            && let Some(entry) = self.streams.get_mut(&id)
        {
            entry.allowance -= taken as u32;
        }
        Ok(taken)
    }

    /// So many of the bytes that [`bypass`](Self::bypass) gave were not written.
    pub fn not_bypassed(&mut self, id: u32, len: usize) {
        if self.dialect == Dialect::Mux
            && let Some(entry) = self.streams.get_mut(&id)
        {
            entry.allowance += len as u32;
        }
    }

    /// Sends the end of a stream after what was written. Reading goes on.
    pub fn finish(&mut self, id: u32) {
        if let Some(entry) = self.streams.get_mut(&id)
            && entry.end == Told::Not
        {
            entry.end = Told::Wanted;
            if !entry.peer_stopped && (entry.broken.is_none() || self.dialect == Dialect::V1) {
                self.enqueue(id);
            }
        }
    }

    /// Whether everything that was written to a stream, and its end if it was [finished](Self::finish),
    /// has been transmitted or is not wanted any more. If not, [`Event::Writable`] will come.
    pub fn is_sent(&mut self, id: u32) -> bool {
        let Some(entry) = self.streams.get_mut(&id) else {
            return true;
        };
        entry.flushing = !entry.is_sent(self.dialect);
        !entry.flushing
    }

    /// Breaks a stream off: both directions end, and the peer is told `reason`, for which version
    /// 1 has no words.
    pub fn abort(&mut self, id: u32, reason: &str) {
        self.break_off(id, ResetCode::Aborted, reason);
    }

    fn break_off(&mut self, id: u32, code: ResetCode, reason: &str) {
        self.discard(id);
        if let Some(entry) = self.streams.get_mut(&id) {
            self.queued -= entry.out.clear();
            entry.reset = true;
            if self.dialect == Dialect::Mux && entry.broken.is_none() {
                let mut reason = reason.to_owned();
                reason.truncate(reason.floor_char_boundary(super::frame::MAX_REASON));
                entry.broken = Some(Arc::new(Reset { code, reason }));
                entry.reset_due = true;
            }
        }
        self.finish(id);
        self.enqueue(id);
        self.events.push_back(Event::Readable(id));
        self.events.push_back(Event::Writable(id));
    }

    /// Nobody will read or write any more: discards what was received and sends the end after
    /// what was written.
    pub fn release(&mut self, id: u32) {
        self.discard(id);
        self.finish(id);
        let Some(entry) = self.streams.get_mut(&id) else {
            return;
        };
        entry.held = false;
        entry.blocked = false;
        if self.dialect == Dialect::Mux
            && !entry.peer_ended
            && entry.broken.is_none()
            && entry.stop == Told::Not
        {
            entry.stop = Told::Wanted;
            self.enqueue(id);
        }
        self.settle(id);
    }

    /// Forgets the stream if nothing is left to do.
    fn settle(&mut self, id: u32) {
        if let Some(entry) = self.streams.get(&id)
            && !entry.held
            && (self.ended || entry.is_done(self.dialect))
        {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: u32) {
        if let Some(entry) = self.streams.remove(&id) {
            self.queued -= entry.out.len();
            self.received -= entry.unread();
            self.grown -= entry.window.saturating_sub(self.initial);
            if self.dialect == Dialect::V1
                && self.role == Role::Dialer
                && !entry.peer_ended
                && self.unanswered.len() < MAX_UNANSWERED
            {
                self.unanswered.insert(id);
            }
        }
    }

    fn enqueue(&mut self, id: u32) {
        if let Some(entry) = self.streams.get_mut(&id)
            && !entry.ready
        {
            entry.ready = true;
            self.ready.push_back(id);
        }
    }

    /// The next thing that happened.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The transport is gone. What was received stays readable; then streams whose end was not
    /// received give an error.
    pub fn end(&mut self) {
        self.ended = true;
        self.accepting = false;
        self.ready.clear();
        self.refusals.clear();
        self.alive_due = None;
        self.ping_due = None;
        self.pong_due = None;
        self.goodbye_due = None;
        let draining: Vec<u32> = self
            .streams
            .iter()
            .filter(|(_, entry)| !entry.held)
            .map(|(id, _)| *id)
            .collect();
        for id in draining {
            self.forget(id);
        }
        self.blocked.clear();
    }

    /// Lets go of memory that is kept for reuse.
    pub fn trim(&mut self) {
        self.pool.clear();
    }

    /// The streams that exist: open, waiting to be accepted, or dropped with data left to send.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Bytes received that nobody has read.
    pub fn unread(&self) -> usize {
        self.received
    }

    /// Bytes written that were not transmitted.
    pub fn unsent(&self) -> usize {
        self.queued
    }

    /// Edges come sooner with small windows. Both ends must have the same.
    #[cfg(test)]
    pub(super) fn set_window(&mut self, window: u32) {
        self.initial = window;
    }

    #[cfg(test)]
    pub(super) fn set_next_id(&mut self, id: u32) {
        self.last_id = id.wrapping_sub(1);
    }
}
