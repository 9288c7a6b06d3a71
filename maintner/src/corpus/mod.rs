//! What a log says, in memory. So far: commits and their ancestry.
//!
//! One writer applies mutations; what it hands out are versions that never change and cost next to
//! nothing to make ([`store`](crate::store)).
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use std::sync::Arc;
//! use maintner::{corpus::Corpus, testing::History};
//!
//! let mut corpus = Corpus::new();
//! corpus.load(Arc::new(History::new(1).log(100_000)), 0)?;
//! let newest = corpus.commits().iter().max_by_key(|commit| commit.committer().seconds);
//! if let Some(commit) = newest {
//!     println!("{} {} by {}", commit.name(), commit.summary(), commit.author().name());
//! }
//! # }
//! # Ok::<(), maintner::corpus::LoadError>(())
//! ```

mod ancestry;
mod commits;
mod load;

pub use commits::{AddError, Commit, CommitId, Commits, File, Hash, Signed};
pub use load::{Corpus, LoadError};
