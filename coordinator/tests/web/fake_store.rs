//! Builds and commits in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use buildfarm_coordinator::store::{
    AttemptEnd, AttemptId, BuildQuery, CommitRow, NewWork, QueuedBuild, Store, StoreError,
    WorkerKey,
};
use buildfarm_dashboard::record::{Build, BuildDetail, BuildState, Outcome};
use jiff::Timestamp;

use super::{FakeCommit, lock};

/// Builds and commits.
#[derive(Debug, Default)]
pub(crate) struct FakeStore {
    state: Mutex<StoreState>,
}

#[derive(Debug, Default)]
struct StoreState {
    /// Oldest first; the builds are only named.
    commits: Vec<(CommitRow, Vec<i64>)>,
    builds: BTreeMap<i64, BuildDetail>,
    broken: bool,
}

impl FakeStore {
    /// From now on every read fails.
    pub(crate) fn break_down(&self) {
        lock(&self.state).broken = true;
    }

    pub(crate) fn build_now(&self, id: i64) -> Option<BuildDetail> {
        lock(&self.state).builds.get(&id).cloned()
    }

    /// Changes a build as the tests please.
    pub(crate) fn change(&self, id: i64, change: impl FnOnce(&mut BuildDetail)) -> Build {
        let mut state = lock(&self.state);
        let detail = state
            .builds
            .get_mut(&id)
            .expect("tests change builds that exist");
        change(detail);
        detail.build.clone()
    }

    pub(super) fn add_build(&self, commit: &FakeCommit<'_>, builder: &str, at: Timestamp) -> Build {
        let mut state = lock(&self.state);
        let id = state.builds.len() as i64 + 1;
        let build = Build {
            id,
            builder: builder.to_owned(),
            host_type: builder.split('-').take(2).collect::<Vec<_>>().join("-"),
            commit: commit.hash.to_owned(),
            subject: commit.subject.to_owned(),
            author: commit.author.to_owned(),
            branch: commit.branch.to_owned(),
            state: BuildState::Queued,
            outcome: None,
            reason: None,
            attempt: 0,
            worker: None,
            queued_at: at,
            started_at: None,
            ended_at: None,
        };
        state.builds.insert(
            id,
            BuildDetail {
                build: build.clone(),
                attempts: Vec::new(),
            },
        );
        build
    }

    pub(super) fn add_commit(&self, commit: &FakeCommit<'_>, at: Timestamp, builds: &[Build]) {
        let mut state = lock(&self.state);
        let row = CommitRow {
            seq: state.commits.len() as i64 + 1,
            hash: commit.hash.to_owned(),
            subject: commit.subject.to_owned(),
            author: commit.author.to_owned(),
            committed_at: at,
            branch: commit.branch.to_owned(),
            builds: Vec::new(),
        };
        state
            .commits
            .push((row, builds.iter().map(|build| build.id).collect()));
    }

    fn read(&self) -> Result<MutexGuard<'_, StoreState>, StoreError> {
        let state = lock(&self.state);
        if state.broken {
            Err(StoreError::Damaged("secret detail".to_owned()))
        } else {
            Ok(state)
        }
    }
}

fn not_here<T>() -> Result<T, StoreError> {
    Err(StoreError::Damaged("pages do not write".to_owned()))
}

#[async_trait]
impl Store for FakeStore {
    async fn add_work(&self, _: &NewWork, _: Timestamp) -> Result<Vec<Build>, StoreError> {
        not_here()
    }

    async fn cursor(&self, _: &str) -> Result<Option<String>, StoreError> {
        not_here()
    }

    async fn queued(&self) -> Result<Vec<QueuedBuild>, StoreError> {
        not_here()
    }

    async fn queued_build(&self, _: i64) -> Result<Option<QueuedBuild>, StoreError> {
        not_here()
    }

    async fn begin_attempt(
        &self,
        _: i64,
        _: &str,
        _: &[String],
        _: Timestamp,
    ) -> Result<u32, StoreError> {
        not_here()
    }

    async fn begin_step(
        &self,
        _: AttemptId,
        _: usize,
        _: u64,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        not_here()
    }

    async fn end_step(
        &self,
        _: AttemptId,
        _: usize,
        _: Outcome,
        _: &str,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        not_here()
    }

    async fn end_attempt(
        &self,
        _: AttemptId,
        _: &AttemptEnd,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        not_here()
    }

    async fn unfinished_attempts(&self) -> Result<Vec<AttemptId>, StoreError> {
        not_here()
    }

    async fn grid(&self, limit: u32, before: Option<i64>) -> Result<Vec<CommitRow>, StoreError> {
        let state = self.read()?;
        let older = state
            .commits
            .iter()
            .rev()
            .filter(|(row, _)| before.is_none_or(|before| row.seq < before));
        let filled = older.take(limit as usize).map(|(row, ids)| {
            let builds = ids
                .iter()
                .filter_map(|id| Some(state.builds.get(id)?.build.clone()))
                .collect();
            CommitRow {
                builds,
                ..row.clone()
            }
        });
        Ok(filled.collect())
    }

    async fn builds(&self, query: &BuildQuery) -> Result<Vec<Build>, StoreError> {
        let state = self.read()?;
        let limit = if query.limit == 0 {
            200
        } else {
            query.limit.min(1_000)
        };
        let wanted = |build: &&Build| {
            query
                .builder
                .as_ref()
                .is_none_or(|builder| *builder == build.builder)
                && query
                    .commit
                    .as_ref()
                    .is_none_or(|commit| build.commit.starts_with(commit))
                && query.state.is_none_or(|state| state == build.state)
                && query
                    .outcome
                    .is_none_or(|outcome| Some(outcome) == build.outcome)
                && query.before.is_none_or(|before| build.id < before)
        };
        let newest_first = state.builds.values().rev().map(|detail| &detail.build);
        Ok(newest_first
            .filter(wanted)
            .take(limit as usize)
            .cloned()
            .collect())
    }

    async fn build(&self, id: i64) -> Result<Option<BuildDetail>, StoreError> {
        Ok(self.read()?.builds.get(&id).cloned())
    }

    async fn add_worker_key(&self, _: &WorkerKey, _: Timestamp) -> Result<(), StoreError> {
        not_here()
    }

    async fn worker_keys(&self) -> Result<Vec<WorkerKey>, StoreError> {
        not_here()
    }
}
