//! The messages: the original's bytes, and two readers that agree.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use maintner::proto::{
    BoolChange, GerritMutation, GitCommit, GitDiffTree, GitDiffTreeFile, GitMutation, GitRef,
    GitRepo, GithubIssueCommentMutation, GithubIssueEvent, GithubIssueMutation, GithubLabel,
    GithubUser, Mutation, StringChange,
    view::{self, View},
    wire::DecodeError,
};
use proptest::prelude::*;
use prost::Message;
use prost_types::Timestamp;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn issue(issue: GithubIssueMutation) -> Mutation {
    Mutation {
        github_issue: Some(GithubIssueMutation {
            owner: "golang".into(),
            repo: "go".into(),
            number: 3,
            ..issue
        }),
        ..Default::default()
    }
}

#[test]
fn the_originals_bytes() {
    let opened = issue(GithubIssueMutation {
        user: Some(GithubUser {
            id: 100,
            login: "gopherbot".into(),
        }),
        created: Some(Timestamp {
            seconds: 1_451_747_040,
            nanos: 0,
        }),
        title: "some title".into(),
        body_change: Some(StringChange {
            val: "some body".into(),
        }),
        ..Default::default()
    });
    assert_eq!(
        hex(&opened.encode_to_vec()),
        "0a3f0a06676f6c616e671202676f1803220d08641209676f70686572626f742a0608e0cd9fb4054a0a736f6d65\
         207469746c65fa010b0a09736f6d6520626f6479"
    );
    // Wrappers around nothing are still there, and repeated numbers are packed.
    let cleared = issue(GithubIssueMutation {
        closed: Some(BoolChange { val: false }),
        remove_label: vec![1, 300],
        body_change: Some(StringChange::default()),
        ..Default::default()
    });
    assert_eq!(
        hex(&cleared.encode_to_vec()),
        "0a1a0a06676f6c616e671202676f18039a0100ba010301ac02fa0100"
    );
    let gerrit = Mutation {
        gerrit: Some(GerritMutation {
            project: "go.googlesource.com/go".into(),
            refs: vec![GitRef {
                r#ref: "HEAD".into(),
                sha1: "01".repeat(20),
            }],
            deleted_refs: vec!["refs/heads/x".into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(
        hex(&gerrit.encode_to_vec()),
        "22580a16676f2e676f6f676c65736f757263652e636f6d2f676f1a300a04484541441228303130313031303130\
         31303130313031303130313031303130313031303130313031303130313031220c726566732f68656164732f78"
    );
}

#[test]
fn numbers_are_read_packed_and_not() {
    let apart = [0xb8, 0x01, 0x01, 0x18, 0x03, 0xb8, 0x01, 0xac, 0x02];
    let mixed = [0xb8, 0x01, 0x01, 0xba, 0x01, 0x02, 0xac, 0x02];
    for bytes in [&apart[..], &mixed] {
        let view = view::GithubIssueMutation::decode(bytes).unwrap();
        assert!(view.remove_label.eq([1, 300]));
        let owned = GithubIssueMutation::decode(bytes).unwrap();
        assert_eq!(owned.remove_label, [1, 300]);
    }
}

#[test]
fn unknown_fields_are_skipped_groups_included() {
    let mut bytes = vec![0xc2, 0x3e, 0x02, b'h', b'i']; // 1000: bytes
    bytes.extend([0x1b, 0x08, 0x01, 0x23, 0x24, 0x1c]); // a group in a group
    bytes.extend([0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x1d, 1, 2, 3, 4]); // fixed
    bytes.extend([0x08, 0x05]);
    assert_eq!(view::GithubUser::decode(&bytes).unwrap().id, 5);
}

#[test]
fn each_way_to_be_wrong() {
    use DecodeError::*;
    let cases: [(&[u8], DecodeError); 14] = [
        (&[0x08], Truncated),
        (&[0x12, 5, b'a'], Truncated),
        (
            &[
                0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
            Truncated,
        ),
        (
            &[
                0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
            ],
            Varint,
        ),
        (&[0xff; 11], Varint),
        (&[0x00, 0], Key(0)),
        (&[0x0e, 0], Key(6)),
        (&[0x0a, 0], WireType(1)),
        (&[0x10, 0], WireType(2)),
        (&[0x12, 1, 0xff], Utf8(2)),
        (&[0x1c], Group),
        (&[0x1b], Group),
        (&[0x1b, 0x24], Group),
        (&[0x1b; 101], Group),
    ];
    for (bytes, error) in cases {
        assert_eq!(
            view::GithubUser::decode(bytes).unwrap_err(),
            error,
            "{bytes:x?}"
        );
    }
    let twice = [0x0a, 0, 0x0a, 0];
    assert_eq!(view::Mutation::decode(&twice).unwrap_err(), Twice(1));
    let bad_element = [0x1a, 2, 0x08, 0x80];
    let view = view::GithubMutation::decode(&bad_element).unwrap();
    assert_eq!(
        view.labels
            .map(|label| label.map(|label| label.id))
            .collect::<Vec<_>>(),
        [Err(Truncated)]
    );
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{0,12}", Just("gopher".to_owned())]
}

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    prop::option::of(
        (any::<i64>(), 0..1_000_000_000_i32)
            .prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }),
    )
}

fn user() -> impl Strategy<Value = GithubUser> {
    (any::<i64>(), text()).prop_map(|(id, login)| GithubUser { id, login })
}

prop_compose! {
    fn any_issue()(
        (owner, repo, number, title, body) in (text(), text(), any::<i32>(), text(), text()),
        (user, created, updated) in (prop::option::of(user()), time(), time()),
        comment in prop::collection::vec((any::<i64>(), text(), time()), 0..4),
        (assignees, gone) in (prop::collection::vec(user(), 0..3), prop::collection::vec(any::<i64>(), 0..5)),
        (not_exist, pull_request, closed) in (any::<bool>(), any::<bool>(), prop::option::of(any::<bool>())),
        event in prop::collection::vec((any::<i64>(), text(), prop::option::of((any::<i64>(), text())), prop::collection::vec(any::<u8>(), 0..9)), 0..4),
        body_change in prop::option::of(text()),
    ) -> GithubIssueMutation {
        GithubIssueMutation {
            owner, repo, number, title, body, user, created, updated, assignees, not_exist, pull_request,
            deleted_assignees: gone.clone(),
            remove_label: gone,
            comment: comment.into_iter().map(|(id, body, created)| GithubIssueCommentMutation { id, body, created, ..Default::default() }).collect(),
            event: event.into_iter().map(|(id, event_type, label, other_json)| GithubIssueEvent {
                id, event_type, other_json, label: label.map(|(id, name)| GithubLabel { id, name }), ..Default::default()
            }).collect(),
            closed: closed.map(|val| BoolChange { val }),
            body_change: body_change.map(|val| StringChange { val }),
            ..Default::default()
        }
    }
}

prop_compose! {
    fn any_gerrit()(
        project in text(),
        commits in prop::collection::vec((text(), prop::collection::vec(any::<u8>(), 0..30), prop::collection::vec((text(), any::<i64>(), any::<bool>()), 0..4)), 0..3),
        refs in prop::collection::vec((text(), text()), 0..3),
        deleted_refs in prop::collection::vec(text(), 0..3),
    ) -> GerritMutation {
        GerritMutation {
            project,
            deleted_refs,
            refs: refs.into_iter().map(|(name, sha1)| GitRef { r#ref: name, sha1 }).collect(),
            commits: commits.into_iter().map(|(sha1, raw, files)| GitCommit {
                sha1,
                raw,
                diff_tree: Some(GitDiffTree {
                    file: files.into_iter().map(|(file, added, binary)| GitDiffTreeFile { file, added, deleted: -added.max(-9), binary }).collect(),
                }),
            }).collect(),
        }
    }
}

/// The owned form of a borrowed message.
trait Own {
    type Owned;
    fn own(self) -> Self::Owned;
}

impl Own for view::Timestamp<'_> {
    type Owned = Timestamp;
    fn own(self) -> Timestamp {
        Timestamp {
            seconds: self.seconds,
            nanos: self.nanos,
        }
    }
}

impl Own for view::GithubUser<'_> {
    type Owned = GithubUser;
    fn own(self) -> GithubUser {
        GithubUser {
            id: self.id,
            login: self.login.into(),
        }
    }
}

impl Own for view::GithubIssueMutation<'_> {
    type Owned = GithubIssueMutation;
    fn own(self) -> GithubIssueMutation {
        GithubIssueMutation {
            owner: self.owner.into(),
            repo: self.repo.into(),
            number: self.number,
            user: self.user.map(Own::own),
            created: self.created.map(Own::own),
            updated: self.updated.map(Own::own),
            body: self.body.into(),
            title: self.title.into(),
            comment: self
                .comment
                .map(Result::unwrap)
                .map(|comment| GithubIssueCommentMutation {
                    id: comment.id,
                    user: comment.user.map(Own::own),
                    body: comment.body.into(),
                    created: comment.created.map(Own::own),
                    updated: comment.updated.map(Own::own),
                })
                .collect(),
            assignees: self.assignees.map(|user| user.unwrap().own()).collect(),
            deleted_assignees: self.deleted_assignees.collect(),
            remove_label: self.remove_label.collect(),
            not_exist: self.not_exist,
            pull_request: self.pull_request,
            closed: self.closed.map(|closed| BoolChange { val: closed.val }),
            body_change: self.body_change.map(|body| StringChange {
                val: body.val.into(),
            }),
            event: self
                .event
                .map(Result::unwrap)
                .map(|event| GithubIssueEvent {
                    id: event.id,
                    event_type: event.event_type.into(),
                    other_json: event.other_json.into(),
                    label: event.label.map(|label| GithubLabel {
                        id: label.id,
                        name: label.name.into(),
                    }),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }
}

impl Own for view::GitCommit<'_> {
    type Owned = GitCommit;
    fn own(self) -> GitCommit {
        GitCommit {
            sha1: self.sha1.into(),
            raw: self.raw.into(),
            diff_tree: self.diff_tree.map(|tree| GitDiffTree {
                file: tree
                    .file
                    .map(Result::unwrap)
                    .map(|file| GitDiffTreeFile {
                        file: file.file.into(),
                        added: file.added,
                        deleted: file.deleted,
                        binary: file.binary,
                    })
                    .collect(),
            }),
        }
    }
}

impl Own for view::Mutation<'_> {
    type Owned = Mutation;
    fn own(self) -> Mutation {
        Mutation {
            github_issue: self.github_issue.map(Own::own),
            git: self.git.map(|git| GitMutation {
                repo: git.repo.map(|repo| GitRepo {
                    go_repo: repo.go_repo.into(),
                }),
                commit: git.commit.map(Own::own),
            }),
            github: None,
            gerrit: self.gerrit.map(|gerrit| GerritMutation {
                project: gerrit.project.into(),
                commits: gerrit.commits.map(|commit| commit.unwrap().own()).collect(),
                refs: gerrit
                    .refs
                    .map(Result::unwrap)
                    .map(|git_ref| GitRef {
                        r#ref: git_ref.reference.into(),
                        sha1: git_ref.sha1.into(),
                    })
                    .collect(),
                deleted_refs: gerrit
                    .deleted_refs
                    .map(|name| name.unwrap().into())
                    .collect(),
            }),
        }
    }
}

proptest! {
    #[test]
    fn borrowed_and_owned_say_the_same(
        github_issue in prop::option::of(any_issue()),
        gerrit in prop::option::of(any_gerrit()),
        go_repo in prop::option::of(text()),
    ) {
        let git = go_repo.map(|go_repo| GitMutation {
            repo: Some(GitRepo { go_repo }),
            commit: gerrit.as_ref().and_then(|gerrit| gerrit.commits.first().cloned()),
        });
        let mutation = Mutation { github_issue, git, gerrit, github: None };
        let bytes = mutation.encode_to_vec();
        prop_assert_eq!(view::Mutation::decode(&bytes).unwrap().own(), mutation);
    }

    #[test]
    fn no_bytes_break_a_view(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(mutation) = view::Mutation::decode(&bytes) {
            let issue = mutation.github_issue.unwrap_or_default();
            let _ = issue.comment.count() + issue.event.count() + issue.remove_label.count();
            for commit in mutation.gerrit.unwrap_or_default().commits.flatten() {
                let _ = commit.diff_tree.map(|tree| tree.file.count());
            }
        }
    }
}
