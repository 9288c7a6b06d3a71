//! Somebody's text as HTML, with links to what it names.

use std::{collections::HashMap, fmt::Write};

use super::{
    change::Link,
    commit, github,
    names::{Name, go, names},
    words::escape,
};
use crate::corpus::{Change, Commit, Hash, Issue, Project, Repo, Snapshot};

/// Names in one text that are looked up; those behind stay text.
const MOST: usize = 10_000;

/// Digits that are shown of a commit's name.
const SHORT: usize = 10;

/// Where Go's reviews are.
const GO_SERVER: &str = "go.googlesource.com";

/// What names in the texts of a page lead to. Only to what is there.
pub(super) struct Links<'s> {
    snapshot: &'s Snapshot,
    /// Whose issues bare numbers mean.
    repo: Option<Repo<'s>>,
    project: Option<Project<'s>>,
    projects: Vec<Project<'s>>,
    /// Commits by what the texts call them; none if several could be meant.
    commits: HashMap<String, Option<Commit<'s>>>,
}

/// What a name leads to.
struct Target {
    url: String,
    title: String,
}

impl<'s> Links<'s> {
    /// For the texts of a repository's page.
    pub(super) fn in_repo<'t>(
        snapshot: &'s Snapshot,
        repo: Repo<'s>,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        let is_its = |project: &Project<'s>| {
            project.issues().is_some_and(|(owner, name)| {
                repo.owner().eq_ignore_ascii_case(owner) && repo.name().eq_ignore_ascii_case(name)
            })
        };
        let project = snapshot.gerrit().projects().find(is_its);
        Self::new(snapshot, Some(repo), project, texts)
    }

    /// For the texts of a project's page, or of that of a commit of none.
    pub(super) fn in_project<'t>(
        snapshot: &'s Snapshot,
        project: Option<Project<'s>>,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        let issues = project.and_then(Project::issues);
        let repo = issues.and_then(|(owner, name)| snapshot.github().repo(owner, name));
        Self::new(snapshot, repo, project, texts)
    }

    fn new<'t>(
        snapshot: &'s Snapshot,
        repo: Option<Repo<'s>>,
        project: Option<Project<'s>>,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        let named = texts.into_iter().flat_map(|text| names(text).take(MOST));
        let digits = named.filter_map(|(_, name)| match name {
            Name::Commit(digits) => Some(digits),
            _ => None,
        });
        Self {
            snapshot,
            repo,
            project,
            projects: snapshot.gerrit().projects().collect(),
            commits: named_so(snapshot, digits),
        }
    }

    /// A text as HTML.
    pub(super) fn prose(&self, text: &str) -> String {
        let mut html = String::with_capacity(text.len() + 64);
        let mut done = 0;
        for (range, name) in names(text).take(MOST) {
            let shown = match name {
                // The rest of a whole name tells nobody anything.
                Name::Commit(digits) if digits.len() == 40 => &digits[..SHORT],
                _ => &text[range.clone()],
            };
            let (address, more) = match (self.find(name), name) {
                (Some(Target { url, title }), _) => (url, format!("title=\"{}\"", escape(&title))),
                (None, Name::Address(address)) => {
                    (address.to_owned(), "rel=\"noreferrer nofollow\"".to_owned())
                }
                (None, _) => continue,
            };
            let (before, address) = (escape(&text[done..range.start]), escape(&address));
            let _ = write!(
                html,
                "{before}<a href=\"{address}\" {more}>{}</a>",
                escape(shown)
            );
            done = range.end;
        }
        html.push_str(&escape(&text[done..]));
        html
    }

    fn find(&self, name: Name<'_>) -> Option<Target> {
        match name {
            Name::Address(address) => self.known_address(address),
            Name::Issue(None, number) => to_issue(self.repo?, number),
            Name::Issue(Some((owner, repo)), number) => {
                to_issue(self.snapshot.github().repo(owner, repo)?, number)
            }
            Name::GoIssue(number) => to_issue(self.snapshot.github().repo("golang", "go")?, number),
            Name::GoChange(number) => self.change(Some(GO_SERVER), number).map(to_change),
            Name::Change(number) => {
                let server = self.project.map(Project::server);
                self.change(server, number).map(to_change)
            }
            Name::Commit(digits) => {
                let commit = (*self.commits.get(digits)?)?;
                Some(Target {
                    url: commit::url_of(self.snapshot, self.project, commit),
                    title: commit.summary().to_owned(),
                })
            }
        }
    }

    /// The change of a number on a server; on any, if only one has it.
    fn change(&self, server: Option<&str>, number: i32) -> Option<Change<'s>> {
        let mut found = self
            .projects
            .iter()
            .filter(|project| server.is_none_or(|server| project.server() == server))
            .filter_map(|project| project.cl(number))
            .filter(|change| !change.is_private());
        let change = found.next();
        change.filter(|_| server.is_some() || found.next().is_none())
    }

    /// What the corpus has of an address: an issue on GitHub, a comment there, a change on Gerrit.
    fn known_address(&self, address: &str) -> Option<Target> {
        let (_, address) = address.split_once("://")?;
        if let Some((len, name)) = go(address) {
            return self.find(name).filter(|_| len == address.len());
        }
        if let Some(path) = address.strip_prefix("github.com/") {
            let (path, part) = path.split_once('#').unwrap_or((path, ""));
            let [owner, name, "issues" | "pull", number] = path.split('/').collect::<Vec<_>>()[..]
            else {
                return None;
            };
            let repo = self.snapshot.github().repo(owner, name)?;
            let mut target = to_issue(repo, number.parse().ok()?)?;
            if !part.is_empty() {
                let id: i64 = part.strip_prefix("issuecomment-")?.parse().ok()?;
                let _ = write!(target.url, "#comment-{id}");
            }
            return Some(target);
        }
        let (host, path) = address.split_once('/')?;
        let server = format!(
            "{}.googlesource.com",
            host.strip_suffix("-review.googlesource.com")?
        );
        let path = path.trim_start_matches("#/").trim_end_matches('/');
        let path = path.strip_prefix("c/").unwrap_or(path);
        // `123`, or `project/+/123`.
        let (project, number) = match path.rsplit_once("/+/") {
            Some((project, number)) => (Some(project), number),
            None => (None, path),
        };
        let change = self.change(Some(&server), number.parse().ok()?)?;
        let is_it = project.is_none_or(|project| project == change.project().name());
        is_it.then(|| to_change(change))
    }
}

/// The commits that are called so: found with one look at all commits, if names are short.
fn named_so<'s, 't>(
    snapshot: &'s Snapshot,
    digits: impl Iterator<Item = &'t str>,
) -> HashMap<String, Option<Commit<'s>>> {
    let mut found = HashMap::new();
    let mut short: Vec<&str> = Vec::new();
    for digits in digits {
        match Hash::parse(digits) {
            Some(name) => {
                found.insert(digits.to_owned(), snapshot.commits().get(name));
            }
            None => short.push(digits),
        }
    }
    if short.is_empty() {
        return found;
    }
    short.sort_unstable();
    short.dedup();
    // By their first 7 digits, which all of them have.
    let mut begin: HashMap<u32, Vec<&str>> = HashMap::new();
    for digits in short {
        if let Ok(first) = u32::from_str_radix(&digits[..7], 16) {
            begin.entry(first).or_default().push(digits);
        }
    }
    for commit in snapshot.commits().iter() {
        let [a, b, c, d, ..] = commit.name().0;
        let Some(digits) = begin.get(&(u32::from_be_bytes([a, b, c, d]) >> 4)) else {
            continue;
        };
        let name = commit.name().to_string();
        for digits in digits.iter().filter(|digits| name.starts_with(*digits)) {
            let meant = found.entry((*digits).to_owned());
            meant
                .and_modify(|commit| *commit = None)
                .or_insert(Some(commit));
        }
    }
    found
}

fn to_issue(repo: Repo<'_>, number: i32) -> Option<Target> {
    let issue: Issue<'_> = repo.issue(number).filter(|issue| !issue.not_exist())?;
    Some(Target {
        url: github::url_of(issue),
        title: format!("{}: {}", github::state_of(issue), issue.title()),
    })
}

fn to_change(change: Change<'_>) -> Target {
    let Link { url, title, state } = Link::to_change(change);
    Target {
        url,
        title: format!("{state}: {title}"),
    }
}

#[cfg(test)]
mod tests;
