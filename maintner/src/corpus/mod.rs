//! What a log says, in memory.
//!
//! One [`Writer`] applies the log and publishes; readers take a [`Snapshot`] from the [`Corpus`],
//! which never changes, and never wait ([`store`](crate::store) tells how).
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use maintner::{corpus::Snapshot, testing::History};
//!
//! let snapshot = Snapshot::of_log(History::new(1).log(100_000))?;
//! let newest = snapshot.commits().iter().max_by_key(|commit| commit.committer().seconds);
//! if let Some(commit) = newest {
//!     println!("{} {} by {}", commit.name(), commit.summary(), commit.author().name());
//! }
//! # }
//! # Ok::<(), maintner::corpus::ApplyError>(())
//! ```

mod ancestry;
mod commits;
mod gerrit;
mod github;
mod snapshot;
mod state;
mod writer;

pub use crate::store::Timestamp;
pub use commits::{AddError, Commit, CommitId, Commits, File, Hash, Signed};
pub use gerrit::Gerrit;
pub use github::{
    Comment, CommentId, Dismissal, Event, EventId, GitHub, Issue, IssueRef, Label, LabelId,
    Milestone, MilestoneId, Repo, Review, ReviewId, Team, TeamId, User, UserId,
};
pub use snapshot::Snapshot;
pub use writer::{ApplyError, Corpus, Writer};

#[cfg(test)]
mod tests;
