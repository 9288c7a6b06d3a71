//! `/host/project/commit/HASH`.

use askama::Template;

use super::{
    Base,
    change::Link,
    error::Fault,
    links::Links,
    words::{self, href, time},
};
use crate::corpus::{Change, Commit, Hash, Project, Snapshot};

/// Files that are shown of one commit.
const FILES: usize = 2000;

#[derive(Template)]
#[template(path = "commit.html")]
pub(super) struct CommitPage {
    base: Base,
    project: String,
    project_url: String,
    name: String,
    title: String,
    author: String,
    author_when: String,
    committer: String,
    committer_when: String,
    parents: Vec<Parent>,
    refs: Vec<Link>,
    changes: Vec<Link>,
    message: String,
    files_heading: String,
    files: Vec<FileRow>,
}

struct Parent {
    url: String,
    short: String,
    summary: String,
}

pub(super) struct FileRow {
    pub(super) path: String,
    pub(super) added: u32,
    pub(super) deleted: u32,
    pub(super) binary: bool,
}

pub(super) fn page(
    snapshot: &Snapshot,
    project: Option<Project<'_>>,
    base: Base,
    name: &str,
) -> Result<CommitPage, Fault> {
    let commit = Hash::parse(name).and_then(|name| snapshot.commits().get(name));
    let commit = commit.ok_or_else(|| Fault::NotFound(format!("commit {name} is not known")))?;
    let parents = commit.parents().map(|parent| {
        let known = snapshot.commits().get(parent);
        Parent {
            url: known.map_or_else(String::new, |parent| url_of(snapshot, project, parent)),
            short: parent.to_string().chars().take(10).collect(),
            summary: known
                .map_or("(not known)", |parent| parent.summary())
                .to_owned(),
        }
    });
    let place = project.map_or("", Project::full_name);
    let refs = project.into_iter().flat_map(|project| project.refs());
    let refs = refs.filter(|at| at.commit == commit && at.name != "HEAD");
    let at = refs.map(|at| Link {
        url: href(&[place, "log", at.name]),
        title: at.name.to_owned(),
        state: "",
    });
    let links = Links::in_project(snapshot, project, [commit.message()]);
    let (files_heading, files) = files(commit);
    Ok(CommitPage {
        base: base.titled(match place {
            "" => commit.summary().to_owned(),
            place => format!("{} · {place}", commit.summary()),
        }),
        project: place.to_owned(),
        project_url: href(&[place]),
        name: commit.name().to_string(),
        title: links.prose(commit.summary()),
        author: commit.author().person.to_owned(),
        author_when: time(commit.author().seconds),
        committer: commit.committer().person.to_owned(),
        committer_when: time(commit.committer().seconds),
        parents: parents.collect(),
        refs: at.collect(),
        changes: snapshot
            .gerrit()
            .changes_of(commit)
            .filter(|change| !change.is_private())
            .map(Link::to_change)
            .collect(),
        message: links.prose(body(commit)),
        files_heading,
        files,
    })
}

/// What a commit's message says behind its first line, which is the page's title.
pub(super) fn body(commit: Commit<'_>) -> &str {
    let rest = commit.message().split_once('\n');
    rest.map_or("", |(_, rest)| rest.trim_start_matches('\n').trim_end())
}

/// Where a commit's page is. Each commit is kept once, whatever projects have it: preferred are the given one, and one
/// with a change for it; any other shows it as well.
pub(super) fn url_of(
    snapshot: &Snapshot,
    project: Option<Project<'_>>,
    commit: Commit<'_>,
) -> String {
    let gerrit = snapshot.gerrit();
    let of_change = || {
        let mut changes = gerrit.changes_of(commit);
        let change = changes.find(|change| !change.is_private());
        change.map(Change::project)
    };
    let project = project.or_else(of_change);
    let project = project.or_else(|| gerrit.projects().next());
    let name = commit.name().to_string();
    match project {
        Some(project) => href(&[project.full_name(), "commit", &name]),
        None => href(&["-/commit", &name]),
    }
}

/// Whether a commit is known from private changes only.
pub(super) fn is_private(snapshot: &Snapshot, commit: Commit<'_>) -> bool {
    let mut changes = snapshot.gerrit().changes_of(commit).peekable();
    changes.peek().is_some() && changes.all(Change::is_private)
}

/// The files of a commit, and how many there are in words.
pub(super) fn files(commit: Commit<'_>) -> (String, Vec<FileRow>) {
    let (mut number, mut added, mut deleted) = (0, 0_u64, 0_u64);
    let mut rows = Vec::new();
    for file in commit.files() {
        number += 1;
        added += u64::from(file.added);
        deleted += u64::from(file.deleted);
        if rows.len() < FILES {
            rows.push(FileRow {
                path: file.path.to_owned(),
                added: file.added,
                deleted: file.deleted,
                binary: file.binary,
            });
        }
    }
    let heading = match (number, commit.parents().count()) {
        (0, 2..) => "A merge: the log has no list of its files".to_owned(),
        (0, _) => "No files".to_owned(),
        (FILES.., _) if number > FILES => {
            format!("{number} files, +{added} −{deleted}; the first {FILES}:")
        }
        _ => format!(
            "{}, +{added} −{deleted}",
            words::count(number, "file", "files")
        ),
    };
    (heading, rows)
}
