//! What comes in.

use super::*;
use crate::mux::{frame::Piece, ids::is_after};

impl Session {
    /// Takes all of `input` in. After an error the session is of no use.
    pub fn receive(&mut self, input: &mut BytesMut) -> Result<(), ProtocolError> {
        while let Some(piece) = self.decoder.next_piece(input) {
            match piece {
                Piece::Data { id, data } => self.on_data(id, data),
                Piece::Header(header) => match self.dialect {
                    Dialect::V1 => self.on_v1(header)?,
                    Dialect::Mux => self.on_mux(header)?,
                },
                Piece::Body(header, body) => self.on_body(header, &body)?,
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

    /// Whether to go on reading from the transport. In the mux always: nobody can send more than
    /// was allowed.
    pub fn wants_input(&self) -> bool {
        self.dialect == Dialect::Mux
            || self.limits.overflow != Overflow::PauseSession
            || (self.over == 0 && !self.full)
    }

    /// Why the peer goes away, once it has said so.
    pub fn goodbye(&self) -> Option<&Goodbye> {
        self.goodbye.as_ref()
    }

    /// The answer to a [`ping`](Self::ping), once.
    pub fn take_pong(&mut self) -> Option<u64> {
        self.pong.take()
    }

    /// Whether there is one.
    pub(in crate::mux) fn has_pong(&self) -> bool {
        self.pong.is_some()
    }

    /// The period that the peer announced, in milliseconds, if it sends keep-alives of version 1.
    pub fn peer_period_ms(&self) -> Option<u32> {
        self.peer_alive
    }

    /// Takes bytes that the stream has received. They count as read at the next call, or with
    /// [`consumed`](Self::consumed).
    pub fn read(&mut self, id: u32) -> Result<Read, StreamError> {
        self.consumed(id);
        let Some(entry) = self.streams.get_mut(&id) else {
            return Err(StreamError::SessionEnded);
        };
        if let Some(data) = entry.backlog.pop() {
            entry.lent = data.len() as u32;
            return Ok(Read::Data(data));
        }
        if entry.reset {
            Err(StreamError::Reset)
        } else if entry.peer_ended {
            entry.end_seen = true;
            Ok(Read::End)
        } else if let Some(reset) = &entry.broken {
            Err(StreamError::PeerReset(Arc::clone(reset)))
        } else if self.ended {
            Err(StreamError::SessionEnded)
        } else {
            Ok(Read::Blocked)
        }
    }

    /// What was last taken from the stream is worked off.
    pub fn consumed(&mut self, id: u32) {
        let Some(entry) = self.streams.get_mut(&id) else {
            return;
        };
        let len = std::mem::take(&mut entry.lent);
        if len == 0 {
            return;
        }
        self.received -= len as usize;
        match self.dialect {
            Dialect::V1 => {
                if entry.backlog.len() <= self.limits.stream_limit / 2 {
                    self.over -= usize::from(entry.over);
                    entry.over = false;
                    entry.overlooked = false;
                }
                self.reassess();
            }
            Dialect::Mux => {
                entry.spent += len;
                self.regrant(id);
            }
        }
    }

    /// Allows the peer to send more, once it is worth a frame. A peer that has used up its window
    /// while the reader has nothing left gets a larger one.
    fn regrant(&mut self, id: u32) {
        let Some(entry) = self.streams.get_mut(&id) else {
            return;
        };
        if self.ended || entry.peer_ended || entry.broken.is_some() || entry.stop != Told::Not {
            return;
        }
        let dry = entry.peer_starved && entry.unread() == 0;
        if dry {
            entry.peer_starved = false;
            let more = self
                .largest
                .saturating_sub(entry.window)
                .min(self.growth.saturating_sub(self.grown))
                .min(entry.window);
            entry.window += more;
            entry.grant += more;
            entry.granted += more;
            self.grown += more;
        }
        if dry || entry.spent >= entry.window / 2 {
            entry.granted += entry.spent;
            entry.grant += std::mem::take(&mut entry.spent);
        }
        if entry.grant > 0 {
            self.enqueue(id);
        }
    }

    /// Lets go of what a stream has received.
    pub(super) fn discard(&mut self, id: u32) {
        if let Some(entry) = self.streams.get_mut(&id) {
            self.received -= entry.backlog.clear() + std::mem::take(&mut entry.lent) as usize;
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

    fn on_v1(&mut self, Header { kind, id, .. }: Header) -> Result<(), ProtocolError> {
        match kind {
            Kind::New => return self.on_new(id),
            Kind::Close => match self.streams.get_mut(&id) {
                Some(entry) if !entry.peer_ended => {
                    entry.peer_ended = true;
                    self.events.push_back(Event::Readable(id));
                }
                Some(_) => {}
                None => {
                    self.unanswered.remove(&id);
                }
            },
            Kind::Alive => self.peer_alive = Some(id),
            _ => {}
        }
        Ok(())
    }

    /// A header of the mux. Frames without payload are done with it.
    fn on_mux(&mut self, header: Header) -> Result<(), ProtocolError> {
        let Header { kind, id, len } = header;
        if let Kind::Other(kind) = kind {
            return Err(ProtocolError::UnknownKind(kind));
        }
        if kind == Kind::Alive {
            return Err(ProtocolError::UnknownKind(kind.to_byte()));
        }
        if !kind.allows(len) {
            let kind = kind.to_byte();
            return Err(ProtocolError::BadLength { kind, len });
        }
        if kind.is_of_session() != (id == 0) {
            let kind = kind.to_byte();
            return Err(ProtocolError::BadId { kind, id });
        }
        if kind == Kind::New {
            return self.on_new(id);
        }
        if kind.is_of_session() {
            return Ok(());
        }
        let known = self.streams.get_mut(&id).filter(|entry| !entry.opening);
        let Some(entry) = known else {
            // Of a stream that has gone, something may still be on its way.
            let never = is_after(id, self.last_id) || self.streams.contains_key(&id);
            return if never {
                Err(ProtocolError::UnknownStream(id))
            } else {
                Ok(())
            };
        };
        if entry.reset {
            return Ok(());
        }
        if entry.broken.is_some() {
            return Err(ProtocolError::AfterEnd(id));
        }
        match kind {
            Kind::Write => {
                let len = u32::from(len);
                if entry.peer_ended {
                    return Err(ProtocolError::AfterEnd(id));
                }
                if len > entry.granted {
                    return Err(ProtocolError::OverWindow(id));
                }
                entry.granted -= len;
                entry.peer_starved = false;
            }
            Kind::End | Kind::Close | Kind::Stop => {
                let (ends, stops) = (kind != Kind::Stop, kind != Kind::End);
                if (ends && entry.peer_ended) || (stops && entry.peer_stopped) {
                    return Err(ProtocolError::AfterEnd(id));
                }
                entry.peer_ended |= ends;
                if ends {
                    self.events.push_back(Event::Readable(id));
                }
                if stops {
                    entry.peer_stopped = true;
                    self.queued -= entry.out.clear();
                    entry.blocked = false;
                    self.events.push_back(Event::Writable(id));
                }
                self.settle(id);
            }
            Kind::Blocked => {
                entry.peer_starved = true;
                self.regrant(id);
            }
            _ => {}
        }
        Ok(())
    }

    /// A whole frame of the mux that has a payload and is not data.
    fn on_body(&mut self, header: Header, body: &[u8]) -> Result<(), ProtocolError> {
        let number = body.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let (code, text) = body.split_first().unwrap_or((&0, &[]));
        let reason = || crate::v2::link::plain(&String::from_utf8_lossy(text));
        match header.kind {
            Kind::Ping => self.pong_due = Some(number),
            Kind::Pong => self.pong = Some(number),
            Kind::GoAway => {
                let code = GoodbyeCode::from_byte(*code);
                if self.goodbye.is_none() || code != GoodbyeCode::Drain {
                    let reason = reason();
                    self.goodbye = Some(Goodbye { code, reason });
                    self.events.push_back(Event::GoAway);
                }
            }
            Kind::Allow => return self.on_allow(header.id, number as u32),
            Kind::Reset => {
                let Some(entry) = self.streams.get_mut(&header.id) else {
                    return Ok(());
                };
                if entry.broken.is_none() {
                    entry.broken = Some(Arc::new(Reset {
                        code: ResetCode::from_byte(*code),
                        reason: reason(),
                    }));
                    self.queued -= entry.out.clear();
                    entry.blocked = false;
                    self.events.push_back(Event::Readable(header.id));
                    self.events.push_back(Event::Writable(header.id));
                    self.settle(header.id);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn on_allow(&mut self, id: u32, more: u32) -> Result<(), ProtocolError> {
        let Some(entry) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        let unused = entry.allowance as usize + entry.out.len();
        if more == 0 || unused + more as usize > MAX_ALLOWANCE as usize {
            return Err(ProtocolError::BadAllowance(id));
        }
        entry.allowance += more;
        entry.starved = Told::Not;
        self.unblock(id);
        Ok(())
    }

    fn on_new(&mut self, id: u32) -> Result<(), ProtocolError> {
        if self.role == Role::Dialer {
            return Err(ProtocolError::NewFromListener(id));
        }
        let follows = self.dialect == Dialect::V1 || is_after(id, self.last_id);
        if !follows || self.streams.contains_key(&id) {
            return Err(ProtocolError::DuplicateStream(id));
        }
        self.last_id = id;
        let refusal = if !self.accepting {
            "no streams are accepted any more"
        } else if self.accept_queue.len() >= self.limits.accept_backlog {
            "too many streams wait to be accepted"
        } else if self.streams.len() >= self.limits.max_streams {
            "too many streams are open"
        } else {
            self.streams
                .insert(id, Entry::new(self.dialect, self.initial));
            self.accept_queue.push_back(id);
            self.events.push_back(Event::Acceptable);
            return Ok(());
        };
        if self.refusals.len() >= MAX_REFUSALS {
            return Err(ProtocolError::Flood);
        }
        self.refusals.push_back((id, refusal));
        Ok(())
    }

    fn on_data(&mut self, id: u32, data: BytesMut) {
        let Some(entry) = self.streams.get_mut(&id) else {
            return;
        };
        if !entry.listens() {
            return;
        }
        if entry.backlog.is_empty() {
            self.events.push_back(Event::Readable(id));
        }
        self.received += data.len();
        entry.backlog.push(data);
        if self.dialect == Dialect::Mux {
            if self.received > self.limits.unread_limit {
                self.reset_fullest();
            }
            return;
        }
        let over = entry.unread() >= self.limits.stream_limit;
        if over && !entry.over && !entry.overlooked {
            entry.over = true;
            self.over += 1;
        }
        self.full |= self.received >= self.limits.session_limit;
        if self.limits.overflow == Overflow::ResetStream {
            if over {
                self.overrun(id);
            } else if self.full {
                self.reset_fullest();
            }
        }
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
            .filter(|(_, entry)| entry.unread() > 0)
            .max_by_key(|(_, entry)| entry.unread())?;
        self.overrun(id);
        Some(id)
    }

    fn overrun(&mut self, id: u32) {
        self.break_off(id, ResetCode::Overrun, "nobody read it");
    }
}
