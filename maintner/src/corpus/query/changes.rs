//! Questions about changes on Gerrit.

use super::is_in;
use crate::{
    corpus::{
        Change, Snapshot, Status,
        github::{Range, contains},
    },
    parse::person,
};

/// Something that has to be so, or must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChangeTerm {
    pub(super) not: bool,
    pub(super) test: ChangeTest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChangeTest {
    Open,
    Status(Status),
    Private,
    InProgress,
    /// Of any of these projects.
    Project(Vec<String>),
    Branch(String),
    Hashtag(String),
    Topic(String),
    Owner(String),
    File(String),
    Mentions(String, String, i32),
    Created(Range),
    Updated(Range),
    Text(String),
}

impl ChangeTest {
    fn holds(&self, change: Change<'_>) -> bool {
        match self {
            Self::Open => change.is_open(),
            Self::Status(status) => change.status() == *status,
            Self::Private => change.is_private(),
            Self::InProgress => change.work_in_progress(),
            Self::Project(names) => names.iter().any(|name| {
                let project = change.project();
                project.full_name() == name || project.name() == name
            }),
            Self::Branch(name) => change.branch() == name,
            Self::Hashtag(name) => change.hashtags().contains(name),
            Self::Topic(name) => change.topic() == name,
            Self::Owner(text) => {
                let owner = change.owner_person();
                contains(person::name(owner), text) || contains(person::email(owner), text)
            }
            Self::File(path) => change.commit().files().any(|file| is_at(file.path, path)),
            Self::Mentions(owner, repo, number) => change.mentions(owner, repo, *number),
            Self::Created(range) => is_in(*range, change.created()),
            Self::Updated(range) => is_in(*range, change.updated()),
            Self::Text(text) => contains(change.commit().message(), text),
        }
    }
}

/// Whether a path is the one that is asked for, or below it.
fn is_at(path: &str, asked: &str) -> bool {
    path == asked || asked.ends_with('/') && path.starts_with(asked)
}

/// The changes for which all of it holds, by project and number.
pub(super) fn find<'s>(terms: &[ChangeTerm], snapshot: &'s Snapshot) -> Vec<Change<'s>> {
    let gerrit = snapshot.gerrit();
    let holds = |change: &Change<'s>| {
        terms
            .iter()
            .all(|term| term.test.holds(*change) != term.not)
    };
    // What is indexed is asked for first.
    let needed = terms.iter().filter(|term| !term.not);
    let listed: Option<Vec<Change<'s>>> = needed
        .filter_map(|term| match &term.test {
            ChangeTest::File(path) if !path.ends_with('/') => {
                Some(gerrit.changes_touching(path).filter(holds).collect())
            }
            ChangeTest::Mentions(owner, repo, number) => {
                let changes = gerrit.changes_mentioning(owner, repo, *number);
                Some(changes.filter(holds).collect())
            }
            _ => None,
        })
        .next();
    listed.unwrap_or_else(|| {
        let projects = gerrit.projects();
        projects
            .flat_map(|project| project.cls().filter(holds))
            .collect()
    })
}
