//! The JSON twin of the pages.

use axum::Json;
use axum::response::{IntoResponse, Response};
use buildfarm_dashboard::record::Build;
use http::HeaderValue;
use http::header::LINK;
use jiff::Timestamp;
use serde::Serialize;

use super::App;
use super::error::Fault;
use super::grid::{PAGE, rows};
use super::params::{Params, no_build};
use super::workers_page;
use crate::store::{BuildQuery, CommitRow};

/// Most builds in one answer.
const MOST_BUILDS: i64 = 1_000;

/// Most commits in one answer.
const MOST_COMMITS: i64 = 200;

/// `GET /api/v1/builds`.
pub(crate) async fn builds(app: &App, params: &Params) -> Result<Response, Fault> {
    params.only(&["builder", "commit", "state", "outcome", "before", "limit"])?;
    let limit = params.number("limit", 1, MOST_BUILDS)?.unwrap_or(200);
    let query = BuildQuery {
        builder: params.text("builder").map(ToOwned::to_owned),
        commit: params.commit()?,
        state: params.state()?,
        outcome: params.outcome()?,
        before: params.number("before", 0, i64::MAX)?,
        limit: u32::try_from(limit).unwrap_or(0),
    };
    let builds = app.view.store.builds(&query).await?;
    let next = builds
        .last()
        .filter(|_| builds.len() as i64 == limit)
        .map(|last| params.with("before", last.id));
    Ok(paged(Json(builds).into_response(), "/api/v1/builds", next))
}

/// `GET /api/v1/builds/{id}`.
pub(crate) async fn build(app: &App, id: i64, params: &Params) -> Result<Response, Fault> {
    params.only(&[])?;
    let detail = app
        .view
        .store
        .build(id)
        .await?
        .ok_or_else(|| no_build(id))?;
    Ok(Json(detail).into_response())
}

/// `GET /api/v1/workers`.
pub(crate) fn workers(app: &App, params: &Params) -> Result<Response, Fault> {
    params.only(&[])?;
    Ok(Json(workers_page::workers(&app.view)).into_response())
}

/// `GET /api/v1/commits`.
pub(crate) async fn commits(app: &App, params: &Params) -> Result<Response, Fault> {
    params.only(&["branch", "before", "limit"])?;
    let limit = params
        .number("limit", 1, MOST_COMMITS)?
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(PAGE);
    let before = params.number("before", 0, i64::MAX)?;
    let found = rows(&app.view, limit, before, params.text("branch")).await?;
    let next = found.older.map(|seq| params.with("before", seq));
    let commits: Vec<Commit> = found.rows.into_iter().map(Commit::from).collect();
    Ok(paged(
        Json(commits).into_response(),
        "/api/v1/commits",
        next,
    ))
}

/// Says where an answer goes on.
fn paged(mut response: Response, path: &str, next: Option<String>) -> Response {
    if let Some(query) = next
        && let Ok(value) = HeaderValue::try_from(format!("<{path}?{query}>; rel=\"next\""))
    {
        response.headers_mut().insert(LINK, value);
    }
    response
}

/// A commit with its builds: a row of `/api/v1/commits`.
#[derive(Debug, Serialize)]
struct Commit {
    /// Place in the history of the farm: higher is newer. For `before`.
    seq: i64,
    hash: String,
    subject: String,
    author: String,
    committed_at: Timestamp,
    branch: String,
    builds: Vec<Build>,
}

impl From<CommitRow> for Commit {
    fn from(row: CommitRow) -> Self {
        let CommitRow {
            seq,
            hash,
            subject,
            author,
            committed_at,
            branch,
            builds,
        } = row;
        Self {
            seq,
            hash,
            subject,
            author,
            committed_at,
            branch,
            builds,
        }
    }
}
