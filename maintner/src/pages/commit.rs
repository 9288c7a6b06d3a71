//! `/host/project/commit/HASH`.

use askama::Template;

use super::{
    Base,
    change::Link,
    error::Fault,
    github::url_of,
    words::{self, href, prose, time},
};
use crate::corpus::{Commit, Hash, Project, Snapshot};

/// Files that are shown of one commit.
const FILES: usize = 2000;

#[derive(Template)]
#[template(path = "commit.html")]
pub(super) struct CommitPage {
    base: Base,
    project: String,
    project_url: String,
    name: String,
    summary: String,
    author: String,
    author_when: String,
    committer: String,
    committer_when: String,
    parents: Vec<Parent>,
    refs: Vec<String>,
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
    project: Project<'_>,
    base: Base,
    name: &str,
) -> Result<CommitPage, Fault> {
    let commit = Hash::parse(name).and_then(|name| project.commit(name));
    let commit = commit.ok_or_else(|| Fault::NotFound(format!("commit {name} is not known")))?;
    let url = href(&[project.full_name()]);
    let parents = commit.parents().map(|parent| {
        let name = parent.to_string();
        let known = project.commit(parent);
        Parent {
            url: format!("{url}/commit/{name}"),
            short: name.chars().take(10).collect(),
            summary: known
                .map_or("(not known)", |parent| parent.summary())
                .to_owned(),
        }
    });
    let at = project
        .refs()
        .filter(|at| at.commit == commit && at.name != "HEAD");
    let (files_heading, files) = files(commit);
    Ok(CommitPage {
        base: base.titled(format!("{} · {}", commit.summary(), project.full_name())),
        project: project.full_name().to_owned(),
        project_url: url.clone(),
        name: commit.name().to_string(),
        summary: commit.summary().to_owned(),
        author: commit.author().person.to_owned(),
        author_when: time(commit.author().seconds),
        committer: commit.committer().person.to_owned(),
        committer_when: time(commit.committer().seconds),
        parents: parents.collect(),
        refs: at.map(|at| at.name.to_owned()).collect(),
        changes: snapshot
            .gerrit()
            .changes_of(commit)
            .map(Link::to_change)
            .collect(),
        message: prose(commit.message().trim_end(), &issues(snapshot, project)),
        files_heading,
        files,
    })
}

/// Where the issues are that a bare number in a project's texts means.
pub(super) fn issues<'s>(
    snapshot: &'s Snapshot,
    project: Project<'s>,
) -> impl Fn(i32) -> Option<String> + use<'s> {
    let repo = project.issues();
    let repo = repo.and_then(|(owner, name)| snapshot.github().repo(owner, name));
    move |number| repo?.issue(number).map(url_of)
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
