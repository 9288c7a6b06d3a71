//! The pages and records, asked for as a browser or a program would, without sockets.

#[path = "web/doubles.rs"]
mod doubles;
#[path = "web/pages.rs"]
mod pages;
#[path = "web/records.rs"]
mod records;
#[path = "web/security.rs"]
mod security;
#[path = "web/streams.rs"]
mod streams;
#[path = "web/terminal.rs"]
mod terminal;

use axum::body::Body;
use axum::response::Response;
use buildfarm_coordinator::store::AttemptId;
use buildfarm_coordinator::web::router;
use buildfarm_dashboard::record::{Outcome, WorkerState};
use doubles::{FakeCommit, FakeFarm};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use tower::ServiceExt as _;

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("answers are UTF-8")
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("answers are JSON")
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("headers are text"))
    }

    #[track_caller]
    fn has(&self, what: &str) -> &Self {
        assert!(
            self.text().contains(what),
            "no {what:?} in:\n{}",
            self.text()
        );
        self
    }

    #[track_caller]
    fn lacks(&self, what: &str) -> &Self {
        assert!(!self.text().contains(what), "{what:?} in:\n{}", self.text());
        self
    }
}

async fn ask(farm: &FakeFarm, request: Request<Body>) -> Response {
    router(farm.view())
        .oneshot(request)
        .await
        .expect("the router always answers")
}

async fn send(farm: &FakeFarm, request: Request<Body>) -> Answer {
    let response = ask(farm, request).await;
    let (head, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .expect("the body ends well")
        .to_bytes()
        .to_vec();
    Answer {
        status: head.status,
        headers: head.headers,
        body,
    }
}

async fn get(farm: &FakeFarm, target: &str) -> Answer {
    send(
        farm,
        Request::get(target)
            .body(Body::empty())
            .expect("test targets are valid"),
    )
    .await
}

/// A page that is there.
async fn page(farm: &FakeFarm, target: &str) -> Answer {
    let answer = get(farm, target).await;
    assert_eq!(answer.status, StatusCode::OK, "{target}: {}", answer.text());
    answer
}

const HASH: &str = "8f3c0e6a5b1d4c2e9f7a6b5c4d3e2f1a0b9c8d7e";

fn commit(hash: &str) -> FakeCommit<'_> {
    FakeCommit {
        hash,
        subject: "parser: accept empty lists",
        author: "Mia",
        branch: "main",
    }
}

fn ago(secs: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_secs(secs)
}

/// A farm with one commit on two builders and one worker; both builds wait.
fn small_farm() -> FakeFarm {
    let farm = FakeFarm::new();
    farm.pool
        .add("w1", "linux-amd64", WorkerState::Idle, ago(3600));
    farm.commit(commit(HASH), &["linux-amd64", "windows-amd64"], ago(600));
    farm
}

/// Runs build 1 of a small farm up to its log.
fn running(farm: &FakeFarm) -> AttemptId {
    let id = farm.start(1, "w1", &["source", "test"], ago(100));
    farm.begin_step(id, 0, ago(100));
    farm.logs.append(id, "unpacked\n");
    farm.end_step(id, 0, Outcome::Passed, "exit status 0", ago(95));
    farm.begin_step(id, 1, ago(95));
    id
}

/// Ends it badly.
fn fail(farm: &FakeFarm, id: AttemptId) {
    farm.end_step(id, 1, Outcome::Failed, "exit status 1", ago(83));
    farm.finish(
        id,
        Outcome::Failed,
        "step test: exit status 1",
        true,
        ago(83),
    );
}
