//! A project's whole history, as the Go project's maintner keeps it.
//!
//! Everything that happens to a project on GitHub, on Gerrit and in git becomes a *mutation*, and
//! all mutations stand in one append-only log. So far this crate has:
//!
//! * [`reclog`]: records in a file, read without copying, appended without losing any.
//! * [`log`]: where a log comes from and where it goes: memory, a directory, the network.
//! * [`leader`]: the one who writes a log, and knows at once what it says.
//! * [`proto`]: the messages in the records.
//! * [`parse`]: commits, meta commits of Gerrit, mentions of issues.
//! * [`corpus`]: what a log says; so far commits and their ancestry.
//! * `pages`: a corpus in a browser (feature `pages`).
//! * [`sync`]: those who find out what happens; so far in git repositories (feature `git`).
//! * `testing`: histories made from a seed (feature `testing`).
//! * [`store`]: rows, indices and text that versions of a corpus share.
//!
//! ```
//! use maintner::{proto::{Mutation, view::{self, View}}, reclog::{Header, Records}};
//! use prost::Message;
//!
//! let nothing = Mutation::default().encode_to_vec();
//! let mut log = Header::new(0, nothing.len() as u64).to_vec();
//! log.extend(nothing);
//! for record in Records::new(&log, 0) {
//!     let mutation = view::Mutation::decode(record?.payload)?;
//!     assert!(mutation.github_issue.is_none());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Features: `net` (default) follows logs on servers, `serve` serves them.
//!
//! Not yet: a log whose leader keeps it in an object store.

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
