//! `/search?q=…`, and `/-/syntax`, which tells what can be asked.

use std::{cmp::Reverse, collections::HashMap};

use askama::Template;

use super::{
    Base,
    change::Link,
    commit,
    github::url_of,
    words::{self, Part, address_of_query, maybe_time, pager, time},
};
use crate::corpus::{
    Change, Commit, Issue, Snapshot,
    query::{Query, QueryError, QueryErrorKind},
};

/// Hits on a page.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "search.html")]
pub(super) struct SearchPage {
    base: Base,
    heading: String,
    kinds: Vec<String>,
    mistake: Option<Mistake>,
    hits: Vec<Row>,
    pager: String,
    examples: &'static [(&'static str, &'static str)],
}

pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) state: &'static str,
    pub(super) url: String,
    pub(super) title: String,
    pub(super) labels: Vec<super::github::LabelLink>,
    pub(super) place: String,
    pub(super) when: String,
}

/// Why a query cannot be answered.
struct Mistake {
    /// The query up to the place, and from there on.
    before: String,
    at: String,
    /// Words, and every second of these as typed.
    what: Vec<String>,
    /// What was probably meant, and its address.
    meant: Option<(String, String)>,
}

/// What was found.
#[derive(Clone, Copy)]
enum Hit<'s> {
    Issue(Issue<'s>),
    Change(Change<'s>),
    Commit(Commit<'s>),
}

impl Hit<'_> {
    fn when(self) -> i64 {
        match self {
            Self::Issue(issue) => issue.updated().map_or(0, |at| at.seconds()),
            Self::Change(change) => change.updated().seconds(),
            Self::Commit(commit) => commit.time().seconds(),
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Issue(issue) if issue.is_pull_request() => Kind::PullRequest,
            Self::Issue(_) => Kind::Issue,
            Self::Change(_) => Kind::Change,
            Self::Commit(_) => Kind::Commit,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Issue,
    PullRequest,
    Change,
    Commit,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Issue, Self::PullRequest, Self::Change, Self::Commit];

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Issue => ("issue", "issues"),
            Self::PullRequest => ("pull request", "pull requests"),
            Self::Change => ("change", "changes"),
            Self::Commit => ("commit", "commits"),
        }
    }
}

pub(super) fn page(
    snapshot: &Snapshot,
    mut base: Base,
    params: &HashMap<String, String>,
) -> SearchPage {
    let query = params.get("q").map_or("", |query| query.trim());
    let from = super::from(params);
    base.query = query.to_owned();
    let mut mistake = None;
    let mut hits = named(snapshot, query);
    if hits.is_empty() && !query.is_empty() {
        match query.parse::<Query>() {
            Ok(asked) => hits = find(snapshot, &asked.of_all_kinds()),
            Err(error) => mistake = Some(Mistake::of(query, &error)),
        }
    }
    let count = words::count(hits.len(), "hit", "hits");
    let heading = match (query, &mistake, hits.len()) {
        ("", ..) => "Search".to_owned(),
        (_, Some(_), _) => "That cannot be asked".to_owned(),
        (_, _, 0) => format!("Nothing fits “{query}”"),
        _ => format!("{count} for “{query}”"),
    };
    let kinds = Kind::ALL.into_iter().filter_map(|kind| {
        let number = hits.iter().filter(|hit| hit.kind() == kind).count();
        let (one, many) = kind.names();
        (number > 0 && number < hits.len()).then(|| words::count(number, one, many))
    });
    let kinds = kinds.collect();
    let shown = hits.iter().skip(from).take(PAGE);
    let rows = shown.map(|&hit| row(snapshot, hit)).collect();
    let part = Part {
        from,
        size: PAGE,
        shown: hits.len().saturating_sub(from).min(PAGE),
        of: Some(hits.len()),
        more: hits.len() > from + PAGE,
    };
    SearchPage {
        kinds,
        pager: pager(&format!("{}&", address_of_query(query)), &part),
        hits: rows,
        mistake,
        examples: if query.is_empty() { EXAMPLES } else { &[] },
        base: base.titled(heading.clone()),
        heading,
    }
}

/// What a query asks for; unless it says otherwise, what changed last comes first.
fn find<'s>(snapshot: &'s Snapshot, query: &Query) -> Vec<Hit<'s>> {
    let issues = query.issues(snapshot).into_iter().map(Hit::Issue);
    let changes = query.changes(snapshot).into_iter();
    let changes = changes.filter(|change| !change.is_private());
    let commits = query.commits(snapshot).into_iter().map(Hit::Commit);
    let mut hits: Vec<Hit<'s>> = issues
        .chain(changes.map(Hit::Change))
        .chain(commits)
        .collect();
    if !query.is_sorted() {
        hits.sort_by_cached_key(|hit| Reverse(hit.when()));
    }
    hits
}

/// The issues and changes that changed last.
pub(super) fn newest(snapshot: &Snapshot, count: usize) -> Vec<Row> {
    let issues = snapshot.github().repos().flat_map(|repo| repo.issues());
    let issues = issues.filter(|issue| !issue.not_exist()).map(Hit::Issue);
    let changes = snapshot.gerrit().projects();
    let changes = changes.flat_map(|project| project.cls_unsorted());
    let changes = changes.filter(|change| !change.is_private());
    let mut hits: Vec<Hit<'_>> = issues.chain(changes.map(Hit::Change)).collect();
    hits.sort_by_cached_key(|hit| Reverse(hit.when()));
    let newest = hits.into_iter().take(count);
    newest.map(|hit| row(snapshot, hit)).collect()
}

/// What is called that: `#123`, `owner/repo#123`, `1a2b3c4`.
fn named<'s>(snapshot: &'s Snapshot, query: &str) -> Vec<Hit<'s>> {
    let mut hits = Vec::new();
    let (place, number) = query.rsplit_once('#').unwrap_or(("", query));
    if let Ok(number) = number.parse::<i32>() {
        let is_there = |name: String| place.is_empty() || name.eq_ignore_ascii_case(place);
        let repos = snapshot.github().repos();
        let repos = repos.filter(|repo| is_there(repo.to_string()));
        hits.extend(repos.filter_map(|repo| repo.issue(number)).map(Hit::Issue));
        let projects = snapshot.gerrit().projects();
        let projects = projects.filter(|project| is_there(project.full_name().to_owned()));
        let changes = projects.filter_map(|project| project.cl(number));
        let changes = changes.filter(|change| !change.is_private());
        hits.extend(changes.map(Hit::Change));
    }
    let is_name = query.bytes().all(|digit| digit.is_ascii_hexdigit());
    if (7..=40).contains(&query.len()) && is_name {
        let digits = query.to_ascii_lowercase();
        hits.extend(snapshot.commits().with_prefix(&digits).map(Hit::Commit));
    }
    hits
}

fn row(snapshot: &Snapshot, hit: Hit<'_>) -> Row {
    let (kind, _) = hit.kind().names();
    match hit {
        Hit::Issue(issue) => Row {
            kind,
            state: super::github::state_of(issue),
            url: url_of(issue),
            title: format!("{}: {}", issue.number(), issue.title()),
            labels: super::github::labels(issue),
            place: issue.repo().to_string(),
            when: maybe_time(issue.updated()),
        },
        Hit::Change(change) => {
            let Link { url, title, state } = Link::to_change(change);
            Row {
                kind,
                state,
                url,
                title,
                labels: Vec::new(),
                place: change.project().full_name().to_owned(),
                when: time(change.updated().seconds()),
            }
        }
        Hit::Commit(commit) => {
            let name = commit.name().to_string();
            Row {
                kind,
                state: "",
                url: commit::url_of(snapshot, None, commit),
                title: commit.summary().to_owned(),
                labels: Vec::new(),
                place: name.chars().take(10).collect(),
                when: time(commit.time().seconds()),
            }
        }
    }
}

impl Mistake {
    fn of(query: &str, error: &QueryError) -> Self {
        let (before, at) = query.split_at_checked(error.at).unwrap_or((query, ""));
        let replaced = match &error.kind {
            QueryErrorKind::Key { key, nearest } => Some((key, nearest)),
            QueryErrorKind::Value { value, nearest, .. } => Some((value, nearest)),
            _ => None,
        };
        let meant = replaced.map(|(wrong, right)| {
            let meant = format!("{before}{}", at.replacen(wrong.as_str(), right, 1));
            let address = address_of_query(&meant);
            (meant, address)
        });
        Self {
            before: before.to_owned(),
            at: at.to_owned(),
            what: error
                .kind
                .to_string()
                .split('`')
                .map(str::to_owned)
                .collect(),
            meant,
        }
    }
}

/// Some queries, and what they ask for.
const EXAMPLES: &[(&str, &str)] = &[
    ("is:open label:NeedsFix", "open issues with this label"),
    ("is:pr author:gopher1", "pull requests of this user"),
    (
        "is:issue no:label sort:created-desc",
        "issues without a label, the newest first",
    ),
    (
        "deadlock in:title,comments",
        "issues with this word in the title or in a comment",
    ),
    (
        "is:cl is:open updated:>2018-01-01",
        "changes under review that moved since then",
    ),
    ("is:cl file:src/runtime/", "changes below this folder"),
];

#[derive(Template)]
#[template(path = "syntax.html")]
pub(super) struct SyntaxPage {
    base: Base,
    parts: [(&'static str, &'static [(&'static str, &'static str)]); 3],
    examples: &'static [(&'static str, &'static str)],
}

pub(super) fn syntax(base: Base) -> SyntaxPage {
    SyntaxPage {
        base: base.titled("What can be searched for"),
        parts: [
            ("Everything", OF_ALL),
            ("Issues and pull requests", OF_ISSUES),
            ("Changes on Gerrit", OF_CHANGES),
        ],
        examples: EXAMPLES,
    }
}

const OF_ALL: &[(&str, &str)] = &[
    (
        "word, \"some words\"",
        "has the word, or the words as they stand, in the title or the text, in any case",
    ),
    ("-word, -key:value", "not so"),
    ("#123, owner/repo#123", "the issue or change of this number"),
    (
        "1a2b3c4",
        "the commit whose name begins so; at least 7 digits",
    ),
    ("is:open, is:closed", "open, or closed"),
    ("is:issue, is:pr, is:cl", "issues, pull requests, changes"),
    (
        "created:>2018-07-09, updated:2018-01-01..2018-06-30",
        "times: a day, an instant as in RFC 3339, from, until, between",
    ),
    (
        "sort:updated-asc",
        "what comes first: number, created, updated or comments, -asc or -desc; otherwise what changed last",
    ),
];

const OF_ISSUES: &[(&str, &str)] = &[
    (
        "repo:owner/name",
        "in this repository, or in any of several",
    ),
    (
        "label:name, label:a,b, no:label",
        "with the label, with any of several, with none",
    ),
    ("milestone:title, no:milestone", "in the milestone, in none"),
    (
        "author:login, assignee:login, commenter:login, no:assignee",
        "opened by, assigned to, commented on by a user; assigned to nobody",
    ),
    ("closed:>2018-07-09", "closed then"),
    (
        "in:title, in:body, in:comments, in:title,comments",
        "where words are looked for",
    ),
    ("is:locked", "with a locked conversation"),
];

const OF_CHANGES: &[(&str, &str)] = &[
    (
        "project:server/name, project:name",
        "of this project, or of any of several",
    ),
    (
        "is:merged, is:abandoned, is:wip",
        "what became of it; not ready yet",
    ),
    (
        "branch:name, topic:name, hashtag:name",
        "for this branch, of this topic, with this hashtag",
    ),
    (
        "owner:text",
        "of an owner whose name or mail address has the text in it",
    ),
    (
        "file:path, file:folder/",
        "whose newest patch set touches the file, or one below the folder",
    ),
    ("issue:owner/repo#123", "that mentions the issue"),
];
