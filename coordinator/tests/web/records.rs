//! What programs read. The names of the fields are promises: a change here breaks somebody's program.

use axum::http::Method;
use serde_json::{Value, json};

use super::*;

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// One build that failed, with all its times fixed.
fn fixed() -> FakeFarm {
    let farm = FakeFarm::new();
    farm.pool.add(
        "w1",
        "linux-amd64",
        WorkerState::Idle,
        at("2026-05-01T11:00:00Z"),
    );
    farm.commit(commit(HASH), &["linux-amd64"], at("2026-05-01T12:00:00Z"));
    let id = farm.start(1, "w1", &["test", "package"], at("2026-05-01T12:00:03Z"));
    farm.begin_step(id, 0, at("2026-05-01T12:00:04Z"));
    farm.logs.append(id, "0123456789");
    farm.end_step(
        id,
        0,
        Outcome::Failed,
        "exit status 1",
        at("2026-05-01T12:01:14Z"),
    );
    farm.finish(
        id,
        Outcome::Failed,
        "step test: exit status 1",
        true,
        at("2026-05-01T12:01:15Z"),
    );
    farm
}

fn build_record() -> Value {
    json!({
        "id": 1, "builder": "linux-amd64", "host_type": "linux-amd64", "commit": HASH,
        "subject": "parser: accept empty lists", "author": "Mia", "branch": "main",
        "state": "done", "outcome": "failed", "reason": "step test: exit status 1",
        "attempt": 1, "worker": "w1", "queued_at": "2026-05-01T12:00:00Z",
        "started_at": "2026-05-01T12:00:03Z", "ended_at": "2026-05-01T12:01:15Z"
    })
}

#[tokio::test]
async fn builds() {
    let answer = page(&fixed(), "/api/v1/builds").await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json(), json!([build_record()]));
}

#[tokio::test]
async fn one_build() {
    let mut wanted = build_record();
    wanted["attempts"] = json!([{
        "number": 1, "worker": "w1", "started_at": "2026-05-01T12:00:03Z", "ended_at": "2026-05-01T12:01:15Z",
        "outcome": "failed", "reason": "step test: exit status 1", "log_bytes": 10, "log_sha256": "00".repeat(32),
        "steps": [
            {"name": "test", "started_at": "2026-05-01T12:00:04Z", "ended_at": "2026-05-01T12:01:14Z",
             "outcome": "failed", "status": "exit status 1", "log_offset": 0},
            {"name": "package", "started_at": null, "ended_at": null, "outcome": null, "status": null, "log_offset": null}
        ]
    }]);
    assert_eq!(page(&fixed(), "/api/v1/builds/1").await.json(), wanted);
}

#[tokio::test]
async fn workers() {
    let wanted = json!([{
        "name": "w1", "hostname": "w1.example", "host_type": "linux-amd64", "state": "idle", "build": null, "version": 29,
        "address": "192.0.2.11:51114", "connected_at": "2026-05-01T11:00:00Z", "last_seen": "2026-05-01T12:01:15Z",
        "builds_done": 1
    }]);
    assert_eq!(page(&fixed(), "/api/v1/workers").await.json(), wanted);
}

#[tokio::test]
async fn commits() {
    let wanted = json!([{
        "seq": 1, "hash": HASH, "subject": "parser: accept empty lists", "author": "Mia",
        "committed_at": "2026-05-01T12:00:00Z", "branch": "main", "builds": [build_record()]
    }]);
    assert_eq!(page(&fixed(), "/api/v1/commits").await.json(), wanted);
}

#[tokio::test]
async fn builds_are_filtered() {
    let farm = fixed();
    farm.commit(commit("c0ffee"), &["linux-amd64", "windows-amd64"], ago(10));
    let ids = async |query: &str| -> Vec<i64> {
        let answer = page(&farm, &format!("/api/v1/builds?{query}")).await.json();
        answer
            .as_array()
            .expect("an array")
            .iter()
            .filter_map(|build| build["id"].as_i64())
            .collect()
    };
    assert_eq!(ids("").await, [3, 2, 1]);
    assert_eq!(ids("builder=linux-amd64").await, [2, 1]);
    assert_eq!(ids("commit=C0FF").await, [3, 2]);
    assert_eq!(ids("state=queued").await, [3, 2]);
    assert_eq!(ids("outcome=failed").await, [1]);
    assert_eq!(ids("before=3&limit=1").await, [2]);
    assert_eq!(ids("builder=&state=").await, [3, 2, 1]);
}

#[tokio::test]
async fn pages_of_records_name_the_next() {
    let farm = FakeFarm::new();
    for n in 0..5 {
        farm.commit(commit(&format!("{n:040x}")), &["linux amd64"], ago(10));
    }
    for (start, id) in [
        ("/api/v1/builds?builder=linux%20amd64&limit=2", "id"),
        ("/api/v1/commits?branch=main&limit=2", "seq"),
    ] {
        let (mut all, mut next) = (Vec::new(), Some(start.to_owned()));
        while let Some(target) = next {
            let answer = page(&farm, &target).await;
            all.extend(
                answer
                    .json()
                    .as_array()
                    .expect("an array")
                    .iter()
                    .filter_map(|row| row[id].as_i64()),
            );
            let link = answer
                .header("link")
                .strip_suffix(">; rel=\"next\"")
                .and_then(|link| link.strip_prefix('<'));
            next = link.map(ToOwned::to_owned);
        }
        assert_eq!(all, [5, 4, 3, 2, 1], "{start}");
    }
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused_by_name() {
    let farm = fixed();
    for (target, parameter) in [
        ("/api/v1/builds?limit=0", "`limit`"),
        ("/api/v1/builds?limit=1001", "`limit`"),
        ("/api/v1/builds?limit=many", "`limit`"),
        ("/api/v1/builds?before=-1", "`before`"),
        ("/api/v1/builds?state=finished", "`state`"),
        ("/api/v1/builds?outcome=green", "`outcome`"),
        ("/api/v1/builds?commit=xyz", "`commit`"),
        ("/api/v1/builds?stat=done", "`stat`"),
        ("/api/v1/commits?limit=201", "`limit`"),
        ("/api/v1/workers?state=idle", "`state`"),
        ("/api/v1/builds/1/log?offset=-1", "`offset`"),
        ("/api/v1/builds/1/log?offset=1e3", "`offset`"),
        ("/api/v1/builds/1/log?follow=yes", "`follow`"),
        ("/api/v1/builds/1/log?attempt=0", "`attempt`"),
        ("/api/v1/events?since=3", "`since`"),
    ] {
        let answer = get(&farm, target).await;
        assert_eq!(answer.status, 400, "{target}");
        let body = answer.json();
        assert_eq!(keys(&body), ["error"]);
        assert!(
            body["error"]
                .as_str()
                .is_some_and(|text| text.contains(parameter)),
            "{target}: {body}"
        );
    }
}

#[tokio::test]
async fn what_is_missing_is_a_record_too() {
    let farm = small_farm();
    running(&farm);
    for (target, error) in [
        ("/api/v1/builds/99", "there is no build 99"),
        ("/api/v1/builds/-1", "there is no build -1"),
        (
            "/api/v1/builds/99999999999999999999",
            "there is no build 99999999999999999999",
        ),
        ("/api/v1/builds/99/log", "there is no build 99"),
        (
            "/api/v1/builds/2/log",
            "build 2 has no log: it has not started",
        ),
        ("/api/v1/builds/1/log?attempt=7", "build 1 has no attempt 7"),
        ("/api/v1/nope", "there is nothing at /api/v1/nope"),
    ] {
        let answer = get(&farm, target).await;
        assert_eq!(answer.status, 404, "{target}");
        assert_eq!(answer.json(), json!({ "error": error }));
    }
    farm.logs.forget(AttemptId {
        build: 1,
        number: 1,
    });
    let answer = get(&farm, "/api/v1/builds/1/log").await;
    assert_eq!(
        (answer.status, answer.json()),
        (
            StatusCode::NOT_FOUND,
            json!({ "error": "no log of attempt 1 at build 1" })
        )
    );
}

#[tokio::test]
async fn nothing_can_be_changed() {
    let farm = fixed();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        for target in ["/api/v1/builds", "/api/v1/builds/1", "/", "/builds/1"] {
            let request = Request::builder()
                .method(&method)
                .uri(target)
                .body(Body::empty())
                .expect("a request");
            assert_eq!(send(&farm, request).await.status, 405, "{method} {target}");
        }
    }
}

#[tokio::test]
async fn a_broken_store_is_our_fault_and_tells_no_secrets() {
    let farm = fixed();
    farm.store.break_down();
    for target in [
        "/api/v1/builds",
        "/api/v1/builds/1",
        "/api/v1/commits",
        "/api/v1/builds/1/log",
    ] {
        let answer = get(&farm, target).await;
        assert_eq!(answer.status, 500);
        assert_eq!(
            answer.json(),
            json!({ "error": "the farm's database could not be read" })
        );
    }
}

#[tokio::test]
async fn health_is_one_word() {
    let answer = page(&FakeFarm::new(), "/healthz").await;
    assert_eq!(answer.text(), "ok");
}

#[tokio::test]
async fn machines_are_told_as_go_tells_them() {
    let farm = small_farm();
    farm.pool
        .add("w2", "linux-amd64", WorkerState::Idle, ago(10));
    farm.pool
        .add("gone", "linux-mips", WorkerState::Lost, ago(10));
    running(&farm);
    let answer = page(&farm, "/status/reverse.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    answer.has("\n\t\"HostTypes\": {\n\t\t\"linux-amd64\": {\n\t\t\t\"HostType\": \"linux-amd64\",\n\t\t\t\"Connected\": 2,");
    let hosts = &answer.json()["HostTypes"];
    assert_eq!(
        keys(&hosts["linux-amd64"]),
        [
            "Busy",
            "Connected",
            "Expect",
            "HostType",
            "Idle",
            "Machines",
            "Waiters"
        ]
    );
    assert_eq!(hosts["linux-amd64"]["Busy"], 1);
    assert_eq!(hosts["linux-amd64"]["Idle"], 1);
    assert_eq!(hosts["windows-amd64"]["Waiters"], 1);
    assert_eq!(hosts["linux-mips"]["Connected"], 0);
    assert_eq!(hosts["linux-mips"]["Machines"], Value::Null);
    let machine = &hosts["linux-amd64"]["Machines"]["w1"];
    assert_eq!(
        keys(machine),
        [
            "Busy",
            "BusySec",
            "ConnectedSec",
            "HostType",
            "Name",
            "Version"
        ]
    );
    assert_eq!(machine["Version"], "29");
    assert!(
        machine["BusySec"]
            .as_f64()
            .is_some_and(|secs| (99.0..200.0).contains(&secs))
    );
    assert_eq!(
        keys(&hosts["linux-amd64"]["Machines"]["w2"]),
        ["Busy", "ConnectedSec", "HostType", "Name", "Version"]
    );
}
