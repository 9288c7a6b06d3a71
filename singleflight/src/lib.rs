//! Many callers, one call: concurrent requests for the same key share one execution.
//!
//! ```
//! use buildfarm_singleflight::Group;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buildfarm_singleflight::Aborted> {
//! let downloads = Group::new();
//! let fetch = || async { "the archive" };
//! let (one, two) = tokio::join!(downloads.run("go@master", fetch), downloads.run("go@master", fetch));
//! assert_eq!(one?.value, "the archive");
//! assert!(two?.shared);
//! # Ok(()) }
//! ```
//!
//! [`Group::run`] starts the work on the tokio runtime, so the first caller may go away while others wait.
//! [`Group::run_linked`] also stops the work once nobody waits for it any more.
//!
//! Nothing is cached: a call that begins after another has ended runs anew. For results that can fail, let the value be a
//! `Result` with a cloneable error, such as `Result<Bytes, Arc<io::Error>>`.
//!
//! # What goes wrong elsewhere and not here
//!
//! * Work that panics wakes everybody with [`Aborted::Panicked`]; the key is usable again at once.
//! * A call that was [forgotten](Group::forget) does not remove its successor when it ends.
//! * A key is free before its result is visible: who calls after having seen a result starts a new call.
//! * A caller that is cancelled never cancels another, and a call that is being cancelled is not joined by anybody.
//! * Work that waits for its own key gets [`Aborted::Reentrant`] instead of waiting for ever.
//!
//! # What it does not do
//!
//! It does not cache, retry, or limit how long work takes, and it has no twin for threads without an async runtime.

mod call;
mod error;
mod group;

pub use crate::error::Aborted;
pub use crate::group::{Group, Shared};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
