//! What an issue itself says.

use super::*;

#[test]
fn a_new_issue_is_as_the_mutation_has_it() {
    let snapshot = issue([GithubIssueMutation {
        id: 77,
        user: Some(user(100, "gopherbot")),
        created: at(1),
        updated: at(2),
        title: "some title".into(),
        body_change: text("some body"),
        closed: truth(true),
        closed_at: at(3),
        closed_by: Some(user(101, "rsc")),
        locked: truth(true),
        pull_request: true,
        assignees: vec![user(7, "b"), user(5, "a")],
        add_label: vec![label(9, "nine"), label(4, "four")],
        milestone_id: 70,
        milestone_num: 7,
        milestone_title: "Go1.7".into(),
        comment_status: Some(GithubIssueSyncStatus {
            server_date: at(11),
        }),
        event_status: Some(GithubIssueSyncStatus {
            server_date: at(12),
        }),
        review_status: Some(GithubIssueSyncStatus {
            server_date: at(13),
        }),
        ..new()
    }]);
    let issue = three(&snapshot);
    assert_eq!((issue.number(), issue.id()), (3, Some(77)));
    assert_eq!(issue.author().map(User::login), Some("gopherbot"));
    assert_eq!(issue.closed_by().map(User::login), Some("rsc"));
    let times = [
        issue.created(),
        issue.updated(),
        issue.closed_at(),
        issue.last_modified(),
    ];
    assert_eq!(times, [1, 2, 3, 2].map(time));
    let synced = [
        issue.comments_synced(),
        issue.events_synced(),
        issue.reviews_synced(),
    ];
    assert_eq!(synced, [11, 12, 13].map(time));
    assert_eq!((issue.title(), issue.body()), ("some title", "some body"));
    assert!(issue.is_closed() && issue.is_locked() && issue.is_pull_request());
    assert!(!issue.is_open() && !issue.not_exist());
    assert!(
        issue.assignees().map(User::login).eq(["b", "a"]),
        "in their order"
    );
    assert!(
        issue.labels().map(Label::name).eq(["four", "nine"]),
        "by id"
    );
    assert!(issue.has_label("nine") && !issue.has_label("Nine"));
    assert!(issue.has_label_id(LabelId(4)) && !issue.has_label_id(LabelId(5)));
    let milestone = issue.milestone().unwrap();
    assert!(issue.is_milestone_known());
    assert_eq!(
        (milestone.id(), milestone.title()),
        (MilestoneId(70), "Go1.7")
    );
    assert_eq!((milestone.number(), milestone.is_closed()), (7, false));
    assert_eq!(issue.reference().to_string(), "golang/go#3");
    assert_eq!(format!("{issue:?}"), "Issue(golang/go#3 \"some title\")");
    assert!(issue.repo().labels().eq(issue.labels()));
    assert!(issue.repo().milestones().eq([milestone]));
    assert_eq!(issue.repo().issue_count(), 1);
    assert_eq!(snapshot.skipped(), 0);
}

#[test]
fn what_a_mutation_does_not_say_stays() {
    let first = GithubIssueMutation {
        user: Some(user(100, "gopherbot")),
        created: at(1),
        title: "title".into(),
        body_change: text("body"),
        closed: truth(true),
        assignees: vec![user(5, "a")],
        ..new()
    };
    let snapshot = issue([first, new()]);
    let issue = three(&snapshot);
    assert_eq!((issue.title(), issue.body()), ("title", "body"));
    assert_eq!(issue.author().map(User::id), Some(UserId(100)));
    assert!(issue.is_closed() && issue.created() == time(1));
    assert_eq!(issue.assignees().count(), 1);
}

/// Quirk 7 of the original: a time nobody told was 1970 or the year 1.
#[test]
fn the_time_of_creation_is_the_first_that_is_told() {
    let snapshot = issue([new()]);
    assert_eq!(three(&snapshot).created(), None);
    let told = |seconds| GithubIssueMutation {
        created: at(seconds),
        ..new()
    };
    let gone = GithubIssueMutation {
        not_exist: true,
        ..told(4)
    };
    let snapshot = issue([gone, new(), told(5), told(6)]);
    assert_eq!(three(&snapshot).created(), time(5));
}

/// Quirk 8: leaders of the original do not write the id.
#[test]
fn an_id_that_is_not_told_is_none() {
    let told = |id| GithubIssueMutation { id, ..new() };
    assert_eq!(three(&issue([new()])).id(), None);
    assert_eq!(three(&issue([new(), told(8), new()])).id(), Some(8));
}

#[test]
fn an_issue_that_is_gone_keeps_what_it_had_and_may_come_back() {
    let told = GithubIssueMutation {
        title: "title".into(),
        updated: at(5),
        ..new()
    };
    let gone = GithubIssueMutation {
        not_exist: true,
        title: "not looked at".into(),
        ..new()
    };
    let snapshot = issue([told.clone(), gone.clone()]);
    assert!(three(&snapshot).not_exist() && !three(&snapshot).is_open());
    assert_eq!(three(&snapshot).title(), "title");
    let repo = three(&snapshot).repo();
    assert_eq!(repo.issues().count(), 1, "it is listed");
    let snapshot = issue([told, gone.clone(), new()]);
    assert!(!three(&snapshot).not_exist() && three(&snapshot).is_open());
    let snapshot = issue([gone]);
    assert!(three(&snapshot).not_exist());
    assert_eq!(three(&snapshot).title(), "");
}

#[test]
fn bodies_old_and_new() {
    let body = |body: &str, body_change| GithubIssueMutation {
        body: body.into(),
        body_change,
        ..new()
    };
    for (mutations, expected) in [
        (vec![body("a", None)], "a"),
        (vec![body("a", None), body("", None)], "a"),
        (vec![body("a", None), body("", text(""))], ""),
        (vec![body("", text("")), body("b", None)], "b"),
        (vec![body("a", text("b"))], "b"),
        (vec![body("a", text(""))], ""),
    ] {
        assert_eq!(three(&issue(mutations)).body(), expected);
    }
}
