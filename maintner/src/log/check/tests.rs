use proptest::prelude::*;
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
    let good_raw = &format!("tree {HASH}\nparent {HASH}\nauthor A <a@b> 1 +0000\n\nmessage");
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
            gerrit(GerritMutation {
                commits: vec![commit(HASH, "tree x\n\n")],
                ..Default::default()
            }),
            "no readable header",
        ),
        (
            gerrit(GerritMutation {
                commits: vec![commit(
                    HASH,
                    &format!("tree {HASH}\nparent {}\n\n", "z".repeat(40)),
                )],
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

#[test]
fn the_first_mutation_of_an_issue_says_when_it_was_created() {
    let mutation = |number, created, not_exist| {
        issue(GithubIssueMutation {
            owner: "golang".into(),
            repo: "go".into(),
            number,
            created,
            not_exist,
            ..Default::default()
        })
    };
    let created = Some(Timestamp::default());
    let known = |owner: &str, repo: &str, number| (owner, repo, number) == ("golang", "go", 3);
    let first = |payload: Vec<u8>| first_of_issue(&payload, known);
    let refused = first(mutation(4, None, false)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "it is the first of issue golang/go#4 and does not say when that was created"
    );
    assert_eq!(first(mutation(4, created, false)), Ok(()));
    assert_eq!(first(mutation(4, None, true)), Ok(()), "that there is none");
    assert_eq!(first(mutation(3, None, false)), Ok(()), "not the first");
    assert_eq!(
        first(mutation(0, None, false)),
        Ok(()),
        "dropped by all readers"
    );
    assert_eq!(first(github(GithubMutation::default())), Ok(()));
    assert_eq!(first(Vec::new()), Ok(()));
    assert!(matches!(first(vec![0xff]), Err(Refused::Malformed(_))));
}

#[test]
fn no_header_is_longer_than_go_reads() {
    assert!(crate::reclog::Header::new(u64::MAX, u64::MAX).len() <= 40);
}

proptest! {
    /// What is let through is read by a decoder that asks as much as Go's: of text, that it is UTF-8.
    #[test]
    fn what_is_let_through_is_read_by_strict_readers(
        seed in 0_u64..20,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let history = crate::testing::History::new(seed).log(6000);
        for record in crate::reclog::Records::new(&history, 0) {
            let mut payload = record.unwrap().payload.to_vec();
            prop_assert!(check(&payload).is_ok());
            for (at, byte) in &changes {
                let at = at.index(payload.len());
                payload[at] = *byte;
            }
            let strict = Mutation::decode(&payload[..]);
            prop_assert!(check(&payload).is_err() || strict.is_ok(), "{strict:?}");
        }
    }
}
