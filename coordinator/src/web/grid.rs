//! The front page: commits down, builders across.

use std::collections::HashMap;
use std::fmt::Write as _;

use askama::Template;
use axum::response::Response;
use buildfarm_dashboard::record::{Build, BuildState, Outcome, Worker, WorkerState};
use jiff::Timestamp;

use super::base::{Base, html};
use super::error::Fault;
use super::params::{Params, encode};
use super::words::{Kind, age, brief, clean, count, moment, run_time, spoken};
use super::{App, View};
use crate::store::{BuildQuery, CommitRow};

/// Commits on one page.
pub(crate) const PAGE: u32 = 50;

/// Commits looked through for one page of a branch.
const SCANNED: u32 = 2_000;

/// Builders up to which a cell has room for words.
const WIDE: usize = 8;

/// A part of the grid, as both the page and its JSON twin show it.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub rows: Vec<CommitRow>,
    /// Where the next older part begins: `before` of its query.
    pub older: Option<i64>,
    /// Branches seen on the way, in order of their newest commit.
    pub branches: Vec<String>,
}

/// Reads `limit` commits, of one branch or of all.
pub(crate) async fn rows(
    view: &View,
    limit: u32,
    before: Option<i64>,
    branch: Option<&str>,
) -> Result<Rows, Fault> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = Rows::default();
    let mut at = before;
    let mut scanned = 0;
    loop {
        // One more than wanted tells whether there is an older part.
        let step = if branch.is_some() { 200 } else { limit + 1 };
        let batch = view.store.grid(step, at).await?;
        let ended = batch.len() < usize::try_from(step).unwrap_or(usize::MAX);
        scanned += step;
        for row in batch {
            if !found.branches.contains(&row.branch) {
                found.branches.push(row.branch.clone());
            }
            if found.rows.len() == wanted {
                found.older = found.rows.last().map(|last| last.seq);
                return Ok(found);
            }
            at = Some(row.seq);
            if branch.is_none_or(|branch| branch == row.branch) {
                found.rows.push(row);
            }
        }
        if ended {
            return Ok(found);
        }
        if scanned >= SCANNED {
            found.older = at;
            return Ok(found);
        }
    }
}

/// `GET /`.
pub(crate) async fn page(app: &App, params: &Params) -> Result<Response, Fault> {
    let now = Timestamp::now();
    let before = params.number("before", 0, i64::MAX)?;
    let branch = params.text("branch");
    let rows = rows(&app.view, PAGE, before, branch).await?;
    let live = Live::new(&app.view, rows, before, branch, now).await?;
    if params.flag("fragment")? {
        return html(&live);
    }
    let mut base = Base::new(&app.view.project, "builds", "Builds");
    base.health = live.health;
    html(&GridPage { base, live })
}

#[derive(Debug, Template)]
#[template(path = "grid.html")]
struct GridPage {
    base: Base,
    live: Live,
}

/// The part of the page that changes as builds do.
#[derive(Debug, Template)]
#[template(path = "grid_live.html")]
struct Live {
    health: &'static str,
    headline: String,
    running: String,
    queued: String,
    workers: String,
    starved: bool,
    join_hint: String,
    branches: Vec<Branch>,
    all: bool,
    columns: Vec<Column>,
    wide: bool,
    rows: Vec<Row>,
    empty: bool,
    newest: bool,
    newest_url: String,
    older_url: Option<String>,
}

#[derive(Debug)]
struct Branch {
    name: String,
    url: String,
    here: bool,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: Kind,
    said: String,
}

#[derive(Debug)]
struct Row {
    seq: i64,
    hash: String,
    short: String,
    subject: String,
    author: String,
    branch: Option<String>,
    age: String,
    at: Timestamp,
    moment: String,
    cells: Vec<Option<Cell>>,
}

#[derive(Debug)]
struct Cell {
    id: i64,
    kind: Kind,
    time: String,
    since: Option<Timestamp>,
    title: String,
    label: String,
}

impl Live {
    fn legend(&self) -> impl Iterator<Item = Kind> {
        let outcomes = [
            Outcome::Passed,
            Outcome::Failed,
            Outcome::TimedOut,
            Outcome::InfraFailed,
            Outcome::Canceled,
            Outcome::Skipped,
        ];
        outcomes
            .map(Kind::Done)
            .into_iter()
            .chain([Kind::Running, Kind::Queued])
    }

    async fn new(
        view: &View,
        found: Rows,
        before: Option<i64>,
        branch: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let columns = columns(&found.rows);
        let places: HashMap<&str, usize> = columns
            .iter()
            .enumerate()
            .map(|(i, column)| (column.name.as_str(), i))
            .collect();
        let several = found.branches.len() > 1 && branch.is_none();
        let rows: Vec<Row> = found
            .rows
            .iter()
            .map(|row| Row::new(row, &places, several, now))
            .collect();
        let queued = in_state(view, BuildState::Queued).await?;
        let running = in_state(view, BuildState::Running).await?;
        let workers: Vec<Worker> = view.pools.iter().flat_map(|pool| pool.workers()).collect();
        let connected = workers
            .iter()
            .filter(|worker| worker.state != WorkerState::Lost)
            .count();
        let idle = workers
            .iter()
            .filter(|worker| worker.state == WorkerState::Idle)
            .count();
        let (health, headline) = health(&columns, running.len());
        Ok(Self {
            health,
            headline,
            running: format!("{} running", many(running.len())),
            queued: format!("{} waiting", many(queued.len())),
            workers: format!("{}, {idle} idle", count(connected, "worker", "workers")),
            starved: connected == 0,
            join_hint: view.join_hint.clone(),
            all: branch.is_none(),
            branches: branches(found.branches, branch),
            wide: columns.len() <= WIDE,
            columns,
            empty: rows.is_empty(),
            rows,
            newest: before.is_none(),
            newest_url: address(branch, None),
            older_url: found.older.map(|seq| address(branch, Some(seq))),
        })
    }
}

/// Builders in the order of the newest commit that has them.
fn columns(rows: &[CommitRow]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for build in rows.iter().flat_map(|row| &row.builds) {
        let kind = Kind::of(build);
        let place = *places.entry(&build.builder).or_insert_with(|| {
            columns.push(Column {
                name: clean(&build.builder, 60),
                kind: Kind::Never,
                said: String::new(),
            });
            columns.len() - 1
        });
        let column = &mut columns[place];
        // The newest verdict counts; what was skipped, stopped or is under way says nothing.
        if column.kind == Kind::Never && (kind.is_bad() || kind.class() == "passed") {
            column.kind = kind;
            column.said = format!("last result: {}, at {}", kind.word(), short(&build.commit));
        }
    }
    columns
}

fn health(columns: &[Column], running: usize) -> (&'static str, String) {
    let bad: Vec<&str> = columns
        .iter()
        .filter(|column| column.kind.is_bad())
        .map(|column| column.name.as_str())
        .collect();
    let judged = columns
        .iter()
        .filter(|column| column.kind != Kind::Never)
        .count();
    match (bad.as_slice(), judged) {
        ([], 0) if running > 0 => ("busy", "The first builds are under way".to_owned()),
        ([], 0) => ("none", "No results yet".to_owned()),
        ([], 1) => ("ok", "The builder is green".to_owned()),
        ([], n) => ("ok", format!("All {n} builders are green")),
        ([one], 1) => ("bad", format!("{one} is broken")),
        (bad, n) => {
            let named = bad.iter().take(3).copied().collect::<Vec<_>>().join(", ");
            let more = if bad.len() > 3 {
                format!(" and {} more", bad.len() - 3)
            } else {
                String::new()
            };
            let are = if bad.len() == 1 { "is" } else { "are" };
            (
                "bad",
                format!("{} of {n} builders {are} broken: {named}{more}", bad.len()),
            )
        }
    }
}

async fn in_state(view: &View, state: BuildState) -> Result<Vec<Build>, Fault> {
    Ok(view
        .store
        .builds(&BuildQuery {
            state: Some(state),
            limit: 1_000,
            ..BuildQuery::default()
        })
        .await?)
}

fn many(n: usize) -> String {
    if n >= 1_000 {
        "1,000 or more".to_owned()
    } else {
        n.to_string()
    }
}

fn branches(mut names: Vec<String>, here: Option<&str>) -> Vec<Branch> {
    if let Some(here) = here
        && !names.iter().any(|name| name == here)
    {
        names.insert(0, here.to_owned());
    }
    if names.len() < 2 && here.is_none() {
        return Vec::new();
    }
    names
        .into_iter()
        .take(30)
        .map(|name| Branch {
            url: address(Some(&name), None),
            here: here == Some(name.as_str()),
            name: clean(&name, 60),
        })
        .collect()
}

/// Address of a part of the grid.
fn address(branch: Option<&str>, before: Option<i64>) -> String {
    let mut query = Vec::new();
    if let Some(branch) = branch {
        query.push(format!("branch={}", encode(branch)));
    }
    if let Some(before) = before {
        query.push(format!("before={before}"));
    }
    if query.is_empty() {
        "/".to_owned()
    } else {
        format!("/?{}", query.join("&"))
    }
}

/// The beginning of a commit's hash, as long as people read it out.
pub(crate) fn short(hash: &str) -> String {
    hash.chars().take(8).collect()
}

impl Row {
    fn new(
        row: &CommitRow,
        places: &HashMap<&str, usize>,
        with_branch: bool,
        now: Timestamp,
    ) -> Self {
        let mut cells: Vec<Option<Cell>> = Vec::new();
        cells.resize_with(places.len(), || None);
        for build in &row.builds {
            // Columns were made of these very rows, so each builder has its place.
            if let Some(cell) = places
                .get(build.builder.as_str())
                .and_then(|&place| cells.get_mut(place))
            {
                *cell = Some(Cell::new(build, now));
            }
        }
        Self {
            seq: row.seq,
            hash: clean(&row.hash, 64),
            short: short(&row.hash),
            subject: clean(&row.subject, 160),
            author: clean(&row.author, 60),
            branch: with_branch.then(|| clean(&row.branch, 40)),
            age: age(row.committed_at, now),
            at: row.committed_at,
            moment: moment(row.committed_at),
            cells,
        }
    }
}

impl Cell {
    fn new(build: &Build, now: Timestamp) -> Self {
        let kind = Kind::of(build);
        let took = run_time(build, now);
        let running = kind == Kind::Running;
        let mut label = format!("{} on {}", kind.word(), clean(&build.builder, 60));
        if let Some(took) = took {
            label.push_str(if running { " for " } else { " after " });
            label.push_str(&spoken(took));
        }
        if build.attempt > 1 {
            let _ = write!(label, ", attempt {}", build.attempt);
        }
        let mut title = label.clone();
        if let Some(reason) = &build.reason {
            title.push('\n');
            title.push_str(&clean(reason, 200));
        }
        if let Some(worker) = build.worker.as_deref().filter(|_| running) {
            title.push_str("\nworker ");
            title.push_str(&clean(worker, 60));
        }
        let _ = write!(
            title,
            "\n{} {}",
            short(&build.commit),
            clean(&build.subject, 60)
        );
        Self {
            id: build.id,
            kind,
            time: took.map(brief).unwrap_or_default(),
            since: build.started_at.filter(|_| running),
            title,
            label: format!("{label}, commit {}", short(&build.commit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_any_branch_name() {
        assert_eq!(address(None, None), "/");
        assert_eq!(
            address(Some("a&b=c#\"<é>"), Some(7)),
            "/?branch=a%26b%3Dc%23%22%3C%C3%A9%3E&before=7"
        );
        assert_eq!(address(Some("release/1.2"), None), "/?branch=release/1.2");
    }

    #[test]
    fn health_is_a_sentence() {
        let column = |name: &str, class: Option<bool>| Column {
            name: name.to_owned(),
            kind: match class {
                None => Kind::Never,
                Some(true) => Kind::Done(Outcome::Passed),
                Some(false) => Kind::Done(Outcome::Failed),
            },
            said: String::new(),
        };
        let say = |columns: &[Column]| health(columns, 0).1;
        assert_eq!(say(&[]), "No results yet");
        assert_eq!(
            say(&[
                column("a", Some(true)),
                column("b", Some(true)),
                column("c", None)
            ]),
            "All 2 builders are green"
        );
        assert_eq!(
            say(&[column("a", Some(true)), column("b", Some(false))]),
            "1 of 2 builders is broken: b"
        );
        assert_eq!(
            health(&[column("a", Some(false))], 0),
            ("bad", "a is broken".to_owned())
        );
        let many: Vec<Column> = ["a", "b", "c", "d", "e"]
            .iter()
            .map(|name| column(name, Some(false)))
            .collect();
        assert_eq!(say(&many), "5 of 5 builders are broken: a, b, c and 2 more");
    }
}
