//! The centre of a build farm.
//!
//! It finds work in a repository ([`work`]), owns machines ([`pool`]), runs builds on them ([`Farm`]), keeps results and logs
//! ([`store`], [`logs`]), and shows them ([`web`]). The decisions are pure state machines, [`life`] and [`schedule`]: events and
//! the time go in, effects come out. Everything that touches the world is a thin shell around them.
//!
//! The queue, for example, needs neither workers nor a clock to be tried:
//!
//! ```
//! use buildfarm_coordinator::pool::Offer;
//! use buildfarm_coordinator::schedule::{Item, Scheduler};
//! use jiff::Timestamp;
//!
//! let now = Timestamp::UNIX_EPOCH;
//! let mut queue = Scheduler::default();
//! for (build, seq) in [(1, 10), (2, 11)] {
//!     let host_type = "linux-amd64".to_owned();
//!     queue.add(Item { build, host_type, seq, not_before: None, avoid: None }, now);
//! }
//! let worker = Offer { worker: "w1".to_owned(), host_type: "linux-amd64".to_owned() };
//! assert_eq!(queue.assign(&[worker], now)[0].build, 2, "the newest commit goes first");
//! ```
//!
//! What it does not do: compile anything itself. Builds run on workers, the `buildlet` crate, which dial in over TLS.

pub mod event;
pub mod farm;
pub mod life;
pub mod logs;
pub mod plan;
pub mod pool;
mod run;
pub mod schedule;
pub mod store;
pub mod web;
pub mod work;

pub use event::Event;
pub use farm::{Farm, FarmConfig};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
