//! The page of one build: what became of it, its steps, its log.

use askama::Template;
use axum::response::Response;
use buildfarm_dashboard::record::{Attempt, Build, BuildDetail, Outcome, Step};
use jiff::{SignedDuration, Timestamp};

use super::base::{Base, html};
use super::error::Fault;
use super::grid::short;
use super::log_view::{Part, Window, window};
use super::params::{Params, no_build};
use super::verdict::{Sentence, verdict};
use super::words::{Kind, age, brief, clean, moment, run_time, size, spoken};
use super::{App, View};
use crate::logs::LogError;
use crate::store::{AttemptId, BuildQuery};

/// Builds of the same builder in the strip above the log.
const STRIP: usize = 24;

/// Builds of the same builder that are looked through for neighbours and for the usual duration.
const LOOKED_AT: u32 = 200;

/// Width of the drawing that shows when each step ran.
const DRAWING: i128 = 1000;

/// `GET /builds/{id}`.
pub(crate) async fn page(app: &App, id: i64, params: &Params) -> Result<Response, Fault> {
    let now = Timestamp::now();
    let view = &app.view;
    let detail = view.store.build(id).await?.ok_or_else(|| no_build(id))?;
    let wanted = params.attempt()?;
    let attempt = match wanted {
        None => detail.attempts.last(),
        Some(number) => match detail
            .attempts
            .iter()
            .find(|attempt| attempt.number == number)
        {
            Some(attempt) => Some(attempt),
            None => {
                return Err(Fault::NotFound(format!(
                    "build {id} has no attempt {number}"
                )));
            }
        },
    };
    let head = Head::new(view, &detail, attempt, wanted.is_some(), now).await?;
    if params.flag("fragment")? {
        return html(&head);
    }
    let part = params.offset("from")?.map_or(Part::Newest, Part::From);
    let log = Log::read(view, &detail, attempt, part, now).await?;
    let mut base = Base::new(&view.project, "", &head.title);
    base.health = match head.kind {
        Kind::Running | Kind::Queued => "busy",
        kind if kind.is_bad() => "bad",
        Kind::Done(Outcome::Passed) => "ok",
        _ => "none",
    };
    html(&BuildPage { base, head, log })
}

#[derive(Debug, Template)]
#[template(path = "build.html")]
struct BuildPage {
    base: Base,
    head: Head,
    log: Log,
}

/// All above the log.
#[derive(Debug, Template)]
#[template(path = "build_head.html")]
struct Head {
    id: i64,
    title: String,
    kind: Kind,
    builder: String,
    host_type: String,
    hash: String,
    short: String,
    subject: String,
    author: String,
    branch: String,
    verdict: Sentence,
    facts: Vec<Fact>,
    attempts: Vec<AttemptRow>,
    /// The attempt that is shown; 0 before the first.
    shown: u32,
    /// Whether the address names the attempt, so that the page must not move on to a newer one.
    pinned: bool,
    steps: Vec<StepRow>,
    strip: Vec<Neighbour>,
    prev: Option<i64>,
    next: Option<i64>,
    usual: Option<String>,
    last_pass: Option<i64>,
    over: bool,
}

#[derive(Debug)]
struct Fact {
    name: &'static str,
    text: String,
    since: Option<Timestamp>,
    title: String,
}

#[derive(Debug)]
struct AttemptRow {
    number: u32,
    kind: Kind,
    worker: String,
    time: String,
    reason: Option<String>,
    size: String,
    here: bool,
}

#[derive(Debug)]
struct StepRow {
    index: usize,
    name: String,
    kind: Kind,
    time: String,
    since: Option<Timestamp>,
    status: Option<String>,
    offset: Option<u64>,
    x: i128,
    width: i128,
}

#[derive(Debug)]
struct Neighbour {
    id: i64,
    kind: Kind,
    title: String,
    here: bool,
}

impl Head {
    async fn new(
        view: &View,
        detail: &BuildDetail,
        attempt: Option<&Attempt>,
        pinned: bool,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let build = &detail.build;
        let kind = Kind::of(build);
        let query = |before, limit| BuildQuery {
            builder: Some(build.builder.clone()),
            before,
            limit,
            ..BuildQuery::default()
        };
        let mut near = view.store.builds(&query(None, LOOKED_AT)).await?;
        if !near.iter().any(|other| other.id == build.id) {
            near = view
                .store
                .builds(&query(build.id.checked_add(1), LOOKED_AT))
                .await?;
        }
        let place = near
            .iter()
            .position(|other| other.id == build.id)
            .unwrap_or(0);
        let from = place
            .saturating_sub(STRIP / 2)
            .min(near.len().saturating_sub(STRIP));
        let shown = near.iter().skip(from).take(STRIP);
        Ok(Self {
            id: build.id,
            title: format!(
                "{} on {}, {}",
                kind.word(),
                clean(&build.builder, 60),
                short(&build.commit)
            ),
            kind,
            builder: clean(&build.builder, 60),
            host_type: clean(&build.host_type, 60),
            hash: clean(&build.commit, 64),
            short: short(&build.commit),
            subject: clean(&build.subject, 200),
            author: clean(&build.author, 60),
            branch: clean(&build.branch, 60),
            verdict: verdict(detail, now),
            facts: facts(build, attempt, now),
            attempts: detail
                .attempts
                .iter()
                .rev()
                .map(|a| AttemptRow::new(a, attempt, now))
                .collect(),
            shown: attempt.map_or(0, |attempt| attempt.number),
            pinned,
            steps: attempt
                .map(|attempt| step_rows(attempt, now))
                .unwrap_or_default(),
            strip: shown
                .rev()
                .map(|other| Neighbour::new(other, build.id, now))
                .collect(),
            prev: near.get(place + 1).map(|other| other.id),
            next: place
                .checked_sub(1)
                .and_then(|at| near.get(at))
                .map(|other| other.id),
            usual: usual(&near, now).map(spoken),
            last_pass: last_pass(&near, place).filter(|_| kind.is_bad()),
            over: matches!(kind, Kind::Done(_)),
        })
    }
}

fn facts(build: &Build, attempt: Option<&Attempt>, now: Timestamp) -> Vec<Fact> {
    let plain = |name, text| Fact {
        name,
        text,
        since: None,
        title: String::new(),
    };
    let timed = |name, at: Timestamp| Fact {
        name,
        text: age(at, now),
        since: Some(at),
        title: moment(at),
    };
    let mut facts = vec![timed("queued", build.queued_at)];
    if let Some(attempt) = attempt {
        facts.push(plain(
            "waited",
            spoken(attempt.started_at.duration_since(build.queued_at)),
        ));
        facts.push(timed("started", attempt.started_at));
        if let Some(ended) = attempt.ended_at {
            facts.push(plain(
                "took",
                spoken(ended.duration_since(attempt.started_at)),
            ));
        }
        facts.push(plain("worker", clean(&attempt.worker, 80)));
    }
    facts
}

/// The median time of the passed builds, when there are enough of them to call it usual.
fn usual(near: &[Build], now: Timestamp) -> Option<SignedDuration> {
    let passed = near
        .iter()
        .filter(|build| build.outcome == Some(Outcome::Passed));
    let mut times: Vec<SignedDuration> = passed.filter_map(|build| run_time(build, now)).collect();
    times.sort_unstable();
    if times.len() < 3 {
        None
    } else {
        times.get(times.len() / 2).copied()
    }
}

fn last_pass(near: &[Build], place: usize) -> Option<i64> {
    near.iter()
        .skip(place)
        .find(|build| build.outcome == Some(Outcome::Passed))
        .map(|build| build.id)
}

impl AttemptRow {
    fn new(attempt: &Attempt, shown: Option<&Attempt>, now: Timestamp) -> Self {
        Self {
            number: attempt.number,
            kind: Kind::of_part(true, attempt.outcome),
            worker: clean(&attempt.worker, 60),
            time: brief(
                attempt
                    .ended_at
                    .unwrap_or(now)
                    .duration_since(attempt.started_at),
            ),
            reason: attempt
                .reason
                .as_deref()
                .filter(|reason| !reason.is_empty())
                .map(|reason| clean(reason, 300)),
            size: size(attempt.log_bytes),
            here: shown.is_some_and(|shown| shown.number == attempt.number),
        }
    }
}

fn step_rows(attempt: &Attempt, now: Timestamp) -> Vec<StepRow> {
    let whole = attempt
        .ended_at
        .unwrap_or(now)
        .duration_since(attempt.started_at)
        .as_millis()
        .max(1);
    let place = |at: Timestamp| {
        (at.duration_since(attempt.started_at).as_millis() * DRAWING / whole).clamp(0, DRAWING)
    };
    let row = |(index, step): (usize, &Step)| {
        let kind = Kind::of_part(step.started_at.is_some(), step.outcome);
        let end = step.ended_at.or(attempt.ended_at).unwrap_or(now);
        let (x, width) = step.started_at.map_or((0, 0), |from| {
            let x = place(from).min(DRAWING - 4);
            (x, (place(end) - x).max(4))
        });
        StepRow {
            index,
            name: clean(&step.name, 80),
            kind,
            time: step
                .started_at
                .map(|from| brief(end.duration_since(from)))
                .unwrap_or_default(),
            since: step
                .started_at
                .filter(|_| kind == Kind::Running && attempt.ended_at.is_none()),
            status: step
                .status
                .as_deref()
                .filter(|_| kind.is_bad())
                .map(|status| clean(status, 120)),
            offset: step.log_offset,
            x,
            width,
        }
    };
    attempt.steps.iter().enumerate().map(row).collect()
}

impl Neighbour {
    fn new(build: &Build, here: i64, now: Timestamp) -> Self {
        let kind = Kind::of(build);
        let time = run_time(build, now)
            .map(|took| format!(" after {}", spoken(took)))
            .unwrap_or_default();
        Self {
            id: build.id,
            kind,
            title: format!(
                "build {}: {}{time}\n{} {}",
                build.id,
                kind.word(),
                short(&build.commit),
                clean(&build.subject, 80)
            ),
            here: build.id == here,
        }
    }
}

/// The log, as far as the page shows it.
#[derive(Debug)]
struct Log {
    window: Window,
    size: String,
    note: Option<String>,
    /// Whether the script should ask for more.
    live: bool,
    lines: String,
}

impl Log {
    async fn read(
        view: &View,
        detail: &BuildDetail,
        attempt: Option<&Attempt>,
        part: Part,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let mut log = Self {
            window: Window::default(),
            size: String::new(),
            note: None,
            live: false,
            lines: String::new(),
        };
        let Some(attempt) = attempt else {
            let text = if Kind::of(&detail.build) == Kind::Queued {
                "Output will appear here once a worker starts."
            } else {
                "It never ran, so there is no output."
            };
            log.note = Some(text.to_owned());
            return Ok(log);
        };
        let id = AttemptId {
            build: detail.build.id,
            number: attempt.number,
        };
        match window(&*view.logs, id, part, &attempt.steps, now).await {
            Ok(window) => {
                log.size = size(window.len);
                log.live = !window.complete && window.later().is_none();
                if window.len == 0 && window.complete {
                    log.note = Some("It printed nothing.".to_owned());
                }
                if window.start > 0 || window.later().is_some() {
                    log.lines = format!("{} of {}", size(window.end - window.start), log.size);
                }
                log.window = window;
            }
            Err(LogError::NotFound(_)) => {
                log.note = Some("No output of this attempt was kept.".to_owned())
            }
            Err(error) => return Err(error.into()),
        }
        Ok(log)
    }
}
