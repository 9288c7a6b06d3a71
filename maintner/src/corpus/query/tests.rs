use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::testing::History;

fn snapshot() -> Snapshot {
    Snapshot::of_log(Bytes::from(History::new(5).log(1_500_000))).unwrap()
}

fn query(text: &str) -> Query {
    text.parse().unwrap()
}

/// All issues for which something is so, in order.
fn expected<'s>(
    snapshot: &'s Snapshot,
    is_so: impl Fn(Issue<'s>) -> bool + Copy,
) -> Vec<Issue<'s>> {
    let repos = snapshot.github().repos();
    let issues = repos.flat_map(|repo| repo.issues());
    issues
        .filter(|issue| !issue.not_exist() && is_so(*issue))
        .collect()
}

#[test]
fn terms_ask_for_what_a_plain_search_finds() {
    let snapshot = snapshot();
    let day = Timestamp::new(1_257_984_000, 0);
    assert_eq!(day.to_string(), "2009-11-12T00:00:00Z");
    let login = |issue: Issue<'_>| issue.author().map_or("", |user| user.login()).to_owned();
    type Check<'a> = &'a dyn Fn(Issue<'_>) -> bool;
    let checks: [(&str, Check<'_>); 22] = [
        ("", &|_| true),
        ("is:open", &|issue| issue.is_open()),
        ("is:closed", &|issue| issue.is_closed()),
        ("-is:open", &|issue| issue.is_closed()),
        ("state:open is:pr", &|issue| {
            issue.is_open() && issue.is_pull_request()
        }),
        ("is:issue", &|issue| !issue.is_pull_request()),
        ("-is:pr", &|issue| !issue.is_pull_request()),
        ("-is:locked", &|issue| !issue.is_locked()),
        ("label:NeedsFix", &|issue| issue.has_label("NeedsFix")),
        ("is:open label:needsfix -label:\"help wanted\"", &|issue| {
            issue.is_open() && issue.has_label("NeedsFix") && !issue.has_label("help wanted")
        }),
        ("label:NeedsFix,Security", &|issue| {
            issue.has_label("NeedsFix") || issue.has_label("Security")
        }),
        ("label:NeedsFix label:Security", &|issue| {
            issue.has_label("NeedsFix") && issue.has_label("Security")
        }),
        ("no:label", &|issue| issue.labels().count() == 0),
        ("-no:assignee", &|issue| issue.assignees().count() > 0),
        ("milestone:V1.2", &|issue| {
            issue
                .milestone()
                .is_some_and(|milestone| milestone.title() == "v1.2")
        }),
        ("no:milestone", &|issue| issue.milestone().is_none()),
        ("author:Gopher1", &|issue| login(issue) == "gopher1"),
        ("assignee:gopher2", &|issue| {
            issue.assignees().any(|user| user.login() == "gopher2")
        }),
        ("commenter:gopher0", &|issue| {
            issue
                .comments()
                .any(|comment| comment.user().is_some_and(|user| user.login() == "gopher0"))
        }),
        ("created:<2009-11-12", &|issue| issue.created() < Some(day)),
        ("updated:>=2009-11-12 repo:Example/Tools", &|issue| {
            issue.updated() >= Some(day) && issue.repo().name() == "tools"
        }),
        ("CHANNEL -repo:example/tools in:title,comments", &|issue| {
            issue.repo().name() != "tools"
                && (issue.title().contains("channel")
                    || issue
                        .comments()
                        .any(|comment| comment.body().contains("channel")))
        }),
    ];
    let mut poor = 0;
    for (text, is_so) in checks {
        let found = query(text).issues(&snapshot);
        let expected = expected(&snapshot, is_so);
        assert_eq!(found, expected, "{text}");
        poor += usize::from(found.is_empty());
        assert!(query(text).changes(&snapshot).is_empty());
    }
    assert!(poor <= 3, "most of them find something");
}

#[test]
fn what_is_found_is_sorted() {
    let snapshot = snapshot();
    let sorted = |text: &str| query(text).issues(&snapshot);
    assert!(sorted("sort:updated-desc").is_sorted_by_key(|issue| Reverse(issue.updated())));
    assert!(sorted("sort:created-asc").is_sorted_by_key(|issue| issue.created()));
    assert!(sorted("sort:comments").is_sorted_by_key(|issue| Reverse(issue.comment_count())));
    let mut down = sorted("sort:number-desc");
    down.reverse();
    assert_eq!(down, sorted("sort:number-asc"));
    assert_eq!(down, sorted(""));
}

#[test]
fn typed_filters_find_what_queries_do() {
    let snapshot = snapshot();
    let repo = snapshot.github().repo("example", "compiler").unwrap();
    let day = Timestamp::new(1_257_984_000, 0);
    fn asked<'s>(snapshot: &'s Snapshot, text: &str) -> Vec<Issue<'s>> {
        query(&format!("repo:example/compiler {text}")).issues(snapshot)
    }
    let same = |issues: Vec<Issue<'_>>, text: &str| {
        assert_eq!(issues, asked(&snapshot, text), "{text}");
    };
    let same = |issues: crate::corpus::Issues<'_>, text: &str| same(issues.collect(), text);
    same(repo.issues().open(), "is:open");
    same(repo.issues().closed().pull_requests(), "is:closed is:pr");
    same(
        repo.issues().label("Testing").open(),
        "label:Testing is:open",
    );
    same(repo.issues().label("none"), "label:none");
    same(
        repo.issues()
            .open()
            .without_label("Testing")
            .without_pull_requests(),
        "is:issue is:open -label:Testing",
    );
    same(
        repo.issues().milestone("v1.3").open(),
        "milestone:v1.3 is:open",
    );
    same(
        repo.issues().without_milestone().open(),
        "no:milestone is:open",
    );
    same(
        repo.issues().closed().author("gopher3"),
        "is:closed author:gopher3",
    );
    same(
        repo.issues().assignee("gopher0").open(),
        "assignee:gopher0 is:open",
    );
    same(
        repo.issues().open().updated_since(day),
        "is:open updated:>=2009-11-12",
    );
    same(
        repo.issues().open().created_since(day),
        "is:open created:>=2009-11-12",
    );
    let mut back: Vec<_> = repo.issues().open().rev().collect();
    back.reverse();
    assert!(back.into_iter().eq(repo.issues().open()));
}

#[test]
fn changes_are_found() {
    let snapshot = snapshot();
    let all = || {
        let projects = snapshot.gerrit().projects();
        projects.flat_map(|project| project.cls())
    };
    type Check<'a> = &'a dyn Fn(Change<'_>) -> bool;
    let some = all().nth(all().count() / 2).unwrap();
    let path = some.commit().files().next().unwrap().path.to_owned();
    let folder = &path[..=path.rfind('/').unwrap()];
    let project = some.project().full_name();
    let owner = some.owner_person();
    let owner = crate::parse::person::email(owner).to_owned();
    let touches = |change: Change<'_>, is_it: &dyn Fn(&str) -> bool| {
        change.commit().files().any(|file| is_it(file.path))
    };
    let checks: [(String, Check<'_>); 9] = [
        ("is:cl".into(), &|_| true),
        ("is:cl is:open".into(), &|change| change.is_open()),
        ("is:cl is:closed".into(), &|change| !change.is_open()),
        ("is:merged".into(), &|change| {
            change.status().name() == "merged"
        }),
        ("-status:merged branch:master".into(), &|change| {
            change.status().name() != "merged" && change.branch() == "master"
        }),
        (format!("file:{path}"), &|change| {
            touches(change, &|other| other == path)
        }),
        (format!("file:{folder}"), &|change| {
            touches(change, &|other| other.starts_with(folder))
        }),
        (format!("project:{project} file:{path} is:cl"), &|change| {
            change.project().full_name() == project && touches(change, &|other| other == path)
        }),
        (format!("owner:{owner} updated:>2009-11-11"), &|change| {
            change.owner_person().contains(&owner)
                && change.updated() >= Timestamp::new(1_257_984_000, 0)
        }),
    ];
    for (text, is_so) in checks {
        let query = query(&text);
        let numbers =
            |change: &Change<'_>| (change.project().full_name().to_owned(), change.number());
        let found: Vec<_> = query.changes(&snapshot).iter().map(numbers).collect();
        let expected: Vec<_> = all()
            .filter(|change| is_so(*change))
            .map(|c| numbers(&c))
            .collect();
        assert_eq!(found, expected, "{text}");
        assert!(!found.is_empty(), "{text} finds nothing: a poor test");
        assert!(query.issues(&snapshot).is_empty());
        assert_eq!(query.find(&snapshot).len(), found.len());
    }
}

#[test]
fn errors_say_where_and_what() {
    for (text, expected) in [
        (
            "is:open lable:x",
            "at 8: unknown key `lable`; did you mean `label`?",
        ),
        (
            "is:opne",
            "at 0: unknown value `opne` of `is`; did you mean `open`?",
        ),
        (
            "a sort:update",
            "at 2: unknown value `update` of `sort`; did you mean `updated-desc`?",
        ),
        (
            "sort:updated-up",
            "at 0: unknown value `updated-up` of `sort`; did you mean `updated-asc`?",
        ),
        (
            "no:lable",
            "at 0: unknown value `lable` of `no`; did you mean `label`?",
        ),
        (
            "in:titel",
            "at 0: unknown value `titel` of `in`; did you mean `title`?",
        ),
        (
            "status:submitted",
            "at 0: unknown value `submitted` of `status`; did you mean `merged`?",
        ),
        ("repo:go", "at 0: `repo` needs owner/name, not `go`"),
        ("issue:x", "at 0: `issue` needs owner/repo#number, not `x`"),
        ("-sort:created", "at 0: `sort` cannot be negated"),
        ("label:\"x y", "at 6: quotation mark is never closed"),
        (
            "label:x is:merged",
            "at 8: `is` is about changes, and other terms are about issues; ask one after the other",
        ),
        (
            "is:pr branch:x",
            "at 6: `branch` is about changes, and other terms are about issues; ask one after the other",
        ),
        (
            "is:cl label:x",
            "at 6: `label` needs issues or pull requests, not `is:cl`",
        ),
    ] {
        assert_eq!(
            text.parse::<Query>().unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }
    let error = "created:>yesterday".parse::<Query>().unwrap_err();
    assert!(matches!(
        error.kind,
        QueryErrorKind::Form { key: "created", .. }
    ));
}

#[test]
fn what_is_no_term_is_a_word() {
    for (text, words) in [
        ("net/http: panic", vec!["net/http:", "panic"]),
        ("\"two words\" x", vec!["two words", "x"]),
        (
            "std::mem https://go.dev",
            vec!["std::mem", "https://go.dev"],
        ),
        ("- --flag", vec!["-", "-flag"]),
    ] {
        let query = query(text);
        let found = query.terms.iter().map(|term| match &term.test {
            crate::corpus::github::Test::Text(word, _) => word.as_str(),
            other => panic!("{other:?}"),
        });
        assert_eq!(found.collect::<Vec<_>>(), words, "{text}");
    }
    assert_eq!(query("is:issue is:pr").issues(&snapshot()), []);
}

proptest! {
    #[test]
    fn no_text_is_too_much(text in "(-?[a-z]{0,9}:?[\"\\PC]{0,6} ?){0,6}") {
        let _ = text.parse::<Query>();
    }
}
