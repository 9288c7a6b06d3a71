//! Comments, events and reviews.

use super::*;

#[test]
fn comments_are_added_changed_and_sorted() {
    let comment = |id, created, updated, body: &str| GithubIssueCommentMutation {
        id,
        user: (id % 2 == 1).then(|| user(id, "odd")),
        body: body.into(),
        created,
        updated,
    };
    let mutation = |comment| GithubIssueMutation { comment, ..new() };
    let snapshot = issue([
        // The first that is known of an issue may be a comment.
        mutation(vec![comment(7, at(20), at(20), "seven")]),
        mutation(vec![
            comment(5, at(20), at(21), "five"),
            comment(0, at(1), None, "without id"),
            comment(9, at(10), None, "nine"),
            comment(4, None, None, "four"),
        ]),
        mutation(vec![
            comment(7, None, at(30), ""),
            comment(4, at(40), None, "vier"),
        ]),
    ]);
    let issue = three(&snapshot);
    let all: Vec<_> = issue
        .comments()
        .map(|comment| {
            (
                comment.id().0,
                comment.created(),
                comment.updated(),
                comment.body(),
            )
        })
        .collect();
    assert_eq!(
        all,
        [
            (9, time(10), None, "nine"),
            (5, time(20), time(21), "five"),
            (7, time(20), time(30), "seven"),
            (4, time(40), None, "vier"),
        ]
    );
    assert_eq!((issue.comment_count(), snapshot.skipped()), (4, 1));
    let seven = issue.comment(CommentId(7)).unwrap();
    assert_eq!(seven.user().map(User::id), Some(UserId(7)));
    assert_eq!(issue.comment(CommentId(4)).unwrap().user(), None);
    assert_eq!(seven.issue(), Some(issue));
    assert!(issue.comment(CommentId(8)).is_none());
    assert_eq!(issue.created(), None);
}

#[test]
fn an_issue_may_begin_with_a_comment() {
    let comment = GithubIssueCommentMutation {
        id: 7,
        user: Some(user(100, "gopherbot")),
        body: "some comment".into(),
        created: at(5),
        updated: at(6),
    };
    let snapshot = issue([GithubIssueMutation {
        comment: vec![comment],
        ..new()
    }]);
    let issue = three(&snapshot);
    assert!(issue.is_open() && !issue.not_exist());
    assert_eq!((issue.title(), issue.created()), ("", None));
    let comments: Vec<_> = issue.comments().map(|comment| comment.body()).collect();
    assert_eq!(comments, ["some comment"]);
}

#[test]
fn events_have_all_that_the_log_has() {
    let full = GithubIssueEvent {
        id: 5,
        event_type: "everything".into(),
        actor_id: 1,
        created: at(50),
        label: Some(label(0, "a label")),
        milestone: Some(GithubMilestone {
            title: "a milestone".into(),
            ..Default::default()
        }),
        assignee_id: 2,
        assigner_id: 3,
        commit: Some(GithubCommit {
            owner: "o".into(),
            repo: "r".into(),
            commit_id: "c0ffee".into(),
        }),
        other_json: b"{\"random_new_field\":\"x\"}".to_vec(),
        rename_from: "from".into(),
        rename_to: "to".into(),
        reviewer_id: 4,
        review_requester_id: 5,
        dismissed_review: Some(GithubDismissedReviewEvent {
            review_id: 88,
            dismissal_message: "why".into(),
            state: "approved".into(),
        }),
        team_reviewer: Some(GithubTeam {
            id: 6,
            slug: "team".into(),
        }),
    };
    let snapshot = issue([GithubIssueMutation {
        event: vec![full],
        ..new()
    }]);
    let issue = three(&snapshot);
    let event = issue.events().next().unwrap();
    assert_eq!((event.id(), event.kind()), (EventId(5), "everything"));
    assert_eq!(event.created(), time(50));
    let people = [
        event.actor(),
        event.assignee(),
        event.assigner(),
        event.reviewer(),
        event.review_requester(),
    ];
    let people = people.map(|user| user.map(|user| user.id().0));
    assert_eq!(people, [Some(1), Some(2), Some(3), Some(4), Some(5)]);
    assert_eq!(event.label(), Some("a label"));
    assert_eq!(event.milestone(), Some("a milestone"));
    assert_eq!((event.from(), event.to()), ("from", "to"));
    assert_eq!(event.commit_id(), "c0ffee");
    let url = "https://api.github.com/repos/o/r/commits/c0ffee";
    assert_eq!(event.commit_url().as_deref(), Some(url));
    assert_eq!(event.other_json(), b"{\"random_new_field\":\"x\"}");
    assert_eq!(event.team_reviewer().map(Team::slug), Some("team"));
    let dismissed = event.dismissed_review().unwrap();
    assert_eq!(dismissed.review, ReviewId(88));
    assert_eq!((dismissed.state, dismissed.message), ("approved", "why"));
    assert_eq!(event.issue(), Some(issue));
}

#[test]
fn events_and_reviews_are_replaced_by_id_and_sorted() {
    let event = |id, created, kind: &str| GithubIssueEvent {
        id,
        created: at(created),
        event_type: kind.into(),
        ..Default::default()
    };
    let review = |id, created, state: &str| GithubReview {
        id,
        created: at(created),
        state: state.into(),
        body: "looks good".into(),
        commit_id: "c0ffee".into(),
        actor_id: 1,
        actor_association: "MEMBER".into(),
        other_json: b"{}".to_vec(),
    };
    let snapshot = issue([
        GithubIssueMutation {
            updated: at(15),
            event: vec![
                event(1, 30, "closed"),
                event(2, 10, "labeled"),
                event(0, 99, "none"),
            ],
            review: vec![review(8, 20, "APPROVED"), review(0, 99, "none")],
            pull_request: true,
            ..new()
        },
        GithubIssueMutation {
            event: vec![
                event(3, 20, "locked"),
                event(1, 5, "reopened"),
                event(2, 10, "renamed"),
            ],
            review: vec![review(7, 25, "COMMENTED"), review(8, 26, "DISMISSED")],
            ..new()
        },
    ]);
    let changed = three(&snapshot);
    let events: Vec<_> = changed
        .events()
        .map(|event| (event.id().0, event.kind()))
        .collect();
    assert_eq!(events, [(1, "reopened"), (2, "renamed"), (3, "locked")]);
    assert_eq!(changed.event_count(), 3);
    assert!(changed.has_event("locked") && !changed.has_event("closed"));
    let reviews: Vec<_> = changed
        .reviews()
        .map(|review| (review.id().0, review.state()))
        .collect();
    assert_eq!(reviews, [(7, "COMMENTED"), (8, "DISMISSED")]);
    let last = changed.reviews().next_back().unwrap();
    assert_eq!((last.body(), last.commit_id()), ("looks good", "c0ffee"));
    assert_eq!(
        (last.actor_association(), last.other_json()),
        ("MEMBER", &b"{}"[..])
    );
    assert_eq!(
        (last.actor().map(User::id), last.created()),
        (Some(UserId(1)), time(26))
    );
    assert_eq!(last.issue(), Some(changed));
    assert_eq!(
        changed.last_modified(),
        time(30),
        "of the newest event there ever was"
    );
    assert_eq!(snapshot.skipped(), 2);

    let no_pull_request = issue([GithubIssueMutation {
        review: vec![review(8, 20, "APPROVED")],
        ..new()
    }]);
    assert_eq!(three(&no_pull_request).reviews().count(), 0);
}
