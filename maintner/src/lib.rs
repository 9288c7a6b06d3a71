//! A project's whole history, as the Go project's maintner keeps it.
//!
//! Everything that happens to a project on GitHub, on Gerrit and in git becomes a *mutation*, all
//! mutations stand in one append-only log, and what the log says is a *corpus* in memory.
//!
//! * [`corpus`]: what a log says: GitHub, Gerrit and git, live, by snapshots that never change;
//!   queries, a feed of changes, a file to start from.
//! * [`log`]: where a log comes from and where it goes: memory, a directory, the network.
//! * [`leader`]: the one who writes a log, and knows at once what it says.
//! * [`sync`]: those who find out what happens; so far in git repositories (feature `git`).
//! * `pages`: a corpus in a browser (feature `pages`).
//! * `api`: the questions a leader answers over gRPC (feature `grpc`).
//! * [`reclog`]: records in a file, read without copying, appended without losing any.
//! * [`proto`]: the messages in the records.
//! * [`parse`]: commits, meta commits of Gerrit, mentions of issues.
//! * [`store`]: rows, indices and text that versions of a corpus share.
//! * `testing`: histories made from a seed, a plain model to compare with (feature `testing`).
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use maintner::{corpus::Snapshot, testing::History};
//!
//! let snapshot = Snapshot::of_log(History::new(1).log(200_000))?;
//! for repo in snapshot.github().repos() {
//!     println!("{repo}: {} open issues", repo.issues().open().count());
//! }
//! # }
//! # Ok::<(), maintner::corpus::ApplyError>(())
//! ```
//!
//! Not yet: pollers of GitHub and Gerrit.
//!
//! Features: `net` (default) follows logs on servers, `serve` serves them; `object-store` keeps them in
//! buckets, of Amazon, Google and Microsoft with `s3`, `gcs` and `azure`.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "grpc")]
pub mod api;
pub mod corpus;
pub mod leader;
pub mod log;
#[cfg(feature = "pages")]
pub mod pages;
pub mod parse;
pub mod proto;
pub mod reclog;
pub mod store;
pub mod sync;
#[cfg(feature = "testing")]
pub mod testing;
