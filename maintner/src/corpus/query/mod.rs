//! Questions as text, as people type them into GitHub's search.
//!
//! A [`Query`] is words and terms; all of them have to hold. A word has to be in the title or in the
//! text, in whatever case; words in quotation marks, as they stand there. A term is `key:value`,
//! `key:"value with spaces"`, or, if it must not hold, `-key:value`:
//!
//! | term | holds for |
//! |---|---|
//! | `is:open`, `is:closed` | what exists and is open, or closed |
//! | `is:issue`, `is:pr`, `is:cl` | issues, pull requests, changes on Gerrit; without any of these, the first two |
//! | `is:locked` | a locked conversation |
//! | `repo:owner/name` | issues of this repository, or of any of several |
//! | `label:name`, `label:a,b` | those with the label, or with any of several |
//! | `milestone:title` | those in the milestone |
//! | `author:login`, `assignee:login`, `commenter:login` | those of, assigned to, commented on by a user |
//! | `no:label`, `no:milestone`, `no:assignee` | those without |
//! | `created:…`, `updated:…`, `closed:…` | times: `2018-07-09`, `>2018-07-09`, `<=2018-07-09T12:00:00Z`, `2018-01-01..2018-07-09`, `*..2018-07-09` |
//! | `in:title`, `in:body`, `in:comments`, `in:title,comments` | nothing; says where words are looked for |
//! | `sort:updated-desc`, `created-asc`, `comments-desc`, … | nothing; says what comes first |
//!
//! and for changes (`is:cl` may be left out if one of these is there):
//!
//! | term | holds for |
//! |---|---|
//! | `is:merged`, `is:abandoned`, `is:private`, `is:wip`, `status:…` | changes that are so |
//! | `project:server/name`, `project:name` | changes of this project, or of any of several |
//! | `branch:name`, `hashtag:name`, `topic:name` | changes with that branch, hashtag, topic |
//! | `owner:text` | changes whose owner's name or mail address has the text in it |
//! | `file:path` | changes whose newest patch set touches this file, or one below it if it ends in `/` |
//! | `issue:owner/repo#1` | changes that mention the issue |

mod changes;
mod error;
mod parse;
mod time;

use std::cmp::Reverse;

pub use error::{QueryError, QueryErrorKind};

use super::{
    Change, Commit, Issue, Repo, Snapshot,
    github::{Range, Term, contains},
};
use crate::store::Timestamp;

/// A question. See the [module](self) for what can be asked.
///
/// ```
/// use maintner::{corpus::{Snapshot, query::Query}, testing::History};
///
/// let snapshot = Snapshot::of_log(History::new(1).log(300_000))?;
/// let query: Query = "is:open label:NeedsFix -milestone:v1.1 sort:updated-desc".parse()?;
/// for issue in query.issues(&snapshot).into_iter().take(10) {
///     println!("{} {}", issue.reference(), issue.title());
/// }
///
/// let error = "is:open lable:NeedsFix".parse::<Query>().unwrap_err();
/// assert_eq!(error.to_string(), "at 8: unknown key `lable`; did you mean `label`?");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    kinds: Kinds,
    /// Owners and names; of all, if there are none.
    repos: Vec<(String, String)>,
    not_repos: Vec<(String, String)>,
    terms: Vec<Term>,
    changes: Vec<changes::ChangeTerm>,
    /// Only words, and no word on the kind of what is looked for.
    words: Vec<(bool, String)>,
    is_of_any_kind: bool,
    sort: Option<Sort>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kinds {
    issues: bool,
    pull_requests: bool,
    changes: bool,
}

impl Default for Kinds {
    fn default() -> Self {
        Self {
            issues: true,
            pull_requests: true,
            changes: false,
        }
    }
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Sort {
    /// By repository or project, and number.
    #[default]
    Number,
    NumberDown,
    Created(Direction),
    Updated(Direction),
    Comments(Direction),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// Something that was asked for.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Found<'s> {
    /// An issue or a pull request.
    Issue(Issue<'s>),
    /// A change on Gerrit.
    Change(Change<'s>),
}

impl Query {
    /// Whether it asks for issues or pull requests.
    pub fn wants_issues(&self) -> bool {
        self.kinds.issues || self.kinds.pull_requests
    }

    /// Whether it asks for changes on Gerrit.
    pub fn wants_changes(&self) -> bool {
        self.kinds.changes
    }

    /// Asks for changes too, if nothing in the query says what kind of thing is meant.
    #[must_use]
    pub fn of_all_kinds(mut self) -> Self {
        self.kinds.changes |= self.is_of_any_kind;
        self
    }

    /// Whether it says what comes first.
    pub fn is_sorted(&self) -> bool {
        self.sort.is_some()
    }

    /// All that is asked for, issues first.
    pub fn find<'s>(&self, snapshot: &'s Snapshot) -> Vec<Found<'s>> {
        let issues = self.issues(snapshot).into_iter().map(Found::Issue);
        let changes = self.changes(snapshot).into_iter().map(Found::Change);
        issues.chain(changes).collect()
    }

    /// The issues and pull requests that are asked for.
    pub fn issues<'s>(&self, snapshot: &'s Snapshot) -> Vec<Issue<'s>> {
        if !self.wants_issues() {
            return Vec::new();
        }
        let github = snapshot.github();
        let is_wanted = |repo: &Repo<'_>| {
            let is_it = |(owner, name): &(String, String)| {
                repo.owner().eq_ignore_ascii_case(owner) && repo.name().eq_ignore_ascii_case(name)
            };
            !self.not_repos.iter().any(is_it)
        };
        let repos: Vec<Repo<'s>> = if self.repos.is_empty() {
            github.repos().filter(is_wanted).collect()
        } else {
            let named = self.repos.iter();
            let mut repos: Vec<_> = named
                .filter_map(|(owner, name)| github.repo(owner, name))
                .filter(is_wanted)
                .collect();
            repos.sort_by_key(|repo| (repo.owner(), repo.name()));
            repos.dedup();
            repos
        };
        let mut found: Vec<Issue<'s>> = Vec::new();
        for repo in repos {
            let issues = repo.issues().with_terms(&self.terms);
            found.extend(match (self.kinds.issues, self.kinds.pull_requests) {
                (true, false) => issues.without_pull_requests(),
                (false, _) => issues.pull_requests(),
                (true, true) => issues,
            });
        }
        found.retain(|issue| !issue.not_exist());
        match self.sort.unwrap_or_default() {
            Sort::Number => {}
            Sort::NumberDown => found.reverse(),
            Sort::Created(direction) => sort(&mut found, direction, |issue| issue.created()),
            Sort::Updated(direction) => sort(&mut found, direction, |issue| issue.updated()),
            Sort::Comments(direction) => {
                sort(&mut found, direction, |issue| issue.comment_count());
            }
        }
        found
    }

    /// The commits, in order of first mention, whose message has all the words in its first line, if
    /// the query is nothing but words. Those in which Gerrit keeps what happens to changes are left
    /// out.
    pub fn commits<'s>(&self, snapshot: &'s Snapshot) -> Vec<Commit<'s>> {
        if self.words.is_empty() {
            return Vec::new();
        }
        let is_wanted = |commit: &Commit<'_>| {
            if commit.is_meta() {
                return false;
            }
            let (summary, words) = (commit.summary(), &mut self.words.iter());
            words.all(|(not, word)| contains(summary, word) != *not)
        };
        snapshot.commits().iter().filter(is_wanted).collect()
    }

    /// The changes on Gerrit that are asked for.
    pub fn changes<'s>(&self, snapshot: &'s Snapshot) -> Vec<Change<'s>> {
        if !self.wants_changes() {
            return Vec::new();
        }
        let mut found = changes::find(&self.changes, snapshot);
        match self.sort.unwrap_or_default() {
            Sort::Number => {}
            Sort::NumberDown => found.reverse(),
            Sort::Created(direction) => sort(&mut found, direction, |change| change.created()),
            Sort::Updated(direction) => sort(&mut found, direction, |change| change.updated()),
            Sort::Comments(direction) => {
                sort(&mut found, direction, |change| change.messages().count());
            }
        }
        found
    }
}

/// Sorts; what is equal stays in order.
fn sort<T: Copy, K: Ord>(found: &mut [T], direction: Direction, key: impl Fn(T) -> K) {
    match direction {
        Direction::Up => found.sort_by_cached_key(|&one| key(one)),
        Direction::Down => found.sort_by_cached_key(|&one| Reverse(key(one))),
    }
}

/// Whether a time is in a range.
fn is_in(range: Range, time: Timestamp) -> bool {
    range.has(Some(time))
}

#[cfg(test)]
mod tests;
