//! Rows of the database as the farm's records, and back.

use buildfarm_dashboard::record::{Attempt, Build, Outcome, Step};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{QueuedBuild, StoreError};

pub(super) fn queued_from_row(row: &SqliteRow) -> Result<QueuedBuild, StoreError> {
    let build = build_from_row(row)?;
    let plan: String = row.try_get("plan")?;
    let not_before: Option<i64> = row.try_get("not_before")?;
    Ok(QueuedBuild {
        plan: serde_json::from_str(&plan)
            .map_err(|e| damaged(&format!("plan of build {}: {e}", build.id)))?,
        source: row.try_get("source")?,
        seq: row.try_get("commit_seq")?,
        infra_failures: row.try_get("infra_failures")?,
        not_before: not_before.map(time).transpose()?,
        avoid: build.worker.clone(),
        build,
    })
}

pub(super) fn build_from_row(row: &SqliteRow) -> Result<Build, StoreError> {
    Ok(Build {
        id: row.try_get("id")?,
        builder: row.try_get("builder")?,
        host_type: row.try_get("host_type")?,
        commit: row.try_get("hash")?,
        subject: row.try_get("subject")?,
        author: row.try_get("author")?,
        branch: row.try_get("branch")?,
        state: from_word(row.try_get("state")?)?,
        outcome: outcome_of(row)?,
        reason: row.try_get("reason")?,
        attempt: row.try_get("attempt")?,
        worker: row.try_get("worker")?,
        queued_at: time(row.try_get("queued_at")?)?,
        started_at: time_of(row, "started_at")?,
        ended_at: time_of(row, "ended_at")?,
    })
}

pub(super) fn attempt_from_row(row: &SqliteRow) -> Result<Attempt, StoreError> {
    let log_bytes: i64 = row.try_get("log_bytes")?;
    Ok(Attempt {
        number: row.try_get("number")?,
        worker: row.try_get("worker")?,
        started_at: time(row.try_get("started_at")?)?,
        ended_at: time_of(row, "ended_at")?,
        outcome: outcome_of(row)?,
        reason: row.try_get("reason")?,
        log_bytes: log_bytes as u64,
        log_sha256: row.try_get("log_sha256")?,
        steps: Vec::new(),
    })
}

pub(super) fn step_from_row(row: &SqliteRow) -> Result<Step, StoreError> {
    let log_offset: Option<i64> = row.try_get("log_offset")?;
    Ok(Step {
        name: row.try_get("name")?,
        started_at: time_of(row, "started_at")?,
        ended_at: time_of(row, "ended_at")?,
        outcome: outcome_of(row)?,
        status: row.try_get("status")?,
        log_offset: log_offset.map(|o| o as u64),
    })
}

fn outcome_of(row: &SqliteRow) -> Result<Option<Outcome>, StoreError> {
    row.try_get::<Option<String>, _>("outcome")?
        .map(from_word)
        .transpose()
}

fn time_of(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    row.try_get::<Option<i64>, _>(column)?.map(time).transpose()
}

pub(super) fn time(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds).map_err(|e| damaged(&e.to_string()))
}

pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| damaged(&e.to_string()))
}

/// The word of a field-less enum variant, as its JSON has it.
pub(super) fn to_word(value: impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(damaged("a state has no word")),
    }
}

fn from_word<T: DeserializeOwned>(word: String) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|e| damaged(&e.to_string()))
}
