//! Many callers, one call: concurrent requests for the same key share one execution.
//!
//! ```
//! use buildfarm_singleflight::Group;
//! use tokio::task::yield_now;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), buildfarm_singleflight::Aborted> {
//! let downloads = Group::new();
//! let fetch = || async {
//!     yield_now().await; // stands for the network
//!     "the archive"
//! };
//! let (one, two) = tokio::join!(downloads.run("go@master", fetch), downloads.run("go@master", fetch));
//! assert_eq!(one?.value, "the archive");
//! assert!(two?.shared);
//! # Ok(()) }
//! ```
//!
//! [`Group::run`] is what most want. [`Group::run_linked`] also stops the work once nobody waits for it any more.
//! [`Group::try_run`] is for work that can fail. [`Group::run_with`] has a time limit for the work.
//! [`blocking::Group`] is the same for threads.
//!
//! # Who does the work
//!
//! The work belongs to the group. Its first step runs within the call that starts it; work that needs no more than that
//! costs neither a task nor a wake-up. What has to wait goes on as a task of the caller's tokio runtime.
//! So the caller that started it may be cancelled, or sit unpolled in a `select!`, and nobody else waits for longer.
//!
//! Nothing is cached: a call that begins after another has ended runs anew.
//!
//! # What goes wrong elsewhere and not here
//!
//! * Work that panics wakes everybody with [`Aborted::Panicked`]; the key is usable again at once.
//! * A call that was [forgotten](Group::forget) does not remove its successor when it ends.
//! * A key is free before its result is visible: who calls after having seen a result starts a new call.
//! * A caller that is cancelled never cancels another, and a call that is being cancelled is not joined by anybody.
//! * Work that waits for its own key gets [`Aborted::Reentrant`] instead of waiting for ever. (It is not noticed through
//!   tasks and threads that the work itself starts.)
//!
//! # What it does not do
//!
//! It does not cache and does not retry. Work that computes for long without waiting keeps the caller's thread busy, as it
//! would without a group: hand it to [`tokio::task::spawn_blocking`].

pub mod blocking;
mod error;
mod flights;
mod group;
mod options;
mod seats;
mod shared;
mod sync;
mod within;

pub use crate::error::{Aborted, TryError};
pub use crate::group::Group;
pub use crate::options::Options;
pub use crate::shared::Shared;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
