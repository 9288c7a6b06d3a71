//! What no leader writes.

use super::*;

#[test]
fn what_is_about_nothing_is_passed_over() {
    let snapshot = corpus([
        about("", "go", 3, new()),
        about("golang", "", 3, new()),
        about("golang", "go", 0, new()),
    ]);
    assert_eq!(snapshot.skipped(), 3);
    assert_eq!(snapshot.github().repos().count(), 0);
}

#[test]
fn numbers_and_times_may_be_any() {
    let numbers = [i32::MAX, 5, -1, i32::MIN, 7, 6];
    let snapshot = corpus(numbers.map(|number| {
        let mutation = GithubIssueMutation {
            created: Some(Time {
                seconds: i64::MAX,
                nanos: number,
            }),
            ..new()
        };
        about("golang", "go", number, mutation)
    }));
    let repo = snapshot.github().repo("golang", "go").unwrap();
    let mut sorted = numbers;
    sorted.sort_unstable();
    assert!(repo.issues().map(Issue::number).eq(sorted));
    assert!(
        repo.issue(i32::MAX)
            .is_some_and(|issue| issue.created().is_some())
    );
    assert!(repo.issue(8).is_none());
}

/// Nothing takes time that grows with the square of the log.
#[test]
fn long_lists_in_the_worst_order() {
    const MANY: i64 = 20_000;
    let comments = (0..MANY).rev().map(|n| GithubIssueCommentMutation {
        id: n + 1,
        created: at(n),
        ..Default::default()
    });
    let labels = (0..MANY).rev().map(|n| label(n + 1, "x"));
    let users = (0..MANY).rev().map(|n| user(n + 1, "x"));
    let all = GithubIssueMutation {
        comment: comments.collect(),
        add_label: labels.collect(),
        assignees: users.collect(),
        deleted_assignees: (0..MANY).collect(),
        ..new()
    };
    let others = (10..MANY as i32)
        .rev()
        .map(|number| about("golang", "go", number, new()));
    let snapshot = corpus(others.chain([about_three(all)]));
    let issue = three(&snapshot);
    assert!(issue.comments().map(|comment| comment.id().0).eq(1..=MANY));
    assert!(issue.labels().map(|label| label.id().0).is_sorted());
    assert!(issue.repo().issues().map(Issue::number).is_sorted());
    assert!(snapshot.skipped() > 0, "some limits were reached");
}
