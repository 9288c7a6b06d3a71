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

mod apply;
mod check;
mod commits;
pub mod feed;
mod gerrit;
mod github;
pub mod live;
pub mod query;
mod snapshot;
pub mod snapshot_file;
mod state;
mod writer;

pub use crate::{parse::notedb::Status, store::Timestamp};
pub use check::Problem;
pub use commits::{AddError, Commit, CommitId, Commits, File, Hash, Signed};
pub use gerrit::{
    Change, Compat, Gerrit, HashtagEdits, Hashtags, LabelVote, LabelVotes, Message, Meta, PatchSet,
    Project, Ref, ReviewerKind, UnknownCommit,
};
pub use github::{
    Comment, CommentId, Dismissal, Event, EventId, GitHub, Issue, IssueRef, Issues, Label, LabelId,
    Milestone, MilestoneId, Repo, Review, ReviewId, Team, TeamId, User, UserId,
};
pub use snapshot::Snapshot;
pub use writer::{ApplyError, Corpus, Options, Writer};

#[cfg(test)]
mod tests;
