//! Version 1 of the protocol, for peers from before 2019: all streams share one connection.
//!
//! The connection carries frames, each with the id of its stream. The dialer opens streams
//! without asking; there are no credits, no acknowledgements and no reasons. Use it only when the
//! peer knows nothing newer: [`sniff`] tells a listener. Streams, errors and handles are those of
//! the rest of the crate.
//!
//! ```
//! use revdial::{Stream, v1};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (here, there) = duplex(1024);
//! let dialer = v1::Dialer::v1(Stream::new(here), v1::Config::default());
//! let mut listener = v1::Listener::v1(Stream::new(there), v1::Config::default());
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
//! # What differs from the original, on the same wire
//!
//! * Reading never waits for writing: two peers that both write more than the connection holds
//!   get on, where two Go peers stop for ever.
//! * Memory is bounded by [`Limits`], whatever the peer sends and whoever forgets to read.
//! * A full accept queue closes the new stream at once, instead of stopping all.
//! * Shutting a stream down for writing sends `C` and reading goes on. A Go peer takes `C` for a
//!   full close: it writes on, and its data arrives.
//! * A stream whose session breaks before the peer closed it ends with an error, not as if it
//!   were complete.
//! * Ids repeat only after 2^32 streams, and not while either end may still mean the old one.
//! * Both ends send a keep-alive frame of a kind that Go peers skip. Once seen, silence ends the
//!   session. Of a Go peer only the transport can tell that it is dead: use TCP keep-alive.
//!
//! # What it cannot do
//!
//! * A peer that dropped a stream cannot say so, other than by closing its side, which may be a
//!   half-close. Data written to it is lost without an error, as between Go peers.
//! * Streams share one connection, so one that is not read holds up the others in the end. Choose
//!   [`Overflow`] for what happens then.
//!
//! # Without I/O
//!
//! [`Session`] is the whole protocol as a plain state machine, and [`frame`] the codec, for tests,
//! simulators and other runtimes.

mod sniff;

pub use crate::mux::{
    Batch, Config, Dialect, Dialer, Event, Limits, Listener, OpenError, Overflow, ProtocolError,
    Read, Role, Session, StreamError, frame,
};
pub use sniff::{SniffError, Sniffed, sniff};
