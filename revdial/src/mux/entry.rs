//! What a session knows of one stream.

use std::sync::Arc;

use super::{batch::Backlog, frame::Dialect, limits::Reset};

/// How far something is that the peer must be told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    #[default]
    Not,
    Wanted,
    Sent,
}

#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) backlog: Backlog,
    pub(super) out: Backlog,
    // Counts are of 32 bits: nothing of one stream exceeds 2^30 in the mux, or a piece in version 1.
    /// Bytes its reader has taken and not yet worked off.
    pub(super) lent: u32,
    /// The mux: what this end may still send.
    pub(super) allowance: u32,
    /// The mux: what the peer may still send.
    pub(super) granted: u32,
    /// The mux: what the peer may have sent and not seen read.
    pub(super) window: u32,
    /// The mux: bytes worked off that were not granted again.
    pub(super) spent: u32,
    /// The mux: what the next `A` says.
    pub(super) grant: u32,
    /// The mux: what ended the stream before its time.
    pub(super) broken: Option<Arc<Reset>>,
    /// It was this end that broke it.
    pub(super) reset: bool,
    /// `R` is still to be sent.
    pub(super) reset_due: bool,
    /// `N` is still to be sent.
    pub(super) opening: bool,
    /// That this end writes no more.
    pub(super) end: Told,
    /// That this end reads no more.
    pub(super) stop: Told,
    /// `B` is still to be sent, or was sent since the last allowance.
    pub(super) starved: Told,
    pub(super) peer_ended: bool,
    pub(super) peer_stopped: bool,
    /// The peer has used up its window.
    pub(super) peer_starved: bool,
    /// Its reader was told that the peer has ended.
    pub(super) end_seen: bool,
    /// Somebody will release it.
    pub(super) held: bool,
    /// In the queue of those that have something to send.
    pub(super) ready: bool,
    /// Its writer waits for room.
    pub(super) blocked: bool,
    /// Its writer waits for everything to be on its way.
    pub(super) flushing: bool,
    /// Version 1: over its limit, so that input waits for its reader.
    pub(super) over: bool,
    /// Version 1: over its limit for so long that input no longer waits.
    pub(super) overlooked: bool,
}

impl Entry {
    /// `window` is what the mux begins with.
    pub(super) fn new(dialect: Dialect, window: u32) -> Self {
        let (allowance, window) = match dialect {
            Dialect::V1 => (u32::MAX, 0),
            Dialect::Mux => (window, window),
        };
        Self {
            allowance,
            granted: window,
            window,
            held: true,
            ..Self::default()
        }
    }

    /// Received and not worked off.
    pub(super) fn unread(&self) -> usize {
        self.backlog.len() + self.lent as usize
    }

    /// Whether what comes in for it is still wanted.
    pub(super) fn listens(&self) -> bool {
        self.held && !self.reset && !self.end_seen && self.stop == Told::Not
    }

    /// Whether nothing that its writer has said waits to be transmitted.
    pub(super) fn is_sent(&self, dialect: Dialect) -> bool {
        let ended = self.end != Told::Wanted || self.peer_stopped;
        (self.broken.is_some() && dialect == Dialect::Mux) || (self.out.is_empty() && ended)
    }

    /// Whether nothing more will be sent or has to be received for it.
    pub(super) fn is_done(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::V1 => self.end == Told::Sent,
            Dialect::Mux if self.broken.is_some() => !self.reset_due,
            Dialect::Mux => {
                (self.end == Told::Sent || self.peer_stopped)
                    && (self.stop == Told::Sent || self.peer_ended)
            }
        }
    }
}
