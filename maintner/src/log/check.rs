//! What must never be written, because it stops the Go readers of a log.
//!
//! The original reads a log with few questions asked: text that is not UTF-8 ends the reading, a
//! label without an id or a hash that is none ends the process. What was written once is there for
//! ever, so each payload is looked at before it is appended.
//!
//! Only what stops a reader is refused. A ref whose commit comes later, or a change on Gerrit whose
//! history has merges, is passed over by the original; it may be history all the same.
//!
//! [`check`] looks at a payload by itself, as all sinks do before they append. [`first_of_issue`]
//! needs to know what the log has; a [`Leader`](crate::leader::Leader) asks it.

use bytes::Bytes;

use super::SinkError;
use crate::{
    parse,
    proto::{
        Text,
        view::{self, View},
        wire::DecodeError,
    },
    reclog::DEFAULT_MAX_PAYLOAD,
};

/// Why a payload must not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The payload is no mutation, or has text that is not UTF-8.
    #[error("not a mutation")]
    Malformed(#[from] DecodeError),
    /// It is longer than readers take.
    #[error("it has {size} bytes, more than the limit of 64 MiB")]
    TooLarge {
        /// Its length.
        size: u64,
    },
    /// A label or a milestone has the id 0.
    #[error("a {what} has no id")]
    NoId {
        /// `label` or `milestone`.
        what: &'static str,
    },
    /// The name of a commit is not 40 hex digits.
    #[error("{hash:?} is no hash of 40 hex digits")]
    Hash {
        /// What it is.
        hash: String,
    },
    /// A commit object has no blank line behind its header, or in it a time zone of less than five
    /// characters, or a tree or parent that is no hash.
    #[error("commit {hash} has no readable header")]
    Commit {
        /// The commit.
        hash: String,
    },
    /// The first mutation of an issue does not say when it was created.
    #[error(
        "it is the first of issue {owner}/{repo}#{number} and does not say when that was created"
    )]
    NoCreated {
        /// The owner of the issue's repository.
        owner: String,
        /// The name of the repository.
        repo: String,
        /// The number of the issue.
        number: i32,
    },
    /// A time is not in the years 1 to 9999, or its nanoseconds are no part of a second.
    #[error("{seconds} seconds and {nanos} nanoseconds are no time")]
    Time {
        /// Seconds since 1970.
        seconds: i64,
        /// Nanoseconds.
        nanos: i32,
    },
}

/// Looks at one payload.
///
/// # Errors
/// What is wrong with it.
pub fn check(payload: &[u8]) -> Result<(), Refused> {
    let size = payload.len() as u64;
    if size > DEFAULT_MAX_PAYLOAD {
        return Err(Refused::TooLarge { size });
    }
    let mutation = view::Mutation::decode(payload)?;
    if let Some(mutation) = mutation.github_issue {
        issue(&mutation)?;
    }
    if let Some(commit) = mutation.git.and_then(|git| git.commit) {
        self::commit(&commit)?;
    }
    if let Some(github) = mutation.github {
        labels(github.labels)?;
        for milestone in github.milestones {
            id("milestone", milestone?.id)?;
        }
    }
    if let Some(gerrit) = mutation.gerrit {
        for commit in gerrit.commits {
            self::commit(&commit?)?;
        }
        for git_ref in gerrit.refs {
            hash(git_ref?.sha1)?;
        }
        for name in gerrit.deleted_refs {
            name?;
        }
    }
    Ok(())
}

/// Looks whether a mutation of an issue that the log does not have yet says when it was created, or
/// that there is no such issue. `has` tells, by owner, repository and number, whether the log has
/// an issue; it is not asked about mutations of other kinds.
///
/// # Errors
/// [`Refused::NoCreated`], or that the payload is no mutation.
pub fn first_of_issue(
    payload: &[u8],
    has: impl FnOnce(&str, &str, i32) -> bool,
) -> Result<(), Refused> {
    let Some(issue) = view::Mutation::decode(payload)?.github_issue else {
        return Ok(());
    };
    let view::GithubIssueMutation {
        owner,
        repo,
        number,
        ..
    } = issue;
    // Those without a name are dropped by all readers.
    let is_dropped = owner.is_empty() || repo.is_empty() || number == 0;
    let says_enough = issue.created.is_some() || issue.not_exist;
    if is_dropped || has(owner.as_str(), repo.as_str(), number) || says_enough {
        return Ok(());
    }
    Err(Refused::NoCreated {
        owner: owner.into(),
        repo: repo.into(),
        number,
    })
}

/// [`check`] for each of `payloads`.
pub(super) fn all(payloads: &[Bytes]) -> Result<(), SinkError> {
    for (index, payload) in payloads.iter().enumerate() {
        check(payload).map_err(|source| SinkError::Refused { index, source })?;
    }
    Ok(())
}

fn issue(issue: &view::GithubIssueMutation<'_>) -> Result<(), Refused> {
    for status in [
        issue.comment_status,
        issue.event_status,
        issue.review_status,
    ] {
        time(status.and_then(|status| status.server_date))?;
    }
    for at in [issue.created, issue.updated, issue.closed_at] {
        time(at)?;
    }
    labels(issue.add_label)?;
    for user in issue.assignees {
        user?;
    }
    for comment in issue.comment {
        let comment = comment?;
        time(comment.created)?;
        time(comment.updated)?;
    }
    for event in issue.event {
        time(event?.created)?;
    }
    for review in issue.review {
        time(review?.created)?;
    }
    Ok(())
}

fn labels(labels: view::Repeated<'_, view::GithubLabel<'_>>) -> Result<(), Refused> {
    for label in labels {
        id("label", label?.id)?;
    }
    Ok(())
}

fn id(what: &'static str, id: i64) -> Result<(), Refused> {
    if id == 0 {
        return Err(Refused::NoId { what });
    }
    Ok(())
}

fn time(time: Option<view::Timestamp<'_>>) -> Result<(), Refused> {
    const YEARS_1_TO_9999: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    match time {
        Some(time)
            if !YEARS_1_TO_9999.contains(&time.seconds)
                || !(0..1_000_000_000).contains(&time.nanos) =>
        {
            Err(Refused::Time {
                seconds: time.seconds,
                nanos: time.nanos,
            })
        }
        _ => Ok(()),
    }
}

fn hash(hash: Text<'_>) -> Result<(), Refused> {
    if parse::commit::parse_hash(hash).is_none() {
        let hash = hash.as_str().chars().take(60).collect();
        return Err(Refused::Hash { hash });
    }
    Ok(())
}

fn commit(commit: &view::GitCommit<'_>) -> Result<(), Refused> {
    hash(commit.sha1)?;
    for file in commit.diff_tree.unwrap_or_default().file {
        file?;
    }
    let unreadable = || Refused::Commit {
        hash: commit.sha1.into(),
    };
    // Not the whole of a commit's form: odd ones are in real histories, and are history.
    let header = memchr::memmem::find(commit.raw, b"\n\n").ok_or_else(unreadable)?;
    for line in commit.raw[..header].split(|&byte| byte == b'\n') {
        let is_person = line.starts_with(b"author ") || line.starts_with(b"committer ");
        let zone = line.rsplit(|&byte| byte == b' ').next();
        if is_person && zone.is_none_or(|zone| zone.len() < 5) {
            return Err(unreadable());
        }
        let object = line
            .strip_prefix(b"tree ")
            .or_else(|| line.strip_prefix(b"parent "));
        let is_hash = |hex: &[u8]| parse::commit::parse_hash(hex).is_some();
        if object.is_some_and(|hex| !is_hash(hex)) {
            return Err(unreadable());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
