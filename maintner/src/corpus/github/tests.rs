use prost::Message;
use prost_types::Timestamp as Time;

use super::*;
use crate::{
    corpus::{Snapshot, Timestamp},
    proto::{
        BoolChange, GithubCommit, GithubDismissedReviewEvent, GithubIssueCommentMutation,
        GithubIssueEvent, GithubIssueMutation, GithubIssueSyncStatus, GithubLabel, GithubMilestone,
        GithubMutation, GithubReview, GithubTeam, GithubUser, Mutation, StringChange,
    },
    reclog::Header,
};

/// What these mutations make.
fn corpus(mutations: impl IntoIterator<Item = Mutation>) -> Snapshot {
    let mut log = Vec::new();
    for mutation in mutations {
        let payload = mutation.encode_to_vec();
        log.extend_from_slice(&Header::new(log.len() as u64, payload.len() as u64));
        log.extend(payload);
    }
    Snapshot::of_log(log).unwrap()
}

/// What these mutations of golang/go#3 make.
fn issue(mutations: impl IntoIterator<Item = GithubIssueMutation>) -> Snapshot {
    corpus(mutations.into_iter().map(about_three))
}

fn about_three(issue: GithubIssueMutation) -> Mutation {
    about("golang", "go", 3, issue)
}

fn about(owner: &str, repo: &str, number: i32, issue: GithubIssueMutation) -> Mutation {
    Mutation {
        github_issue: Some(GithubIssueMutation {
            owner: owner.into(),
            repo: repo.into(),
            number,
            ..issue
        }),
        ..Mutation::default()
    }
}

fn three(snapshot: &Snapshot) -> Issue<'_> {
    let repo = snapshot.github().repo("golang", "go").unwrap();
    repo.issue(3).unwrap()
}

fn at(seconds: i64) -> Option<Time> {
    Some(Time { seconds, nanos: 0 })
}

fn time(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp::new(seconds, 0))
}

fn user(id: i64, login: &str) -> GithubUser {
    GithubUser {
        id,
        login: login.into(),
    }
}

fn label(id: i64, name: &str) -> GithubLabel {
    GithubLabel {
        id,
        name: name.into(),
    }
}

fn new() -> GithubIssueMutation {
    GithubIssueMutation::default()
}

fn truth(val: bool) -> Option<BoolChange> {
    Some(BoolChange { val })
}

fn text(val: &str) -> Option<StringChange> {
    Some(StringChange { val: val.into() })
}

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

#[test]
fn assignees_come_and_go() {
    let change = |assignees: &[(i64, &str)], deleted: &[i64]| GithubIssueMutation {
        assignees: assignees
            .iter()
            .map(|&(id, login)| user(id, login))
            .collect(),
        deleted_assignees: deleted.to_vec(),
        ..new()
    };
    let mut mutations = vec![change(&[(1, "one"), (2, "two"), (3, "three")], &[])];
    let logins = |mutations: &[GithubIssueMutation]| -> Vec<String> {
        let snapshot = issue(mutations.to_vec());
        let logins = three(&snapshot)
            .assignees()
            .map(|user| user.login().to_owned());
        logins.collect()
    };
    mutations.push(change(&[(2, "zwei")], &[1, 99]));
    assert_eq!(logins(&mutations), ["zwei", "three"]);
    mutations.push(change(&[(1, "")], &[3]));
    assert_eq!(logins(&mutations), ["zwei", "one"]);
    mutations.push(change(&[(4, "four")], &[4, 1, 2]));
    assert!(logins(&mutations).is_empty());
}

#[test]
fn labels_come_and_go() {
    let change = |removed: &[i64], added: &[(i64, &str)]| GithubIssueMutation {
        remove_label: removed.to_vec(),
        add_label: added.iter().map(|&(id, name)| label(id, name)).collect(),
        ..new()
    };
    let snapshot = issue([
        change(&[], &[(1, "one"), (3, "three")]),
        // Removed first, then added.
        change(&[1, 3, 8], &[(2, "two"), (1, ""), (0, "nothing")]),
        change(&[], &[(2, "deux")]),
    ]);
    let has = three(&snapshot);
    assert!(has.labels().map(Label::name).eq(["one", "deux"]));
    let repo = has.repo();
    assert!(repo.labels().map(Label::name).eq(["one", "deux", "three"]));
    assert_eq!(repo.label(LabelId(3)).map(Label::name), Some("three"));
    assert_eq!(snapshot.skipped(), 1, "a label without id");
}

#[test]
fn milestones_known_and_unknown() {
    let in_milestone = |id, title: &str| GithubIssueMutation {
        milestone_id: id,
        milestone_title: title.into(),
        ..new()
    };
    let none = GithubIssueMutation {
        no_milestone: true,
        milestone_id: 5,
        ..new()
    };
    let title = |mutations: &[GithubIssueMutation]| {
        let snapshot = issue(mutations.to_vec());
        let issue = three(&snapshot);
        let title = issue
            .milestone()
            .map(|milestone| milestone.title().to_owned());
        (issue.is_milestone_known(), title)
    };
    assert_eq!(title(&[new()]), (false, None));
    assert_eq!(title(std::slice::from_ref(&none)), (true, None));
    let five = in_milestone(5, "Five");
    assert_eq!(
        title(&[none.clone(), five.clone()]),
        (true, Some("Five".into()))
    );
    let again = in_milestone(5, "");
    assert_eq!(title(&[five.clone(), again]), (true, Some("Five".into())));
    assert_eq!(title(&[five, none, new()]), (true, None));
    let number = GithubIssueMutation {
        milestone_num: 4,
        ..new()
    };
    assert_eq!(title(&[number]), (false, None), "a number alone is none");
}

#[test]
fn repositories_labels_and_milestones_have_mutations_of_their_own() {
    let github = |owner: &str, repo: &str, labels: Vec<GithubLabel>, milestones| Mutation {
        github: Some(GithubMutation {
            owner: owner.into(),
            repo: repo.into(),
            labels,
            milestones,
        }),
        ..Mutation::default()
    };
    let milestone = |id, title: &str, closed, number| GithubMilestone {
        id,
        title: title.into(),
        closed,
        number,
    };
    let snapshot = corpus([
        github("b", "x", vec![], vec![]),
        github("a", "y", vec![label(2, "two"), label(1, "one")], vec![]),
        github(
            "a",
            "y",
            vec![label(2, ""), label(1, "uno"), label(0, "none")],
            vec![],
        ),
        github("b", "X", vec![], vec![milestone(9, "M", truth(true), 4)]),
        github(
            "b",
            "x",
            vec![],
            vec![milestone(9, "", None, 0), milestone(0, "none", None, 1)],
        ),
        github("", "x", vec![], vec![]),
        github("b", "", vec![], vec![]),
    ]);
    assert_eq!(snapshot.skipped(), 4);
    let github = snapshot.github();
    let names: Vec<_> = github.repos().map(|repo| repo.to_string()).collect();
    assert_eq!(names, ["a/y", "b/x"]);
    let [ay, bx] = [
        github.repo("a", "y").unwrap(),
        github.repo("b", "x").unwrap(),
    ];
    assert!(ay.labels().map(Label::name).eq(["uno", "two"]));
    let nine = bx.milestone(MilestoneId(9)).unwrap();
    assert_eq!(
        (nine.title(), nine.number(), nine.is_closed()),
        ("M", 4, true)
    );
    assert_eq!((bx.issue_count(), bx.labels().count()), (0, 0));
}

/// Quirk 21: GitHub's names are the same in any case.
#[test]
fn repositories_are_found_in_any_case_and_keep_their_spelling() {
    let snapshot = corpus([
        about("GoLang", "Go", 3, new()),
        about("golang", "go", 4, new()),
        about("golang", "go-x", 4, new()),
    ]);
    let github = snapshot.github();
    assert_eq!(github.repos().count(), 2);
    for (owner, name) in [("golang", "go"), ("GoLang", "Go"), ("GOLANG", "GO")] {
        let repo = github.repo(owner, name).unwrap();
        assert_eq!((repo.owner(), repo.name()), ("GoLang", "Go"));
        assert!(repo.issues().map(Issue::number).eq([3, 4]));
    }
    assert!(github.repo("golang", "goo").is_none());
    assert!(github.repo("golanggo", "").is_none());
}

#[test]
fn users_and_teams_are_renamed_everywhere() {
    let comment = GithubIssueCommentMutation {
        id: 1,
        user: Some(user(100, "new")),
        ..Default::default()
    };
    let asked = |slug: &str| GithubIssueMutation {
        event: vec![GithubIssueEvent {
            id: 6,
            event_type: "review_requested".into(),
            reviewer_id: 100,
            review_requester_id: 102,
            team_reviewer: Some(GithubTeam {
                id: 50,
                slug: slug.into(),
            }),
            ..Default::default()
        }],
        ..new()
    };
    let snapshot = issue([
        GithubIssueMutation {
            user: Some(user(100, "old")),
            ..new()
        },
        asked("before"),
        GithubIssueMutation {
            comment: vec![comment],
            ..new()
        },
        asked("after"),
        asked(""),
        GithubIssueMutation {
            user: Some(user(100, "")),
            ..new()
        },
    ]);
    let github = snapshot.github();
    assert_eq!(three(&snapshot).author().map(User::login), Some("new"));
    assert_eq!(github.user(UserId(100)).map(User::login), Some("new"));
    assert_eq!(
        github.user(UserId(102)).map(User::login),
        Some(""),
        "only mentioned"
    );
    assert!(github.user(UserId(0)).is_none());
    assert!(github.users().map(User::id).eq([100, 102].map(UserId)));
    assert_eq!(github.team(TeamId(50)).map(Team::slug), Some("after"));
    let event = three(&snapshot).events().next().unwrap();
    assert_eq!(event.reviewer(), three(&snapshot).author());
    assert_eq!(event.review_requester().map(User::id), Some(UserId(102)));
    assert_eq!(event.team_reviewer(), github.teams().next());
}

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
