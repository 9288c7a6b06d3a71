//! The state of one session: which streams there are, what they hold, what is to be sent. No
//! I/O and no clock; bytes come in, frames and events go out.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::BytesMut;

use super::{
    batch::{Backlog, Batch, Pool},
    frame::{Decoder, Header, Kind, MAX_PAYLOAD, Piece},
    limits::{Limits, OpenError, Overflow, ProtocolError, Role, StreamError},
};

/// Refusals that may wait for a peer that opens streams without ever reading.
const MAX_REFUSALS: usize = 65_536;

/// Ids remembered because the peer has not closed its side of them.
const MAX_UNANSWERED: usize = 65_536;

/// Bytes put together for the transport at a time.
const BATCH: usize = 256 * 1024;

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
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Wanted,
    Sent,
}

#[derive(Debug, Default)]
struct Entry {
    backlog: Backlog,
    out: Backlog,
    /// `N` is still to be sent.
    opening: bool,
    end: End,
    peer_ended: bool,
    end_seen: bool,
    reset: bool,
    /// Somebody will release it.
    held: bool,
    /// In the queue of those that have something to send.
    ready: bool,
    /// Its writer waits for room.
    blocked: bool,
    /// Over its limit: input waits for its reader.
    over: bool,
    /// Over its limit for so long that input no longer waits.
    overlooked: bool,
}

/// One end of a session. Give it bytes with [`receive`](Self::receive) while
/// [`wants_input`](Self::wants_input), write what [`transmit`](Self::transmit) puts together, and
/// tell users what [`next_event`](Self::next_event) says.
#[derive(Debug)]
pub struct Session {
    role: Role,
    limits: Limits,
    decoder: Decoder,
    streams: HashMap<u32, Entry>,
    next_id: u32,
    /// Ids that this dialer has closed and the peer has not.
    unanswered: HashSet<u32>,
    accept_queue: VecDeque<u32>,
    accepting: bool,
    ready: VecDeque<u32>,
    refusals: VecDeque<u32>,
    alive_due: Option<u32>,
    peer_alive: Option<u32>,
    received: usize,
    full: bool,
    over: usize,
    queued: usize,
    blocked: VecDeque<u32>,
    events: VecDeque<Event>,
    pool: Pool,
    ended: bool,
}

impl Session {
    /// A session without streams. Nothing is sent before the first is opened.
    pub fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            limits,
            decoder: Decoder::new(),
            streams: HashMap::new(),
            next_id: 1,
            unanswered: HashSet::new(),
            accept_queue: VecDeque::new(),
            accepting: role == Role::Listener,
            ready: VecDeque::new(),
            refusals: VecDeque::new(),
            alive_due: None,
            peer_alive: None,
            received: 0,
            full: false,
            over: 0,
            queued: 0,
            blocked: VecDeque::new(),
            events: VecDeque::new(),
            pool: Pool::default(),
            ended: false,
        }
    }

    /// Takes all of `input` in. After an error the session is of no use.
    pub fn receive(&mut self, input: &mut BytesMut) -> Result<(), ProtocolError> {
        while let Some(piece) = self.decoder.next_piece(input) {
            match piece {
                Piece::Data { id, data } => self.on_data(id, data),
                Piece::Header(Header { kind, id, .. }) => match kind {
                    Kind::New => self.on_new(id)?,
                    Kind::Close => self.on_close(id),
                    Kind::Alive => self.peer_alive = Some(id),
                    Kind::Write | Kind::Other(_) => {}
                },
            }
        }
        Ok(())
    }

    /// The peer sends no more. An error if it stopped within a frame.
    pub fn receive_end(&mut self) -> Result<(), ProtocolError> {
        if self.decoder.is_between_frames() {
            Ok(())
        } else {
            Err(ProtocolError::Cut)
        }
    }

    fn on_new(&mut self, id: u32) -> Result<(), ProtocolError> {
        if self.role == Role::Dialer {
            return Err(ProtocolError::NewFromListener(id));
        }
        if self.streams.contains_key(&id) {
            return Err(ProtocolError::DuplicateStream(id));
        }
        let room = self.accept_queue.len() < self.limits.accept_backlog
            && self.streams.len() < self.limits.max_streams;
        if !self.accepting || !room {
            if self.refusals.len() >= MAX_REFUSALS {
                return Err(ProtocolError::Flood);
            }
            self.refusals.push_back(id);
            return Ok(());
        }
        let entry = Entry {
            held: true,
            ..Entry::default()
        };
        self.streams.insert(id, entry);
        self.accept_queue.push_back(id);
        self.events.push_back(Event::Acceptable);
        Ok(())
    }

    fn on_close(&mut self, id: u32) {
        match self.streams.get_mut(&id) {
            Some(entry) => {
                if !entry.peer_ended {
                    entry.peer_ended = true;
                    self.events.push_back(Event::Readable(id));
                }
            }
            None => {
                self.unanswered.remove(&id);
            }
        }
    }

    fn on_data(&mut self, id: u32, data: BytesMut) {
        let Some(entry) = self.streams.get_mut(&id) else {
            return;
        };
        if !entry.held || entry.reset || entry.end_seen {
            return;
        }
        if entry.backlog.len() == 0 {
            self.events.push_back(Event::Readable(id));
        }
        self.received += data.len();
        entry.backlog.push(data);
        let over = entry.backlog.len() >= self.limits.stream_limit;
        if over && !entry.over && !entry.overlooked {
            entry.over = true;
            self.over += 1;
        }
        self.full |= self.received >= self.limits.session_limit;
        if self.limits.overflow == Overflow::ResetStream {
            if over {
                self.reset(id);
            } else if self.full {
                self.reset_fullest();
            }
        }
    }

    /// Whether to go on reading from the transport.
    pub fn wants_input(&self) -> bool {
        self.limits.overflow != Overflow::PauseSession || (self.over == 0 && !self.full)
    }

    /// Stops waiting for the readers of those streams that are over their limit now. They have
    /// had their chance; until they catch up, only the session's limit counts for them.
    pub fn overlook(&mut self) {
        for entry in self.streams.values_mut().filter(|entry| entry.over) {
            entry.over = false;
            entry.overlooked = true;
        }
        self.over = 0;
    }

    /// Closes the stream with the most unread bytes; gives its id.
    pub fn reset_fullest(&mut self) -> Option<u32> {
        let (&id, _) = self
            .streams
            .iter()
            .filter(|(_, entry)| entry.backlog.len() > 0)
            .max_by_key(|(_, entry)| entry.backlog.len())?;
        self.reset(id);
        Some(id)
    }

    fn reset(&mut self, id: u32) {
        self.discard(id);
        if let Some(entry) = self.streams.get_mut(&id) {
            entry.reset = true;
            self.queued -= entry.out.clear();
        }
        self.finish(id);
        self.events.push_back(Event::Readable(id));
        self.events.push_back(Event::Writable(id));
    }

    /// Lets go of what a stream has received.
    fn discard(&mut self, id: u32) {
        if let Some(entry) = self.streams.get_mut(&id) {
            self.received -= entry.backlog.clear();
            self.over -= usize::from(entry.over);
            entry.over = false;
        }
        self.reassess();
    }

    fn reassess(&mut self) {
        if self.received <= self.limits.session_limit / 2 {
            self.full = false;
        }
    }

    /// Opens a stream. Its id is new: ids repeat only after 2^32 of them, and even then not while
    /// either end may still use the old stream.
    pub fn open(&mut self) -> Result<u32, OpenError> {
        if self.ended || self.role == Role::Listener {
            return Err(OpenError::Ended);
        }
        if self.streams.len() >= self.limits.max_streams {
            return Err(OpenError::TooMany(self.limits.max_streams));
        }
        let id = loop {
            let id = self.next_id;
            self.next_id = id.wrapping_add(1);
            if !self.streams.contains_key(&id) && !self.unanswered.contains(&id) {
                break id;
            }
        };
        let entry = Entry {
            held: true,
            opening: true,
            ready: true,
            ..Entry::default()
        };
        self.streams.insert(id, entry);
        self.ready.push_back(id);
        Ok(id)
    }

    /// The next stream that the peer opened.
    pub fn accept(&mut self) -> Option<u32> {
        self.accept_queue.pop_front()
    }

    /// From now on streams that the peer opens are closed at once.
    pub fn refuse_streams(&mut self) {
        self.accepting = false;
    }

    /// Takes bytes that the stream has received.
    pub fn read(&mut self, id: u32) -> Result<Read, StreamError> {
        let Some(entry) = self.streams.get_mut(&id) else {
            return Err(StreamError::SessionEnded);
        };
        if let Some(data) = entry.backlog.pop() {
            self.received -= data.len();
            if entry.backlog.len() <= self.limits.stream_limit / 2 {
                self.over -= usize::from(entry.over);
                entry.over = false;
                entry.overlooked = false;
            }
            self.reassess();
            return Ok(Read::Data(data));
        }
        if entry.reset {
            Err(StreamError::Reset)
        } else if entry.peer_ended {
            entry.end_seen = true;
            Ok(Read::End)
        } else if self.ended {
            Err(StreamError::SessionEnded)
        } else {
            Ok(Read::Blocked)
        }
    }

    fn writable(&self, id: u32) -> Result<&Entry, StreamError> {
        match self.streams.get(&id) {
            Some(entry) if entry.reset => Err(StreamError::Reset),
            Some(entry) if entry.end != End::Open => Err(StreamError::Finished),
            Some(entry) if !self.ended => Ok(entry),
            _ => Err(StreamError::SessionEnded),
        }
    }

    /// Takes as much of `bytes` as there is room for. Nothing means that
    /// [`Event::Writable`] will come.
    pub fn write(&mut self, id: u32, bytes: &[u8]) -> Result<usize, StreamError> {
        let waiting = self.writable(id)?.out.len();
        let room = self
            .limits
            .stream_send_limit
            .saturating_sub(waiting)
            .min(self.limits.session_send_limit.saturating_sub(self.queued));
        let taken = room.min(bytes.len());
        if let Some(entry) = self.streams.get_mut(&id) {
            if taken == 0 {
                if !bytes.is_empty() && !entry.blocked {
                    entry.blocked = true;
                    self.blocked.push_back(id);
                }
                return Ok(0);
            }
            entry.out.copy(&bytes[..taken], &mut self.pool);
        }
        self.queued += taken;
        self.enqueue(id);
        Ok(taken)
    }

    /// The header for `len` bytes that are about to bypass the queue, if nothing is queued. The
    /// caller has to write it and as many bytes as it says next.
    pub fn bypass(&self, id: u32, len: usize) -> Result<Option<Header>, StreamError> {
        self.writable(id)?;
        Ok((!self.has_output()).then(|| Header::data(id, len)))
    }

    /// Sends the end of a stream after what was written. Reading goes on.
    pub fn finish(&mut self, id: u32) {
        if let Some(entry) = self.streams.get_mut(&id)
            && entry.end == End::Open
        {
            entry.end = End::Wanted;
            self.enqueue(id);
        }
    }

    /// Nobody will read or write any more: discards what was received and sends the end after
    /// what was written.
    pub fn release(&mut self, id: u32) {
        self.discard(id);
        self.finish(id);
        if let Some(entry) = self.streams.get_mut(&id) {
            entry.held = false;
            entry.blocked = false;
            if entry.end == End::Sent || self.ended {
                self.forget(id);
            }
        }
    }

    fn forget(&mut self, id: u32) {
        if let Some(entry) = self.streams.remove(&id) {
            self.queued -= entry.out.len();
            if self.role == Role::Dialer
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

    /// Lets go of memory that is kept for reuse.
    pub fn trim(&mut self) {
        self.pool.clear();
    }

    /// Lets the peer know that this end lives and says so every `period_ms`.
    pub fn keep_alive(&mut self, period_ms: u32) {
        self.alive_due = Some(period_ms);
    }

    /// The period that the peer announced, in milliseconds, if it sends keep-alives.
    pub fn peer_period_ms(&self) -> Option<u32> {
        self.peer_alive
    }

    /// Whether [`transmit`](Self::transmit) has something to add.
    pub fn has_output(&self) -> bool {
        !self.ready.is_empty() || !self.refusals.is_empty() || self.alive_due.is_some()
    }

    /// Adds frames to `batch` until it is full or nothing is left: first refusals, then the
    /// streams in turn.
    pub fn transmit(&mut self, batch: &mut Batch) {
        let quantum = self.limits.quantum.clamp(1, MAX_PAYLOAD);
        self.pool.refill(batch);
        while batch.len() < BATCH {
            if let Some(id) = self.refusals.pop_front() {
                batch.header(Header::empty(Kind::Close, id));
                continue;
            }
            if let Some(period) = self.alive_due.take() {
                batch.header(Header::empty(Kind::Alive, period));
            }
            let Some(id) = self.ready.pop_front() else {
                break;
            };
            let alone = self.ready.is_empty();
            let Some(entry) = self.streams.get_mut(&id) else {
                continue;
            };
            if entry.opening {
                entry.opening = false;
                batch.header(Header::empty(Kind::New, id));
            }
            let most = if alone { MAX_PAYLOAD } else { quantum };
            if let Some(data) = entry.out.take(most) {
                self.queued -= data.len();
                batch.header(Header::data(id, data.len()));
                batch.data(data);
            }
            if entry.out.len() > 0 {
                self.ready.push_back(id);
                continue;
            }
            entry.ready = false;
            if entry.end == End::Wanted {
                entry.end = End::Sent;
                batch.header(Header::empty(Kind::Close, id));
            }
            if entry.end == End::Sent && !entry.held {
                self.forget(id);
            }
        }
        self.wake_writers();
    }

    fn wake_writers(&mut self) {
        if self.queued >= self.limits.session_send_limit {
            return;
        }
        for _ in 0..self.blocked.len() {
            let Some(id) = self.blocked.pop_front() else {
                return;
            };
            let Some(entry) = self.streams.get_mut(&id) else {
                continue;
            };
            if !entry.blocked {
                continue;
            }
            if entry.out.len() <= self.limits.stream_send_limit / 2 {
                entry.blocked = false;
                self.events.push_back(Event::Writable(id));
            } else {
                self.blocked.push_back(id);
            }
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
        let draining = self.streams.extract_if(|_, entry| !entry.held);
        for (_, entry) in draining {
            self.queued -= entry.out.len();
        }
        self.blocked.clear();
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

    #[cfg(test)]
    pub(super) fn set_next_id(&mut self, id: u32) {
        self.next_id = id;
    }
}
