use std::str::FromStr;

use super::{
    Direction, Kinds, Query, QueryError, QueryErrorKind, Sort,
    changes::{ChangeTerm, ChangeTest},
    error::nearest,
    time,
};
use crate::{
    corpus::{
        Status,
        github::{Term, Test, Where},
    },
    parse::references::references,
};

const KEYS: [&str; 23] = [
    "is",
    "repo",
    "label",
    "milestone",
    "author",
    "assignee",
    "commenter",
    "no",
    "created",
    "updated",
    "closed",
    "in",
    "sort",
    "status",
    "project",
    "branch",
    "hashtag",
    "topic",
    "owner",
    "file",
    "issue",
    "state",
    "type",
];

const IS: [&str; 11] = [
    "open",
    "closed",
    "issue",
    "pr",
    "cl",
    "locked",
    "merged",
    "abandoned",
    "private",
    "wip",
    "draft",
];

const SORTS: [(&str, Sort); 8] = [
    ("number-asc", Sort::Number),
    ("number-desc", Sort::NumberDown),
    ("created-asc", Sort::Created(Direction::Up)),
    ("created-desc", Sort::Created(Direction::Down)),
    ("updated-asc", Sort::Updated(Direction::Up)),
    ("updated-desc", Sort::Updated(Direction::Down)),
    ("comments-asc", Sort::Comments(Direction::Up)),
    ("comments-desc", Sort::Comments(Direction::Down)),
];

/// As the [module](super) tells.
impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let mut reader = Reader::default();
        for token in tokens(text) {
            let token = token?;
            let at = token.at;
            reader.take(token).map_err(|kind| QueryError { at, kind })?;
        }
        reader.finish()
    }
}

/// A word or a term.
#[derive(Debug)]
struct Token<'a> {
    at: usize,
    not: bool,
    key: Option<&'a str>,
    /// Without quotation marks.
    value: String,
}

/// Words and terms, which white space separates outside of quotation marks.
fn tokens(text: &str) -> impl Iterator<Item = Result<Token<'_>, QueryError>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let mut quoted = false;
        let end = rest.find(|c: char| {
            quoted ^= c == '"';
            c.is_whitespace() && !quoted
        });
        let (token, later) = rest.split_at(end.unwrap_or(rest.len()));
        if token.is_empty() {
            return None;
        }
        rest = later;
        if quoted {
            rest = "";
            let at = at + token.rfind('"').unwrap_or(0);
            let kind = QueryErrorKind::Open;
            return Some(Err(QueryError { at, kind }));
        }
        let negated = token.strip_prefix('-').filter(|token| !token.is_empty());
        let term = negated.unwrap_or(token);
        let keyed = term.split_once(':').filter(|(key, value)| {
            let is_key = key.bytes().all(|byte| byte.is_ascii_alphabetic());
            is_key && !key.is_empty() && !value.is_empty() && !value.starts_with(['/', ':'])
        });
        Some(Ok(Token {
            at,
            not: negated.is_some(),
            key: keyed.map(|(key, _)| key),
            value: keyed.map_or(term, |(_, value)| value).replace('"', ""),
        }))
    })
}

/// What a term is about.
enum Meaning {
    Issue(Test),
    Change(ChangeTest),
    Both(Test, ChangeTest),
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    query: Query,
    kinds: Option<Kinds>,
    /// Where the first term is that is about issues only, and about changes only, with its key.
    about_issues: Option<(usize, &'static str)>,
    about_changes: Option<(usize, &'static str)>,
    words: Vec<(bool, String)>,
    places: Option<Where>,
    projects: Vec<String>,
}

impl Reader {
    fn take(&mut self, token: Token<'_>) -> Result<(), QueryErrorKind> {
        let Some(key) = token.key else {
            self.words.push((token.not, token.value));
            return Ok(());
        };
        let key = KEYS
            .into_iter()
            .find(|known| *known == key)
            .ok_or_else(|| QueryErrorKind::Key {
                key: key.to_owned(),
                nearest: nearest(key, &KEYS),
            })?;
        let (at, not, value) = (token.at, token.not, token.value);
        let form = |expected| QueryErrorKind::Form {
            key,
            value: value.clone(),
            expected,
        };
        let range = || time::range(&value).ok_or_else(|| form(time::EXPECTED));
        let meaning = match key {
            "is" | "state" | "type" => match self.is(key, not, &value)? {
                Some(meaning) => meaning,
                None => return Ok(()),
            },
            "repo" => {
                let (owner, name) = value.split_once('/').ok_or_else(|| form("owner/name"))?;
                let repo = (owner.to_owned(), name.to_owned());
                self.about_issues.get_or_insert((at, key));
                if not {
                    self.query.not_repos.push(repo);
                } else {
                    self.query.repos.push(repo);
                }
                return Ok(());
            }
            "project" if !not => {
                self.about_changes.get_or_insert((at, key));
                self.projects.push(value);
                return Ok(());
            }
            "in" if not => return Err(QueryErrorKind::Negated(key)),
            "in" => {
                self.places = Some(places(key, &value)?);
                return Ok(());
            }
            "sort" if not => return Err(QueryErrorKind::Negated(key)),
            "sort" => {
                self.query.sort = Some(sort(key, value)?);
                return Ok(());
            }
            "label" => Meaning::Issue(Test::Label(value.split(',').map(str::to_owned).collect())),
            "milestone" => Meaning::Issue(Test::Milestone(value)),
            "author" => Meaning::Issue(Test::Author(value)),
            "assignee" => Meaning::Issue(Test::Assignee(value)),
            "commenter" => Meaning::Issue(Test::Commenter(value)),
            "no" => {
                let has = match value.as_str() {
                    "label" => Test::HasLabel,
                    "milestone" => Test::HasMilestone,
                    "assignee" => Test::IsAssigned,
                    _ => {
                        let nearest = nearest(&value, &["label", "milestone", "assignee"]);
                        return Err(QueryErrorKind::Value {
                            key,
                            value,
                            nearest,
                        });
                    }
                };
                // Twice no.
                self.add(at, key, !not, Meaning::Issue(has));
                return Ok(());
            }
            "created" => Meaning::Both(Test::Created(range()?), ChangeTest::Created(range()?)),
            "updated" => Meaning::Both(Test::Updated(range()?), ChangeTest::Updated(range()?)),
            "closed" => Meaning::Issue(Test::ClosedAt(range()?)),
            "status" => Meaning::Change(status(key, value)?),
            "project" => Meaning::Change(ChangeTest::Project(vec![value])),
            "branch" => Meaning::Change(ChangeTest::Branch(value)),
            "hashtag" => Meaning::Change(ChangeTest::Hashtag(value)),
            "topic" => Meaning::Change(ChangeTest::Topic(value)),
            "owner" => Meaning::Change(ChangeTest::Owner(value)),
            "file" => Meaning::Change(ChangeTest::File(value)),
            _ => Meaning::Change(mention(&value).ok_or_else(|| form("owner/repo#number"))?),
        };
        self.add(at, key, not, meaning);
        Ok(())
    }

    /// What `is:value` means, if it is not about what is looked for at all.
    fn is(
        &mut self,
        key: &'static str,
        not: bool,
        value: &str,
    ) -> Result<Option<Meaning>, QueryErrorKind> {
        let kinds = |issues, pull_requests, changes| Kinds {
            issues,
            pull_requests,
            changes,
        };
        Ok(Some(match value {
            "open" => Meaning::Both(Test::Open, ChangeTest::Open),
            "closed" => {
                // What is neither open nor closed does not exist, and is not asked for.
                self.query.changes.push(ChangeTerm {
                    not: !not,
                    test: ChangeTest::Open,
                });
                self.query.terms.push(Term {
                    not,
                    test: Test::Closed,
                });
                return Ok(None);
            }
            "issue" | "pr" | "cl" => {
                let these = match value {
                    "issue" => kinds(true, false, false),
                    "pr" => kinds(false, true, false),
                    _ => kinds(false, false, true),
                };
                let those = if not {
                    kinds(!these.issues, !these.pull_requests, false)
                } else {
                    these
                };
                self.kinds = Some(match self.kinds {
                    None => those,
                    Some(before) => kinds(
                        before.issues && those.issues,
                        before.pull_requests && those.pull_requests,
                        before.changes && those.changes,
                    ),
                });
                return Ok(None);
            }
            "locked" => Meaning::Issue(Test::Locked),
            "merged" => Meaning::Change(ChangeTest::Status(Status::Merged)),
            "abandoned" => Meaning::Change(ChangeTest::Status(Status::Abandoned)),
            "draft" => Meaning::Change(ChangeTest::Status(Status::Draft)),
            "private" => Meaning::Change(ChangeTest::Private),
            "wip" => Meaning::Change(ChangeTest::InProgress),
            _ => {
                return Err(QueryErrorKind::Value {
                    key,
                    value: value.to_owned(),
                    nearest: nearest(value, &IS),
                });
            }
        }))
    }

    fn add(&mut self, at: usize, key: &'static str, not: bool, meaning: Meaning) {
        match meaning {
            Meaning::Issue(test) => {
                self.about_issues.get_or_insert((at, key));
                self.query.terms.push(Term { not, test });
            }
            Meaning::Change(test) => {
                self.about_changes.get_or_insert((at, key));
                self.query.changes.push(ChangeTerm { not, test });
            }
            Meaning::Both(issue, change) => {
                self.query.terms.push(Term { not, test: issue });
                self.query.changes.push(ChangeTerm { not, test: change });
            }
        }
    }

    fn finish(mut self) -> Result<Query, QueryError> {
        let mixed = |(at, key)| {
            let kind = QueryErrorKind::Mixed(key);
            Err(QueryError { at, kind })
        };
        let changes_only = Kinds {
            issues: false,
            pull_requests: false,
            changes: true,
        };
        let kinds = match (self.kinds, self.about_changes) {
            (Some(kinds), _) => kinds,
            (None, Some(_)) => changes_only,
            (None, None) => Kinds::default(),
        };
        match (self.about_changes, self.about_issues) {
            (Some(change), Some(_)) => return mixed(change),
            (Some(change), None) if !kinds.changes => return mixed(change),
            (None, Some((at, key))) if kinds.changes => {
                let kind = QueryErrorKind::Form {
                    key,
                    value: "is:cl".to_owned(),
                    expected: "issues or pull requests",
                };
                return Err(QueryError { at, kind });
            }
            _ => {}
        }
        let places = self.places.unwrap_or(Where {
            title: true,
            body: true,
            comments: false,
        });
        self.query.is_of_any_kind =
            self.kinds.is_none() && self.about_changes.is_none() && self.about_issues.is_none();
        if self.query.is_of_any_kind && self.query.terms.is_empty() && self.places.is_none() {
            self.query.words = self.words.clone();
        }
        for (not, word) in self.words {
            let issue = Test::Text(word.clone(), places);
            self.query.terms.push(Term { not, test: issue });
            let test = ChangeTest::Text(word);
            self.query.changes.push(ChangeTerm { not, test });
        }
        if !self.projects.is_empty() {
            let test = ChangeTest::Project(self.projects);
            self.query.changes.push(ChangeTerm { not: false, test });
        }
        self.query.kinds = kinds;
        Ok(self.query)
    }
}

fn places(key: &'static str, value: &str) -> Result<Where, QueryErrorKind> {
    let mut places = Where {
        title: false,
        body: false,
        comments: false,
    };
    for place in value.split(',') {
        match place {
            "title" => places.title = true,
            "body" => places.body = true,
            "comments" => places.comments = true,
            _ => {
                let nearest = nearest(place, &["title", "body", "comments"]);
                let value = place.to_owned();
                return Err(QueryErrorKind::Value {
                    key,
                    value,
                    nearest,
                });
            }
        }
    }
    Ok(places)
}

fn sort(key: &'static str, value: String) -> Result<Sort, QueryErrorKind> {
    // The newest, or most, first, unless told otherwise.
    let full = if value.contains('-') {
        value.clone()
    } else {
        format!("{value}-desc")
    };
    let found = SORTS.into_iter().find(|(name, _)| *name == full);
    let found = found.map(|(_, sort)| sort);
    found.ok_or_else(|| {
        let nearest = nearest(&full, &SORTS.map(|(name, _)| name));
        QueryErrorKind::Value {
            key,
            value,
            nearest,
        }
    })
}

fn status(key: &'static str, value: String) -> Result<ChangeTest, QueryErrorKind> {
    let all = [
        Status::New,
        Status::Merged,
        Status::Abandoned,
        Status::Draft,
    ];
    if value == "open" {
        return Ok(ChangeTest::Open);
    }
    let status = all.into_iter().find(|status| status.name() == value);
    status.map(ChangeTest::Status).ok_or_else(|| {
        let nearest = nearest(&value, &["new", "merged", "abandoned", "draft", "open"]);
        QueryErrorKind::Value {
            key,
            value,
            nearest,
        }
    })
}

fn mention(text: &str) -> Option<ChangeTest> {
    let reference = references(text).next()?;
    let (owner, repo) = reference.repo?;
    Some(ChangeTest::Mentions(
        owner.to_owned(),
        repo.to_owned(),
        reference.number,
    ))
}
