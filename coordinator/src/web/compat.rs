//! The table of machines as the Go build system publishes it.
//!
//! Programs that create and destroy the machines behind a farm poll it. Names and number types are theirs.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use buildfarm_dashboard::record::{BuildState, WorkerState};
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::App;
use super::error::Fault;
use super::workers_page::workers;
use crate::store::BuildQuery;

/// `GET /status/reverse.json`.
pub(crate) async fn reverse(app: &App) -> Result<Response, Fault> {
    let now = Timestamp::now();
    let in_state = |state| BuildQuery {
        state: Some(state),
        limit: 1_000,
        ..BuildQuery::default()
    };
    let running = app
        .view
        .store
        .builds(&in_state(BuildState::Running))
        .await?;
    let queued = app.view.store.builds(&in_state(BuildState::Queued)).await?;
    let mut status = Status::default();
    for worker in workers(&app.view) {
        let host = status.host(&worker.host_type);
        if worker.state == WorkerState::Lost {
            continue;
        }
        let started = worker
            .build
            .and_then(|id| running.iter().find(|build| build.id == id)?.started_at);
        let busy = worker.state == WorkerState::Busy;
        host.connected += 1;
        *if busy { &mut host.busy } else { &mut host.idle } += 1;
        let machine = Machine {
            name: worker.name.clone(),
            host_type: worker.host_type.clone(),
            connected_sec: now.duration_since(worker.connected_at).as_secs_f64(),
            busy_sec: started
                .map(|at| now.duration_since(at).as_secs_f64())
                .filter(|&secs| busy && secs > 0.0),
            version: worker.version.to_string(),
            busy,
        };
        host.machines
            .get_or_insert_default()
            .insert(worker.name, machine);
    }
    for build in queued {
        status.host(&build.host_type).waiters += 1;
    }
    let mut text = Vec::new();
    let written = status.serialize(&mut Serializer::with_formatter(
        &mut text,
        PrettyFormatter::with_indent(b"\t"),
    ));
    if let Err(error) = written {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "table of machines cannot be told"
        );
    }
    text.push(b'\n');
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    host_types: BTreeMap<String, Host>,
}

impl Status {
    fn host(&mut self, name: &str) -> &mut Host {
        self.host_types
            .entry(name.to_owned())
            .or_insert_with(|| Host {
                host_type: name.to_owned(),
                ..Host::default()
            })
    }
}

/// `Expect` is 0: this farm takes whoever comes.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Host {
    host_type: String,
    connected: u32,
    expect: u32,
    idle: u32,
    busy: u32,
    waiters: u32,
    machines: Option<BTreeMap<String, Machine>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Machine {
    name: String,
    host_type: String,
    connected_sec: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    busy_sec: Option<f64>,
    version: String,
    busy: bool,
}
