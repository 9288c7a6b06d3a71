//! Turn an accepted connection around: a [`Dialer`] that reaches machines behind NAT, and their
//! [`Listener`].
//!
//! A machine that nobody can connect to opens one connection to a public server. After an HTTP
//! exchange the roles swap: the server's [`Dialer`] opens byte streams *to* that machine, whose
//! [`Listener`] accepts them as if they had come in from the network. Either end may be the Go
//! project's build system, whose protocol this is; two ends of this crate agree on a multiplexed
//! [`Version`] of their own.
//!
//! Start with [`register`](register()) on the machine and `server::answer_registration` on the
//! server: they agree on a version, whoever is at the other end. `cargo run -p revdial --example nat`
//! shows both.
//!
//! Both ends in one process:
//!
//! ```
//! use revdial::{Dialer, Listener, Stream, mux::Config};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Usually a TLS connection on which HTTP was spoken until now.
//! let (here, there) = duplex(1024);
//! let dialer = Dialer::mux(Stream::new(here), Config::default()); // the server's side
//! let mut listener = Listener::mux(Stream::new(there), Config::default()); // the machine's
//!
//! let (dialled, accepted) = tokio::join!(dialer.dial(), listener.accept());
//! let (mut server_end, mut far_end) = (dialled?, accepted?);
//! server_end.write_all(b"who are you?").await?;
//! let mut question = [0; 12];
//! far_end.read_exact(&mut question).await?;
//! assert_eq!(&question, b"who are you?");
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! * In version 2 a connection reaches exactly the dial that asked for it, or is closed: paths carry
//!   a number per dial, which Go listeners hand back unseen.
//! * Every wait has a limit: dials, pickups, writes, silence. Between two ends of this crate a
//!   pulled cable is noticed within 15 seconds.
//! * Dropping the last [`Dialer`] or the [`Listener`] stops its task and frees everything; both
//!   ends can tell why it ended ([`CloseReason`]). [`Dialer::disconnected`] is for programs that
//!   want to say goodbye before they exit.
//! * Whatever comes from the other end is bounded and can break no more than its own session.
//!
//! # What it does not do
//!
//! * No sockets, no TLS: you bring the connections ([`Connect`], [`Stream`]). Set `TCP_NODELAY`,
//!   TCP keep-alive, and no ALPN but `http/1.1`.
//! * No authentication beyond the random id of a dialer: check who registers before you call
//!   `server::answer_registration` or [`Registry::register`].
//! * No reconnecting: when [`Listener::accept`] fails, register again, with a pause.
//! * Against a *Go listener over plain TCP*, bytes written at once after a dial can be lost,
//!   because it drops what it read together with the `101`. Over TLS, its normal use, they are
//!   not.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `server` | `server`: HTTP connections that a handler can take over, the handlers of registrations and pickups, HTTP on what a [`Listener`] accepts |
//! | `hyper` | `client`: hyper-util's pooling HTTP client through a [`Dialer`] |
//! | `axum` | `axum::serve` on a [`Listener`] |
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "hyper")]
pub mod client;
mod connect;
pub mod control;
mod dialer;
mod io;
mod ledger;
mod listener;
pub mod mux;
mod path;
mod reason;
mod register;
#[cfg(feature = "server")]
pub mod server;
mod sync;
pub mod upgrade;
pub mod v1;
mod v2;
mod version;

pub use connect::Connect;
pub use dialer::{DialError, Dialer, DialerConfig};
pub use io::{Io, Stream};
pub use ledger::{Peer, Stats, StreamInfo};
pub use listener::{AcceptError, Listener, ListenerConfig};
pub use path::{InvalidTarget, redact};
pub use reason::CloseReason;
pub use register::{RegisterError, register};
pub use v2::{Pickup, PickupError, Registry};
pub use version::{NegotiateError, OFFER_HEADER, VERSION_HEADER, Version, Versions, negotiate};

#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
