use super::*;

#[test]
fn projects_are_found_by_the_names_people_use() {
    let mut log = Log::new();
    for project in [
        PROJECT,
        "go.googlesource.com/net",
        "code.example.org:8080/a/b",
    ] {
        log.project = project;
        log.write(GerritMutation::default());
    }
    let snapshot = log.snapshot();
    let gerrit = snapshot.gerrit();
    for server in [
        "go.googlesource.com",
        "https://go.googlesource.com",
        "https://go.googlesource.com/",
        "go-review.googlesource.com",
        "https://go-review.googlesource.com/c/net",
    ] {
        let project = gerrit.project(server, "net").unwrap();
        assert_eq!(
            (project.server(), project.name()),
            ("go.googlesource.com", "net"),
            "{server}"
        );
    }
    let other = gerrit
        .project("http://me@code.example.org:8080", "a/b")
        .unwrap();
    assert_eq!(
        (other.server(), other.name()),
        ("code.example.org:8080", "a/b")
    );
    assert!(gerrit.project("go.googlesource.com", "sys").is_none());
    assert!(gerrit.project("", "").is_none());
    let names: Vec<_> = gerrit.projects().map(Project::full_name).collect();
    assert_eq!(
        names,
        [
            "code.example.org:8080/a/b",
            PROJECT,
            "go.googlesource.com/net"
        ]
    );
}

#[test]
fn refs_are_set_moved_and_deleted() {
    let mut log = Log::new();
    for number in [1, 2] {
        log.commit(commit(number, &[], "x"));
    }
    for (name, commit) in [
        ("refs/tags/b", 1),
        ("HEAD", 1),
        ("refs/heads/a", 1),
        ("HEAD", 2),
        ("refs/meta/config", 1),
        ("refs/changes/01/1/robot-comments", 2),
    ] {
        log.set(name, commit);
    }
    let before = log.snapshot();
    assert_eq!(before.skipped(), 0);
    log.set("refs/heads/unknown", 77);
    log.set("refs/changes/01/99999999999/1", 1);
    log.write(GerritMutation {
        refs: vec![GitRef {
            r#ref: "refs/heads/x".to_owned(),
            sha1: "zz".to_owned(),
        }],
        deleted_refs: vec!["refs/tags/b".to_owned(), "refs/tags/never".to_owned()],
        ..Default::default()
    });
    let after = log.snapshot();
    assert_eq!(after.skipped(), 3);
    let shown = |snapshot: &Snapshot| {
        let refs = project(snapshot)
            .refs()
            .map(|reference| format!("{}={:?}", reference.name, reference.commit.name().0[19]));
        refs.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        shown(&before),
        "HEAD=2 refs/changes/01/1/robot-comments=2 refs/heads/a=1 refs/tags/b=1"
    );
    assert_eq!(
        shown(&after),
        "HEAD=2 refs/changes/01/1/robot-comments=2 refs/heads/a=1"
    );
    let project = project(&after);
    assert_eq!(project.reference("HEAD").unwrap().name(), hash(2));
    assert!(project.reference("refs/tags/b").is_none() && project.reference("x").is_none());
    assert!(project.commit(hash(1)).is_some() && project.commit(hash(77)).is_none());
    // Set again, and in one mutation: what is deleted is deleted first.
    log.write(GerritMutation {
        refs: vec![GitRef {
            r#ref: "refs/tags/b".to_owned(),
            sha1: name(2),
        }],
        deleted_refs: vec!["refs/tags/b".to_owned()],
        ..Default::default()
    });
    assert_eq!(
        super::project(&log.snapshot())
            .reference("refs/tags/b")
            .unwrap()
            .name(),
        hash(2)
    );
}

#[test]
fn commits_whose_ancestors_are_missing_are_reported() {
    let mut log = Log::new();
    log.commit(commit(3, &[2], "x"));
    log.set("refs/heads/a", 3);
    let snapshot = log.snapshot();
    let problems = snapshot.check();
    assert_eq!(
        problems,
        [
            Problem::MissingCommit(hash(2)),
            Problem::IncompleteRef {
                project: PROJECT,
                name: "refs/heads/a"
            },
        ]
    );
    assert_eq!(
        problems[1].to_string(),
        "go.googlesource.com/go: refs/heads/a leads to commits that are missing"
    );
    log.commit(commit(2, &[], "x"));
    assert_eq!(log.snapshot().check(), []);
}

/// The issues that a change mentions.
fn references(change: Change<'_>) -> String {
    let shown = change.references().map(|issue| issue.to_string());
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn mentions_of_issues_lead_both_ways_and_go_with_the_patch_set() {
    let mut log = Log::new();
    log.change(
        7,
        1,
        "Fixes #12, golang/go#12 and #13\n\nSee Golang/vscode-go#5 #13\n",
    );
    log.project = "go.googlesource.com/net";
    log.change(8, 10, "See #99 and golang/go#13");
    let first = log.snapshot();
    let gerrit = first.gerrit();
    assert_eq!(
        references(cl(&first, 7).unwrap()),
        "golang/go#12 golang/go#13 Golang/vscode-go#5"
    );
    let change = cl(&first, 7).unwrap();
    assert!(change.mentions("GOLANG", "go", 12) && change.mentions("golang", "VSCode-Go", 5));
    assert!(!change.mentions("golang", "go", 5));
    let mentioning = |snapshot: &Snapshot, owner: &str, repo: &str, number: i32| {
        numbers(snapshot.gerrit().changes_mentioning(owner, repo, number))
    };
    assert_eq!(mentioning(&first, "golang", "go", 12), [7]);
    assert_eq!(mentioning(&first, "Golang", "Go", 13), [7, 8]);
    assert_eq!(mentioning(&first, "golang", "vscode-go", 5), [7]);
    assert_eq!(
        mentioning(&first, "golang", "go", 99),
        [0; 0],
        "of whatever net has"
    );
    assert_eq!(mentioning(&first, "golang", "net", 99), [0; 0]);
    let repos: Vec<_> = gerrit.repos_mentioned().collect();
    assert_eq!(repos, [("golang", "go"), ("Golang", "vscode-go")]);

    log.project = PROJECT;
    log.commit(commit(30, &[], "Fixes #12\n"));
    log.set(&patch_set_ref(7, 2), 30);
    let second = log.snapshot();
    assert_eq!(references(cl(&second, 7).unwrap()), "golang/go#12");
    assert_eq!(mentioning(&second, "golang", "go", 12), [7]);
    assert_eq!(
        mentioning(&second, "golang", "go", 13),
        [8],
        "the original never forgets"
    );
    assert_eq!(mentioning(&second, "golang", "vscode-go", 5), [0; 0]);
    assert_eq!(
        mentioning(&first, "golang", "go", 13),
        [7, 8],
        "a snapshot stays as it is"
    );
}

#[test]
fn changes_are_found_by_commit_and_by_file() {
    let mut log = Log::new();
    for (number, files) in [
        (1, &[("a", 1), ("b", 1)][..]),
        (2, &[("b", 1)]),
        (3, &[("a", 2), ("a", 3)]),
    ] {
        log.commit(with_files(commit(number, &[], "x"), files));
    }
    for (change, version, commit) in [(7, 1, 1), (7, 2, 2), (8, 1, 3), (9, 1, 2)] {
        log.set(&patch_set_ref(change, version), commit);
    }
    for change in [7, 8, 9] {
        log.metas(change, 10 * change as u32, &[CREATE]);
    }
    let snapshot = log.snapshot();
    let gerrit = snapshot.gerrit();
    let get = |number| snapshot.commits().get(hash(number)).unwrap();
    assert_eq!(numbers(gerrit.changes_of(get(1))), [7]);
    assert_eq!(numbers(gerrit.changes_of(get(2))), [7, 9]);
    assert_eq!(numbers(gerrit.changes_of(get(70))), [0; 0]);
    assert_eq!(numbers(gerrit.changes_touching("a")), [8]);
    assert_eq!(numbers(gerrit.changes_touching("b")), [7, 9]);
    assert_eq!(numbers(gerrit.changes_touching("c")), [0; 0]);
    let touching: Vec<_> = snapshot
        .commits()
        .touching("a")
        .map(|commit| commit.name())
        .collect();
    assert_eq!(touching, [hash(1), hash(3)]);
    let mut paths: Vec<_> = snapshot.commits().paths().collect();
    paths.sort_unstable();
    assert_eq!(paths, ["a", "b"]);
}
