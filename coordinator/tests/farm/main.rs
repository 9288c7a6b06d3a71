//! The farm with real workers, and everything that can go wrong around it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod doubles;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use buildfarm_coordinator::Event;
use buildfarm_coordinator::pool::Pool;
use buildfarm_coordinator::store::{AttemptId, Store};
use buildfarm_dashboard::record::{BuildDetail, BuildState, Outcome, WorkerState};

use doubles::{LIMIT, TestFarm, first, plan};

fn reasons(detail: &BuildDetail) -> Vec<(Outcome, &str)> {
    let attempts = detail.attempts.iter();
    attempts
        .map(|a| (a.outcome.unwrap(), a.reason.as_deref().unwrap()))
        .collect()
}

/// A command that does this at the first attempt only.
fn once(farm: &TestFarm, command: &str) -> String {
    let again = farm.dir.path().join("again");
    let again = again.display();
    format!("echo begun; test -e {again} || {{ touch {again}; {command}; }}")
}

#[tokio::test]
async fn builds_pass_and_fail_and_the_worker_goes_on() {
    let farm = TestFarm::started().await;
    let worker = farm.machine("w").await;
    farm.find(plan(&["echo one", "pwd; echo two; touch litter"]));
    let passed = farm.done(1).await;
    assert_eq!(passed.build.outcome, Some(Outcome::Passed));
    let log = std::fs::read(farm.dir.path().join("logs/0/1.1.log")).unwrap();
    assert!(log.starts_with(b"one\n") && log.ends_with(b"two\n"));
    assert_eq!(passed.attempts[0].log_bytes, log.len() as u64);
    assert_eq!(passed.attempts[0].steps[1].log_offset, Some(4));

    farm.find(plan(&["ls; test ! -e litter", "exit 3", "true"]));
    let failed = farm.done(2).await;
    assert_eq!(
        reasons(&failed),
        [(Outcome::Failed, "step s1 failed: exit status 3")]
    );
    assert_eq!(failed.attempts[0].worker, worker.name);
}

#[tokio::test]
async fn a_build_past_its_limit_times_out_and_the_worker_goes_on() {
    let farm = TestFarm::started().await;
    let _worker = farm.machine("w").await;
    let mut endless = plan(&["sleep 1000 & sleep 1000"]);
    endless.steps[0].timeout = Some(Duration::from_millis(200));
    farm.find(endless);
    assert_eq!(farm.done(1).await.build.outcome, Some(Outcome::TimedOut));
    farm.find(plan(&["true"]));
    assert_eq!(farm.done(2).await.build.outcome, Some(Outcome::Passed));
}

#[tokio::test]
async fn a_folder_that_the_commit_does_not_have_is_the_commits_failure() {
    let farm = TestFarm::started().await;
    let worker = farm.machine("w").await;
    let mut elsewhere = plan(&["true"]);
    elsewhere.dir = "no/such/folder".to_owned();
    farm.find(elsewhere);
    let failed = farm.done(1).await;
    let [(Outcome::Failed, reason)] = reasons(&failed)[..] else {
        panic!("{failed:?}")
    };
    assert!(
        reason.contains("chdir") && reason.contains("no/such/folder"),
        "{reason}"
    );
    farm.find(plan(&["true"]));
    assert_eq!(
        farm.done(2).await.attempts[0].worker,
        worker.name,
        "the worker is as good as before"
    );
}

#[tokio::test]
async fn the_time_that_the_source_took_is_not_the_builds() {
    let farm = TestFarm::started().await;
    let _worker = farm.machine("w").await;
    *farm.source.slow.lock().unwrap() = Duration::from_millis(1500);
    let mut tight = plan(&["sleep 1"]);
    tight.timeout = Duration::from_secs(2);
    farm.find(tight);
    assert_eq!(farm.done(1).await.build.outcome, Some(Outcome::Passed));
}

#[tokio::test]
async fn a_worker_lost_in_the_middle_costs_an_attempt_and_no_more() {
    let farm = TestFarm::started().await;
    let one = farm.machine("one").await;
    farm.find(plan(&[
        "echo begun; test $BUILDFARM_WORKER_DIES || sleep 2",
    ]));
    farm.says(first(1), "begun").await;
    let two = farm.machine("two").await;
    one.die().await;
    let done = farm.done(1).await;
    assert_eq!(done.build.outcome, Some(Outcome::Passed));
    assert_eq!(done.attempts.len(), 2);
    assert_eq!(done.attempts[0].outcome, Some(Outcome::InfraFailed));
    assert_eq!(done.attempts[1].worker, two.name);
    let lost = farm.pool.workers();
    assert!(lost.iter().any(|w| w.state == WorkerState::Lost));
}

#[tokio::test]
async fn infrastructure_failures_are_retried_within_the_budget() {
    let farm = TestFarm::started().await;
    let worker = farm.machine("w").await;
    farm.faults.next("archive", 1);
    farm.find(plan(&["true"]));
    let recovered = farm.done(1).await;
    assert_eq!(recovered.build.outcome, Some(Outcome::Passed));
    assert_eq!(recovered.attempts.len(), 2);

    farm.faults.next("archive", 9);
    farm.find(plan(&["true"]));
    let given_up = farm.done(2).await;
    assert_eq!(given_up.build.outcome, Some(Outcome::InfraFailed));
    assert_eq!(given_up.attempts.len(), 2);
    // The worker had no part in it.
    let workers = farm.pool.workers();
    assert_eq!(workers.len(), 1);
    assert_eq!(workers[0].name, worker.name);
    assert_ne!(workers[0].state, WorkerState::Lost);
}

#[tokio::test]
async fn a_tree_that_cannot_be_unpacked_is_not_the_builds_failure() {
    let farm = TestFarm::started().await;
    let (_one, _two) = (farm.machine("one").await, farm.machine("two").await);
    farm.faults.next("garbage", 1);
    farm.find(plan(&["true"]));
    let done = farm.done(1).await;
    assert_eq!(done.build.outcome, Some(Outcome::Passed));
    assert_eq!(done.attempts[0].outcome, Some(Outcome::InfraFailed));
    assert_ne!(done.attempts[0].worker, done.attempts[1].worker);
}

#[tokio::test]
async fn a_shutdown_interrupts_and_the_next_start_runs_it_again() {
    let mut farm = TestFarm::started().await;
    let _worker = farm.machine("w").await;
    farm.find(plan(&[&once(&farm, "sleep 1000")]));
    farm.says(first(1), "begun").await;
    let began = Instant::now();
    farm.stop().await;
    assert!(began.elapsed() < Duration::from_secs(3));
    let queued = farm.store.build(1).await.unwrap().unwrap();
    assert_eq!(queued.build.state, BuildState::Queued);

    let _worker = farm.machine("w").await;
    farm.start().await;
    let done = farm.done(1).await;
    assert_eq!(
        reasons(&done),
        [
            (Outcome::InfraFailed, "the coordinator stopped while it ran"),
            (Outcome::Passed, "1 step passed"),
        ]
    );
}

#[tokio::test]
async fn a_kill_is_put_right_even_if_the_log_is_gone() {
    let mut farm = TestFarm::started().await;
    let worker = farm.machine("w").await;
    farm.find(plan(&["echo begun; sleep 1000"]));
    farm.says(first(1), "begun").await;
    farm.kill();
    worker.die().await;
    farm.faults.next("recover", 1);
    farm.start().await;
    let queued = farm.until(1, |d| d.build.state == BuildState::Queued).await;
    assert_eq!(queued.attempts[0].outcome, Some(Outcome::InfraFailed));
}

#[tokio::test]
async fn a_log_store_that_fails_makes_builds_wait_and_fails_none() {
    let farm = TestFarm::started().await;
    let _worker = farm.machine("w").await;
    for fault in ["create", "append", "seal"] {
        farm.faults.next(fault, 2);
        farm.find(plan(&["echo x"]));
    }
    for build in 1..=3 {
        let done = farm.done(build).await;
        assert_eq!(done.build.outcome, Some(Outcome::Passed));
        // More attempts than the budget allows: none was charged.
        assert!(done.attempts.last().unwrap().log_bytes > 0);
    }
    assert_eq!(farm.pool.workers().len(), 1);
}

#[tokio::test]
async fn a_store_that_fails_for_a_while_loses_nothing() {
    let farm = TestFarm::started().await;
    let _worker = farm.machine("w").await;
    let operations = [
        "cursor",
        "add_work",
        "queued_build",
        "begin_attempt",
        "begin_step",
        "end_step",
        "end_attempt",
    ];
    for (build, operation) in (1..).zip(operations) {
        farm.faults.next(operation, 2);
        farm.find(plan(&["true"]));
        let done = farm.done(build).await;
        assert_eq!(done.build.outcome, Some(Outcome::Passed), "{operation}");
        assert_eq!(done.attempts.len(), 1, "{operation}");
    }
    // A requeue that cannot be read at first, too.
    farm.faults.next("archive", 1);
    farm.faults.next("queued_build", 3);
    farm.find(plan(&["true"]));
    assert_eq!(farm.done(8).await.build.outcome, Some(Outcome::Passed));
}

#[tokio::test]
async fn waiting_for_the_store_is_not_time_that_the_build_took() {
    let farm = TestFarm::started().await;
    let _worker = farm.machine("w").await;
    let mut tight = plan(&["sleep 0.2", "sleep 0.2"]);
    tight.timeout = Duration::from_secs(1);
    farm.faults.next("begin_step", 3);
    farm.find(tight);
    assert_eq!(farm.done(1).await.build.outcome, Some(Outcome::Passed));
}

#[tokio::test]
async fn a_source_that_fails_or_panics_is_asked_again() {
    let farm = TestFarm::new().await;
    farm.faults.next("poll", 2);
    farm.faults.next("poll panics", 1);
    let mut farm = farm;
    farm.start().await;
    let _worker = farm.machine("w").await;
    farm.find(plan(&["true"]));
    assert_eq!(farm.done(1).await.build.outcome, Some(Outcome::Passed));
}

#[tokio::test]
async fn builds_of_a_source_that_is_not_configured_wait_and_take_no_worker() {
    let mut farm = TestFarm::started().await;
    farm.find(plan(&["true"]));
    farm.until(1, |d| d.build.state == BuildState::Queued).await;
    farm.stop().await;
    farm.configured.store(false, Ordering::Relaxed);
    let mut events = farm.events.subscribe();
    farm.start().await;
    let Event::Notice(text) = events.recv().await.unwrap() else {
        panic!("no notice")
    };
    assert_eq!(text, "1 builds of test wait until it is a source again");
    let _worker = farm.machine("w").await;
    let mut changed = farm.pool.changed();
    let idle = async {
        while farm.pool.offers().is_empty() {
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, idle).await.unwrap();
    farm.stop().await;
    assert_eq!(farm.pool.workers()[0].builds_done, 0);

    farm.configured.store(true, Ordering::Relaxed);
    farm.start().await;
    assert_eq!(farm.done(1).await.build.outcome, Some(Outcome::Passed));
}

#[tokio::test]
async fn no_task_outlives_the_shutdown_of_a_farm_whose_store_hangs() {
    let mut farm = TestFarm::started().await;
    let _worker = farm.machine("w").await;
    farm.find(plan(&["echo begun; sleep 1000"]));
    farm.says(first(1), "begun").await;
    farm.faults.next("end_attempt", u32::MAX);
    let began = Instant::now();
    farm.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4));
    farm.faults.next("end_attempt", 0);
    assert_eq!(farm.store.unfinished_attempts().await.unwrap(), [first(1)]);
    // Nobody is left to end it but the next start.
    let _worker = farm.machine("w").await;
    farm.start().await;
    farm.says(
        AttemptId {
            build: 1,
            number: 2,
        },
        "begun",
    )
    .await;
}
