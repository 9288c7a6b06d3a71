use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    corpus::Writer,
    proto::{
        BoolChange, GerritMutation, GitRef, GithubIssueCommentMutation, GithubIssueEvent,
        GithubIssueMutation, GithubLabel, GithubMilestone, GithubMutation, GithubReview,
        GithubUser, Mutation, StringChange,
    },
    reclog::Header,
    testing::{History, mischief},
};

mod cls;

/// A log in one segment that a writer follows.
#[derive(Default)]
struct Leader {
    writer: Writer,
    written: u64,
}

impl Leader {
    fn write(&mut self, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.writer.apply(0, self.written, &bytes).unwrap();
        self.written += bytes.len() as u64;
        self.writer.publish();
    }

    fn say(&mut self, mutation: &Mutation) {
        self.write(&record(self.written, mutation));
    }

    fn follow(&self, from: Option<Cursor>) -> Feed {
        self.writer.corpus().follow(FollowOptions { from })
    }

    /// The place where the log ends.
    fn end(&self) -> Cursor {
        now(&mut self.follow(None)).unwrap().cursor()
    }
}

fn record(at: u64, mutation: &Mutation) -> Vec<u8> {
    let payload = mutation.encode_to_vec();
    let mut bytes = Header::new(at, payload.len() as u64).to_vec();
    bytes.extend(payload);
    bytes
}

fn issue(new: GithubIssueMutation) -> Mutation {
    Mutation {
        github_issue: Some(GithubIssueMutation {
            owner: "golang".into(),
            repo: "go".into(),
            number: 3,
            ..new
        }),
        ..Mutation::default()
    }
}

/// What a feed has now; to those who wait it gives nothing else.
fn now(feed: &mut Feed) -> Option<Batch> {
    feed.next_now()
}

fn ends(log: &[u8]) -> Vec<u64> {
    Records::new(log, 0)
        .map(|record| record.unwrap().end())
        .collect()
}

/// What a bot was told of.
#[derive(Debug, Default, PartialEq)]
struct Told {
    issues: BTreeMap<String, BTreeSet<&'static str>>,
    cls: BTreeMap<String, BTreeSet<&'static str>>,
    labels: BTreeSet<String>,
    milestones: BTreeSet<String>,
    commits: BTreeSet<String>,
    refs: Vec<String>,
}

impl Told {
    fn add(&mut self, batch: &Batch) {
        for change in batch.issues() {
            let name = change.issue.reference().to_string();
            let all = self.issues.entry(name).or_default();
            all.extend(change.what.names());
        }
        for ClChange { cl, what } in batch.cls() {
            let name = format!("{} {}", cl.project().full_name(), cl.number());
            self.cls.entry(name).or_default().extend(what.names());
        }
        let labels = batch.labels().map(|label| label.id().to_string());
        self.labels.extend(labels);
        let milestones = batch.milestones();
        self.milestones
            .extend(milestones.map(|milestone| milestone.id().to_string()));
        self.commits
            .extend(batch.commits().map(|commit| commit.name().to_string()));
        self.refs
            .extend(batch.refs().map(|moved| format!("{moved:?}")));
    }
}

/// A history, with some mischief in between.
fn log(seed: u64, mischief_from: &[u64]) -> Vec<u8> {
    let mut log = Vec::new();
    let mut numbers = mischief_from.iter();
    for mutation in History::new(seed) {
        let odd = numbers.next().map(|&number| mischief(number));
        for mutation in odd.into_iter().chain([mutation]) {
            log.extend(record(log.len() as u64, &mutation));
        }
        if log.len() > 200_000 {
            return log;
        }
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_bot_that_is_stopped_anywhere_is_told_exactly_what_it_missed(
        seed in 0..5_u64,
        odd in prop::collection::vec(any::<u64>(), 0..300),
        steps in prop::collection::vec((1..400_usize, any::<bool>(), any::<bool>()), 1..12),
    ) {
        let log = log(seed, &odd);
        let ends = ends(&log);
        let mut leader = Leader::default();
        let mut told = Told::default();
        let mut kept = Cursor::BEGINNING.to_string();
        let mut feed = leader.follow(Some(Cursor::BEGINNING));
        let mut at = 0;
        // What it was told after some place.
        let (mut middle, mut later) = (Cursor::BEGINNING, Told::default());
        let half = steps.len() / 2;
        let last = (ends.len(), true, true);
        for (step, (records, handles, restarts)) in steps.into_iter().chain([last]).enumerate() {
            if step == half {
                (middle, later) = (kept.parse().unwrap(), Told::default());
            }
            at = (at + records).min(ends.len());
            leader.write(&log[leader.written as usize..ends[at - 1] as usize]);
            if restarts {
                feed = leader.follow(Some(kept.parse().unwrap()));
            }
            while let Some(batch) = now(&mut feed) {
                prop_assert!(!batch.resynced());
                if !handles {
                    // Stopped before it handled the batch: told again.
                    feed = leader.follow(Some(kept.parse().unwrap()));
                    break;
                }
                told.add(&batch);
                later.add(&batch);
                kept = batch.cursor().to_string();
            }
        }
        prop_assert_eq!(kept.parse::<Cursor>().unwrap().bytes(), log.len() as u64);

        let mut whole = Leader::default();
        whole.write(&log);
        for (from, told) in [(Cursor::BEGINNING, told), (middle, later)] {
            let mut expected = Told::default();
            let mut feed = whole.follow(Some(from));
            while let Some(batch) = now(&mut feed) {
                expected.add(&batch);
            }
            prop_assert_eq!(told, expected);
        }
    }
}

#[test]
fn all_that_happens_to_an_issue_is_told() {
    let new = GithubIssueMutation::default;
    let truth = |val| Some(BoolChange { val });
    let time = Some(prost_types::Timestamp::default());
    let text = || Some(StringChange { val: String::new() });
    let mut leader = Leader::default();
    leader.say(&Mutation::default());
    let mut feed = leader.follow(Some(Cursor::BEGINNING));
    assert!(now(&mut feed).is_none(), "an empty mutation says nothing");
    #[rustfmt::skip]
    let cases = [
        (GithubIssueMutation { created: time, closed: truth(false), title: "t".into(), no_milestone: true, ..new() }, vec!["opened"]),
        (GithubIssueMutation { closed: truth(true), ..new() }, vec!["closed"]),
        (GithubIssueMutation { closed: truth(false), ..new() }, vec!["reopened"]),
        (GithubIssueMutation { not_exist: true, title: "t".into(), ..new() }, vec!["gone"]),
        (GithubIssueMutation { title: "t".into(), ..new() }, vec!["edited"]),
        (GithubIssueMutation { body: "b".into(), ..new() }, vec!["edited"]),
        (GithubIssueMutation { body_change: text(), ..new() }, vec!["edited"]),
        (GithubIssueMutation { add_label: vec![GithubLabel { id: 1, name: "l".into() }], ..new() }, vec!["labeled"]),
        (GithubIssueMutation { remove_label: vec![1], ..new() }, vec!["unlabeled"]),
        (GithubIssueMutation { milestone_id: 1, ..new() }, vec!["milestoned"]),
        (GithubIssueMutation { no_milestone: true, milestone_id: 1, ..new() }, vec!["demilestoned"]),
        (GithubIssueMutation { assignees: vec![GithubUser::default()], ..new() }, vec!["assigned"]),
        (GithubIssueMutation { deleted_assignees: vec![1], ..new() }, vec!["unassigned"]),
        (GithubIssueMutation { locked: truth(true), ..new() }, vec!["lock_changed"]),
        (GithubIssueMutation { comment: vec![GithubIssueCommentMutation::default()], ..new() }, vec!["commented"]),
        (GithubIssueMutation { event: vec![GithubIssueEvent::default()], ..new() }, vec!["happened"]),
        (GithubIssueMutation { review: vec![GithubReview::default()], ..new() }, vec!["reviewed"]),
        (GithubIssueMutation { updated: time, ..new() }, vec!["updated"]),
    ];
    for (mutation, expected) in cases {
        leader.say(&issue(mutation));
        let batch = now(&mut feed).unwrap();
        let changes: Vec<_> = batch.issues().collect();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].issue.number(), 3);
        assert!(
            changes[0].what.names().eq(expected),
            "{:?}",
            changes[0].what
        );
    }
    leader.say(&issue(new()));
    assert!(now(&mut feed).is_none(), "nothing happened");
}

#[test]
fn repositories_and_refs_change_too() {
    let mut leader = Leader::default();
    leader.say(&Mutation::default());
    let mut feed = leader.follow(Some(Cursor::BEGINNING));
    leader.say(&Mutation {
        github: Some(GithubMutation {
            owner: "golang".into(),
            repo: "go".into(),
            labels: vec![GithubLabel {
                id: 1,
                name: "bug".into(),
            }],
            milestones: vec![GithubMilestone {
                id: 2,
                title: "Go2".into(),
                ..Default::default()
            }],
        }),
        gerrit: Some(GerritMutation {
            project: "go.example.com/x".into(),
            refs: vec![GitRef {
                r#ref: "refs/heads/x".into(),
                sha1: "01".repeat(20),
            }],
            deleted_refs: vec!["refs/heads/y".into()],
            ..Default::default()
        }),
        ..Mutation::default()
    });
    let batch = now(&mut feed).unwrap();
    assert!(batch.labels().map(|label| label.name()).eq(["bug"]));
    assert!(
        batch
            .milestones()
            .map(|milestone| milestone.title())
            .eq(["Go2"])
    );
    let refs: Vec<_> = batch
        .refs()
        .map(|moved| (moved.project, moved.name, moved.target))
        .collect();
    let project = "go.example.com/x";
    let target = Some(Hash([1; 20]));
    let expected = [
        (project, "refs/heads/y", None),
        (project, "refs/heads/x", target),
    ];
    assert_eq!(refs, expected);
}

/// Pollers tell of a new name with the first issue that they see it at.
#[test]
fn names_that_change_are_told_where_issues_tell_them() {
    let mut leader = Leader::default();
    let mut feed = leader.follow(Some(Cursor::BEGINNING));
    let mut told = |label: &str, milestone: &str| {
        leader.say(&issue(GithubIssueMutation {
            add_label: vec![GithubLabel {
                id: 1,
                name: label.into(),
            }],
            milestone_id: 2,
            milestone_title: milestone.into(),
            ..Default::default()
        }));
        let batch = now(&mut feed).unwrap();
        let labels = batch.labels().map(|label| label.name().to_owned());
        let milestones = batch.milestones().map(|it| it.title().to_owned());
        labels.chain(milestones).collect::<Vec<_>>()
    };
    assert_eq!(told("bug", "Go2"), ["bug", "Go2"]);
    assert!(told("bug", "Go2").is_empty());
    assert_eq!(told("defect", "Go2"), ["defect"]);
    assert_eq!(told("defect", "Go3"), ["Go3"]);
    assert!(told("", "").is_empty());
}

#[test]
fn who_comes_without_a_place_or_with_a_wrong_one_looks_at_everything() {
    let log = History::new(1).log(100_000);
    let other = History::new(2).log(100_000);
    let mut leader = Leader::default();
    leader.write(&log);
    let mut elsewhere = Leader::default();
    elsewhere.write(&other);

    let first = now(&mut leader.follow(None)).unwrap();
    assert!(first.resynced());
    assert_eq!(first.issues().count(), 0);
    assert_eq!(first.cursor().bytes(), log.len() as u64);
    assert!(
        now(&mut leader.follow(Some(first.cursor()))).is_none(),
        "nothing is new"
    );

    let foreign = now(&mut elsewhere.follow(None)).unwrap().cursor();
    let wrong = |bytes: u64| format!("{bytes:x}-0123456789abcdef").parse().unwrap();
    let middle = ends(&log)[10];
    let too_far: Cursor = wrong(u64::MAX);
    for cursor in [foreign, wrong(middle), wrong(middle + 1), too_far] {
        let mut feed = leader.follow(Some(cursor));
        let batch = now(&mut feed).unwrap();
        assert!(batch.resynced());
        assert_eq!(batch.cursor(), first.cursor());
        assert!(now(&mut feed).is_none());
    }
    for text in [
        "",
        "12",
        "1-2-3",
        "x-0",
        "0-x",
        "-1-1",
        "+1-1",
        "1-11111111111111111",
    ] {
        assert_eq!(text.parse::<Cursor>(), Err(ParseCursorError), "{text}");
    }
}

#[test]
fn after_a_split_who_is_in_the_common_part_goes_on_and_who_is_not_looks_at_everything() {
    let log = History::new(1).log(100_000);
    let ends = ends(&log);
    let (common, end) = (ends[ends.len() / 2] as usize, log.len());
    let mut leader = Leader::default();
    leader.write(&log[..common]);
    let mut early = leader.follow(None);
    assert!(now(&mut early).unwrap().resynced());
    leader.write(&log[common..]);
    let mut late = leader.follow(None);
    assert!(now(&mut late).unwrap().resynced());

    leader.writer.restart();
    leader.written = 0;
    let mut again = log[..common].to_vec();
    let payload = issue(GithubIssueMutation {
        title: "after the split".into(),
        ..Default::default()
    })
    .encode_to_vec();
    while again.len() <= end {
        again.extend_from_slice(&Header::new(again.len() as u64, payload.len() as u64));
        again.extend_from_slice(&payload);
    }
    leader.write(&again);

    let batch = now(&mut early).unwrap();
    assert!(!batch.resynced());
    assert!(
        batch
            .issues()
            .map(|change| change.issue.title())
            .eq(["after the split"])
    );
    let batch = now(&mut late).unwrap();
    assert!(batch.resynced());
    assert_eq!(batch.cursor().bytes(), again.len() as u64);
}

#[test]
fn a_place_is_found_across_segments() {
    let mut writer = Writer::new();
    let payload = issue(GithubIssueMutation {
        title: "x".into(),
        ..Default::default()
    })
    .encode_to_vec();
    let mut record = Header::new(0, payload.len() as u64).to_vec();
    record.extend(payload);
    let corpus = writer.corpus();
    let mut cursors = vec![Cursor::BEGINNING];
    for segment in 0..4 {
        writer.apply(segment, 0, &record.clone().into()).unwrap();
        writer.publish();
        let mut feed = corpus.follow(FollowOptions::default());
        cursors.push(now(&mut feed).unwrap().cursor());
    }
    // The same records: only their number tells the places apart.
    assert_eq!(
        cursors[1].to_string(),
        format!("{:x}-{}", record.len(), &cursors[2].to_string()[3..])
    );
    for (at, &cursor) in cursors.iter().enumerate() {
        let mut feed = corpus.follow(FollowOptions::from(cursor));
        match now(&mut feed) {
            Some(batch) => {
                assert!(at < 4 && !batch.resynced());
                assert_eq!(batch.cursor(), cursors[4]);
            }
            None => assert_eq!(at, 4),
        }
    }
}

#[test]
fn a_feed_ends_with_its_writer() {
    let mut leader = Leader::default();
    leader.write(&History::new(1).log(20_000));
    let mut feed = leader.follow(Some(Cursor::BEGINNING));
    drop(leader);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        assert!(feed.next().await.is_some(), "what there was is told");
        assert!(feed.next().await.is_none());
    });
}
