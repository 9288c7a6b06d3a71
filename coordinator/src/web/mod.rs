//! The pages people look at, and the JSON that programs read.
//!
//! Pages are complete without script; the script only keeps them up to date. Everything a page shows has a JSON twin under
//! `/api/v1/`, documented at `/api`. Nothing here changes anything: all is read with GET.

mod ansi;
mod api;
mod assets;
mod base;
mod build_page;
mod compat;
mod error;
mod events;
mod grid;
mod headers;
mod log_stream;
mod log_view;
mod params;
mod sgr;
mod verdict;
mod words;
mod workers_page;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, Uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use crate::event::Event;
use crate::logs::LogStore;
use crate::pool::Pool;
use crate::store::Store;
use base::Base;
use error::Fault;
use params::{Params, build_id, no_build};

/// Streams of logs and events that may be open at once.
const MOST_STREAMS: usize = 2_048;

/// What the pages show.
#[derive(Debug, Clone)]
pub struct View {
    /// Name of the project, for titles.
    pub project: String,
    /// Builds.
    pub store: Arc<dyn Store>,
    /// Their logs.
    pub logs: Arc<dyn LogStore>,
    /// Machines.
    pub pools: Vec<Arc<dyn Pool>>,
    /// What happens.
    pub events: broadcast::Sender<Event>,
    /// How to add a machine: the command line, without its secret.
    pub join_hint: String,
}

/// All pages, records and files, ready to be served.
///
/// The routes are `/`, `/builds/{id}`, `/workers`, `/api`, `/api/v1/…`, `/status/reverse.json`, `/assets/…`, `/favicon.ico` and
/// `/healthz`; everything else is answered by a page that says so, with status 404. Every answer, that one included, carries a
/// strict content security policy. A router this one is merged into must not have a fallback of its own.
pub fn router(view: View) -> Router {
    let app = App {
        view,
        streams: Arc::new(Semaphore::new(MOST_STREAMS)),
    };
    Router::new()
        .route("/", get(grid))
        .route("/builds/{id}", get(build))
        .route("/workers", get(workers))
        .route("/api", get(api_page))
        .route("/api/v1/builds", get(api_builds))
        .route("/api/v1/builds/{id}", get(api_build))
        .route("/api/v1/builds/{id}/log", get(api_log))
        .route("/api/v1/workers", get(api_workers))
        .route("/api/v1/commits", get(api_commits))
        .route("/api/v1/events", get(api_events))
        .route("/status/reverse.json", get(reverse_json))
        .route("/assets/{file}", get(assets::serve))
        .route("/favicon.ico", get(assets::favicon))
        .route("/healthz", get(async || "ok"))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(map_response(headers::secure))
        .with_state(app)
}

/// What the handlers share.
#[derive(Debug, Clone)]
struct App {
    view: View,
    streams: Arc<Semaphore>,
}

impl App {
    /// Leave to open a stream.
    fn stream(&self) -> Result<OwnedSemaphorePermit, Fault> {
        Arc::clone(&self.streams)
            .try_acquire_owned()
            .map_err(|_| Fault::Busy)
    }

    fn page(&self, answer: Result<Response, Fault>) -> Response {
        answer.unwrap_or_else(|fault| fault.page(&self.view.project))
    }
}

fn json(answer: Result<Response, Fault>) -> Response {
    answer.unwrap_or_else(Fault::json)
}

type Asked = Result<Query<Params>, QueryRejection>;
type Named = Result<Path<String>, PathRejection>;

fn asked(query: Asked) -> Result<Params, Fault> {
    query
        .map(|Query(params)| params)
        .map_err(|_| Fault::BadQuery("the query cannot be read".to_owned()))
}

fn named(path: Named) -> Result<i64, Fault> {
    match path {
        Ok(Path(text)) => build_id(&text),
        Err(_) => Err(no_build("of that name")),
    }
}

async fn grid(State(app): State<App>, query: Asked) -> Response {
    app.page(async { grid::page(&app, &asked(query)?).await }.await)
}

async fn build(State(app): State<App>, path: Named, query: Asked) -> Response {
    app.page(async { build_page::page(&app, named(path)?, &asked(query)?).await }.await)
}

async fn workers(State(app): State<App>, query: Asked) -> Response {
    app.page(asked(query).and_then(|params| workers_page::page(&app, &params)))
}

async fn api_page(State(app): State<App>) -> Response {
    app.page(base::html(&ApiPage {
        base: Base::new(&app.view.project, "api", "API"),
    }))
}

async fn api_builds(State(app): State<App>, query: Asked) -> Response {
    json(async { api::builds(&app, &asked(query)?).await }.await)
}

async fn api_build(State(app): State<App>, path: Named, query: Asked) -> Response {
    json(async { api::build(&app, named(path)?, &asked(query)?).await }.await)
}

async fn api_log(
    State(app): State<App>,
    path: Named,
    query: Asked,
    headers: HeaderMap,
) -> Response {
    json(async { log_stream::log(&app, named(path)?, &asked(query)?, &headers).await }.await)
}

async fn api_workers(State(app): State<App>, query: Asked) -> Response {
    json(asked(query).and_then(|params| api::workers(&app, &params)))
}

async fn api_commits(State(app): State<App>, query: Asked) -> Response {
    json(async { api::commits(&app, &asked(query)?).await }.await)
}

async fn api_events(State(app): State<App>, query: Asked) -> Response {
    json(asked(query).and_then(|params| events::events(&app, &params)))
}

async fn reverse_json(State(app): State<App>) -> Response {
    json(compat::reverse(&app).await)
}

async fn not_found(State(app): State<App>, uri: Uri) -> Response {
    refuse(
        &app,
        &uri,
        Fault::NotFound(format!(
            "there is nothing at {}",
            words::clean(uri.path(), 200)
        )),
    )
}

async fn wrong_method(State(app): State<App>, uri: Uri) -> Response {
    refuse(&app, &uri, Fault::Method)
}

fn refuse(app: &App, uri: &Uri, fault: Fault) -> Response {
    if uri.path().starts_with("/api/") {
        fault.json()
    } else {
        fault.page(&app.view.project)
    }
}

#[derive(Debug, Template)]
#[template(path = "api.html")]
struct ApiPage {
    base: Base,
}
