//! The store keeps every promise of its trait on a real SQLite file.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use buildfarm_coordinator::life::RetryPolicy;
use buildfarm_coordinator::plan::{Plan, PlanStep};
use buildfarm_coordinator::store::{
    AttemptEnd, AttemptId, BuildQuery, BuildStart, NewBuild, NewCommit, NewWork, Next, SqliteStore,
    Store, StoreError, WorkerKey,
};
use buildfarm_dashboard::record::{BuildState, Outcome};
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn plan() -> Plan {
    Plan {
        shell: vec!["sh".into(), "-c".into()],
        dir: String::new(),
        env: Default::default(),
        timeout: Duration::from_secs(60),
        retry: RetryPolicy {
            budget: 3,
            first: Duration::from_secs(1),
            most: Duration::from_secs(9),
        },
        log_limit: 1 << 20,
        steps: vec![PlanStep {
            name: "test".into(),
            run: "true".into(),
            dir: None,
            env: Default::default(),
            timeout: None,
        }],
    }
}

fn commit(hash: &str, builders: &[&str]) -> NewCommit {
    NewCommit {
        hash: hash.into(),
        subject: format!("subject of {hash}"),
        author: "A. Author".into(),
        committed_at: at(100),
        branch: "main".into(),
        builds: builders
            .iter()
            .map(|b| NewBuild {
                builder: (*b).into(),
                host_type: "linux".into(),
                start: BuildStart::Queue(plan()),
            })
            .collect(),
    }
}

fn work(cursor: &str, commits: Vec<NewCommit>) -> NewWork {
    NewWork {
        source: "git x".into(),
        cursor: cursor.into(),
        commits,
    }
}

async fn open(dir: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(&dir.path().join("farm.db"))
        .await
        .unwrap()
}

fn end(outcome: Outcome, next: Next) -> AttemptEnd {
    AttemptEnd {
        outcome,
        reason: "because".into(),
        log_bytes: 5,
        log_sha256: "ab".into(),
        next,
    }
}

#[tokio::test]
async fn work_is_recorded_once_however_often_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let told = work("c1", vec![commit("aa", &["x", "y"]), commit("bb", &["x"])]);
    let first = store.add_work(&told, at(1)).await.unwrap();
    assert_eq!(
        first
            .iter()
            .map(|b| (&*b.commit, &*b.builder))
            .collect::<Vec<_>>(),
        [("aa", "x"), ("aa", "y"), ("bb", "x")]
    );
    assert!(store.add_work(&told, at(2)).await.unwrap().is_empty());
    // A builder that is new to a known commit is new work.
    let more = store
        .add_work(&work("c2", vec![commit("aa", &["x", "z"])]), at(3))
        .await
        .unwrap();
    assert_eq!(more.iter().map(|b| &*b.builder).collect::<Vec<_>>(), ["z"]);
    assert_eq!(store.cursor("git x").await.unwrap().as_deref(), Some("c2"));
    assert_eq!(store.cursor("git y").await.unwrap(), None);
    assert_eq!(store.queued().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_build_lives_through_its_attempts_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let build = store
        .add_work(&work("c", vec![commit("aa", &["x"])]), at(1))
        .await
        .unwrap()[0]
        .id;
    let steps = ["test".to_owned()];

    assert_eq!(
        store
            .begin_attempt(build, "w1", &steps, at(2))
            .await
            .unwrap(),
        1
    );
    assert!(
        matches!(store.begin_attempt(build, "w2", &steps, at(2)).await, Err(StoreError::NotQueued(b)) if b == build)
    );
    let first = AttemptId { build, number: 1 };
    store.begin_step(first, 0, 0, at(3)).await.unwrap();
    let requeue = Next::Requeue {
        not_before: Some(at(9)),
        charge: true,
    };
    store
        .end_attempt(first, &end(Outcome::InfraFailed, requeue), at(4))
        .await
        .unwrap();

    let queued = store.queued_build(build).await.unwrap().unwrap();
    assert_eq!(
        (
            queued.infra_failures,
            queued.not_before,
            queued.avoid.as_deref()
        ),
        (1, Some(at(9)), Some("w1"))
    );
    assert_eq!(queued.plan, plan());

    assert_eq!(
        store
            .begin_attempt(build, "w2", &steps, at(10))
            .await
            .unwrap(),
        2
    );
    store.close().await;
    let store = open(&dir).await;
    let second = AttemptId { build, number: 2 };
    assert_eq!(store.unfinished_attempts().await.unwrap(), [second]);
    store.begin_step(second, 0, 0, at(11)).await.unwrap();
    store
        .end_step(second, 0, Outcome::Failed, "exit status 3", at(12))
        .await
        .unwrap();
    store
        .end_attempt(second, &end(Outcome::Failed, Next::Final), at(13))
        .await
        .unwrap();

    let detail = store.build(build).await.unwrap().unwrap();
    assert_eq!(
        (
            detail.build.state,
            detail.build.outcome,
            detail.build.attempt
        ),
        (BuildState::Done, Some(Outcome::Failed), 2)
    );
    assert_eq!(detail.attempts.len(), 2);
    assert_eq!(detail.attempts[0].outcome, Some(Outcome::InfraFailed));
    assert_eq!(
        detail.attempts[0].steps[0].outcome,
        Some(Outcome::InfraFailed),
        "a cut-off step ends with its attempt"
    );
    assert_eq!(
        detail.attempts[1].steps[0].status.as_deref(),
        Some("exit status 3")
    );
    assert!(store.unfinished_attempts().await.unwrap().is_empty());
    assert!(store.queued().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_attempt_that_is_over_can_say_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let build = store
        .add_work(&work("c", vec![commit("aa", &["x"])]), at(1))
        .await
        .unwrap()[0]
        .id;
    let steps = ["test".to_owned()];
    store
        .begin_attempt(build, "w1", &steps, at(2))
        .await
        .unwrap();
    let old = AttemptId { build, number: 1 };
    let requeue = Next::Requeue {
        not_before: None,
        charge: false,
    };
    store
        .end_attempt(old, &end(Outcome::InfraFailed, requeue), at(3))
        .await
        .unwrap();
    store
        .begin_attempt(build, "w2", &steps, at(4))
        .await
        .unwrap();

    let stale = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::Stale(id)) if id == old))
    };
    stale(store.begin_step(old, 0, 0, at(5)).await);
    stale(store.end_step(old, 0, Outcome::Passed, "ok", at(5)).await);
    stale(
        store
            .end_attempt(old, &end(Outcome::Passed, Next::Final), at(5))
            .await,
    );
    assert_eq!(
        store.build(build).await.unwrap().unwrap().build.state,
        BuildState::Running
    );
}

#[tokio::test]
async fn the_grid_and_the_queries_page_through_history() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let mut skipped = commit("cc", &["x"]);
    skipped.builds.push(NewBuild {
        builder: "y".into(),
        host_type: "linux".into(),
        start: BuildStart::Done(Outcome::Skipped, "only prose".into()),
    });
    store
        .add_work(
            &work("c", vec![commit("aa", &["x"]), commit("bb", &[]), skipped]),
            at(1),
        )
        .await
        .unwrap();

    let grid = store.grid(10, None).await.unwrap();
    assert_eq!(
        grid.iter()
            .map(|c| (&*c.hash, c.builds.len()))
            .collect::<Vec<_>>(),
        [("cc", 2), ("bb", 0), ("aa", 1)]
    );
    let older = store.grid(10, Some(grid[1].seq)).await.unwrap();
    assert_eq!(older.iter().map(|c| &*c.hash).collect::<Vec<_>>(), ["aa"]);

    let ask = async |query: BuildQuery| {
        store
            .builds(&query)
            .await
            .unwrap()
            .iter()
            .map(|b| b.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ask(BuildQuery::default()).await, [3, 2, 1]);
    assert_eq!(
        ask(BuildQuery {
            limit: 1,
            before: Some(3),
            ..Default::default()
        })
        .await,
        [2]
    );
    assert_eq!(
        ask(BuildQuery {
            commit: Some("c".into()),
            ..Default::default()
        })
        .await,
        [3, 2]
    );
    assert_eq!(
        ask(BuildQuery {
            builder: Some("y".into()),
            ..Default::default()
        })
        .await,
        [3]
    );
    assert_eq!(
        ask(BuildQuery {
            outcome: Some(Outcome::Skipped),
            ..Default::default()
        })
        .await,
        [3]
    );
    assert_eq!(
        ask(BuildQuery {
            state: Some(BuildState::Queued),
            ..Default::default()
        })
        .await,
        [2, 1]
    );
}

#[tokio::test]
async fn worker_keys_are_kept_as_hashes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let key = WorkerKey {
        hash: [7; 32],
        scope: "*".into(),
    };
    store.add_worker_key(&key, at(1)).await.unwrap();
    store.add_worker_key(&key, at(2)).await.unwrap();
    assert_eq!(store.worker_keys().await.unwrap(), [key]);
}

#[tokio::test]
async fn a_build_skipped_on_one_branch_waits_after_all_once_another_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let mut skipped = commit("aa", &["x"]);
    skipped.builds[0].start = BuildStart::Done(Outcome::Skipped, "not on topics".into());
    let first = store
        .add_work(&work("c1", vec![skipped.clone()]), at(1))
        .await
        .unwrap();
    let wanted = work("c2", vec![commit("aa", &["x"])]);
    let second = store.add_work(&wanted, at(2)).await.unwrap();
    assert_eq!(second[0].id, first[0].id);
    assert_eq!(
        (second[0].state, second[0].outcome),
        (BuildState::Queued, None)
    );
    assert!(store.add_work(&wanted, at(3)).await.unwrap().is_empty());
    // And it stays wanted.
    assert!(
        store
            .add_work(&work("c3", vec![skipped]), at(4))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.queued().await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_build_that_cannot_be_read_does_not_hide_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let both = work("c", vec![commit("aa", &["x", "y"])]);
    let builds = store.add_work(&both, at(1)).await.unwrap();
    let path = dir.path().join("farm.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let other = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let damage = sqlx::query("UPDATE builds SET plan = '{}' WHERE id = ?");
    damage.bind(builds[0].id).execute(&other).await.unwrap();
    let queued = store.queued().await.unwrap();
    assert_eq!(queued.len(), 1);
    assert_eq!(queued[0].build.id, builds[1].id);
    let damaged = store.queued_build(builds[0].id).await;
    assert!(matches!(damaged, Err(StoreError::Damaged(_))));
}
