//! Changes of the Go project that wait for a try run.

use std::future::Future;

use super::{
    Version,
    apipb::{GerritTryWorkItem, GoRelease, MajorMinor, TryVoteMessage},
    releases::GO_SERVER,
};
use crate::corpus::Gerrit;

/// The query for changes whose try run was asked for and has not begun.
pub const QUERY: &str = "label:Run-TryBot=1 label:TryBot-Result=0 status:open";

/// A change that [`QUERY`] finds, as Gerrit tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitingChange {
    /// The project: "net".
    pub project: String,
    /// The change's number.
    pub number: i32,
    /// The branch without `refs/heads/`.
    pub branch: String,
    /// The Change-Id, from I on.
    pub change_id: String,
    /// The commit of the current patch set, 40 hex digits.
    pub current_revision: String,
    /// The number of the current patch set.
    pub version: i32,
    /// The owner's address.
    pub owner_email: String,
    /// The change's messages, oldest first.
    pub messages: Vec<ChangeMessage>,
}

/// A message on a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeMessage {
    /// The text: "Patch Set 2: Run-TryBot+1".
    pub text: String,
    /// When it was written, as Gerrit prints it.
    pub date: String,
    /// Gerrit's number of the author.
    pub author: i64,
}

/// A comment on a patch set as a whole (`/PATCHSET_LEVEL`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchSetComment {
    /// The text.
    pub text: String,
    /// When it was last changed, as Gerrit prints it.
    pub updated: String,
    /// Gerrit's number of the author.
    pub author: i64,
    /// The patch set.
    pub version: i32,
}

/// Gerrit could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("gerrit could not be asked: {0}")]
pub struct ReviewsError(pub String);

/// A Gerrit that can be asked for what is not in its git repositories.
pub trait Reviews: Send + Sync + 'static {
    /// The changes that [`QUERY`] finds.
    fn waiting(&self) -> impl Future<Output = Result<Vec<WaitingChange>, ReviewsError>> + Send;

    /// The comments on patch sets of a change.
    fn comments(
        &self,
        project: &str,
        number: i32,
    ) -> impl Future<Output = Result<Vec<PatchSetComment>, ReviewsError>> + Send;
}

/// No Gerrit to ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReviews;

impl Reviews for NoReviews {
    async fn waiting(&self) -> Result<Vec<WaitingChange>, ReviewsError> {
        Err(ReviewsError(
            "this server was started without one".to_owned(),
        ))
    }

    async fn comments(&self, _: &str, _: i32) -> Result<Vec<PatchSetComment>, ReviewsError> {
        self.waiting().await.map(|_| Vec::new())
    }
}

/// A branch to test with does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("branch {0:?} doesn't exist")]
pub struct NoBranch(pub String);

/// What to run for a waiting change: on which commits of Go, and what its voters asked for.
///
/// # Errors
///
/// Fails if the branch of Go to test with does not exist.
pub fn work_item(
    gerrit: Gerrit<'_>,
    supported: &[GoRelease; 2],
    change: &WaitingChange,
    comments: &[PatchSetComment],
) -> Result<GerritTryWorkItem, NoBranch> {
    let [newest, _] = supported;
    let devel = MajorMinor {
        major: newest.major,
        minor: newest.minor + 1,
    };
    let mut item = GerritTryWorkItem {
        project: change.project.clone(),
        branch: change.branch.clone(),
        change_id: change.change_id.clone(),
        commit: change.current_revision.clone(),
        version: change.version,
        author_email: change.owner_email.clone(),
        try_message: try_messages(&change.messages, comments),
        ..GerritTryWorkItem::default()
    };
    if change.project == "go" {
        let version = Version::of_release_branch(&change.branch);
        item.go_version = vec![version.map_or(devel, major_minor)];
        return Ok(item);
    }
    let mut add = |branch: &str, version: MajorMinor| {
        let go = gerrit.project(GO_SERVER, "go");
        let head = go.and_then(|go| go.reference(&format!("refs/heads/{branch}")));
        let head = head.ok_or_else(|| NoBranch(branch.to_owned()))?;
        item.go_commit.push(head.name().to_string());
        item.go_branch.push(branch.to_owned());
        item.go_version.push(version);
        Ok(())
    };
    if let Some(version) = Version::of_internal_branch(&change.branch) {
        add(&version.release_branch(), major_minor(version))?;
        return Ok(item);
    }
    add("master", devel)?;
    let is_gopls = change.project == "tools" && change.branch.starts_with("gopls-release-branch.");
    if change.branch == "master" || is_gopls {
        for release in supported {
            let version = MajorMinor {
                major: release.major,
                minor: release.minor,
            };
            add(&release.branch_name, version)?;
        }
    }
    Ok(item)
}

fn major_minor(version: Version) -> MajorMinor {
    MajorMinor {
        major: version.major.into(),
        minor: version.minor.into(),
    }
}

/// What those wrote behind `TRY=` who voted for a run: in comments of the time of the vote. What was
/// written at an older patch set than the one before is passed over.
fn try_messages(messages: &[ChangeMessage], comments: &[PatchSetComment]) -> Vec<TryVoteMessage> {
    let mut found: Vec<TryVoteMessage> = Vec::new();
    for vote in messages.iter().filter(|message| is_vote(&message.text)) {
        let said = comments
            .iter()
            .filter(|said| said.updated == vote.date && said.author == vote.author);
        for comment in said {
            let is_old = found
                .last()
                .is_some_and(|last| comment.version < last.version);
            let wish = comment
                .text
                .lines()
                .find_map(|line| line.strip_prefix("TRY="));
            let wish = wish.unwrap_or_default().trim();
            if !is_old && !wish.is_empty() {
                found.push(TryVoteMessage {
                    message: wish.to_owned(),
                    author_id: comment.author,
                    version: comment.version,
                });
            }
        }
    }
    found
}

fn is_vote(message: &str) -> bool {
    let first = message.lines().next().unwrap_or_default();
    first.starts_with("Patch Set ") && first.contains("Run-TryBot+1")
}
