//! A least-recently-used cache: exact order, thread-safe, weights, time limits, no `unsafe`.
//!
//! ```
//! use buildfarm_lru::Cache;
//!
//! let recent = Cache::new(2);
//! recent.insert("a", 1);
//! recent.insert("b", 2);
//! recent.get("a");
//! recent.insert("c", 3);
//! assert_eq!(recent.snapshot(), [("c", 3), ("a", 1)]);
//! ```
//!
//! [`Cache`] is shared by threads: clones are the same cache, values come out as clones. [`Lru`] has one owner and no lock,
//! and values come out by reference. [`Builder`] makes either, with limits of number, weight and time.
//!
//! A limit of 0 is none. So it is in groupcache, from whose cache that of the Go build system descends; in the latter 0
//! keeps nothing.
//!
//! # How it behaves
//!
//! * The order is exact: what is evicted is what was used longest ago. Reading with `get` and inserting are uses, `peek` and
//!   `contains` are not.
//! * An entry heavier than the whole cache may be is not kept, and evicts nothing; see [`Builder::max_weight`].
//! * What has expired is never given out. It goes when somebody asks for it, when its turn to be evicted comes, or through
//!   `purge_expired`; until then it counts in `len`.
//! * A panic in code of yours (hashes, comparisons, clones, weighers, listeners, closures, destructors) leaves the cache whole.
//! * Entries lie in a hash table, linked through it. No operation but those that say so takes more than constant time,
//!   amortised: now and then an insertion makes more room.
//!
//! # What it does not do
//!
//! * It does not scale with cores: reading changes the order, so there is one lock. Where many cores mostly read, or scans
//!   sweep through, an approximate cache such as `quick_cache` or `moka` is the better choice.
//! * Threads that miss the same key at once each make a value; the first is kept. For one run only put
//!   `buildfarm-singleflight` around it.
//! * No thread of its own: nothing expires by itself.

mod cache;
mod config;
mod core;
mod evicted;
mod group;
mod hasher;
mod lock;
mod lru;
mod stats;
mod table;

pub use crate::cache::Cache;
pub use crate::config::Builder;
pub use crate::evicted::Reason;
pub use crate::hasher::{DefaultHasher, KeyHasher};
pub use crate::lru::{Held, Iter, Lru};
pub use crate::stats::Stats;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
