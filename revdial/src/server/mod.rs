//! The server side: HTTP connections that a handler can take over, and the pickup handler.
//!
//! hyper hands a connection over only when the request asked for an upgrade. The Go programs'
//! requests do not (they even send an empty `Host`), so here it is the *answer* that decides:
//! [`serve_connection`] serves requests as usual until a handler returns
//! [`switching_protocols`], whose closure then gets the raw connection.

mod connection;
mod framing;
mod listen;
mod pickup;
mod registration;
mod takeover;
mod watch;

pub use connection::{ServeConfig, ServeError, serve_connection};
pub use listen::serve;
pub use pickup::{answer_pickup, error_response};
pub use registration::answer_registration;
pub use takeover::switching_protocols;
