//! What a repository's refs are, and what the corpus has of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Progress, SyncError, process::Git};
use crate::corpus::{Hash, Snapshot};

/// The refs that are mirrored.
const PATTERNS: [&str; 4] = ["refs/heads", "refs/tags", "refs/remotes", "refs/changes"];

/// Refs by name, with the commits they are on.
#[derive(Debug, Default)]
pub(super) struct Refs(pub(super) BTreeMap<String, Hash>);

impl Refs {
    pub(super) async fn read(git: &Git, progress: &Progress) -> Result<Self, SyncError> {
        let format = "--format=%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname) %(symref)";
        let mut args = vec!["for-each-ref", format];
        args.extend(PATTERNS);
        let listed = git.run(&args, Vec::new()).await?;
        let mut refs = Self::default();
        for line in listed.split(|&byte| byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            match read_line(line) {
                Line::Ref(name, hash) => {
                    refs.0.insert(name, hash);
                }
                Line::Symbolic => {}
                Line::Unfit => {
                    let line = String::from_utf8_lossy(line);
                    progress.skip(format!(
                        "ref that is on no commit, or is not named in UTF-8: {line}"
                    ));
                }
            }
        }
        // Of a repository without commits there is none.
        let head = git
            .command(&["rev-parse", "--quiet", "--verify", "HEAD^{commit}"])
            .output();
        let head = head
            .await
            .map_err(SyncError::io("cannot run git rev-parse"))?;
        if let Ok(hash) = std::str::from_utf8(&head.stdout)
            && let Some(hash) = Hash::parse(hash.trim_end())
        {
            refs.0.insert("HEAD".to_owned(), hash);
        }
        Ok(refs)
    }

    /// What differs from what is known: refs that are new or elsewhere, and names of those that are
    /// gone. Refs to commits that are not in the corpus are left out.
    pub(super) fn against(
        &self,
        known: &BTreeMap<String, Hash>,
        snapshot: &Snapshot,
    ) -> (Vec<(String, Hash)>, Vec<String>) {
        let is_new = |(name, hash): &(&String, &Hash)| {
            known.get(*name) != Some(*hash) && snapshot.commits().get(**hash).is_some()
        };
        let changed = self.0.iter().filter(is_new);
        let changed = changed.map(|(name, hash)| (name.clone(), *hash)).collect();
        let gone = known.keys().filter(|name| {
            // Readers never forget changes under review.
            !self.0.contains_key(*name) && !name.starts_with("refs/changes/")
        });
        (changed, gone.cloned().collect())
    }

    /// The commits that refs are on, each once.
    pub(super) fn tips(&self) -> BTreeSet<Hash> {
        self.0.values().copied().collect()
    }
}

/// What a corpus knows of a project's refs.
pub(super) fn known(snapshot: &Snapshot, project: &str) -> BTreeMap<String, Hash> {
    let Some((server, name)) = project.split_once('/') else {
        return BTreeMap::new();
    };
    let Some(project) = snapshot.gerrit().project(server, name) else {
        return BTreeMap::new();
    };
    let mut known: BTreeMap<String, Hash> = project
        .refs()
        .map(|found| (found.name.to_owned(), found.commit.name()))
        .collect();
    for change in project.cls() {
        let number = change.number();
        let prefix = format!("refs/changes/{:02}/{number}", number % 100);
        known.insert(format!("{prefix}/meta"), change.meta().commit().name());
        for set in change.patch_sets() {
            known.insert(format!("{prefix}/{}", set.version), set.commit.name());
        }
    }
    known
}

enum Line {
    Ref(String, Hash),
    /// Stands for another ref, which is listed as well.
    Symbolic,
    Unfit,
}

fn read_line(line: &[u8]) -> Line {
    let Ok(line) = std::str::from_utf8(line) else {
        return Line::Unfit;
    };
    let fields: Vec<&str> = line.split(' ').collect();
    let [kind, object, peeled_kind, peeled, name, symbolic] = fields[..] else {
        return Line::Unfit;
    };
    if !symbolic.is_empty() {
        return Line::Symbolic;
    }
    let commit = match (kind, peeled_kind) {
        ("commit", _) => object,
        ("tag", "commit") => peeled,
        _ => return Line::Unfit,
    };
    Hash::parse(commit).map_or(Line::Unfit, |hash| Line::Ref(name.to_owned(), hash))
}
