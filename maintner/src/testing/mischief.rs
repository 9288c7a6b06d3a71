//! Mutations that get into each other's way.

use super::{
    dice::Dice,
    review::{name, person},
};
use crate::proto::{
    BoolChange, GerritMutation, GitCommit, GitDiffTree, GitDiffTreeFile, GitMutation, GitRef,
    GithubCommit, GithubDismissedReviewEvent, GithubIssueCommentMutation, GithubIssueEvent,
    GithubIssueMutation, GithubIssueSyncStatus, GithubLabel, GithubMilestone, GithubMutation,
    GithubReview, GithubTeam, GithubUser, Mutation, StringChange,
};

/// The mutation that belongs to a number.
///
/// Any numbers make a log, of very few issues, people, changes and commits that all meddle with the
/// same things: tombstones and revivals, names that change, refs that come before their commits, go
/// back or go away, meta commits in any order and on two branches, parts that make no sense. All of
/// them are well-formed messages, though not such as a leader writes.
///
/// ```
/// use maintner::testing::{Model, mischief};
///
/// let mut model = Model::new();
/// (0..100).for_each(|number| model.apply(&mischief(number)));
/// ```
pub fn mischief(number: u64) -> Mutation {
    let mut dice = Dice::new(number);
    let dice = &mut dice;
    let mut mutation = Mutation::default();
    match dice.below(16) {
        0 => mutation.github = Some(github(dice)),
        1..8 => mutation.github_issue = Some(issue(dice)),
        8 => mutation.git = Some(git(dice)),
        9..15 => mutation.gerrit = Some(gerrit(dice)),
        _ => {
            mutation.github_issue = Some(issue(dice));
            mutation.gerrit = Some(gerrit(dice));
            mutation.git = Some(git(dice));
        }
    }
    mutation
}

fn pick<T: Copy>(dice: &mut Dice, of: &[T]) -> T {
    of[dice.below(of.len())]
}

fn maybe<T>(dice: &mut Dice, one_in: usize, make: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    dice.one_in(one_in).then(|| make(dice))
}

fn several<T>(dice: &mut Dice, one_in: usize, make: impl Fn(&mut Dice) -> T) -> Vec<T> {
    let count = if dice.one_in(one_in) {
        1 + dice.few(3)
    } else {
        0
    };
    (0..count).map(|_| make(dice)).collect()
}

fn small(dice: &mut Dice) -> i64 {
    dice.below(5) as i64
}

fn time(dice: &mut Dice) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: pick(dice, &[-5, 0, 1, 2, 3, 1_500_000_000]),
        nanos: pick(dice, &[0, 0, 1]),
    }
}

fn text(dice: &mut Dice) -> String {
    pick(dice, &["", "a", "b", "\u{e9}\u{65e5}", "two\nlines #1"]).to_owned()
}

fn user(dice: &mut Dice) -> GithubUser {
    GithubUser {
        id: 1 + small(dice),
        login: pick(dice, &["", "ann", "bob", "cleo"]).to_owned(),
    }
}

fn label(dice: &mut Dice) -> GithubLabel {
    GithubLabel {
        id: small(dice),
        name: pick(dice, &["", "bug", "fixed"]).to_owned(),
    }
}

fn repo(dice: &mut Dice) -> (String, String) {
    let (owner, repo) = pick(
        dice,
        &[
            ("go", "lang"),
            ("go", "lang"),
            ("go", "lang"),
            ("GO", "Lang"),
            ("x", "y"),
            ("", "y"),
            ("x", ""),
        ],
    );
    (owner.to_owned(), repo.to_owned())
}

fn github(dice: &mut Dice) -> GithubMutation {
    let (owner, repo) = repo(dice);
    GithubMutation {
        owner,
        repo,
        labels: several(dice, 2, label),
        milestones: several(dice, 2, |dice| GithubMilestone {
            id: small(dice),
            title: text(dice),
            closed: maybe(dice, 2, |dice| BoolChange {
                val: dice.one_in(2),
            }),
            number: small(dice),
        }),
    }
}

fn status(dice: &mut Dice) -> GithubIssueSyncStatus {
    GithubIssueSyncStatus {
        server_date: maybe(dice, 2, time),
    }
}

fn issue(dice: &mut Dice) -> GithubIssueMutation {
    let (owner, repo) = repo(dice);
    GithubIssueMutation {
        owner,
        repo,
        number: pick(dice, &[1, 1, 1, 2, 3, 70, 5000, 0]),
        user: maybe(dice, 3, user),
        created: maybe(dice, 3, time),
        updated: maybe(dice, 2, time),
        body: maybe(dice, 4, text).unwrap_or_default(),
        comment: several(dice, 3, |dice| GithubIssueCommentMutation {
            id: small(dice),
            user: maybe(dice, 2, user),
            body: text(dice),
            created: maybe(dice, 2, time),
            updated: maybe(dice, 2, time),
        }),
        title: maybe(dice, 4, text).unwrap_or_default(),
        assignees: several(dice, 4, user),
        deleted_assignees: several(dice, 4, |dice| 1 + small(dice)),
        id: maybe(dice, 4, |_| 77).unwrap_or_default(),
        not_exist: dice.one_in(8),
        comment_status: maybe(dice, 4, status),
        no_milestone: dice.one_in(8),
        milestone_id: maybe(dice, 4, small).unwrap_or_default(),
        milestone_num: maybe(dice, 4, small).unwrap_or_default(),
        milestone_title: maybe(dice, 4, text).unwrap_or_default(),
        closed: maybe(dice, 4, |dice| BoolChange {
            val: dice.one_in(2),
        }),
        closed_at: maybe(dice, 4, time),
        closed_by: maybe(dice, 6, user),
        remove_label: several(dice, 4, small),
        add_label: several(dice, 4, label),
        locked: maybe(dice, 6, |dice| BoolChange {
            val: dice.one_in(2),
        }),
        event: several(dice, 3, event),
        event_status: maybe(dice, 4, status),
        pull_request: dice.one_in(4),
        review: several(dice, 4, |dice| GithubReview {
            id: small(dice),
            actor_id: small(dice),
            created: maybe(dice, 2, time),
            body: text(dice),
            state: text(dice),
            commit_id: hash(dice),
            actor_association: text(dice),
            other_json: text(dice).into_bytes(),
        }),
        review_status: maybe(dice, 4, status),
        body_change: maybe(dice, 4, |dice| StringChange { val: text(dice) }),
    }
}

fn event(dice: &mut Dice) -> GithubIssueEvent {
    GithubIssueEvent {
        id: small(dice),
        event_type: pick(dice, &["labeled", "closed", "odd", ""]).to_owned(),
        actor_id: small(dice),
        created: maybe(dice, 2, time),
        label: maybe(dice, 3, label),
        milestone: maybe(dice, 3, |dice| GithubMilestone {
            title: text(dice),
            ..GithubMilestone::default()
        }),
        assignee_id: maybe(dice, 3, small).unwrap_or_default(),
        assigner_id: maybe(dice, 3, small).unwrap_or_default(),
        commit: maybe(dice, 3, |dice| {
            let (owner, repo) = repo(dice);
            GithubCommit {
                owner,
                repo,
                commit_id: hash(dice),
            }
        }),
        other_json: text(dice).into_bytes(),
        rename_from: text(dice),
        rename_to: text(dice),
        reviewer_id: maybe(dice, 3, small).unwrap_or_default(),
        review_requester_id: maybe(dice, 3, small).unwrap_or_default(),
        dismissed_review: maybe(dice, 4, |dice| GithubDismissedReviewEvent {
            review_id: small(dice),
            dismissal_message: text(dice),
            state: text(dice),
        }),
        team_reviewer: maybe(dice, 4, |dice| GithubTeam {
            id: 1 + small(dice),
            slug: pick(dice, &["", "core", "docs"]).to_owned(),
        }),
    }
}

fn git(dice: &mut Dice) -> GitMutation {
    GitMutation {
        repo: None,
        commit: maybe(dice, 2, some_commit),
    }
}

fn gerrit(dice: &mut Dice) -> GerritMutation {
    GerritMutation {
        project: pick(
            dice,
            &[
                "go.googlesource.com/go",
                "go.googlesource.com/go",
                "h/p/q",
                "",
            ],
        )
        .to_owned(),
        commits: several(dice, 2, some_commit),
        refs: several(dice, 1, |dice| match dice.below(8) {
            0..3 => {
                let change = 1 + dice.below(2);
                let (at, branch) = (dice.below(METAS), dice.below(2));
                GitRef {
                    r#ref: format!("refs/changes/{change:02}/{change}/meta"),
                    sha1: meta(change, at, branch).sha1,
                }
            }
            3..6 => {
                let (change, version) = (1 + dice.below(2), 1 + dice.below(12));
                GitRef {
                    r#ref: format!("refs/changes/{change:02}/{change}/{version}"),
                    sha1: commit(dice.below(COMMITS)).sha1,
                }
            }
            _ => GitRef {
                r#ref: ref_name(dice),
                sha1: hash(dice),
            },
        }),
        deleted_refs: several(dice, 6, ref_name),
    }
}

fn ref_name(dice: &mut Dice) -> String {
    let names = [
        "HEAD",
        "refs/heads/master",
        "refs/heads/dev",
        "refs/tags/v1",
        "refs/tags/v1^{}",
        "refs/meta/config",
        "refs/changes/01/1/meta",
        "refs/changes/01/1/robot-comments",
        "refs/changes/zz/1/1",
        "refs/changes/1/1/1",
        "refs/changes/01/x/1",
        "refs/changes/01/99999999999/1",
        "",
    ];
    pick(dice, &names).to_owned()
}

/// Commits there are, and meta commits of a change on a branch.
const COMMITS: usize = 12;
const METAS: usize = 6;

fn hash(dice: &mut Dice) -> String {
    match dice.below(8) {
        0 => "0123".to_owned(),
        1 => "zz".repeat(20),
        2 => "0a".repeat(20),
        3 => commit(dice.below(COMMITS)).sha1.to_uppercase(),
        _ => commit(dice.below(COMMITS)).sha1,
    }
}

fn some_commit(dice: &mut Dice) -> GitCommit {
    match dice.below(12) {
        0..6 => meta(1 + dice.below(2), dice.below(METAS), dice.below(2)),
        6..11 => commit(dice.below(COMMITS)),
        _ => {
            let good = commit(dice.below(COMMITS));
            let mut raw = good.raw.clone();
            let sha1 = match dice.below(3) {
                0 => {
                    raw.truncate(dice.below(raw.len()));
                    good.sha1
                }
                1 => "12".to_owned(),
                _ => {
                    let at = dice.below(raw.len());
                    raw[at] = dice.next() as u8;
                    name(&raw)
                }
            };
            GitCommit {
                sha1,
                raw,
                diff_tree: good.diff_tree,
            }
        }
    }
}

/// A commit that always is the same.
fn commit(number: usize) -> GitCommit {
    let parents = match number {
        0 => vec![],
        5 => vec![4, 2],
        8 => vec![],
        9 => vec![8, 7, 3],
        _ => vec![number - 1],
    };
    let parents = parents.into_iter().map(|parent| commit(parent).sha1);
    let parents: String = parents.map(|parent| format!("parent {parent}\n")).collect();
    let message = [
        "fix #1 and go/lang#2, Go/Lang#2\n\nChange-Id: I0123456789012345678901234567890123456789\n",
        "a subject\nof two lines\n\nUpdates x/y#7\nReviewer: R <r@x>\n",
        "no issue\n",
        "#12a #99999999999 -o/r#5 a/b/c#6\n\nChange-Id: Ishort\n",
    ][number % 4];
    let file = |name: &str, added, deleted| GitDiffTreeFile {
        file: name.to_owned(),
        added,
        deleted,
        binary: deleted > 8,
    };
    let raw = format!(
        "tree {number:040}\n{parents}author {} {} +0130\ncommitter {} 1500000000 -0700\n\n{message}",
        person(number % 3),
        1000 + number,
        person(7),
    );
    GitCommit {
        sha1: name(raw.as_bytes()),
        raw: raw.into_bytes(),
        diff_tree: (number % 5 != 4).then(|| GitDiffTree {
            file: vec![file("z", (number / 2) as i64, 1), file("a", -1, 1 << 40)],
        }),
    }
}

/// The meta commit of a change on one of two branches, which part in the middle.
fn meta(change: usize, at: usize, branch: usize) -> GitCommit {
    let branch = if at < METAS / 2 { 0 } else { branch };
    let parent = at
        .checked_sub(1)
        .map(|before| meta(change, before, branch).sha1);
    let mut dice = Dice::new((change * 1000 + at * 10 + branch) as u64);
    let dice = &mut dice;
    let version = 1 + dice.below(4);
    let said = pick(
        dice,
        &[
            "Patch Set 2: Code-Review+2\n\nLGTM",
            "Uploaded patch set 1: Run-TryBot+1.",
            "Uploaded patch set 3.",
            "Patch Set 1:\n\nStatus: abandoned\nPrivate: true",
            "Patch Set 4\n\nno colon",
            "Hashtags added: a, b\nHashtag removed: c",
            "",
        ],
    );
    let mut footers = String::new();
    for _ in 0..1 + dice.few(5) {
        let footer = match dice.below(26) {
            0 => "Status: merged".to_owned(),
            1 => "Status: new".to_owned(),
            2 => "Status: odd".to_owned(),
            3 => "Private: true".to_owned(),
            4 => "Private: false".to_owned(),
            5 => "Work-in-progress: true".to_owned(),
            6 => "Work-in-progress: false".to_owned(),
            7 => "Branch: refs/heads/master".to_owned(),
            8 => "Branch: dev".to_owned(),
            9 => "Hashtags: a, b".to_owned(),
            10 => "Hashtags: ".to_owned(),
            11 => "Tag: autogenerated:gerrit:setHashtag".to_owned(),
            12 => format!("Current: {}", dice.one_in(2)),
            13 => "Label: Code-Review=+2".to_owned(),
            14 => "Label: Run-TryBot=+1, 0123abcd Gerrit User 5 <5@x>".to_owned(),
            15 => "Label: -Code-Review".to_owned(),
            16 => "Label: TryBot-Result=-1 Gerrit User 6 <6@x>".to_owned(),
            17 => format!("Topic: {}", pick(dice, &["", "t", "other"])),
            18 => "Copied-Label: Code-Review=+1 Gerrit User 5 <5@x>".to_owned(),
            19 => format!("Reviewer: Gerrit User {0} <{0}@x>", small(dice)),
            20 => format!("CC: Gerrit User {0} <{0}@x>", small(dice)),
            21 => format!("Removed: Gerrit User {0} <{0}@x>", small(dice)),
            _ => format!(
                "Commit: {}\nTag: autogenerated:gerrit:newPatchSet",
                commit(dice.below(COMMITS)).sha1
            ),
        };
        footers.extend([&footer, "\n"]);
    }
    let parent = parent.map_or_else(String::new, |parent| format!("parent {parent}\n"));
    // Once in a while one that has two parents: no link of a chain.
    let second = if change == 2 && at == METAS - 1 && branch == 1 {
        format!("parent {}\n", commit(0).sha1)
    } else {
        String::new()
    };
    let who = format!("Gerrit User {at} <{at}@server>");
    let raw = format!(
        "tree {at:040x}\n{parent}{second}author {who} {at} +0000\ncommitter Gerrit <g@x> {at} +0000\n\nUpdate patch set {version}\n\n{said}\n\nPatch-set: {version}\n{footers}"
    );
    GitCommit {
        sha1: name(raw.as_bytes()),
        raw: raw.into_bytes(),
        diff_tree: None,
    }
}
