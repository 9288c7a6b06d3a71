//! The machines of the farm.

use askama::Template;
use axum::response::Response;
use buildfarm_dashboard::record::{Worker, WorkerState};
use jiff::Timestamp;

use super::App;
use super::View;
use super::base::{Base, html};
use super::error::Fault;
use super::params::Params;
use super::words::{age, clean, count, moment, worker_state};

/// Every machine of every pool, ordered by host type and name.
pub(crate) fn workers(view: &View) -> Vec<Worker> {
    let mut workers: Vec<Worker> = view.pools.iter().flat_map(|pool| pool.workers()).collect();
    workers.sort_by(|a, b| (&a.host_type, &a.name).cmp(&(&b.host_type, &b.name)));
    workers
}

/// `GET /workers`.
pub(crate) fn page(app: &App, params: &Params) -> Result<Response, Fault> {
    let live = Live::new(&app.view, Timestamp::now());
    if params.flag("fragment")? {
        return html(&live);
    }
    let base = Base::new(&app.view.project, "workers", "Workers");
    html(&WorkersPage {
        base,
        live,
        join_hint: app.view.join_hint.clone(),
    })
}

#[derive(Debug, Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    base: Base,
    live: Live,
    join_hint: String,
}

#[derive(Debug, Template)]
#[template(path = "workers_live.html")]
struct Live {
    groups: Vec<Group>,
    headline: String,
}

/// Machines of one host type.
#[derive(Debug)]
struct Group {
    host_type: String,
    summary: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    hostname: Option<String>,
    state: &'static str,
    build: Option<i64>,
    connected: Time,
    seen: Time,
    done: u64,
    version: u32,
    address: String,
}

#[derive(Debug)]
struct Time {
    at: Timestamp,
    age: String,
    moment: String,
}

impl Live {
    fn new(view: &View, now: Timestamp) -> Self {
        let workers = workers(view);
        let connected = workers
            .iter()
            .filter(|worker| worker.state != WorkerState::Lost)
            .count();
        let groups = workers
            .chunk_by(|a, b| a.host_type == b.host_type)
            .map(|chunk| Group::new(chunk, now))
            .collect();
        let headline = match connected {
            0 => "No workers are connected".to_owned(),
            1 => "1 worker is connected".to_owned(),
            n => format!("{n} workers are connected"),
        };
        Self { groups, headline }
    }
}

impl Group {
    fn new(workers: &[Worker], now: Timestamp) -> Self {
        let states = [
            WorkerState::Busy,
            WorkerState::Idle,
            WorkerState::Cleaning,
            WorkerState::Lost,
        ];
        let counts = states.map(|state| {
            (
                state,
                workers
                    .iter()
                    .filter(|worker| worker.state == state)
                    .count(),
            )
        });
        let present = counts.iter().filter(|(_, n)| *n > 0);
        let said: Vec<String> = present
            .map(|(state, n)| format!("{n} {}", worker_state(*state)))
            .collect();
        Self {
            host_type: workers
                .first()
                .map(|worker| clean(&worker.host_type, 60))
                .unwrap_or_default(),
            summary: format!(
                "{}: {}",
                count(workers.len(), "worker", "workers"),
                said.join(", ")
            ),
            rows: workers.iter().map(|worker| Row::new(worker, now)).collect(),
        }
    }
}

impl Row {
    fn new(worker: &Worker, now: Timestamp) -> Self {
        let time = |at| Time {
            at,
            age: age(at, now),
            moment: moment(at),
        };
        Self {
            name: clean(&worker.name, 80),
            hostname: (worker.hostname != worker.name).then(|| clean(&worker.hostname, 80)),
            state: worker_state(worker.state),
            build: worker.build,
            connected: time(worker.connected_at),
            seen: time(worker.last_seen),
            done: worker.builds_done,
            version: worker.version,
            address: clean(&worker.address, 80),
        }
    }
}
