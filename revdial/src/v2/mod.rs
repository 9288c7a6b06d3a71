//! Version 2: a control connection with a line per event, and a connection per stream.

mod dialer;
pub(crate) mod link;
mod listener;
mod registry;
mod session;
mod spares;

pub(crate) use dialer::Dialer;
pub(crate) use listener::Listener;
pub use registry::{Pickup, PickupError, Registry};
