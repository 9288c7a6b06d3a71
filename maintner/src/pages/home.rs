//! `/`: all repositories and projects.

use askama::Template;

use super::{
    Base,
    error::Fault,
    project::Head,
    search::{self, Row},
    words::{self, href, time},
};
use crate::corpus::Snapshot;

/// Issues and changes that are shown of those that changed last.
const NEWEST: usize = 12;

#[derive(Template)]
#[template(path = "home.html")]
pub(super) struct Home {
    base: Base,
    repos: Vec<RepoRow>,
    projects: Vec<ProjectRow>,
    hits: Vec<Row>,
    commits: String,
    bytes: String,
    log: bool,
    /// The newest commits, of a lone project without anything else.
    head: Option<Head>,
}

struct RepoRow {
    url: String,
    name: String,
    open: usize,
    issues: usize,
    open_pulls: usize,
}

struct ProjectRow {
    url: String,
    name: String,
    refs: usize,
    open: usize,
    changes: usize,
    newest: String,
}

pub(super) fn page(snapshot: &Snapshot, base: Base) -> Result<Home, Fault> {
    let repos = snapshot.github().repos().map(|repo| {
        let mut row = RepoRow {
            url: href(&[repo.owner(), repo.name()]),
            name: repo.to_string(),
            open: 0,
            issues: 0,
            open_pulls: 0,
        };
        for issue in repo.issues().filter(|issue| !issue.not_exist()) {
            if issue.is_pull_request() {
                row.open_pulls += usize::from(issue.is_open());
            } else {
                row.issues += 1;
                row.open += usize::from(issue.is_open());
            }
        }
        row
    });
    let projects = snapshot.gerrit().projects().map(|project| {
        let newest = project.refs().map(|at| at.commit.committer().seconds).max();
        let changes = project.cls_unsorted().filter(|change| !change.is_private());
        ProjectRow {
            url: href(&[project.full_name()]),
            name: project.full_name().to_owned(),
            refs: project.refs().count(),
            open: project.open_cls().count(),
            changes: changes.count(),
            newest: newest.map_or_else(String::new, time),
        }
    });
    let hits = search::newest(snapshot, NEWEST);
    let mut all = snapshot.gerrit().projects();
    let head = match (all.next(), all.next()) {
        (Some(lone), None) if hits.is_empty() => Head::of(snapshot, lone)?,
        _ => None,
    };
    Ok(Home {
        head,
        log: base.log,
        repos: repos.collect(),
        projects: projects.collect(),
        hits,
        commits: words::count(snapshot.commits().len(), "commit", "commits"),
        bytes: words::grouped(snapshot.log_bytes()),
        base,
    })
}
