//! All streams over one connection: frames, the state of a session, the task that drives it.

use std::time::Duration;

mod batch;
mod dialer;
mod driver;
pub mod frame;
mod limits;
mod link;
mod listener;
mod session;
mod stream;
#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use dialer::Dialer;
pub use limits::{Limits, OpenError, Overflow, ProtocolError, Role, StreamError};
pub use listener::Listener;
pub use session::{Event, Read, Session};

/// How a [`Dialer`] or [`Listener`] behaves. Take the default and change what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How much is held for whom.
    pub limits: Limits,
    /// How often a keep-alive frame is sent. Default 5 s; `None` for never.
    pub keep_alive: Option<Duration>,
    /// The silence after which a peer that sends keep-alives counts as gone. Stretched to three
    /// times the period it announces, up to 90 s. Not counted while unread streams keep this end
    /// from listening. Default 15 s.
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
            keep_alive: Some(Duration::from_secs(5)),
            idle_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(60),
            deadlock_break_after: Duration::from_secs(30),
        }
    }
}
