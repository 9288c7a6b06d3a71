use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use prost::Message;

use super::*;
use crate::{
    corpus::snapshot_file::SnapshotDir,
    log::{Batch, MemoryLog},
    proto::{GerritMutation, GitCommit, GithubIssueMutation, GithubMutation},
    reclog::Records,
};

fn mutation(repo: &str) -> Mutation {
    Mutation {
        github: Some(GithubMutation {
            owner: "o".into(),
            repo: repo.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What the payloads of a log say, in order.
fn repos(log: &MemoryLog) -> Vec<String> {
    let mut repos = Vec::new();
    for segment in log.feed().segments() {
        let bytes = log.feed().read(segment.number, 0..u64::MAX).unwrap();
        for record in Records::new(&bytes, 0) {
            let mutation = Mutation::decode(record.unwrap().payload).unwrap();
            repos.push(mutation.github.unwrap_or_default().repo);
        }
    }
    repos
}

#[tokio::test]
async fn what_is_appended_is_in_the_log_and_in_the_corpus_in_the_same_order() {
    let log = MemoryLog::with_segment_size(2000);
    let leader = Leader::open(log.clone(), log.source()).await.unwrap();
    let outlets: Vec<_> = (0..10).map(|_| leader.outlet()).collect();
    let tasks: Vec<_> = outlets
        .into_iter()
        .enumerate()
        .map(|(task, outlet)| {
            tokio::spawn(async move {
                for turn in 0..50 {
                    let pair = [0, 1].map(|n| mutation(&format!("{task}-{turn}-{n}")));
                    let snapshot = outlet.append(pair.to_vec()).await.unwrap();
                    assert!(outlet.corpus().snapshot().generation() >= snapshot.generation());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let snapshot = leader.corpus().snapshot();
    assert_eq!(snapshot.log_bytes(), log.feed().len());
    leader.shutdown().await.unwrap();

    let repos = repos(&log);
    assert_eq!(repos.len(), 1000);
    for pair in repos.chunks(2) {
        let (first, second) = (pair[0].strip_suffix("-0"), pair[1].strip_suffix("-1"));
        assert!(first.is_some() && first == second, "{pair:?}");
    }
    for task in 0..10 {
        let of_task = |repo: &&String| repo.starts_with(&format!("{task}-"));
        let turns = repos.iter().filter(of_task).step_by(2);
        let expected = (0..50).map(|turn| format!("{task}-{turn}-0"));
        assert!(turns.cloned().eq(expected), "each outlet's order is kept");
    }
    // The next leader begins where this one ended.
    let next = Leader::open(log.clone(), log.source()).await.unwrap();
    assert_eq!(next.corpus().snapshot().log_bytes(), log.feed().len());
}

#[tokio::test]
async fn a_mutation_that_must_not_be_written_stops_nobody_else() {
    let log = MemoryLog::new();
    let leader = Leader::open(log.clone(), log.source()).await.unwrap();
    let outlet = leader.outlet();
    let bad = Bytes::from_static(b"\x0a\x03\x0a\x01\xff");
    let good = Bytes::from(mutation("good").encode_to_vec());
    let (one, two, three) = tokio::join!(
        outlet.append(vec![mutation("one")]),
        outlet.append_encoded(vec![good, bad]),
        outlet.append(vec![mutation("three")]),
    );
    assert!(one.is_ok() && three.is_ok());
    assert!(matches!(two, Err(AppendError::Refused { index: 1, .. })));
    assert_eq!(repos(&log), ["one", "three"], "all of a call or none of it");
}

#[tokio::test]
async fn what_was_taken_in_is_written_before_a_leader_stops() {
    let log = MemoryLog::new();
    let leader = Leader::open(log.clone(), log.source()).await.unwrap();
    let outlet = leader.outlet();
    let append = tokio::spawn({
        let outlet = outlet.clone();
        async move { outlet.append(vec![mutation("last")]).await }
    });
    tokio::task::yield_now().await;
    leader.shutdown().await.unwrap();
    append.await.unwrap().unwrap();
    assert_eq!(repos(&log), ["last"]);
    let late = outlet.append(vec![mutation("too late")]).await;
    assert!(matches!(late, Err(AppendError::Stopped)));
}

/// A log that fails as it is told to before it does what it should.
struct Failing {
    log: MemoryLog,
    failures: Arc<Mutex<VecDeque<SinkError>>>,
}

impl Sink for Failing {
    async fn append(&mut self, payloads: &[Bytes]) -> Result<Vec<Batch>, SinkError> {
        let failure = self.failures.lock().unwrap().pop_front();
        match failure {
            Some(SinkError::Partly {
                records, source, ..
            }) => {
                let batches = self.log.append_now(&payloads[..records])?;
                Err(SinkError::Partly {
                    records,
                    batches,
                    source,
                })
            }
            Some(error) => Err(error),
            None => self.log.append_now(payloads),
        }
    }
}

fn full() -> SinkError {
    SinkError::Io {
        action: "write",
        source: std::io::ErrorKind::StorageFull.into(),
    }
}

async fn failing(failures: Vec<SinkError>) -> (MemoryLog, Leader) {
    let log = MemoryLog::new();
    let sink = Failing {
        log: log.clone(),
        failures: Arc::new(Mutex::new(failures.into())),
    };
    let leader = Leader::open(sink, log.source()).await.unwrap();
    (log, leader)
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_waited_for() {
    let partly = SinkError::Partly {
        records: 2,
        batches: Vec::new(),
        source: Box::new(full()),
    };
    let (log, leader) = failing(vec![full(), full(), partly, full()]).await;
    let outlet = leader.outlet();
    let both = tokio::join!(
        outlet.append(vec![mutation("a")]),
        outlet.append(vec![mutation("b"), mutation("c")]),
    );
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(repos(&log), ["a", "b", "c"], "each once");
    assert_eq!(leader.corpus().snapshot().log_bytes(), log.feed().len());
    leader.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_to_stop_does_not_wait_for_a_full_disk() {
    let (_, leader) = failing((0..1000).map(|_| full()).collect()).await;
    let outlet = leader.outlet();
    let append = tokio::spawn(async move { outlet.append(vec![mutation("a")]).await });
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let ended = leader.shutdown().await;
    assert!(matches!(ended, Err(LeaderError::Write(_))), "{ended:?}");
    assert!(matches!(append.await.unwrap(), Err(AppendError::Stopped)));
}

#[tokio::test]
async fn a_leader_whose_log_was_taken_over_stops() {
    let (log, mut leader) = failing(vec![SinkError::Fenced]).await;
    let append = leader.outlet().append(vec![mutation("a")]).await;
    assert!(matches!(append, Err(AppendError::Stopped)));
    let ended = leader.ended().await.unwrap_err();
    assert_eq!(ended.to_string(), "cannot write the log");
    assert!(log.feed().is_empty());
}

#[tokio::test]
async fn the_first_mutation_of_an_issue_says_when_it_was_created() {
    let log = MemoryLog::new();
    let leader = Leader::open(log.clone(), log.source()).await.unwrap();
    let outlet = leader.outlet();
    let issue = |repo: &str, created| Mutation {
        github_issue: Some(GithubIssueMutation {
            owner: "golang".into(),
            repo: repo.into(),
            number: 1,
            created,
            ..Default::default()
        }),
        ..Default::default()
    };
    let now = Some(prost_types::Timestamp::default());
    let refused = outlet.append(vec![mutation("a"), issue("go", None)]).await;
    assert!(
        matches!(refused, Err(AppendError::Refused { index: 1, .. })),
        "{refused:?}"
    );
    assert!(log.feed().is_empty());
    let both = tokio::join!(
        outlet.append(vec![issue("go", now), issue("go", None)]),
        outlet.append(vec![issue("net", None), issue("net", now)]),
    );
    assert!(both.0.is_ok());
    assert!(matches!(both.1, Err(AppendError::Refused { index: 0, .. })));
    outlet.append(vec![issue("go", None)]).await.unwrap();
    assert!(outlet.append(vec![issue("Go", None)]).await.is_err());
    leader.shutdown().await.unwrap();
}

#[tokio::test]
async fn commits_are_known_as_soon_as_they_are_appended() {
    let log = MemoryLog::new();
    let leader = Leader::open(log.clone(), log.source()).await.unwrap();
    let sha1 = "07".repeat(20);
    let raw =
        format!("tree {sha1}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nsubject\n");
    let commit = GitCommit {
        sha1: sha1.clone(),
        raw: raw.into_bytes(),
        diff_tree: None,
    };
    let gerrit = GerritMutation {
        project: "local/x".into(),
        commits: vec![commit],
        ..Default::default()
    };
    let mutation = Mutation {
        gerrit: Some(gerrit),
        ..Default::default()
    };
    let snapshot = leader.outlet().append(vec![mutation]).await.unwrap();
    let commit = crate::corpus::Hash::parse(&sha1).unwrap();
    assert_eq!(snapshot.commits().get(commit).unwrap().summary(), "subject");
}

#[tokio::test]
async fn a_leader_begins_with_a_snapshot_file_and_leaves_one() {
    let dir = tempfile::tempdir().unwrap();
    let files = || std::fs::read_dir(dir.path()).unwrap().count();
    let snapshots = || SnapshotDir::new(dir.path()).min_log_bytes(0);
    let log = MemoryLog::with_segment_size(2000);
    for turn in 0..3 {
        let follower = Follower::open(log.source(), snapshots());
        let leader = Leader::with_follower(log.clone(), follower).await.unwrap();
        let known = leader.corpus().snapshot();
        assert_eq!(known.github().repos().len(), turn * 50);
        let more = (0..50).map(|n| mutation(&format!("{turn}-{n}"))).collect();
        let snapshot = leader.outlet().append(more).await.unwrap();
        assert_eq!(snapshot.github().repos().len(), (turn + 1) * 50);
        leader.shutdown().await.unwrap();
        assert_eq!(files(), (turn + 1).min(2));
    }
    // What a file knows and the log does not have does not count.
    let other = MemoryLog::new();
    other
        .append_now(&[mutation("x").encode_to_vec().into()])
        .unwrap();
    let follower = Follower::open(other.source(), snapshots());
    let leader = Leader::with_follower(other.clone(), follower)
        .await
        .unwrap();
    assert_eq!(leader.corpus().snapshot().github().repos().len(), 1);
}
