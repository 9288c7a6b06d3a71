//! The plain way to do what [`corpus`](crate::corpus) does.
//!
//! Owned structs and maps; every change is worked out anew from the beginning. Slow and short, and
//! written from the description of the original, not from the corpus: where the two differ, one of
//! them is wrong.

mod gerrit;
mod git;
mod github;
mod meta;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::proto::Mutation;

/// What a log says, told by the simplest program that can tell it.
///
/// ```
/// use maintner::testing::{History, Model};
///
/// let mut model = Model::new();
/// for mutation in History::new(1).take(500) {
///     model.apply(&mutation);
/// }
/// assert!(model.dump()["commits"]["known"].as_u64() > Some(100));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Model {
    github: github::GitHub,
    git: git::Git,
    gerrit: BTreeMap<String, gerrit::Project>,
    as_original: bool,
}

impl Model {
    /// Knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows nothing, and reads changes as the original does where people compare the two: the
    /// newest patch set is the one told last, private once is private for ever, and a line `Status:`
    /// anywhere in a message counts.
    pub fn as_original() -> Self {
        Self {
            as_original: true,
            ..Self::default()
        }
    }

    /// Something happened.
    pub fn apply(&mut self, mutation: &Mutation) {
        if let Some(issue) = &mutation.github_issue {
            self.github.apply_issue(issue);
        }
        if let Some(commit) = mutation.git.as_ref().and_then(|git| git.commit.as_ref()) {
            self.git.add(commit);
        }
        if let Some(github) = &mutation.github {
            self.github.apply(github);
        }
        if let Some(gerrit) = &mutation.gerrit {
            gerrit
                .commits
                .iter()
                .for_each(|commit| self.git.add(commit));
            self.finish();
            if !gerrit.project.is_empty() {
                let project = self.gerrit.entry(gerrit.project.clone()).or_default();
                project.apply(gerrit, &self.git, self.as_original);
            }
        }
        self.finish();
    }

    /// Commits may be what changes waited for.
    fn finish(&mut self) {
        for project in self.gerrit.values_mut() {
            project.finish(&self.git, self.as_original);
        }
    }

    /// All of it, in the form of [`dump`](super::dump()).
    pub fn dump(&self) -> Value {
        let projects = self.gerrit.iter();
        json!({
            "github": self.github.dump(),
            "commits": self.git.dump(),
            "gerrit": projects.map(|(name, project)| project.dump(name, &self.git)).collect::<Vec<_>>(),
        })
    }
}
