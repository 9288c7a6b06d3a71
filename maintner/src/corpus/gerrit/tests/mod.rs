mod changes;
mod hostile;
mod metas;
mod refs;
mod votes;

use bytes::Bytes;
use prost::Message as _;

use super::*;
use crate::{
    corpus::{Hash, Options, Problem, Snapshot, Status, Writer},
    proto::{GerritMutation, GitCommit, GitDiffTree, GitDiffTreeFile, GitRef, Mutation},
    reclog::Header,
};

const PROJECT: &str = "go.googlesource.com/go";
const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// The message of a change's first meta commit.
const CREATE: &str = "Create\n\nPatch-set: 1\nBranch: refs/heads/master\nStatus: new\n";

/// A log that is written and read bit by bit.
struct Log {
    writer: Writer,
    written: u64,
    project: &'static str,
}

impl Log {
    fn new() -> Self {
        Self::with(Compat::Right)
    }

    fn with(compat: Compat) -> Self {
        Self {
            writer: Writer::with_options(Options { compat, threads: 1 }),
            written: 0,
            project: PROJECT,
        }
    }

    fn write(&mut self, mutation: GerritMutation) {
        let mutation = Mutation {
            gerrit: Some(GerritMutation {
                project: self.project.to_owned(),
                ..mutation
            }),
            ..Default::default()
        };
        let payload = mutation.encode_to_vec();
        let mut record = Header::new(self.written, payload.len() as u64).to_vec();
        record.extend(payload);
        let bytes = Bytes::from(record);
        self.writer.apply(0, self.written, &bytes).unwrap();
        self.written += bytes.len() as u64;
    }

    fn commit(&mut self, commit: GitCommit) {
        self.write(GerritMutation {
            commits: vec![commit],
            ..Default::default()
        });
    }

    fn set(&mut self, reference: &str, commit: u32) {
        let reference = GitRef {
            r#ref: reference.to_owned(),
            sha1: name(commit),
        };
        self.write(GerritMutation {
            refs: vec![reference],
            ..Default::default()
        });
    }

    /// Meta commits one behind the other, the first of number `first`, and the ref to the last.
    fn metas(&mut self, change: i32, first: u32, messages: &[&str]) {
        for (number, message) in (first..).zip(messages) {
            let parents = if number == first {
                vec![]
            } else {
                vec![number - 1]
            };
            self.commit(commit(number, &parents, message));
        }
        self.set(&meta_ref(change), first + messages.len() as u32 - 1);
    }

    /// A change of one patch set.
    fn change(&mut self, change: i32, patch_set: u32, message: &str) {
        self.commit(commit(patch_set, &[], message));
        self.set(&patch_set_ref(change, 1), patch_set);
        self.metas(change, patch_set + 1, &[CREATE]);
    }

    fn snapshot(&mut self) -> Snapshot {
        self.writer.publish()
    }
}

fn name(number: u32) -> String {
    format!("{number:040x}")
}

fn meta_ref(change: i32) -> String {
    format!("refs/changes/{:02}/{change}/meta", change % 100)
}

fn patch_set_ref(change: i32, version: i32) -> String {
    format!("refs/changes/{:02}/{change}/{version}", change % 100)
}

fn commit(number: u32, parents: &[u32], message: &str) -> GitCommit {
    let parents: String = parents
        .iter()
        .map(|&parent| format!("parent {}\n", name(parent)))
        .collect();
    let raw = format!(
        "tree {TREE}\n{parents}author Gerrit User 5 <5@server> {number} +0100\n\
         committer Gerrit Code Review <noreply@x> {number} +0000\n\n{message}"
    );
    GitCommit {
        sha1: name(number),
        raw: raw.into_bytes(),
        diff_tree: None,
    }
}

fn with_files(mut commit: GitCommit, files: &[(&str, i64)]) -> GitCommit {
    let file = |&(file, added): &(&str, i64)| GitDiffTreeFile {
        file: file.to_owned(),
        added,
        ..Default::default()
    };
    let file = files.iter().map(file).collect();
    commit.diff_tree = Some(GitDiffTree { file });
    commit
}

fn hash(number: u32) -> Hash {
    Hash::parse(name(number)).unwrap()
}

fn project(snapshot: &Snapshot) -> Project<'_> {
    snapshot
        .gerrit()
        .project("go.googlesource.com", "go")
        .unwrap()
}

fn cl(snapshot: &Snapshot, number: i32) -> Option<Change<'_>> {
    snapshot
        .gerrit()
        .project("go.googlesource.com", "go")?
        .cl(number)
}

fn numbers<'a>(changes: impl Iterator<Item = Change<'a>>) -> Vec<i32> {
    changes.map(|change| change.number()).collect()
}
