//! Repositories, users and teams.

use super::*;

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
