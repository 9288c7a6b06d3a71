//! Histories that never happened, for tests, examples and figures (feature `testing`).
//!
//! [`History`] makes a log as long as wanted out of a seed: issues, comments, events, changes under
//! review, commits, in the proportions of a real log. The same seed gives the same bytes,
//! everywhere.
//!
//! ```
//! use maintner::{reclog::Records, testing::History};
//!
//! let log = History::new(1).log(100_000);
//! assert!((100_000..200_000).contains(&log.len()));
//! assert!(Records::new(&log, 0).all(|record| record.is_ok()));
//! ```

mod dice;
mod dump;
mod forge;
mod history;
mod mischief;
mod model;
mod review;
mod words;

pub use dump::{difference, dump};
pub use history::History;
pub use mischief::mischief;
pub use model::Model;
