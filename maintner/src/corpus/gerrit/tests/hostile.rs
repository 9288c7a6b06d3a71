use std::time::{Duration, Instant};

use super::*;

/// Refs that go back and forth between long histories, of many changes.
#[test]
fn however_refs_jump_each_costs_little() {
    const LEN: u32 = 5_000;
    let mut log = Log::new();
    log.commit(commit(1, &[], "x"));
    for first in [10_000, 20_000] {
        let commits = (0..LEN).map(|at| {
            let parents = if at == 0 {
                vec![]
            } else {
                vec![first + at - 1]
            };
            commit(
                first + at,
                &parents,
                "Update\n\nPatch-set: 1\nLabel: A=+1\nTopic: t\n",
            )
        });
        log.write(GerritMutation {
            commits: commits.collect(),
            ..Default::default()
        });
    }
    let start = Instant::now();
    for change in 1..=20 {
        let jumps = (0..500).map(|at| GitRef {
            r#ref: meta_ref(change),
            sha1: name(10_000 * (1 + at % 2) + LEN - 1),
        });
        let mut refs: Vec<GitRef> = jumps.collect();
        refs.push(GitRef {
            r#ref: patch_set_ref(change, 1),
            sha1: name(1),
        });
        log.write(GerritMutation {
            refs,
            ..Default::default()
        });
    }
    let snapshot = log.snapshot();
    // Walking all of it each time would be 50 million steps.
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    let change = cl(&snapshot, 20).unwrap();
    assert_eq!(change.metas().count(), LEN as usize);
    assert_eq!(change.topic(), "t");
}

/// Refs that go back and forth between commits with very many mentions.
#[test]
fn a_message_is_read_once() {
    let mut log = Log::new();
    log.change(7, 1, "x");
    for number in [10, 11] {
        let mentions: String = (0..3000)
            .map(|issue| format!("#{} ", issue * 2 + number))
            .collect();
        log.commit(commit(number, &[], &mentions));
    }
    for at in 0..2000 {
        log.set(&patch_set_ref(7, 2), 10 + at % 2);
    }
    let snapshot = log.snapshot();
    assert_eq!(snapshot.gerrit().state.mentions.mentions.len(), 6000);
    assert_eq!(cl(&snapshot, 7).unwrap().references().count(), 3000);
    assert_eq!(
        numbers(snapshot.gerrit().changes_mentioning("golang", "go", 13)),
        [7]
    );
    assert_eq!(
        numbers(snapshot.gerrit().changes_mentioning("golang", "go", 10)),
        [0; 0]
    );
    assert_eq!(cl(&snapshot, 7).unwrap().patch_sets().count(), 2);
}

/// Metas that descend from themselves or from the one that is missing, watched by many.
#[test]
fn histories_without_a_beginning_are_survived() {
    let mut log = Log::new();
    log.change(7, 1, "x");
    log.commit(commit(10, &[11], CREATE));
    log.commit(commit(11, &[10], CREATE));
    log.commit(commit(12, &[12], CREATE));
    for change in [7, 8, 7] {
        for head in [10, 11, 12] {
            log.set(&meta_ref(change), head);
        }
    }
    let snapshot = log.snapshot();
    assert_eq!(cl(&snapshot, 7).unwrap().metas().count(), 1);
    assert!(cl(&snapshot, 8).is_none());
    for number in [10, 11, 12] {
        let commit = snapshot.commits().get(hash(number)).unwrap();
        assert!(commit.first_parents().count() <= snapshot.commits().len());
    }
    assert_eq!(snapshot.check().len(), 2);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    /// Whatever a mutation says, it is taken in, and everything can be asked for.
    #[test]
    fn nothing_breaks(
        mutations in proptest::collection::vec((
            proptest::collection::vec((0..8_u32, proptest::collection::vec(0..9_u32, 0..3), "(\\PC|\n|\n\n|Status: |merged|Label: |A=\\+1|Hashtags: |Current: true|Patch-set: |Branch: |#|1|a/b){0,30}"), 0..4),
            proptest::collection::vec(("(refs/|changes/|0[0-9]/|[0-9]|/|meta|x){0,8}", 0..9_u32), 0..6),
        ), 0..12)
    ) {
        let mut log = Log::new();
        log.change(7, 100, "x");
        for (commits, refs) in mutations {
            let commits = commits.iter().map(|(number, parents, message)| commit(*number, parents, message));
            let refs = refs.into_iter().map(|(name, commit)| GitRef { r#ref: name, sha1: super::name(commit) });
            let refs = refs.chain([
                GitRef { r#ref: meta_ref(7), sha1: name(3) },
                GitRef { r#ref: patch_set_ref(7, 2), sha1: name(4) },
            ]);
            log.write(GerritMutation { commits: commits.collect(), refs: refs.collect(), deleted_refs: vec!["x".to_owned()], ..Default::default() });
            let snapshot = log.snapshot();
            let _ = snapshot.check();
            for change in project(&snapshot).cls() {
                let _ = (change.votes(), change.reviewers(), change.url(), change.subject(), change.owner_id());
                let _ = (change.messages().count(), change.references().count(), change.hashtags().len());
                let _ = (change.status(), change.branch(), change.patch_sets().count());
            }
        }
    }
}
