//! `/host/project` and `/host/project/log/REF`.

use std::collections::{BinaryHeap, HashMap, HashSet};

use askama::Template;

use super::{
    Base,
    change::state_of,
    error::Fault,
    words::{Part, href, pager, time},
};
use crate::corpus::{Commit, Commits, Project, Snapshot};

/// Commits on a page of their own, and on that of a project.
const PAGE: usize = 100;
const FEW: usize = 15;

/// Changes on a page.
const CHANGES: usize = 50;

/// Branches, and tags, that are shown.
const REFS: usize = 200;

/// How far back one can leaf: the way there is walked each time.
const MAX_FROM: usize = 200_000;

#[derive(Template)]
#[template(path = "project.html")]
pub(super) struct ProjectPage {
    base: Base,
    name: String,
    head: Option<Head>,
    changes_heading: &'static str,
    changes: Vec<ChangeRow>,
    pager: String,
    branches: Vec<RefRow>,
    tags: Vec<RefRow>,
    left_out: usize,
}

/// The newest commits of the branch that people mean when they name none.
pub(super) struct Head {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) table: String,
}

impl Head {
    pub(super) fn of(snapshot: &Snapshot, project: Project<'_>) -> Result<Option<Self>, Fault> {
        let Some((name, tip)) = head(project) else {
            return Ok(None);
        };
        let (commits, _) = walk(snapshot.commits(), tip, 0, FEW);
        Ok(Some(Self {
            name: short(name).to_owned(),
            url: href(&[project.full_name(), "log", name]),
            table: table(project, &commits).render()?,
        }))
    }
}

struct ChangeRow {
    url: String,
    number: i32,
    title: String,
    state: &'static str,
    owner: String,
    branch: String,
    updated: String,
}

struct RefRow {
    url: String,
    name: String,
    summary: String,
    when: String,
    at: i64,
}

pub(super) fn page(
    snapshot: &Snapshot,
    project: Project<'_>,
    base: Base,
    params: &HashMap<String, String>,
) -> Result<ProjectPage, Fault> {
    let from = super::from(params);
    let url = href(&[project.full_name()]);
    // Open ones first; of a project without any, all.
    let has_open = project.open_cls().next().is_some();
    let mut changes: Vec<_> = if has_open {
        project.open_cls().collect()
    } else {
        project
            .cls()
            .filter(|change| !change.is_private())
            .collect()
    };
    changes.reverse();
    let rows = changes
        .iter()
        .skip(from)
        .take(CHANGES)
        .map(|change| ChangeRow {
            url: href(&[project.full_name(), &change.number().to_string()]),
            number: change.number(),
            title: change.subject().into_owned(),
            state: state_of(*change),
            owner: crate::parse::person::name(change.owner_person()).to_owned(),
            branch: change.branch().to_owned(),
            updated: time(change.updated().seconds()),
        });
    let (mut branches, mut tags) = (Vec::new(), Vec::new());
    for found in project.refs() {
        let row = |name: &str| RefRow {
            url: href(&[project.full_name(), "log", found.name]),
            name: name.to_owned(),
            summary: found.commit.summary().to_owned(),
            when: time(found.commit.committer().seconds),
            at: found.commit.committer().seconds,
        };
        if let Some(tag) = found.name.strip_prefix("refs/tags/") {
            tags.push(row(tag));
        } else if found.name != "HEAD" {
            let short = found.name.strip_prefix("refs/heads/");
            branches.push(row(short
                .or_else(|| found.name.strip_prefix("refs/remotes/"))
                .unwrap_or(found.name)));
        }
    }
    let mut left_out = 0;
    for rows in [&mut branches, &mut tags] {
        rows.sort_by_key(|row| std::cmp::Reverse(row.at));
        left_out += rows.len().saturating_sub(REFS);
        rows.truncate(REFS);
    }
    Ok(ProjectPage {
        base: base.titled(project.full_name()),
        name: project.full_name().to_owned(),
        head: Head::of(snapshot, project)?,
        changes_heading: if has_open { "Open changes" } else { "Changes" },
        changes: rows.collect(),
        pager: pager(
            &format!("{url}?"),
            &Part {
                from,
                size: CHANGES,
                shown: changes.len().saturating_sub(from).min(CHANGES),
                of: Some(changes.len()),
                more: changes.len() > from + CHANGES,
            },
        ),
        branches,
        tags,
        left_out,
    })
}

fn head(project: Project<'_>) -> Option<(&str, Commit<'_>)> {
    let head = project.reference("HEAD");
    let mut branches = project
        .refs()
        .filter(|found| found.name.starts_with("refs/heads/"));
    // The one that is checked out, if it says so.
    if let Some(head) = head {
        let is_at_head = |name: &&str| project.reference(name) == Some(head);
        let usual = ["refs/heads/main", "refs/heads/master"];
        let name = usual.into_iter().find(is_at_head);
        let any = || {
            branches
                .find(|found| found.commit == head)
                .map(|found| found.name)
        };
        return Some((name.or_else(any).unwrap_or("HEAD"), head));
    }
    let usual = ["refs/heads/main", "refs/heads/master"];
    let usual = usual
        .into_iter()
        .find_map(|name| Some((name, project.reference(name)?)));
    usual.or_else(|| branches.next().map(|found| (found.name, found.commit)))
}

fn short(name: &str) -> &str {
    let prefixes = ["refs/heads/", "refs/tags/", "refs/remotes/"];
    prefixes
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

#[derive(Template)]
#[template(path = "log.html")]
pub(super) struct LogPage {
    base: Base,
    project: String,
    project_url: String,
    name: String,
    table: String,
    pager: String,
}

pub(super) fn log(
    snapshot: &Snapshot,
    project: Project<'_>,
    base: Base,
    name: &str,
    params: &HashMap<String, String>,
) -> Result<LogPage, Fault> {
    let from = super::from(params).min(MAX_FROM);
    let names = [
        name.to_owned(),
        format!("refs/heads/{name}"),
        format!("refs/tags/{name}"),
    ];
    let tip = names.iter().find_map(|name| project.reference(name));
    let tip =
        tip.ok_or_else(|| Fault::NotFound(format!("{} has no ref {name}", project.full_name())))?;
    let (commits, more) = walk(snapshot.commits(), tip, from, PAGE);
    let url = href(&[project.full_name(), "log", name]);
    Ok(LogPage {
        base: base.titled(format!("{} · {}", short(name), project.full_name())),
        project: project.full_name().to_owned(),
        project_url: href(&[project.full_name()]),
        name: short(name).to_owned(),
        table: table(project, &commits).render()?,
        pager: pager(
            &format!("{url}?"),
            &Part {
                from,
                size: PAGE,
                shown: commits.len(),
                of: None,
                more,
            },
        ),
    })
}

/// The commits that can be reached from `tip`, newest first: `count` of them after the first `skip`,
/// and whether there are more.
fn walk<'s>(
    all: &'s Commits,
    tip: Commit<'s>,
    skip: usize,
    count: usize,
) -> (Vec<Commit<'s>>, bool) {
    let mut queue = BinaryHeap::from([(tip.committer().seconds, tip.id())]);
    let mut seen = HashSet::from([tip.id()]);
    let mut commits = Vec::new();
    let mut walked = 0;
    while let Some((_, id)) = queue.pop() {
        if commits.len() == count {
            return (commits, true);
        }
        let Some(commit) = all.at(id) else { continue };
        if walked >= skip {
            commits.push(commit);
        }
        walked += 1;
        for parent in commit.parents() {
            if let Some(parent) = all.get(parent)
                && seen.insert(parent.id())
            {
                queue.push((parent.committer().seconds, parent.id()));
            }
        }
    }
    (commits, false)
}

#[derive(Template)]
#[template(path = "commits.html")]
struct Table {
    commits: Vec<CommitRow>,
}

struct CommitRow {
    url: String,
    short: String,
    summary: String,
    author: String,
    when: String,
}

fn table(project: Project<'_>, commits: &[Commit<'_>]) -> Table {
    let row = |commit: &Commit<'_>| {
        let name = commit.name().to_string();
        CommitRow {
            url: href(&[project.full_name(), "commit", &name]),
            short: name.chars().take(10).collect(),
            summary: commit.summary().to_owned(),
            author: commit.author().name().to_owned(),
            when: time(commit.committer().seconds),
        }
    };
    Table {
        commits: commits.iter().map(row).collect(),
    }
}
