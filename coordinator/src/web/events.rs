//! What happens, as server-sent events.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::App;
use super::error::Fault;
use super::params::Params;
use crate::event::Event;

/// Silence after which a comment is sent, so that neither proxies nor browsers take the stream for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// `GET /api/v1/events`.
pub(crate) fn events(app: &App, params: &Params) -> Result<Response, Fault> {
    params.only(&[])?;
    let permit = app.stream()?;
    let receiver = app.view.events.subscribe();
    // Browsers that lose the stream come back after two seconds.
    let hello = Some(Bytes::from_static(b"retry: 2000\n\n"));
    let body = stream::unfold(
        (receiver, permit, hello),
        |(mut receiver, permit, hello)| async move {
            if let Some(hello) = hello {
                return Some((Ok::<_, Infallible>(hello), (receiver, permit, None)));
            }
            let frame = loop {
                match timeout(HEARTBEAT, receiver.recv()).await {
                    Err(_) => break ": still here\n\n".to_owned(),
                    Ok(Err(RecvError::Closed)) => return None,
                    Ok(Err(RecvError::Lagged(missed))) => {
                        break frame("resync", &serde_json::json!({ "missed": missed }));
                    }
                    Ok(Ok(event)) => {
                        let text = frames(&event);
                        if !text.is_empty() {
                            break text;
                        }
                    }
                }
            };
            Some((Ok(Bytes::from(frame)), (receiver, permit, None)))
        },
    );
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    // Asks nginx, which would collect the stream otherwise.
    headers.insert("x-accel-buffering", http::HeaderValue::from_static("no"));
    Ok(response)
}

fn frames(event: &Event) -> String {
    match event {
        Event::Queued(builds) => builds.iter().map(|build| frame("build", build)).collect(),
        Event::Started(build) | Event::Finished(build) | Event::Retrying { build, .. } => {
            frame("build", build)
        }
        Event::StepStarted {
            attempt,
            step,
            name,
        } => {
            let record = serde_json::json!({ "build": attempt.build, "attempt": attempt.number, "step": step, "name": name });
            frame("step", &record)
        }
        Event::Worker(worker) => frame("worker", worker),
        Event::Notice(text) => frame("notice", &serde_json::json!({ "text": text })),
    }
}

/// One event. JSON has no line breaks of its own, so one data line is enough.
fn frame(name: &str, record: &impl Serialize) -> String {
    let mut out = String::new();
    match serde_json::to_string(record) {
        Ok(data) => {
            let _ = write!(out, "event: {name}\ndata: {data}\n\n");
        }
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "event cannot be told"
        ),
    }
    out
}
