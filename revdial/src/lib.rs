//! Turn an accepted connection around: a Dialer that reaches machines behind NAT, and their Listener
#![cfg_attr(docsrs, feature(doc_cfg))]

mod connect;
pub mod control;
mod dialer;
mod io;
mod link;
mod listener;
mod path;
mod reason;
mod registry;
#[cfg(feature = "server")]
pub mod server;
mod session;
mod spares;
pub mod upgrade;

pub use connect::Connect;
pub use dialer::{DialError, Dialer, DialerConfig};
pub use io::{Io, Stream};
pub use listener::{AcceptError, Listener, ListenerConfig};
pub use path::{InvalidTarget, redact};
pub use reason::CloseReason;
pub use registry::{Pickup, PickupError, Registry};
