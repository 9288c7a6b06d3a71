//! The store on an embedded SQLite file.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use buildfarm_dashboard::record::{Build, BuildDetail, BuildState, Outcome};
use jiff::Timestamp;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{QueryBuilder, Row, SqlSafeStr, Sqlite, SqliteConnection};

use super::rows::{
    attempt_from_row, build_from_row, damaged, queued_from_row, step_from_row, time, to_json,
    to_word,
};
use super::{
    AttemptEnd, AttemptId, BuildQuery, BuildStart, CommitRow, NewWork, Next, QueuedBuild, Store,
    StoreError, WorkerKey,
};

/// The store on one SQLite file, in WAL mode.
///
/// A single connection writes, so that writers queue here and never meet a locked database; readers have their own.
#[derive(Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

const READERS: u32 = 4;
/// Another process that holds the file, a backup say, gets this long before we give up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_LIMIT: u32 = 200;
const MAX_LIMIT: u32 = 1_000;

const BUILD_COLUMNS: &str = "b.id, b.builder, b.host_type, c.hash, c.subject, c.author, c.branch, b.state, b.outcome, b.reason, \
                             b.attempt, b.worker, b.queued_at, b.started_at, b.ended_at, b.commit_seq";
const BUILD_TABLES: &str = "builds b JOIN commits c ON c.seq = b.commit_seq";

impl SqliteStore {
    /// Opens the store, creating the file and upgrading its schema as needed.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: a commit that returned is on disk even if the power fails the next moment.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        migrations().run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self { writer, readers })
    }

    /// Finishes running statements and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Completes an update of a step with its key, and with the condition that its attempt still runs.
    async fn change_step(
        &self,
        mut update: QueryBuilder<Sqlite>,
        attempt: AttemptId,
        step: usize,
    ) -> Result<(), StoreError> {
        update.push(" WHERE build = ").push_bind(attempt.build);
        update.push(" AND attempt = ").push_bind(attempt.number);
        update.push(" AND position = ").push_bind(step as i64);
        update.push(
            " AND EXISTS (SELECT 1 FROM attempts a WHERE a.build = steps.build AND a.number = steps.attempt AND a.outcome IS NULL)",
        );
        let done = update.build().execute(&self.writer).await?;
        fenced(done.rows_affected(), attempt)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn add_work(&self, work: &NewWork, now: Timestamp) -> Result<Vec<Build>, StoreError> {
        let mut tx = self.writer.begin().await?;
        let mut added = Vec::new();
        for commit in &work.commits {
            let seq: i64 = sqlx::query_scalar(
                // The empty update makes RETURNING answer for a commit that is there already.
                "INSERT INTO commits (source, hash, subject, author, committed_at, branch) VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (hash, source) DO UPDATE SET hash = excluded.hash RETURNING seq",
            )
            .bind(&work.source)
            .bind(&commit.hash)
            .bind(&commit.subject)
            .bind(&commit.author)
            .bind(commit.committed_at.as_millisecond())
            .bind(&commit.branch)
            .fetch_one(&mut *tx)
            .await?;
            for build in &commit.builds {
                let (plan, state, outcome, reason, ended) = match &build.start {
                    BuildStart::Queue(plan) => {
                        (Some(to_json(plan)?), BuildState::Queued, None, None, None)
                    }
                    BuildStart::Done(outcome, reason) => (
                        None,
                        BuildState::Done,
                        Some(to_word(*outcome)?),
                        Some(reason),
                        Some(now.as_millisecond()),
                    ),
                };
                let id: Option<i64> = sqlx::query_scalar(
                    "INSERT INTO builds (commit_seq, builder, host_type, plan, state, outcome, reason, queued_at, ended_at)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (commit_seq, builder) DO UPDATE
                     SET host_type = excluded.host_type, plan = excluded.plan, state = excluded.state, outcome = NULL,
                         reason = NULL, queued_at = excluded.queued_at, ended_at = NULL
                     WHERE builds.outcome = 'skipped' AND excluded.state = 'queued' RETURNING id",
                )
                .bind(seq)
                .bind(&build.builder)
                .bind(&build.host_type)
                .bind(plan)
                .bind(to_word(state)?)
                .bind(outcome)
                .bind(reason)
                .bind(now.as_millisecond())
                .bind(ended)
                .fetch_optional(&mut *tx)
                .await?;
                if let Some(id) = id {
                    added.push(
                        build_by_id(&mut tx, id)
                            .await?
                            .ok_or_else(|| damaged("a new build cannot be read"))?,
                    );
                }
            }
        }
        sqlx::query("INSERT INTO cursors (source, value) VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET value = excluded.value")
            .bind(&work.source)
            .bind(&work.cursor)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(added)
    }

    async fn cursor(&self, source: &str) -> Result<Option<String>, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT value FROM cursors WHERE source = ?")
                .bind(source)
                .fetch_optional(&self.readers)
                .await?,
        )
    }

    async fn queued(&self) -> Result<Vec<QueuedBuild>, StoreError> {
        let mut query = queued_query();
        query.push(" ORDER BY b.id");
        let rows = query.build().fetch_all(&self.readers).await?;
        let builds = rows.iter().map(queued_from_row);
        // One that another version of this program wrote otherwise must not keep all others from running.
        let builds = builds.inspect(|build| {
            if let Err(error) = build {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "a waiting build is passed over"
                );
            }
        });
        Ok(builds.filter_map(Result::ok).collect())
    }

    async fn queued_build(&self, build: i64) -> Result<Option<QueuedBuild>, StoreError> {
        let mut query = queued_query();
        query.push(" AND b.id = ").push_bind(build);
        query
            .build()
            .fetch_optional(&self.readers)
            .await?
            .as_ref()
            .map(queued_from_row)
            .transpose()
    }

    async fn begin_attempt(
        &self,
        build: i64,
        worker: &str,
        steps: &[String],
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let mut tx = self.writer.begin().await?;
        let number: Option<u32> = sqlx::query_scalar(
            "UPDATE builds SET state = 'running', attempt = attempt + 1, worker = ?, started_at = ?, not_before = NULL, reason = NULL
             WHERE id = ? AND state = 'queued' RETURNING attempt",
        )
        .bind(worker)
        .bind(now.as_millisecond())
        .bind(build)
        .fetch_optional(&mut *tx)
        .await?;
        let number = number.ok_or(StoreError::NotQueued(build))?;
        sqlx::query("INSERT INTO attempts (build, number, worker, started_at) VALUES (?, ?, ?, ?)")
            .bind(build)
            .bind(number)
            .bind(worker)
            .bind(now.as_millisecond())
            .execute(&mut *tx)
            .await?;
        for (position, name) in steps.iter().enumerate() {
            sqlx::query("INSERT INTO steps (build, attempt, position, name) VALUES (?, ?, ?, ?)")
                .bind(build)
                .bind(number)
                .bind(position as i64)
                .bind(name)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(number)
    }

    async fn begin_step(
        &self,
        attempt: AttemptId,
        step: usize,
        log_offset: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = QueryBuilder::new("UPDATE steps SET started_at = ");
        update.push_bind(now.as_millisecond());
        update.push(", log_offset = ").push_bind(log_offset as i64);
        self.change_step(update, attempt, step).await
    }

    async fn end_step(
        &self,
        attempt: AttemptId,
        step: usize,
        outcome: Outcome,
        status: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = QueryBuilder::new("UPDATE steps SET ended_at = ");
        update.push_bind(now.as_millisecond());
        update.push(", outcome = ").push_bind(to_word(outcome)?);
        update.push(", status = ").push_bind(status.to_owned());
        self.change_step(update, attempt, step).await
    }

    async fn end_attempt(
        &self,
        attempt: AttemptId,
        end: &AttemptEnd,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.writer.begin().await?;
        let outcome = to_word(end.outcome)?;
        let done = sqlx::query(
            "UPDATE attempts SET ended_at = ?, outcome = ?, reason = ?, log_bytes = ?, log_sha256 = ?
             WHERE build = ? AND number = ? AND outcome IS NULL",
        )
        .bind(now.as_millisecond())
        .bind(&outcome)
        .bind(&end.reason)
        .bind(end.log_bytes as i64)
        .bind(&end.log_sha256)
        .bind(attempt.build)
        .bind(attempt.number)
        .execute(&mut *tx)
        .await?;
        fenced(done.rows_affected(), attempt)?;
        // A step cut off in the middle ended with its attempt, and in the same way.
        sqlx::query(
            "UPDATE steps SET ended_at = ?, outcome = ? WHERE build = ? AND attempt = ? AND started_at IS NOT NULL AND outcome IS NULL",
        )
        .bind(now.as_millisecond())
        .bind(&outcome)
        .bind(attempt.build)
        .bind(attempt.number)
        .execute(&mut *tx)
        .await?;
        let done = match end.next {
            Next::Final => {
                sqlx::query(
                    "UPDATE builds SET state = 'done', outcome = ?, reason = ?, ended_at = ?
                     WHERE id = ? AND attempt = ? AND state = 'running'",
                )
                .bind(&outcome)
                .bind(&end.reason)
                .bind(now.as_millisecond())
                .bind(attempt.build)
                .bind(attempt.number)
                .execute(&mut *tx)
                .await?
            }
            Next::Requeue { not_before, charge } => {
                sqlx::query(
                    "UPDATE builds SET state = 'queued', reason = ?, not_before = ?, started_at = NULL,
                     infra_failures = infra_failures + ? WHERE id = ? AND attempt = ? AND state = 'running'",
                )
                .bind(&end.reason)
                .bind(not_before.map(Timestamp::as_millisecond))
                .bind(i64::from(charge))
                .bind(attempt.build)
                .bind(attempt.number)
                .execute(&mut *tx)
                .await?
            }
        };
        fenced(done.rows_affected(), attempt)?;
        tx.commit().await?;
        Ok(())
    }

    async fn unfinished_attempts(&self) -> Result<Vec<AttemptId>, StoreError> {
        sqlx::query("SELECT build, number FROM attempts WHERE outcome IS NULL ORDER BY build")
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(|row| {
                Ok(AttemptId {
                    build: row.try_get("build")?,
                    number: row.try_get("number")?,
                })
            })
            .collect()
    }

    async fn grid(&self, limit: u32, before: Option<i64>) -> Result<Vec<CommitRow>, StoreError> {
        let mut tx = self.readers.begin().await?;
        let commits = sqlx::query("SELECT * FROM commits WHERE seq < ? ORDER BY seq DESC LIMIT ?")
            .bind(before.unwrap_or(i64::MAX))
            .bind(limit.clamp(1, MAX_LIMIT))
            .fetch_all(&mut *tx)
            .await?;
        let mut rows = commits
            .iter()
            .map(|row| {
                Ok(CommitRow {
                    seq: row.try_get("seq")?,
                    hash: row.try_get("hash")?,
                    subject: row.try_get("subject")?,
                    author: row.try_get("author")?,
                    committed_at: time(row.try_get("committed_at")?)?,
                    branch: row.try_get("branch")?,
                    builds: Vec::new(),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        if let (Some(newest), Some(oldest)) = (rows.first(), rows.last()) {
            let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
            query.push(BUILD_COLUMNS).push(" FROM ").push(BUILD_TABLES);
            query
                .push(" WHERE b.commit_seq BETWEEN ")
                .push_bind(oldest.seq)
                .push(" AND ")
                .push_bind(newest.seq);
            query.push(" ORDER BY b.commit_seq DESC, b.id");
            let builds = query.build().fetch_all(&mut *tx).await?;
            let mut commit = 0;
            for row in &builds {
                let seq: i64 = row.try_get("commit_seq")?;
                while rows.get(commit).is_some_and(|c| c.seq != seq) {
                    commit += 1;
                }
                if let Some(row_of_commit) = rows.get_mut(commit) {
                    row_of_commit.builds.push(build_from_row(row)?);
                }
            }
        }
        Ok(rows)
    }

    async fn builds(&self, wanted: &BuildQuery) -> Result<Vec<Build>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query
            .push(BUILD_COLUMNS)
            .push(" FROM ")
            .push(BUILD_TABLES)
            .push(" WHERE 1 = 1");
        if let Some(builder) = &wanted.builder {
            query.push(" AND b.builder = ").push_bind(builder);
        }
        if let Some(commit) = &wanted.commit {
            // A range instead of LIKE: it uses the index, and no character of the prefix is special.
            query
                .push(" AND c.hash >= ")
                .push_bind(commit)
                .push(" AND c.hash < ")
                .push_bind(format!("{commit}\u{7f}"));
        }
        if let Some(state) = wanted.state {
            query.push(" AND b.state = ").push_bind(to_word(state)?);
        }
        if let Some(outcome) = wanted.outcome {
            query.push(" AND b.outcome = ").push_bind(to_word(outcome)?);
        }
        if let Some(before) = wanted.before {
            query.push(" AND b.id < ").push_bind(before);
        }
        let limit = if wanted.limit == 0 {
            DEFAULT_LIMIT
        } else {
            wanted.limit.min(MAX_LIMIT)
        };
        query.push(" ORDER BY b.id DESC LIMIT ").push_bind(limit);
        query
            .build()
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(build_from_row)
            .collect()
    }

    async fn build(&self, id: i64) -> Result<Option<BuildDetail>, StoreError> {
        let mut tx = self.readers.begin().await?;
        let Some(build) = build_by_id(&mut tx, id).await? else {
            return Ok(None);
        };
        let mut attempts = sqlx::query("SELECT * FROM attempts WHERE build = ? ORDER BY number")
            .bind(id)
            .fetch_all(&mut *tx)
            .await?
            .iter()
            .map(attempt_from_row)
            .collect::<Result<Vec<_>, _>>()?;
        let steps = sqlx::query("SELECT * FROM steps WHERE build = ? ORDER BY attempt, position")
            .bind(id)
            .fetch_all(&mut *tx)
            .await?;
        for row in &steps {
            let number: u32 = row.try_get("attempt")?;
            if let Some(attempt) = attempts.iter_mut().find(|a| a.number == number) {
                attempt.steps.push(step_from_row(row)?);
            }
        }
        Ok(Some(BuildDetail { build, attempts }))
    }

    async fn add_worker_key(&self, key: &WorkerKey, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO worker_keys (hash, scope, created_at) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING")
            .bind(key.hash.as_slice())
            .bind(&key.scope)
            .bind(now.as_millisecond())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn worker_keys(&self) -> Result<Vec<WorkerKey>, StoreError> {
        sqlx::query("SELECT hash, scope FROM worker_keys ORDER BY created_at")
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(|row| {
                let hash: Vec<u8> = row.try_get("hash")?;
                let hash = hash
                    .try_into()
                    .map_err(|_| damaged("a worker key's hash is not 32 bytes long"))?;
                Ok(WorkerKey {
                    hash,
                    scope: row.try_get("scope")?,
                })
            })
            .collect()
    }
}

/// The schema's history. A migration that was released is never changed, only followed by another.
fn migrations() -> Migrator {
    let farm = include_str!("../../migrations/0001_farm.sql").into_sql_str();
    Migrator::with_migrations(vec![Migration::new(
        1,
        "farm".into(),
        MigrationType::Simple,
        farm,
        false,
    )])
}

async fn build_by_id(
    connection: &mut SqliteConnection,
    id: i64,
) -> Result<Option<Build>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
    query
        .push(BUILD_COLUMNS)
        .push(" FROM ")
        .push(BUILD_TABLES)
        .push(" WHERE b.id = ")
        .push_bind(id);
    query
        .build()
        .fetch_optional(connection)
        .await?
        .as_ref()
        .map(build_from_row)
        .transpose()
}

fn queued_query() -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT c.source, b.plan, b.infra_failures, b.not_before, ");
    query
        .push(BUILD_COLUMNS)
        .push(" FROM ")
        .push(BUILD_TABLES)
        .push(" WHERE b.state = 'queued'");
    query
}

fn fenced(rows: u64, attempt: AttemptId) -> Result<(), StoreError> {
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale(attempt))
    }
}
