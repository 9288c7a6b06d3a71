//! Turn an accepted connection around: a [`Dialer`] that reaches machines behind NAT, and their
//! [`Listener`].
//!
//! A machine that nobody can connect to opens one connection to a public server. After an HTTP
//! exchange the roles swap: the server's [`Dialer`] opens byte streams *to* that machine, whose
//! [`Listener`] accepts them as if they had come in from the network. The protocol is version 2
//! of the one that the Go project's build system uses between coordinator and workers, byte for
//! byte: the first connection carries one JSON line per event, and every stream is a connection
//! of its own which the listener opens on request. So streams are as fast as TCP, do not block
//! each other, and need no windows.
//!
//! Both ends in one process:
//!
//! ```
//! use revdial::{DialerConfig, Listener, ListenerConfig, Registry, Stream, upgrade};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The server's side. A real one answers HTTP requests, see the `server` module.
//! let registry = Registry::new();
//! let (here, there) = duplex(1024);
//! let dialer = registry.register(Stream::new(here), DialerConfig::default());
//!
//! // The far machine's side: how to open a connection to the server.
//! let connect = move || {
//!     let (near, far) = duplex(1024);
//!     tokio::spawn(serve(registry.clone(), far));
//!     async { Ok(Stream::new(near)) }
//! };
//! let mut listener = Listener::new(Stream::new(there), connect, ListenerConfig::default());
//!
//! let (dialled, accepted) = tokio::join!(dialer.dial(), listener.accept());
//! let (mut server_end, mut far_end) = (dialled?, accepted?);
//! server_end.write_all(b"who are you?").await?;
//! let mut question = [0; 12];
//! far_end.read_exact(&mut question).await?;
//! assert_eq!(&question, b"who are you?");
//! # Ok(())
//! # }
//! # async fn serve(registry: Registry, mut far: tokio::io::DuplexStream) {
//! #     let mut head = Vec::new();
//! #     while !head.ends_with(b"\r\n\r\n") {
//! #         head.push(far.read_u8().await.unwrap());
//! #     }
//! #     let head = String::from_utf8(head).unwrap();
//! #     let pickup = registry.pickup(head.split(' ').nth(1).unwrap()).unwrap();
//! #     far.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
//! #     pickup.deliver(Stream::new(far));
//! # }
//! ```
//!
//! # What it promises
//!
//! * A connection reaches exactly the dial that asked for it, or is closed: paths carry a number
//!   per dial, which Go listeners hand back unseen.
//! * Every wait has a limit: dials, pickups, writes, silence. Between two ends of this crate a
//!   pulled cable is noticed within 15 seconds.
//! * Dropping the last [`Dialer`] or the [`Listener`] stops its task and frees everything; both
//!   ends can tell why it ended ([`CloseReason`]).
//! * Whatever comes from the other end is bounded and can break no more than its own session.
//!
//! # What it does not do
//!
//! * No sockets, no TLS: you bring the connections ([`Connect`], [`Stream`]). Set `TCP_NODELAY`,
//!   TCP keep-alive, and no ALPN but `http/1.1`.
//! * No authentication beyond the random id of a dialer: check who registers before you call
//!   [`Registry::register`].
//! * No reconnecting: when [`Listener::accept`] fails, register again, with a pause.
//! * Against a *Go listener over plain TCP*, bytes written at once after a dial can be lost,
//!   because it drops what it read together with the `101`. Over TLS, its normal use, they are
//!   not.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `server` | `server`: HTTP connections that a handler can take over, and the pickup handler, on hyper |
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
