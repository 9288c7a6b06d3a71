//! What a log says of Gerrit.

mod change;
mod hashtags;
mod mentions;
mod meta;
mod project;
mod refs;
mod rows;
mod state;
mod votes;

use change::is_repo;
pub use change::{Change, PatchSet, ReviewerKind};
pub use hashtags::{HashtagEdits, Hashtags};
pub use meta::{Message, Meta};
pub use project::{Project, Ref};
pub(super) use rows::{Place, StepRow};
pub(super) use state::State;
pub use votes::{LabelVote, LabelVotes, UnknownCommit};

use super::{
    Problem,
    commits::{Commit, Commits, NONE},
};
use crate::{
    log::Position,
    store::{Paged, Row},
};

/// Which of two readings of Gerrit's data a corpus follows where they differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compat {
    /// What the data mean. A change's version is its highest patch set, or the one that Gerrit says
    /// is current; it is private if the newest word on it says so; its status is that of
    /// footers, and a line in a comment counts only where no footer ever set one.
    #[default]
    Right,
    /// What the original makes of them, for comparisons with it. A change's version is the patch set
    /// whose ref was seen last; once private, it stays so; a line `Status: …` in a comment sets its
    /// status.
    Original,
}

/// Gerrit, as a version of a corpus knows it.
#[derive(Debug, Clone, Copy)]
pub struct Gerrit<'a> {
    state: &'a State,
    commits: &'a Commits,
}

impl<'a> Gerrit<'a> {
    pub(super) fn new(state: &'a State, commits: &'a Commits) -> Self {
        Self { state, commits }
    }

    /// The project of this name on a server. The server may be given as a URL; of
    /// `NAME-review.googlesource.com`, where reviews are read, the `-review` does not matter.
    pub fn project(self, server: &str, project: &str) -> Option<Project<'a>> {
        let server = server_name(server);
        let name = format!("{}/{project}", server_without_review(server));
        let symbol = self.commits.texts().find(name.as_bytes());
        let row = symbol.and_then(|symbol| self.state.find_project(symbol))?;
        Some(Project::new(self, row))
    }

    pub(super) fn change_at(self, row: u32) -> Option<Change<'a>> {
        Change::new(self, row)
    }

    /// What became of changes between two places of the log.
    pub(super) fn steps(self, from: Position, to: Position) -> impl Iterator<Item = &'a StepRow> {
        let first = |at: Position| {
            let is_before = |row: &StepRow| !row.place.is_from(at.segment, at.offset);
            partition_point(&self.state.steps, is_before)
        };
        self.state.steps.range(first(from)..first(to))
    }

    /// Whether the original's reading counts.
    pub(super) fn is_compat(self) -> bool {
        self.state.is_compat()
    }

    /// All projects, by name.
    pub fn projects(self) -> impl DoubleEndedIterator<Item = Project<'a>> {
        let rows = 0..self.state.projects.len() as u32;
        let mut projects: Vec<Project<'a>> = rows.map(|row| Project::new(self, row)).collect();
        projects.sort_by_key(|project| project.full_name());
        projects.into_iter()
    }

    /// The changes that have or had a commit for a patch set, by project and number.
    pub fn changes_of(self, commit: Commit<'a>) -> impl DoubleEndedIterator<Item = Change<'a>> {
        let mentions = &self.state.mentions;
        let row = mentions.find_reviewed(commit.id().0);
        let row = row.and_then(|row| mentions.reviewed.get(row as usize));
        let newest = row.map_or(NONE, |row| row.newest_patch_set);
        self.sorted(self.of_same_commit(newest).collect())
    }

    /// The changes whose newest patch set touches a file, by project and number.
    pub fn changes_touching(self, path: &str) -> impl DoubleEndedIterator<Item = Change<'a>> {
        let commits = self.commits.touching(path);
        let mentions = &self.state.mentions;
        let changes = commits.flat_map(move |commit| {
            let row = mentions.find_reviewed(commit.id().0);
            let row = row.and_then(|row| mentions.reviewed.get(row as usize));
            let changes = self.of_same_commit(row.map_or(NONE, |row| row.newest_patch_set));
            changes.filter(move |&change| self.is_newest(change, commit.id().0))
        });
        self.sorted(changes.collect())
    }

    /// The changes whose newest patch set mentions an issue, by project and number. The case of the
    /// repository's name does not matter.
    pub fn changes_mentioning(
        self,
        owner: &str,
        repo: &str,
        number: i32,
    ) -> impl DoubleEndedIterator<Item = Change<'a>> {
        let mentions = &self.state.mentions;
        let named = mentions.find_repo(self.commits.texts(), owner, repo);
        let named = named.map(|repo| (repo, None));
        let bare = Some((NONE, Some((owner, repo))));
        let mut changes = Vec::new();
        for (repo, of) in named.into_iter().chain(bare) {
            let issue = mentions.find_issue(repo, number);
            let issue = issue.and_then(|row| mentions.issues.get(row as usize));
            let mut mention = issue.map_or(NONE, |issue| issue.newest_mention);
            while let Some(row) = mentions.mentions.get(mention as usize) {
                if let Some(reviewed) = mentions.reviewed.get(row.reviewed as usize) {
                    let users = self.of_same_commit(reviewed.newest_patch_set);
                    let users = users.filter(|&change| {
                        self.is_newest(change, reviewed.commit)
                            && of.is_none_or(|of| self.has_issues(change, of))
                    });
                    changes.extend(users);
                }
                mention = row.older;
            }
        }
        self.sorted(changes)
    }

    /// The repositories that commits under review mention, as owner and name, in order of first
    /// mention. GitHub may know nothing of them.
    pub fn repos_mentioned(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let texts = self.commits.texts();
        let repos = self.state.mentions.repos.iter();
        repos.map(|row| (texts.text(row.owner), texts.text(row.name)))
    }

    /// The changes that a chain of patch sets of one commit belongs to.
    fn of_same_commit(self, newest: u32) -> impl Iterator<Item = u32> + use<'a> {
        let patch_sets = &self.state.patch_sets;
        let chain = std::iter::successors(patch_sets.get(newest as usize), |row| {
            patch_sets.get(row.same_commit as usize)
        });
        chain.map(|row| row.change)
    }

    /// Whether a commit is the newest patch set of a change.
    fn is_newest(self, change: u32, commit: u32) -> bool {
        let change = Change::new(self, change);
        change.is_some_and(|change| change.commit().id().0 == commit)
    }

    /// Whether a bare number in a message of a change means an issue of this repository.
    fn has_issues(self, change: u32, repo: (&str, &str)) -> bool {
        let change = Change::new(self, change);
        let own = change.and_then(|change| change.project().issues());
        own.is_some_and(|own| is_repo(own, repo))
    }

    /// Refs and changes that are not complete, by project.
    pub(super) fn problems(self) -> impl Iterator<Item = Problem<'a>> {
        let projects = self.projects();
        projects.flat_map(move |project| {
            let is_whole = move |commit: Commit<'_>| self.commits.story(commit.id().0).is_some();
            let refs = project
                .refs()
                .filter(move |reference| !is_whole(reference.commit));
            let refs = refs.map(move |reference| Problem::IncompleteRef {
                project: project.full_name(),
                name: reference.name,
            });
            let changes = project.incomplete_changes().into_iter();
            refs.chain(changes.map(move |number| Problem::IncompleteChange {
                project: project.full_name(),
                number,
            }))
        })
    }

    /// Those of the rows that are complete, by project and number, each once.
    fn sorted(self, mut rows: Vec<u32>) -> impl DoubleEndedIterator<Item = Change<'a>> + use<'a> {
        rows.sort_unstable();
        rows.dedup();
        let changes = rows.into_iter().filter_map(|row| Change::new(self, row));
        let mut changes: Vec<Change<'a>> = changes.collect();
        changes.sort_by_key(|change| (change.project().full_name(), change.number()));
        changes.into_iter()
    }
}

/// The number of rows at the front for which something is so, where it is so for no others.
fn partition_point<T: Row>(rows: &Paged<T>, is_so: impl Fn(&T) -> bool) -> usize {
    let (mut low, mut high) = (0, rows.len());
    while low < high {
        let middle = low.midpoint(high);
        match rows.get(middle).is_some_and(&is_so) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}

/// The host, and port, of a server that may be given as a URL.
fn server_name(server: &str) -> &str {
    let server = server
        .split_once("://")
        .map_or(server, |(_, server)| server);
    let server = server.split(['/', '?', '#']).next().unwrap_or(server);
    server.rsplit_once('@').map_or(server, |(_, server)| server)
}

/// Of Google's servers the one that has the repositories.
fn server_without_review(server: &str) -> std::borrow::Cow<'_, str> {
    match server.strip_suffix("-review.googlesource.com") {
        Some(name) => format!("{name}.googlesource.com").into(),
        None => server.into(),
    }
}

#[cfg(test)]
mod tests;
