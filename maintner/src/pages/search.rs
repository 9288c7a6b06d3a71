//! `/search?q=…`.

use askama::Template;

use super::{
    Base,
    change::Link,
    github::url_of,
    words::{self, href, maybe_time, time},
};
use crate::corpus::{Commit, Issue, Project, Snapshot};

/// Hits of one kind that are shown.
const HITS: usize = 50;

#[derive(Template)]
#[template(path = "search.html")]
pub(super) struct SearchPage {
    base: Base,
    heading: String,
    notes: Vec<String>,
    hits: Vec<Hit>,
}

struct Hit {
    kind: &'static str,
    url: String,
    title: String,
    place: String,
    when: String,
}

pub(super) fn page(snapshot: &Snapshot, mut base: Base, query: &str) -> SearchPage {
    let query = query.trim();
    base.query = query.to_owned();
    let mut notes = Vec::new();
    let mut hits = named(snapshot, query);
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    if hits.is_empty() && !words.is_empty() {
        let kinds = [
            ("issues", issues(snapshot, &words)),
            ("changes", changes(snapshot, &words)),
            ("commits", commits(snapshot, &words)),
        ];
        for (name, found) in kinds {
            if found.len() == HITS {
                notes.push(format!("The newest {HITS} {name} that fit."));
            }
            hits.extend(found);
        }
    }
    let heading = match (query, hits.len()) {
        ("", _) => "Search".to_owned(),
        (_, 0) => format!("Nothing has “{query}”"),
        (_, count) => format!("{} for “{query}”", words::count(count, "hit", "hits")),
    };
    if query.is_empty() {
        notes.push("All words must occur in a title, in any case. #123 and owner/repo#123 find issues and changes, the first digits of its name a commit.".to_owned());
    }
    SearchPage {
        base: base.titled(heading.clone()),
        heading,
        notes,
        hits,
    }
}

/// What is called that: `#123`, `owner/repo#123`, `1a2b3c4`.
fn named(snapshot: &Snapshot, query: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    let (place, number) = query.rsplit_once('#').unwrap_or(("", query));
    if let Ok(number) = number.parse::<i32>() {
        let is_there = |name: String| place.is_empty() || name.eq_ignore_ascii_case(place);
        let repos = snapshot
            .github()
            .repos()
            .filter(|repo| is_there(repo.to_string()));
        hits.extend(repos.filter_map(|repo| repo.issue(number)).map(issue_hit));
        let projects = snapshot.gerrit().projects();
        let projects = projects.filter(|project| is_there(project.full_name().to_owned()));
        let changes = projects.filter_map(|project| project.cl(number));
        hits.extend(
            changes
                .filter(|change| !change.is_private())
                .map(change_hit),
        );
    }
    let prefix = query.to_ascii_lowercase();
    if (7..=40).contains(&prefix.len()) && prefix.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        let is_it = |commit: &Commit<'_>| commit.name().to_string().starts_with(&prefix);
        let found = snapshot.commits().iter().filter(is_it).take(HITS);
        hits.extend(found.map(|commit| commit_hit(snapshot, commit)));
    }
    hits
}

fn has_all(text: &str, words: &[String]) -> bool {
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}

fn issues(snapshot: &Snapshot, words: &[String]) -> Vec<Hit> {
    let mut found: Vec<Issue<'_>> = Vec::new();
    for repo in snapshot.github().repos() {
        let fits = |issue: &Issue<'_>| !issue.not_exist() && has_all(issue.title(), words);
        found.extend(repo.issues().rev().filter(fits).take(HITS));
    }
    found.sort_by_key(|issue| std::cmp::Reverse(issue.updated()));
    found.into_iter().take(HITS).map(issue_hit).collect()
}

fn changes(snapshot: &Snapshot, words: &[String]) -> Vec<Hit> {
    let mut found = Vec::new();
    for project in snapshot.gerrit().projects() {
        let changes = project.cls().rev();
        let fits =
            changes.filter(|change| !change.is_private() && has_all(&change.subject(), words));
        found.extend(fits.take(HITS));
    }
    found.sort_by_key(|change| std::cmp::Reverse(change.updated()));
    found.into_iter().take(HITS).map(change_hit).collect()
}

fn commits(snapshot: &Snapshot, words: &[String]) -> Vec<Hit> {
    // What Gerrit notes about changes are commits, too; nobody looks for those.
    let is_meta = |commit: &Commit<'_>| commit.message().contains("\nPatch-set: ");
    let fits = |commit: &Commit<'_>| has_all(commit.summary(), words) && !is_meta(commit);
    let mut found: Vec<Commit<'_>> = snapshot.commits().iter().filter(fits).collect();
    found.sort_by_key(|commit| std::cmp::Reverse(commit.committer().seconds));
    found.truncate(HITS);
    found
        .into_iter()
        .map(|commit| commit_hit(snapshot, commit))
        .collect()
}

fn issue_hit(issue: Issue<'_>) -> Hit {
    Hit {
        kind: if issue.is_pull_request() {
            "pull request"
        } else {
            "issue"
        },
        url: url_of(issue),
        title: format!("{}: {}", issue.number(), issue.title()),
        place: issue.repo().to_string(),
        when: maybe_time(issue.updated()),
    }
}

fn change_hit(change: crate::corpus::Change<'_>) -> Hit {
    let Link { url, title, .. } = Link::to_change(change);
    Hit {
        kind: "change",
        url,
        title,
        place: change.project().full_name().to_owned(),
        when: time(change.updated().seconds()),
    }
}

fn commit_hit(snapshot: &Snapshot, commit: Commit<'_>) -> Hit {
    // Each commit is kept once, whatever projects have it; any of them shows it.
    let project = snapshot.gerrit().projects().next();
    let place = project.map_or("", Project::full_name);
    let name = commit.name().to_string();
    Hit {
        kind: "commit",
        url: href(&[place, "commit", &name]),
        title: commit.summary().to_owned(),
        place: name.chars().take(10).collect(),
        when: time(commit.committer().seconds),
    }
}
