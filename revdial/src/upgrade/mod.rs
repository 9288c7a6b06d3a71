//! The client side of an HTTP/1.1 upgrade, as tolerant as the peers need.
//!
//! General HTTP clients cannot do this job: the Go original answers `HTTP/0.0 101` without a
//! single header, its requests carry neither `Upgrade` nor a host, and the first bytes of the
//! next protocol may come in the same read as the answer. [`request()`] copes with all three.

mod body;
mod head;
mod request;

pub use head::{HeadError, ResponseHead};
pub use request::{Limits, Request, UpgradeError, request};

#[cfg(test)]
mod tests;
