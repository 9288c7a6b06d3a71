use bytes::Bytes;

use prost::Message;

use super::*;
use crate::proto::{
    self,
    view::{self, View},
};

/// A writer of commits that come as encoded messages.
#[derive(Default)]
struct Writer {
    commits: Commits,
    waiting: Waiting,
    written: u64,
}

impl Writer {
    fn add(&mut self, commit: &proto::GitCommit) -> Result<CommitId, AddError> {
        let bytes = Bytes::from(commit.encode_to_vec());
        let origin = self.commits.texts_mut().push(0, self.written, &bytes);
        self.written += bytes.len() as u64;
        let view = view::GitCommit::decode(&bytes).unwrap();
        let preparer = Preparer {
            names: &self.commits.hasher,
            texts: self.commits.texts.hasher(),
        };
        let (origin, mut paths) = (origin.unwrap(), Vec::new());
        let new = preparer.prepare(origin, &view, &mut paths)?;
        let mut paths = paths.iter();
        self.commits.add(origin, new, &mut paths, &mut self.waiting)
    }
}

fn name(number: u32) -> String {
    format!("{number:040x}")
}

fn commit(number: u32, parents: &[u32], files: &[(&str, i64, i64)]) -> proto::GitCommit {
    let parents: String = parents
        .iter()
        .map(|&parent| format!("parent {}\n", name(parent)))
        .collect();
    let raw = format!(
        "tree {}\n{parents}author A <a@x> {number} +0100\ncommitter B <b@x> {number} -0800\n\n\
         subject {number} \n\nReviewer: C\n",
        name(99)
    );
    let file = |&(file, added, deleted): &(&str, i64, i64)| proto::GitDiffTreeFile {
        file: file.to_owned(),
        added,
        deleted,
        binary: false,
    };
    proto::GitCommit {
        sha1: name(number),
        raw: raw.into_bytes(),
        diff_tree: Some(proto::GitDiffTree {
            file: files.iter().map(file).collect(),
        }),
    }
}

fn get(commits: &Commits, number: u32) -> Option<Commit<'_>> {
    commits.get(Hash::parse(name(number)).unwrap())
}

#[test]
fn all_of_a_commit_can_be_asked_for() {
    let mut writer = Writer::default();
    let id = writer
        .add(&commit(7, &[5, 6], &[("b", 1, 2), ("a", -3, i64::MAX)]))
        .unwrap();
    assert_eq!(writer.add(&commit(7, &[], &[])), Ok(id), "known already");
    let commits = &writer.commits;
    let commit = commits.at(id).unwrap();
    assert_eq!((commits.len(), commits.missing()), (1, 2));
    assert_eq!(commit.name().to_string(), name(7));
    assert_eq!(commit.tree().to_string(), name(99));
    assert_eq!(commit.summary(), "subject 7");
    assert_eq!(commit.reviewer(), Some("C"));
    assert_eq!(
        (commit.author().name(), commit.author().email()),
        ("A", "a@x")
    );
    assert_eq!(
        (commit.committer().seconds, commit.committer().zone),
        (7, -28_800)
    );
    assert!(
        commit
            .parents()
            .map(|parent| parent.to_string())
            .eq([name(5), name(6)])
    );
    let files: Vec<_> = commit
        .files()
        .map(|file| (file.path, file.added, file.deleted))
        .collect();
    assert_eq!(files, [("a", 0, u32::MAX), ("b", 1, 2)]);
    assert!(get(commits, 5).is_none(), "only mentioned");
    assert_eq!(
        format!("{commit:?}"),
        format!("Commit({} \"subject 7\")", name(7))
    );
}

#[test]
fn parents_may_come_later_in_any_order() {
    // 1 <- 2 <- 3 <- 5 and 2 <- 4 <- 5, then a line on top.
    let parents = |number: u32| match number {
        1 => vec![],
        4 => vec![2],
        5 => vec![3, 4],
        number => vec![number - 1],
    };
    for order in [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [4, 1, 6, 3, 5, 2]] {
        let mut writer = Writer::default();
        for number in order {
            writer.add(&commit(number, &parents(number), &[])).unwrap();
        }
        let commits = &writer.commits;
        assert_eq!((commits.len(), commits.missing()), (6, 0));
        assert!(writer.waiting.is_empty(), "everybody is settled");
        for (commit, ancestor, expected) in [
            (6, 1, true),
            (5, 4, true),
            (5, 3, true),
            (4, 3, false),
            (3, 4, false),
            (1, 6, false),
            (4, 1, true),
            (5, 5, false),
        ] {
            let (commit, ancestor) = (
                get(commits, commit).unwrap(),
                get(commits, ancestor).unwrap(),
            );
            assert_eq!(
                commit.has_ancestor(&ancestor),
                expected,
                "{commit:?} {ancestor:?} {order:?}"
            );
        }
    }
}

#[test]
fn ancestry_is_told_where_history_has_holes() {
    let mut writer = Writer::default();
    for number in [3, 4, 5] {
        writer.add(&commit(number, &[number - 1], &[])).unwrap();
    }
    let commits = &writer.commits;
    let [three, five] = [3, 5].map(|number| get(commits, number).unwrap());
    assert!(five.has_ancestor(&three));
    assert!(!three.has_ancestor(&five));
}

#[test]
fn impossible_and_enormous_ancestries_are_survived() {
    // Nobody checks that a commit's name fits its content: these descend from themselves.
    let mut writer = Writer::default();
    for (number, parents) in [(1, vec![1]), (2, vec![3]), (3, vec![2]), (4, vec![3, 1])] {
        writer.add(&commit(number, &parents, &[])).unwrap();
    }
    let [one, two, four] = [1, 2, 4].map(|number| get(&writer.commits, number).unwrap());
    assert!(four.has_ancestor(&two));
    assert!(!two.has_ancestor(&four));
    assert!(!one.has_ancestor(&two));

    // More parents than time to look at each for each.
    let mut writer = Writer::default();
    let parents: Vec<u32> = (1..50_000).collect();
    writer.add(&commit(99_999, &parents, &[])).unwrap();
    for &parent in &parents {
        writer.add(&commit(parent, &[], &[])).unwrap();
    }
    let [child, last] = [99_999, 49_999].map(|number| get(&writer.commits, number).unwrap());
    assert!(child.has_ancestor(&last));
    assert!(writer.waiting.is_empty());
}

#[test]
fn what_is_no_commit_is_refused_and_changes_nothing() {
    let mut writer = Writer::default();
    let mut bad = commit(1, &[], &[]);
    bad.sha1 = "12".to_owned();
    assert_eq!(writer.add(&bad), Err(AddError::Name("12".to_owned())));
    bad.sha1 = name(1);
    bad.raw = b"tree".to_vec();
    let refused = writer.add(&bad).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("commit {} cannot be read", name(1))
    );
    assert_eq!((writer.commits.len(), writer.commits.missing()), (0, 0));
}

#[test]
fn versions_and_diff_stats() {
    let mut writer = Writer::default();
    writer.add(&commit(1, &[], &[("a", 1, 1)])).unwrap();
    let version = writer.commits.clone();
    writer.add(&commit(2, &[1], &[("a", 1, 1)])).unwrap();
    writer.add(&commit(3, &[2], &[("a", 1, 2)])).unwrap();
    assert_eq!(version.iter().count(), 1);
    let [one, two, three] = [1, 2, 3].map(|number| get(&writer.commits, number).unwrap());
    assert!(one.same_diff_stat(&two));
    assert!(!two.same_diff_stat(&three));
    assert!(get(&version, 2).is_none());
}
