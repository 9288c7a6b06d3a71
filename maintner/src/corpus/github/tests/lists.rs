//! Labels, assignees and milestones of issues.

use super::*;

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
