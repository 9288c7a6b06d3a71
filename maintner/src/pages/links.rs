//! Somebody's text as HTML, with links to what it names.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    fmt::Write,
    rc::Rc,
};

use super::{
    change::Link,
    commit, github,
    names::{Name, go, names},
    words::escape,
};
use crate::corpus::{Change, Commit, Hash, Issue, Project, Repo, Snapshot};

/// Links on one page, and names on it that turn out to lead nowhere; what comes behind stays text.
const MOST: usize = 3000;

/// Characters of a title that are shown where a link is pointed at.
const TOOLTIP: usize = 100;

/// Digits that are shown of a commit's name.
const SHORT: usize = 10;

/// Where Go's reviews are.
const GO_SERVER: &str = "go.googlesource.com";

/// What names in the texts of a page lead to. Only to what is there, and all may see. One for all texts of a page: they
/// share what was looked up, and how many links there may be.
pub(super) struct Links<'s> {
    snapshot: &'s Snapshot,
    /// Whose issues bare numbers mean.
    repo: Option<Repo<'s>>,
    project: Option<Project<'s>>,
    projects: Vec<Project<'s>>,
    /// Commits by what the texts call them; none if several could be meant.
    commits: HashMap<String, Option<Commit<'s>>>,
    /// What was looked up, by how the texts write it.
    known: RefCell<HashMap<String, Option<Rc<Target>>>>,
    /// How many of [`MOST`] there may yet be.
    left: Cell<usize>,
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
        let named = texts.into_iter().flat_map(names);
        let digits = named.filter_map(|(_, name)| match name {
            Name::Commit(digits) => Some(digits),
            _ => None,
        });
        let digits: HashSet<&str> = digits.collect();
        Self {
            snapshot,
            repo,
            project,
            projects: snapshot.gerrit().projects().collect(),
            commits: named_so(snapshot, digits),
            known: RefCell::default(),
            left: Cell::new(MOST),
        }
    }

    /// A text as HTML.
    pub(super) fn prose(&self, text: &str) -> String {
        let mut html = String::with_capacity(text.len() + 64);
        let mut done = 0;
        for (range, name) in names(text) {
            if self.left.get() == 0 {
                break;
            }
            if let Some(link) = self.link(&text[range.clone()], name) {
                html.push_str(&escape(&text[done..range.start]));
                html.push_str(&link);
                done = range.end;
            }
        }
        html.push_str(&escape(&text[done..]));
        html
    }

    /// A commit as HTML: the beginning of its name, as a link if it is there.
    pub(super) fn commit(&self, name: &str) -> String {
        let is_one = matches!(names(name).next(), Some((_, Name::Commit(all))) if all == name);
        let link = is_one.then(|| self.link(name, Name::Commit(name)));
        link.flatten()
            .unwrap_or_else(|| escape(&name.chars().take(SHORT).collect::<String>()))
    }

    /// The link that a name is, if it leads anywhere and there may be one more.
    fn link(&self, written: &str, name: Name<'_>) -> Option<String> {
        let left = self.left.get().checked_sub(1)?;
        let known = self.known.borrow().get(written).cloned();
        let is_new = known.is_none();
        let target = known.unwrap_or_else(|| {
            let target = self.find(name).map(Rc::new);
            let mut known = self.known.borrow_mut();
            known.insert(written.to_owned(), target.clone());
            target
        });
        let is_link = target.is_some() || matches!(name, Name::Address(_));
        if is_link || is_new {
            self.left.set(left);
        }
        let (address, more) = match (target.as_deref(), name) {
            (Some(Target { url, title }), _) => {
                (url.as_str(), format!("title=\"{}\"", escape(&cut(title))))
            }
            (None, Name::Address(address)) => (address, "rel=\"noreferrer nofollow\"".to_owned()),
            (None, _) => return None,
        };
        let shown = match name {
            // The rest of a whole name tells nobody anything.
            Name::Commit(digits) if digits.len() == 40 => &digits[..SHORT],
            _ => written,
        };
        let (address, shown) = (escape(address), escape(shown));
        Some(format!("<a href=\"{address}\" {more}>{shown}</a>"))
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

/// The beginning of a title.
fn cut(title: &str) -> Cow<'_, str> {
    match title.char_indices().nth(TOOLTIP) {
        Some((at, _)) => format!("{}…", &title[..at]).into(),
        None => title.into(),
    }
}

/// The commits that are called so: found with one look at all commits, if names are short.
fn named_so<'s>(
    snapshot: &'s Snapshot,
    digits: HashSet<&str>,
) -> HashMap<String, Option<Commit<'s>>> {
    let mut found = HashMap::new();
    let mut short: Vec<&str> = Vec::new();
    for digits in digits {
        match Hash::parse(digits) {
            Some(name) => {
                let commit = snapshot.commits().get(name);
                let commit = commit.filter(|&commit| !commit::is_private(snapshot, commit));
                found.insert(digits.to_owned(), commit);
            }
            None => short.push(digits),
        }
    }
    if short.is_empty() {
        return found;
    }
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
        if commit::is_private(snapshot, commit) {
            continue;
        }
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
