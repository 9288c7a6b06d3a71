//! The JSON of the records, pinned: programs of other versions and other people's scripts read it.

use buildfarm_dashboard::record::{
    Attempt, Build, BuildDetail, BuildState, Outcome, Step, Worker, WorkerState,
};
use serde_json::{Value, json};

fn build() -> Value {
    json!({
        "id": 7,
        "builder": "test",
        "host_type": "linux-amd64",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "subject": "all: begin",
        "author": "A. Gopher",
        "branch": "main",
        "state": "done",
        "outcome": "failed",
        "reason": "test: exit status 3",
        "attempt": 2,
        "worker": "w1",
        "queued_at": "2026-11-22T10:00:00Z",
        "started_at": "2026-11-22T10:00:01.5Z",
        "ended_at": "2026-11-22T10:01:00Z",
    })
}

fn attempt() -> Value {
    json!({
        "number": 1,
        "worker": "w1",
        "started_at": "2026-11-22T10:00:01.5Z",
        "ended_at": null,
        "outcome": null,
        "reason": null,
        "log_bytes": 5_000_000_000_u64,
        "log_sha256": null,
        "steps": [{
            "name": "test",
            "started_at": "2026-11-22T10:00:02Z",
            "ended_at": "2026-11-22T10:00:59Z",
            "outcome": "timed_out",
            "status": "signal: killed",
            "log_offset": 120,
        }],
    })
}

fn worker() -> Value {
    json!({
        "name": "w1",
        "hostname": "box",
        "host_type": "linux-amd64",
        "state": "busy",
        "build": 7,
        "version": 29,
        "address": "192.0.2.1:40000",
        "connected_at": "2026-11-22T09:00:00Z",
        "last_seen": "2026-11-22T10:00:00Z",
        "builds_done": 3,
    })
}

/// Reads the JSON as a record and expects to write the same JSON, keys that are null included.
fn round_trip<T: serde::Serialize + serde::de::DeserializeOwned>(json: Value) -> T {
    let record: T = serde_json::from_value(json.clone()).expect("a record");
    let written = serde_json::to_value(&record).expect("JSON");
    assert_eq!(written, json);
    record
}

#[test]
fn builds() {
    let record: Build = round_trip(build());
    assert_eq!(record.state, BuildState::Done);
    assert_eq!(record.outcome, Some(Outcome::Failed));
    let mut queued = build();
    for (key, value) in [("state", json!("queued")), ("attempt", json!(0))] {
        queued[key] = value;
    }
    for key in ["outcome", "reason", "worker", "started_at", "ended_at"] {
        queued[key] = Value::Null;
    }
    let record: Build = round_trip(queued);
    assert_eq!(
        (record.state, record.started_at),
        (BuildState::Queued, None)
    );
}

#[test]
fn details_are_a_build_with_attempts_beside_its_fields() {
    let mut detail = build();
    detail["attempts"] = json!([attempt()]);
    let record: BuildDetail = round_trip(detail);
    assert_eq!(record.build.id, 7);
    assert_eq!(record.attempts[0].steps[0].outcome, Some(Outcome::TimedOut));
}

#[test]
fn attempts_steps_and_workers() {
    let record: Attempt = round_trip(attempt());
    assert_eq!(record.log_bytes, 5_000_000_000);
    let step: Step = round_trip(json!({
        "name": "deploy",
        "started_at": null,
        "ended_at": null,
        "outcome": null,
        "status": null,
        "log_offset": null,
    }));
    assert_eq!(step.log_offset, None);
    let worker: Worker = round_trip(worker());
    assert_eq!(worker.state, WorkerState::Busy);
}

#[test]
fn words_of_the_enums() {
    for (state, word) in [
        (BuildState::Queued, "queued"),
        (BuildState::Running, "running"),
        (BuildState::Done, "done"),
    ] {
        assert_eq!(json!(state), json!(word));
    }
    for (outcome, word) in [
        (Outcome::Passed, "passed"),
        (Outcome::Failed, "failed"),
        (Outcome::TimedOut, "timed_out"),
        (Outcome::InfraFailed, "infra_failed"),
        (Outcome::Canceled, "canceled"),
        (Outcome::Skipped, "skipped"),
    ] {
        assert_eq!(json!(outcome), json!(word));
    }
    for (state, word) in [
        (WorkerState::Idle, "idle"),
        (WorkerState::Busy, "busy"),
        (WorkerState::Cleaning, "cleaning"),
        (WorkerState::Lost, "lost"),
    ] {
        assert_eq!(json!(state), json!(word));
    }
}

#[test]
fn fields_of_later_versions_are_ignored() {
    let mut detail = build();
    detail["attempts"] = json!([attempt()]);
    let plain: BuildDetail = serde_json::from_value(detail.clone()).unwrap();
    detail["later"] = json!({ "a": [1] });
    detail["attempts"][0]["later"] = json!(1);
    detail["attempts"][0]["steps"][0]["later"] = json!("x");
    let later: BuildDetail = serde_json::from_value(detail).unwrap();
    assert_eq!(plain, later);

    let mut machine = worker();
    machine["later"] = json!(null);
    assert!(serde_json::from_value::<Worker>(machine).is_ok());
}

#[test]
fn absent_optional_fields_are_none_and_absent_others_an_error() {
    let mut short = build();
    let fields = short.as_object_mut().unwrap();
    for key in ["outcome", "reason", "worker", "started_at", "ended_at"] {
        fields.remove(key);
    }
    let record: Build = serde_json::from_value(short.clone()).unwrap();
    assert_eq!(record.outcome, None);
    short.as_object_mut().unwrap().remove("commit");
    let error = serde_json::from_value::<Build>(short).unwrap_err();
    assert_eq!(error.to_string(), "missing field `commit`");
}
