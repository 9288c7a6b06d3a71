//! What must never be written, because it stops the Go readers of a log.
//!
//! The original reads a log with few questions asked: text that is not UTF-8 ends the reading, a
//! label without an id or a hash that is none ends the process. What was written once is there for
//! ever, so each payload is looked at before it is appended.
//!
//! One rule needs to know the log, and is its writer's: the first mutation of an issue says when
//! the issue was created.

use bytes::Bytes;

use super::SinkError;
use crate::{
    parse,
    proto::{
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
    /// A commit object has no blank line behind its header, or a time zone of less than five
    /// characters.
    #[error("commit {hash} has no readable header")]
    Commit {
        /// The commit.
        hash: String,
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

fn hash(hash: &str) -> Result<(), Refused> {
    if parse::commit::parse_hash(hash).is_none() {
        let hash = hash.chars().take(60).collect();
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
        hash: commit.sha1.to_owned(),
    };
    // Not the whole of a commit's form: odd ones are in real histories, and are history.
    let header = memchr::memmem::find(commit.raw, b"\n\n").ok_or_else(unreadable)?;
    for line in commit.raw[..header].split(|&byte| byte == b'\n') {
        let is_person = line.starts_with(b"author ") || line.starts_with(b"committer ");
        let zone = line.rsplit(|&byte| byte == b' ').next();
        if is_person && zone.is_none_or(|zone| zone.len() < 5) {
            return Err(unreadable());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::Timestamp;

    use super::*;
    use crate::proto::{
        GerritMutation, GitCommit, GitMutation, GitRef, GithubIssueCommentMutation,
        GithubIssueMutation, GithubLabel, GithubMilestone, GithubMutation, Mutation,
    };

    const HASH: &str = "0101010101010101010101010101010101010101";

    fn github(github: GithubMutation) -> Vec<u8> {
        let github = Some(github);
        Mutation {
            github,
            ..Default::default()
        }
        .encode_to_vec()
    }

    fn issue(issue: GithubIssueMutation) -> Vec<u8> {
        let github_issue = Some(issue);
        Mutation {
            github_issue,
            ..Default::default()
        }
        .encode_to_vec()
    }

    fn gerrit(gerrit: GerritMutation) -> Vec<u8> {
        let gerrit = Some(gerrit);
        Mutation {
            gerrit,
            ..Default::default()
        }
        .encode_to_vec()
    }

    fn commit(sha1: &str, raw: &str) -> GitCommit {
        GitCommit {
            sha1: sha1.into(),
            raw: raw.as_bytes().to_vec(),
            diff_tree: None,
        }
    }

    #[test]
    fn each_rule_refuses() {
        let label = |id| GithubLabel {
            id,
            name: "x".into(),
        };
        let good_raw = "tree x\nauthor A <a@b> 1 +0000\n\nmessage";
        let time = |seconds, nanos| Some(Timestamp { seconds, nanos });
        let good = [
            Vec::new(),
            github(GithubMutation {
                labels: vec![label(1)],
                ..Default::default()
            }),
            issue(GithubIssueMutation {
                created: time(1, 0),
                add_label: vec![label(5)],
                ..Default::default()
            }),
            gerrit(GerritMutation {
                commits: vec![commit(HASH, good_raw)],
                ..Default::default()
            }),
            // Latin-1 is history, too.
            gerrit(GerritMutation {
                commits: vec![GitCommit {
                    sha1: HASH.into(),
                    raw: b"author J\xfcrgen <a@b> 1 +0000\n\n".to_vec(),
                    diff_tree: None,
                }],
                ..Default::default()
            }),
        ];
        for payload in good {
            assert_eq!(check(&payload), Ok(()));
        }
        let mut not_utf8 = issue(GithubIssueMutation {
            comment: vec![GithubIssueCommentMutation {
                body: "zzz".into(),
                ..Default::default()
            }],
            ..Default::default()
        });
        *not_utf8.last_mut().unwrap() = 0xff;
        let milestone = GithubMilestone::default();
        let comment = |created| GithubIssueCommentMutation {
            created,
            ..Default::default()
        };
        let git_ref = GitRef {
            r#ref: "HEAD".into(),
            sha1: "z".repeat(40),
        };
        let bad = [
            (vec![0xff], "not a mutation"),
            (not_utf8, "not a mutation"),
            (
                github(GithubMutation {
                    labels: vec![label(0)],
                    ..Default::default()
                }),
                "a label has no id",
            ),
            (
                github(GithubMutation {
                    milestones: vec![milestone],
                    ..Default::default()
                }),
                "a milestone has no id",
            ),
            (
                issue(GithubIssueMutation {
                    add_label: vec![label(1), label(0)],
                    ..Default::default()
                }),
                "a label has no id",
            ),
            (
                issue(GithubIssueMutation {
                    created: time(253_402_300_800, 0),
                    ..Default::default()
                }),
                "are no time",
            ),
            (
                issue(GithubIssueMutation {
                    comment: vec![comment(time(0, -1))],
                    ..Default::default()
                }),
                "are no time",
            ),
            (
                gerrit(GerritMutation {
                    refs: vec![git_ref],
                    ..Default::default()
                }),
                "is no hash",
            ),
            (
                gerrit(GerritMutation {
                    commits: vec![commit("abc", good_raw)],
                    ..Default::default()
                }),
                "is no hash",
            ),
            (
                gerrit(GerritMutation {
                    commits: vec![commit(HASH, "tree x\n")],
                    ..Default::default()
                }),
                "no readable header",
            ),
            (
                gerrit(GerritMutation {
                    commits: vec![commit(HASH, "author A <a> 1 +00\n\n")],
                    ..Default::default()
                }),
                "no readable header",
            ),
            (
                Mutation {
                    git: Some(GitMutation {
                        repo: None,
                        commit: Some(commit(HASH, "")),
                    }),
                    ..Default::default()
                }
                .encode_to_vec(),
                "no readable header",
            ),
        ];
        for (payload, expected) in bad {
            let error = check(&payload).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let history = crate::testing::History::new(5).log(300_000);
        for record in crate::reclog::Records::new(&history, 0) {
            assert_eq!(check(record.unwrap().payload), Ok(()));
        }
        let large = vec![0; DEFAULT_MAX_PAYLOAD as usize + 1];
        assert!(matches!(check(&large), Err(Refused::TooLarge { .. })));
    }
}
