//! All streams over one connection: frames, the state of a session, the task that drives it.

use std::time::Duration;

mod batch;
mod dialer;
mod driver;
mod entry;
pub mod frame;
mod ids;
mod limits;
mod link;
mod listener;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod woken;

pub use batch::Batch;
pub use dialer::Dialer;
pub use frame::Dialect;
pub use limits::{
    Goodbye, GoodbyeCode, INITIAL_WINDOW, Limits, OpenError, Overflow, ProtocolError, Reset,
    ResetCode, Role, StreamError,
};
pub use listener::Listener;
pub use session::{Event, Read, Session};

/// How a [`Dialer`] or [`Listener`] behaves. Take the default and change what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How much is held for whom.
    pub limits: Limits,
    /// How often a sign of life is sent: a ping in the mux, a keep-alive frame in version 1.
    /// Default 3 s; `None` for never, which also means that silence is no reason to give up.
    pub keep_alive: Option<Duration>,
    /// The silence after which the peer counts as gone. In version 1 only if it sends
    /// keep-alives, and stretched to three times the period it announces, up to 90 s; not counted
    /// while unread streams keep this end from listening. Time in which this end itself did not
    /// run does not count. Default 14 s, so that a dead peer is known after 15.
    pub idle_timeout: Duration,
    /// How long the transport may take no byte, and bring none, before the peer counts as gone.
    /// Default 60 s, the original's limit for a write.
    pub write_timeout: Duration,
    /// With [`Overflow::PauseSession`]: how long both directions may stand still, this end not
    /// reading because of unread streams and the peer not reading either, before the fullest
    /// stream is closed. Default 30 s.
    pub deadlock_break_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            keep_alive: Some(Duration::from_secs(3)),
            idle_timeout: Duration::from_secs(14),
            write_timeout: Duration::from_secs(60),
            deadlock_break_after: Duration::from_secs(30),
        }
    }
}
