//! All streams over one connection: the engine, and the language that two ends of this crate
//! speak over it.
//!
//! One engine serves two dialects of the same frames: the one of 2018 ([`v1`](crate::v1)) and the
//! **mux**, which is used when both ends are of this crate. In the mux no stream holds up another
//! one, memory is bounded at both ends, a half-close is told from a broken-off stream, and both
//! ends know how far away and how alive the other one is.
//!
//! ```
//! use revdial::{Stream, mux};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (here, there) = duplex(1024);
//! let dialer = mux::Dialer::new(Stream::new(here), mux::Config::default());
//! let mut listener = mux::Listener::new(Stream::new(there), mux::Config::default());
//!
//! let mut near = dialer.dial().await?;
//! near.write_all(b"who are you?").await?;
//! near.shutdown().await?; // half-close: the answer can still be read
//!
//! let mut far = listener.accept().await?;
//! let mut question = String::new();
//! far.read_to_string(&mut question).await?;
//! assert_eq!(question, "who are you?");
//! # Ok(())
//! # }
//! ```
//!
//! # Without I/O
//!
//! [`Session`] is one end of either dialect as a plain state machine, and [`frame`] the codec, for
//! tests, simulators and other runtimes.
//!
//! # The format
//!
//! What follows is all that one needs to write another end. A session begins at the first byte
//! after the HTTP exchange and knows two roles: the *dialer* opens streams, the *listener* is given
//! them. Both directions of the connection are a plain sequence of frames; integers are
//! big-endian.
//!
//! ```text
//! offset 0   1 byte   kind, an ASCII letter
//! offset 1   4 bytes  id of the stream, u32; 0 in frames about the session
//! offset 5   2 bytes  length of the payload, u16
//! offset 7   n bytes  payload
//! ```
//!
//! | kind | id | payload | meaning |
//! |---|---|---|---|
//! | `N` new | stream | none | the dialer opens the stream; there is no answer |
//! | `W` write | stream | 1 to 65,535 bytes | data |
//! | `E` end | stream | none | the sender writes no more; it goes on reading |
//! | `S` stop | stream | none | the sender reads no more; what comes is thrown away |
//! | `C` close | stream | none | `E` and `S` at once |
//! | `R` reset | stream | code, 0 to 255 bytes of UTF-8 | the stream is broken off in both directions |
//! | `A` allow | stream | u32, not 0 | the receiver of this frame may send so many bytes of data more |
//! | `B` blocked | stream | none | the sender has more data and no allowance left |
//! | `P` ping | 0 | u64 | asks for a `Q` |
//! | `Q` pong | 0 | u64 | answers the newest `P` with its number |
//! | `G` go away | 0 | code, 0 to 255 bytes of UTF-8 | the sender goes away |
//!
//! **Ids.** The first stream has id 1, each further one the next number, with two exceptions: 0
//! and ids that are still in use are passed over, and after 2^32 − 1 it begins anew. The listener
//! takes an id that lies 1 to 2^31 − 1 after the last one, counted modulo 2^32. An id is in use
//! until both directions of its stream are over (below) at this end.
//!
//! **Directions.** Each direction of a stream is over for an end once it has sent or received what
//! ends it: `E` or `C` from the writer, `S` or `C` from the reader, or `R` from either. After `E`,
//! `C` or `R` the sender sends no data; after `S` or `C` it may receive some that was under way,
//! and ignores it. Frames for streams that are over are ignored, because they may have crossed.
//! An end whose user drops a stream sends `C`, or `S` at once and `E` after the data that still
//! waits. Received data stays readable after `E`, `C` and `R`; after `R` there is an error in the
//! place of the end, unless the end came first.
//!
//! **Allowances.** Each direction of a stream begins with an allowance of 262,144 bytes, which the
//! payloads of `W` use up. `A` adds to it; it must never exceed 2^30 bytes. A receiver adds what
//! its user has read, when it is worth a frame (here: half a window). An end that has data for a
//! stream and no allowance says `B`, once until the next `A`. If the receiver's user has by then
//! read everything, the window is too small for the distance and the speed of the two, and the
//! receiver allows more (here: it doubles the window, within [`Limits`] and within what the round
//! trip that `P` measured makes useful). So windows grow where
//! that helps, and a reader that is slow never gets a larger one. A listener's user that has not
//! accepted a stream counts as one that does not read.
//!
//! **Refusal.** A listener that cannot take a stream answers `N` with `R` and code 1.
//!
//! **Reset codes.** 1 refused: nobody has seen the stream. 2 overrun: nobody read it, and the
//! session was full. 3 broken off by its user. Others may come and mean "broken off".
//!
//! **Going away.** `G` with code 0 means: the sender opens no more streams, or refuses those that
//! come from now on; streams that exist go on. An end that is in that state, or whose peer is,
//! closes the connection once no streams are left and everything is sent. Any other code means
//! that the sender closes the connection after this frame: 1 without a complaint, 2 because the
//! peer broke the protocol. The text says why, for people.
//!
//! **Life.** Each end begins with `P`, sends another from time to time (here: every 3 s) and answers
//! each `P` with `Q` soon; if several wait, answering the newest is enough. An end that hears
//! nothing at all for some time (here: 14 s) closes the connection. Any byte counts, so a slow
//! connection full of data is alive.
//!
//! **Violations.** The other end is known to speak this format, so anything else ends the session,
//! with `G` and code 2: a kind that is not in the table, a length or an id that the table does not
//! allow, `N` from the listener or with an id out of turn, a frame for a stream that was never
//! opened, `W` or another `E`, `C` or `S` after what it was ended by, any frame after `R`, data
//! beyond the allowance, an allowance of 0 or beyond 2^30. [`ProtocolError`] has one case for each.

use std::time::Duration;

mod batch;
mod dialer;
mod direct;
mod driver;
mod entry;
pub mod frame;
mod ids;
mod limits;
mod link;
mod listener;
mod session;
pub(crate) mod stream;
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

impl Config {
    /// The same with times that can be added to any point in time: nobody waits longer than that
    /// anyway, and nobody needs to hear of a peer more often.
    fn bounded(self) -> Self {
        const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);
        const LEAST: Duration = Duration::from_millis(1);
        Self {
            keep_alive: self.keep_alive.map(|period| period.clamp(LEAST, NEVER)),
            idle_timeout: self.idle_timeout.min(NEVER),
            write_timeout: self.write_timeout.min(NEVER),
            deadlock_break_after: self.deadlock_break_after.min(NEVER),
            ..self
        }
    }
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
