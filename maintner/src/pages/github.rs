//! `/owner/repo` and `/owner/repo/123`.

use std::{collections::HashMap, fmt::Write};

use askama::Template;

use super::{
    Base,
    change::Link,
    error::Fault,
    links::Links,
    words::{Part, address_of_query, escape, href, maybe_time, pager, term},
};
use crate::corpus::{Event, Issue, Repo, Snapshot, User};

/// Issues on one page.
const PAGE: usize = 100;

#[derive(Template)]
#[template(path = "repo.html")]
pub(super) struct RepoPage {
    base: Base,
    name: String,
    tabs: Vec<Tab>,
    rows: Vec<Row>,
    pager: String,
}

struct Tab {
    url: String,
    name: &'static str,
    count: usize,
    here: bool,
}

struct Row {
    url: String,
    number: i32,
    title: String,
    labels: Vec<LabelLink>,
    author: String,
    author_url: String,
    comments: usize,
    updated: String,
}

/// What is shown of a repository: the name in the address, that of the tab, what is part of it.
type Which = (&'static str, &'static str, fn(&Issue<'_>) -> bool);

const WHICH: [Which; 4] = [
    ("open", "Open issues", |issue| {
        !issue.is_pull_request() && issue.is_open()
    }),
    ("closed", "Closed issues", |issue| {
        !issue.is_pull_request() && issue.is_closed()
    }),
    ("pulls", "Open pull requests", |issue| {
        issue.is_pull_request() && issue.is_open()
    }),
    ("closed-pulls", "Closed pull requests", |issue| {
        issue.is_pull_request() && issue.is_closed()
    }),
];

pub(super) fn repo(
    snapshot: &Snapshot,
    base: Base,
    owner: &str,
    name: &str,
    params: &HashMap<String, String>,
) -> Result<RepoPage, Fault> {
    let repo = find(snapshot, owner, name)?;
    let asked = params.get("show").map(String::as_str);
    let &(here, _, is_it) = WHICH
        .iter()
        .find(|(which, ..)| Some(*which) == asked)
        .unwrap_or(&WHICH[0]);
    let from = super::from(params);
    let url = href(&[repo.owner(), repo.name()]);
    let all = || repo.issues().filter(|issue| !issue.not_exist());
    let tabs = WHICH.map(|(which, name, is_it)| Tab {
        url: format!("{url}?show={which}"),
        name,
        count: all().filter(is_it).count(),
        here: which == here,
    });
    let issues = all().rev().filter(is_it).skip(from);
    let rows: Vec<Row> = issues.take(PAGE).map(row).collect();
    let count = tabs.iter().find(|tab| tab.here).map_or(0, |tab| tab.count);
    Ok(RepoPage {
        base: base.titled(repo.to_string()),
        name: repo.to_string(),
        tabs: tabs.into(),
        pager: pager(
            &format!("{url}?show={here}&"),
            &Part {
                from,
                size: PAGE,
                shown: rows.len(),
                of: Some(count),
                more: count > from + PAGE,
            },
        ),
        rows,
    })
}

fn find<'s>(snapshot: &'s Snapshot, owner: &str, name: &str) -> Result<Repo<'s>, Fault> {
    let repo = snapshot.github().repo(owner, name);
    repo.ok_or_else(|| Fault::NotFound(format!("GitHub repository \"{owner}/{name}\" not found")))
}

/// Where an issue's page is.
pub(super) fn url_of(issue: Issue<'_>) -> String {
    let repo = issue.repo();
    href(&[repo.owner(), repo.name(), &issue.number().to_string()])
}

/// A label or the like, and where the issues with it are.
pub(super) struct LabelLink {
    pub(super) name: String,
    pub(super) url: String,
}

/// The labels of an issue.
pub(super) fn labels(issue: Issue<'_>) -> Vec<LabelLink> {
    let labels = issue.labels().map(|label| LabelLink {
        name: label.name().to_owned(),
        url: search(
            issue.repo(),
            &format!("is:open {}", term("label", label.name())),
        ),
    });
    labels.collect()
}

/// Where a query about a repository is answered.
fn search(repo: Repo<'_>, query: &str) -> String {
    address_of_query(&format!("repo:{repo} {query}"))
}

/// What has become of an issue.
pub(super) fn state_of(issue: Issue<'_>) -> &'static str {
    match (issue.not_exist(), issue.is_closed()) {
        (true, _) => "gone",
        (_, true) => "closed",
        _ => "open",
    }
}

fn login(user: Option<User<'_>>) -> String {
    user.map_or_else(|| "somebody".to_owned(), |user| user.login().to_owned())
}

/// Where everything is that an issue's author opened.
fn author_url(issue: Issue<'_>) -> String {
    issue.author().map_or_else(String::new, |user| {
        search(issue.repo(), &format!("author:{}", user.login()))
    })
}

fn row(issue: Issue<'_>) -> Row {
    Row {
        url: url_of(issue),
        number: issue.number(),
        title: issue.title().to_owned(),
        labels: labels(issue),
        author: login(issue.author()),
        author_url: author_url(issue),
        comments: issue.comment_count(),
        updated: maybe_time(issue.updated()),
    }
}

#[derive(Template)]
#[template(path = "issue.html")]
pub(super) struct IssuePage {
    base: Base,
    repo: String,
    repo_url: String,
    kind: &'static str,
    number: i32,
    title: String,
    state: &'static str,
    locked: bool,
    author: String,
    author_url: String,
    created: String,
    labels: Vec<LabelLink>,
    assignees: Vec<LabelLink>,
    milestone: Option<LabelLink>,
    changes: Vec<Link>,
    body: String,
    items: Vec<Item>,
}

/// Something said or done.
pub(super) struct Item {
    pub(super) at: i64,
    pub(super) id: String,
    pub(super) is_said: bool,
    pub(super) who: String,
    /// As HTML, as `when` and `text` are.
    pub(super) what: String,
    pub(super) when: String,
    pub(super) text: String,
}

pub(super) fn issue(
    snapshot: &Snapshot,
    base: Base,
    owner: &str,
    name: &str,
    number: i32,
) -> Result<IssuePage, Fault> {
    let repo = find(snapshot, owner, name)?;
    let issue = repo.issue(number);
    let issue = issue.ok_or_else(|| Fault::NotFound(format!("{repo} has no issue {number}")))?;
    let repo_url = href(&[repo.owner(), repo.name()]);
    let deeds: Vec<String> = issue.events().map(deed).collect();
    let said = issue.comments().map(|comment| comment.body());
    let said = said.chain(issue.reviews().map(|review| review.body()));
    let said = said.chain(deeds.iter().map(String::as_str));
    let said = said.chain(issue.events().map(|event| event.commit_id()));
    let links = Links::in_repo(snapshot, repo, [issue.body()].into_iter().chain(said));
    let prose = |text: &str| links.prose(text.trim_end());
    // First, as the links of a page are so many and no more.
    let body = prose(issue.body());
    let mut items: Vec<Item> = issue
        .comments()
        .map(|comment| Item {
            at: comment.created().map_or(0, |at| at.seconds()),
            id: format!("comment-{}", comment.id()),
            is_said: true,
            who: login(comment.user()),
            what: "commented".to_owned(),
            when: maybe_time(comment.created()),
            text: prose(comment.body()),
        })
        .collect();
    items.extend(issue.reviews().map(|review| Item {
        at: review.created().map_or(0, |at| at.seconds()),
        id: format!("review-{}", review.id()),
        is_said: true,
        who: login(review.actor()),
        what: escape(&format!(
            "reviewed: {}",
            review.state().to_lowercase().replace('_', " ")
        )),
        when: maybe_time(review.created()),
        text: prose(review.body()),
    }));
    items.extend(issue.events().zip(&deeds).map(|(event, deed)| Item {
        at: event.created().map_or(0, |at| at.seconds()),
        id: String::new(),
        is_said: false,
        who: login(event.actor()),
        what: match event.commit_id() {
            "" => prose(deed),
            commit => format!("{} {}", prose(deed), links.commit(commit)),
        },
        when: maybe_time(event.created()),
        text: String::new(),
    }));
    items.sort_by_key(|item| item.at);
    let changes = snapshot
        .gerrit()
        .changes_mentioning(repo.owner(), repo.name(), number)
        .filter(|change| !change.is_private());
    let assignees: Vec<_> = issue
        .assignees()
        .map(|user| LabelLink {
            name: user.login().to_owned(),
            url: search(repo, &format!("assignee:{}", user.login())),
        })
        .collect();
    let kind = if issue.is_pull_request() {
        "pull request"
    } else {
        "issue"
    };
    Ok(IssuePage {
        base: base.titled(format!("{} · {repo}#{number}", issue.title())),
        repo: repo.to_string(),
        repo_url,
        kind,
        number,
        title: if issue.title().is_empty() {
            format!("{kind} {number}")
        } else {
            issue.title().to_owned()
        },
        state: state_of(issue),
        locked: issue.is_locked(),
        author: login(issue.author()),
        author_url: author_url(issue),
        created: maybe_time(issue.created()),
        labels: labels(issue),
        assignees,
        milestone: issue.milestone().map(|milestone| LabelLink {
            name: milestone.title().to_owned(),
            url: search(repo, &term("milestone", milestone.title())),
        }),
        changes: changes.map(Link::to_change).collect(),
        body,
        items,
    })
}

/// What somebody did, in words; not with which commit.
fn deed(event: Event<'_>) -> String {
    let mut what = event.kind().replace('_', " ");
    let details = [
        event.label().map(str::to_owned),
        event.milestone().map(str::to_owned),
        event.assignee().map(|user| user.login().to_owned()),
        event.reviewer().map(|user| user.login().to_owned()),
        event.team_reviewer().map(|team| team.slug().to_owned()),
    ];
    for detail in details
        .into_iter()
        .flatten()
        .filter(|detail| !detail.is_empty())
    {
        let _ = write!(what, " {detail}");
    }
    if !event.to().is_empty() {
        let _ = write!(what, " “{}” to “{}”", event.from(), event.to());
    }
    what
}
