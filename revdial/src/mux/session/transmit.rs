//! What goes out.

use super::*;

impl Session {
    /// Lets the peer know that this end lives and says so every `period_ms`. Version 1.
    pub fn keep_alive(&mut self, period_ms: u32) {
        self.alive_due = Some(period_ms);
    }

    /// Asks the peer for a sign of life, which [`take_pong`](Self::take_pong) gives. The mux. An
    /// earlier ping that has not gone out is replaced.
    pub fn ping(&mut self, token: u64) {
        self.ping_due = Some(token);
    }

    /// Tells the peer that this end goes away, in the mux. Version 1 has no words for it.
    pub fn go_away(&mut self, code: GoodbyeCode, reason: &str) {
        if self.dialect == Dialect::Mux && !self.ended {
            self.goodbye_due = Some(with_reason(Kind::GoAway, 0, code.to_byte(), reason));
        }
    }

    /// Whether [`transmit`](Self::transmit) has something to add.
    pub fn has_output(&self) -> bool {
        !self.ready.is_empty()
            || !self.refusals.is_empty()
            || self.alive_due.is_some()
            || self.ping_due.is_some()
            || self.pong_due.is_some()
            || self.goodbye_due.is_some()
    }

    /// Adds frames to `batch` until it is full or nothing is left: first what concerns the
    /// session, then the streams in turn.
    pub fn transmit(&mut self, batch: &mut Batch) {
        self.pool.refill(batch);
        self.transmit_session(batch);
        while batch.len() < BATCH {
            if let Some((id, reason)) = self.refusals.pop_front() {
                match self.dialect {
                    Dialect::V1 => batch.header(Header::empty(Kind::Close, id)),
                    Dialect::Mux => {
                        let code = ResetCode::Refused.to_byte();
                        batch.copy(&with_reason(Kind::Reset, id, code, reason));
                    }
                }
                continue;
            }
            let Some(id) = self.ready.pop_front() else {
                break;
            };
            self.transmit_stream(id, batch);
        }
        self.wake_writers();
    }

    fn transmit_session(&mut self, batch: &mut Batch) {
        if let Some(period) = self.alive_due.take() {
            batch.header(Header::empty(Kind::Alive, period));
        }
        let number = |kind, number: u64| {
            let mut frame = BytesMut::with_capacity(16);
            let header = Header {
                len: 8,
                ..Header::empty(kind, 0)
            };
            frame.put_slice(&header.to_bytes());
            frame.put_u64(number);
            frame
        };
        if let Some(token) = self.pong_due.take() {
            batch.copy(&number(Kind::Pong, token));
        }
        if let Some(token) = self.ping_due.take() {
            batch.copy(&number(Kind::Ping, token));
        }
        if let Some(goodbye) = self.goodbye_due.take() {
            // After it the peer expects no streams, but these were opened before.
            for id in &self.ready {
                if let Some(entry) = self.streams.get_mut(id)
                    && std::mem::take(&mut entry.opening)
                {
                    batch.header(Header::empty(Kind::New, *id));
                }
            }
            batch.copy(&goodbye);
        }
    }

    fn transmit_stream(&mut self, id: u32, batch: &mut Batch) {
        let alone = self.ready.is_empty();
        let Some(entry) = self.streams.get_mut(&id) else {
            return;
        };
        entry.ready = false;
        if std::mem::take(&mut entry.opening) {
            batch.header(Header::empty(Kind::New, id));
        }
        if let Some(reset) = &entry.broken {
            if std::mem::take(&mut entry.reset_due) {
                let frame = with_reason(Kind::Reset, id, reset.code.to_byte(), &reset.reason);
                batch.copy(&frame);
            }
            self.settle(id);
            return;
        }
        let grant = std::mem::take(&mut entry.grant);
        if grant > 0 && !entry.peer_ended && entry.stop == Told::Not {
            let header = Header {
                len: 4,
                ..Header::empty(Kind::Allow, id)
            };
            batch.header(header);
            batch.copy(&grant.to_be_bytes());
        }
        if entry.starved == Told::Wanted && !entry.peer_stopped {
            entry.starved = Told::Sent;
            batch.header(Header::empty(Kind::Blocked, id));
        }
        let quantum = self.limits.quantum.clamp(1, MAX_PAYLOAD);
        let most = if alone { MAX_PAYLOAD } else { quantum };
        if let Some(data) = entry.out.take(most) {
            self.queued -= data.len();
            batch.header(Header::data(id, data.len()));
            batch.data(data);
        }
        let more = !entry.out.is_empty();
        let ends = entry.end == Told::Wanted && !more && !entry.peer_stopped;
        let stops = entry.stop == Told::Wanted && !entry.peer_ended;
        let last = match (ends, stops) {
            (true, true) => Some(Kind::Close),
            (true, false) if self.dialect == Dialect::V1 => Some(Kind::Close),
            (true, false) => Some(Kind::End),
            (false, true) => Some(Kind::Stop),
            (false, false) => None,
        };
        if let Some(kind) = last {
            batch.header(Header::empty(kind, id));
        }
        if ends {
            entry.end = Told::Sent;
        }
        if stops {
            entry.stop = Told::Sent;
        }
        if entry.flushing && !more {
            entry.flushing = false;
            self.events.push_back(Event::Writable(id));
        }
        if more {
            entry.ready = true;
            self.ready.push_back(id);
        }
        self.unblock(id);
        self.settle(id);
    }

    /// Wakes the writer of a stream that has room again, or lets it wait for the session.
    pub(super) fn unblock(&mut self, id: u32) {
        if let Some(entry) = self.streams.get_mut(&id)
            && entry.blocked
            && entry.allowance > 0
            && entry.out.len() <= self.limits.stream_send_limit / 2
        {
            if self.queued < self.limits.session_send_limit {
                entry.blocked = false;
                self.events.push_back(Event::Writable(id));
            } else {
                self.blocked.push_back(id);
            }
        }
    }

    /// Wakes those whom only the session's limit kept waiting.
    fn wake_writers(&mut self) {
        while self.queued < self.limits.session_send_limit {
            let Some(id) = self.blocked.pop_front() else {
                return;
            };
            self.unblock(id);
        }
    }
}
