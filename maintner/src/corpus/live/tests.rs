use std::{
    collections::VecDeque,
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use prost::Message;

use super::*;
use crate::{
    log::MemoryLog,
    proto::{GithubIssueCommentMutation, GithubIssueMutation, Mutation},
    reclog::{Header, Records},
    testing::History,
};

/// Says what it was told to, with a pause before each, then nothing.
#[derive(Debug)]
struct Script {
    events: VecDeque<Result<Event, SourceError>>,
    paused: bool,
}

fn script(events: impl Into<VecDeque<Result<Event, SourceError>>>) -> Script {
    Script {
        events: events.into(),
        paused: false,
    }
}

impl Source for Script {
    async fn next(&mut self) -> Result<Event, SourceError> {
        // Who drops this in the pause has had the pause.
        if !std::mem::replace(&mut self.paused, true) {
            tokio::task::yield_now().await;
        }
        self.paused = false;
        match self.events.pop_front() {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

fn batch(segment: u32, offset: u64, bytes: &[u8]) -> Result<Event, SourceError> {
    Ok(Event::Batch(Batch {
        segment,
        offset,
        bytes: Bytes::copy_from_slice(bytes),
    }))
}

fn caught_up() -> Result<Event, SourceError> {
    Ok(Event::CaughtUp { segments: vec![] })
}

fn trouble() -> Result<Event, SourceError> {
    Err(SourceError::Io {
        action: "read",
        path: "log".into(),
        source: io::Error::other("no"),
    })
}

/// A log, and the ends of its records.
fn log(seed: u64, bytes: usize) -> (Vec<u8>, Vec<usize>) {
    let log = History::new(seed).log(bytes);
    let ends = Records::new(&log, 0).map(|record| record.unwrap().end() as usize);
    let ends = ends.collect();
    (log, ends)
}

#[tokio::test]
async fn a_log_is_loaded_as_a_whole_and_then_followed_batch_by_batch() {
    let payloads = |seed: u64, count| -> Vec<Bytes> {
        let history = History::new(seed).take(count);
        history
            .map(|mutation| mutation.encode_to_vec().into())
            .collect()
    };
    let payloads = payloads(1, 3000);
    let log = MemoryLog::with_segment_size(400_000);
    for some in payloads[..2000].chunks(300) {
        log.append_now(some).unwrap();
    }
    let mut follower = Follower::new(log.source());
    assert!(matches!(follower.corpus().status(), Status::Loading { .. }));
    let snapshot = follower.catch_up().await.unwrap();
    assert_eq!(snapshot.generation(), 1, "published as a whole");
    assert_eq!(snapshot.log_bytes(), log.feed().len());
    assert_eq!(snapshot.position(), log.feed().position());
    assert!(matches!(follower.corpus().status(), Status::Live));

    let live = follower.spawn();
    let mut generation = 1;
    for some in payloads[2000..].chunks(300) {
        log.append_now(some).unwrap();
        let newer = live.corpus().newer_than(generation).await.unwrap();
        generation = newer.generation();
    }
    log.seal();
    while live.corpus().snapshot().log_bytes() < log.feed().len() {
        generation = live
            .corpus()
            .newer_than(generation)
            .await
            .unwrap()
            .generation();
    }
    let whole = Follower::new(log.source()).catch_up().await.unwrap();
    let followed = live.corpus().snapshot();
    assert_eq!(whole.commits().len(), followed.commits().len());
    for (a, b) in whole.github().repos().zip(followed.github().repos()) {
        assert_eq!(a.to_string(), b.to_string());
        let titles = |repo: crate::corpus::Repo<'_>| -> Vec<String> {
            repo.issues()
                .map(|issue| format!("{issue:?}{}", issue.body()))
                .collect()
        };
        assert_eq!(titles(a), titles(b));
    }

    let corpus = live.corpus().clone();
    drop(live);
    assert!(
        corpus.newer_than(u64::MAX).await.is_none(),
        "nobody writes any more"
    );
    assert!(matches!(corpus.status(), Status::Ended(None)));
}

#[tokio::test]
async fn after_a_split_the_log_is_read_anew() {
    let ((old, ends), (new, _)) = (log(1, 300_000), log(2, 500_000));
    let cut = ends[ends.len() / 2];
    let mut follower = Follower::new(script([
        batch(0, 0, &old[..cut]),
        caught_up(),
        batch(0, cut as u64, &old[cut..]),
        Ok(Event::Split { common: 100 }),
        batch(0, 0, &new),
        caught_up(),
    ]));
    let before = follower.catch_up().await.unwrap();
    assert_eq!((before.log_bytes(), before.epoch()), (cut as u64, 0));
    let corpus = follower.corpus().clone();
    let after = follower.catch_up().await.unwrap();
    assert_eq!((after.log_bytes(), after.epoch()), (new.len() as u64, 1));
    assert_eq!(
        after.generation(),
        before.generation() + 2,
        "one of the old log, one of the new"
    );
    assert_eq!(
        after.commits().len(),
        Snapshot::of_log(new).unwrap().commits().len()
    );
    assert!(matches!(corpus.status(), Status::Live));
}

#[tokio::test]
async fn a_mapping_takes_the_place_of_pieces() {
    let (bytes, ends) = log(3, 100_000);
    let mut events = VecDeque::new();
    let mut from = 0;
    for end in ends {
        events.push_back(batch(0, from as u64, &bytes[from..end]));
        from = end;
    }
    let mapped = Bytes::from(bytes.clone());
    events.push_back(Ok(Event::Remapped {
        segment: 0,
        bytes: mapped.clone(),
    }));
    events.push_back(caught_up());
    let snapshot = Follower::new(script(events)).catch_up().await.unwrap();
    let read: Vec<_> = snapshot.segments().read(0, 0, u64::MAX).collect();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].1.as_ptr(), mapped.as_ptr(), "no copy");
    let title = |snapshot: &Snapshot| {
        let repo = snapshot.github().repos().next().unwrap();
        repo.issues().next_back().unwrap().title().to_owned()
    };
    assert_eq!(title(&snapshot), title(&Snapshot::of_log(bytes).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn trouble_is_seen_and_outlived() {
    let (bytes, _) = log(1, 50_000);
    let troubled = || script([trouble(), trouble(), batch(0, 0, &bytes), caught_up()]);
    let mut follower = Follower::new(troubled());
    assert!(matches!(
        follower.catch_up().await,
        Err(FollowError::Source(_))
    ));
    assert!(matches!(
        follower.catch_up().await,
        Err(FollowError::Source(_))
    ));
    assert_eq!(
        follower.catch_up().await.unwrap().log_bytes(),
        bytes.len() as u64
    );

    let live = Follower::new(troubled()).spawn();
    let loading = live.corpus().status();
    let seen = live.corpus().status_changed(&loading).await;
    assert!(matches!(seen, Status::Trouble(_)), "{seen:?}");
    let snapshot = live.corpus().newer_than(0).await.unwrap();
    assert_eq!(snapshot.log_bytes(), bytes.len() as u64);
    assert!(matches!(live.corpus().status(), Status::Live));
}

#[tokio::test]
async fn a_damaged_log_ends_it() {
    for size in [10, 300_000] {
        let (mut bytes, _) = log(1, size);
        bytes.extend(b"REC@torn");
        let mut follower = Follower::new(script([batch(0, 0, &bytes)]));
        let corpus = follower.corpus().clone();
        for _ in 0..2 {
            let error = follower.catch_up().await.unwrap_err();
            assert!(matches!(error, FollowError::Apply(_)), "{error:?}");
        }
        assert!(matches!(corpus.status(), Status::Ended(Some(_))));
        assert!(corpus.newer_than(0).await.is_none());
    }
}

#[tokio::test]
async fn others_have_their_turn_while_a_log_of_small_segments_is_read() {
    let log = MemoryLog::with_segment_size(1000);
    let payloads = History::new(1).take(500);
    let payloads: Vec<Bytes> = payloads
        .map(|mutation| mutation.encode_to_vec().into())
        .collect();
    log.append_now(&payloads).unwrap();
    assert!(log.feed().segments().len() > 100);
    let mut follower = Follower::new(log.source());
    let corpus = follower.corpus().clone();
    let progress = async {
        let mut seen = std::collections::HashSet::new();
        while let Status::Loading { bytes, .. } = corpus.status() {
            seen.insert(bytes);
            tokio::task::yield_now().await;
        }
        seen.len()
    };
    let (seen, read) = tokio::join!(progress, follower.catch_up());
    read.unwrap();
    // How often depends on the other threads; without a turn, it would be once.
    assert!(seen > 2, "{seen}");
}

#[tokio::test]
async fn dropped_calls_lose_nothing() {
    let (bytes, ends) = log(1, 2_000_000);
    let mut events = VecDeque::new();
    let mut from = 0;
    // Some go to another thread, most do not.
    for (n, &end) in ends.iter().enumerate() {
        if n % 50 == 0 && (n % 1000 == 0 || n < 1000) || end == bytes.len() {
            events.push_back(batch(0, from as u64, &bytes[from..end]));
            from = end;
        }
    }
    events.push_back(caught_up());
    let mut follower = Follower::new(script(events));
    let snapshot = loop {
        // Each call is dropped at its first pause.
        let mut call = Box::pin(follower.catch_up());
        let polled =
            std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx))).await;
        drop(call);
        if let std::task::Poll::Ready(snapshot) = polled {
            break snapshot.unwrap();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(snapshot.log_bytes(), bytes.len() as u64);
    let whole = Snapshot::of_log(bytes).unwrap();
    assert_eq!(snapshot.commits().len(), whole.commits().len());
}

/// Each batch has a new title and as many comments as the title says; nobody must see one without
/// the others.
#[test]
fn readers_see_whole_batches_and_never_wait() {
    const BATCHES: u64 = 1500;
    let mut writer = Writer::new();
    let corpus = writer.corpus();
    let done = AtomicBool::new(false);
    let about = |new: GithubIssueMutation| Mutation {
        github_issue: Some(GithubIssueMutation {
            owner: "golang".into(),
            repo: "go".into(),
            number: 3,
            ..new
        }),
        ..Mutation::default()
    };
    std::thread::scope(|scope| {
        let read = || {
            let (mut seen, mut newest) = (0, 0);
            while !done.load(Ordering::Acquire) || newest < BATCHES {
                let snapshot = corpus.snapshot();
                assert!(snapshot.generation() >= newest, "never back");
                newest = snapshot.generation();
                seen += 1;
                let Some(repo) = snapshot.github().repo("golang", "go") else {
                    continue;
                };
                let issue = repo.issue(3).unwrap();
                let count: usize = issue.title().parse().unwrap();
                assert_eq!(count as u64, newest);
                assert_eq!(
                    (issue.comment_count(), issue.comments().count()),
                    (count, count)
                );
                assert!(
                    issue
                        .comments()
                        .all(|comment| comment.body() == "a comment")
                );
                assert!(
                    issue
                        .comments()
                        .map(|comment| comment.id().0)
                        .eq(1..=count as i64)
                );
            }
            seen
        };
        let readers = [(); 3].map(|()| scope.spawn(read));
        let mut written = 0;
        for n in 1..=BATCHES {
            let comment = GithubIssueCommentMutation {
                id: n as i64,
                body: "a comment".into(),
                ..Default::default()
            };
            let title = GithubIssueMutation {
                title: n.to_string(),
                ..Default::default()
            };
            let comment = GithubIssueMutation {
                comment: vec![comment],
                ..Default::default()
            };
            let mut bytes = Vec::new();
            for mutation in [about(title), about(comment)] {
                let payload = mutation.encode_to_vec();
                let offset = written + bytes.len() as u64;
                bytes.extend_from_slice(&Header::new(offset, payload.len() as u64));
                bytes.extend(payload);
            }
            writer.apply(0, written, &bytes.clone().into()).unwrap();
            written += bytes.len() as u64;
            writer.publish();
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
}
