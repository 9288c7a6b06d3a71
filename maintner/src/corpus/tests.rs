use bytes::Bytes;
use prost::Message;

use super::*;
use crate::{
    proto::{GerritMutation, GitCommit, Mutation},
    reclog::{Header, Records},
    testing::History,
};

#[test]
fn a_log_may_come_in_pieces() {
    let log = History::new(11).log(400_000);
    let whole = Snapshot::of_log(log.clone()).unwrap();
    let ends: Vec<u64> = Records::new(&log, 0)
        .map(|record| record.unwrap().end())
        .collect();
    let mut writer = Writer::new();
    let corpus = writer.corpus();
    let mut from = 0;
    for end in ends.into_iter().step_by(50).chain([log.len() as u64]) {
        let piece = Bytes::copy_from_slice(&log[from..end as usize]);
        writer.apply(0, from as u64, &piece).unwrap();
        writer.publish();
        from = end as usize;
    }
    let pieces = corpus.snapshot();
    assert_eq!(pieces.log_bytes(), log.len() as u64);
    let (whole, pieces) = (whole.commits(), pieces.commits());
    assert!(whole.len() > 100);
    assert_eq!(whole.len(), pieces.len());
    for (a, b) in whole.iter().zip(pieces.iter()) {
        assert_eq!(
            (a.name(), a.message(), a.author()),
            (b.name(), b.message(), b.author())
        );
        assert!(a.files().eq(b.files()) && a.parents().eq(b.parents()));
    }
}

#[test]
fn bad_commits_are_passed_over_and_bad_logs_are_not() {
    let bad = GitCommit {
        sha1: "01".repeat(20),
        raw: b"no commit".to_vec(),
        diff_tree: None,
    };
    let payload = Mutation {
        gerrit: Some(GerritMutation {
            commits: vec![bad],
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec();
    let mut log = Header::new(0, payload.len() as u64).to_vec();
    log.extend(payload);
    let snapshot = Snapshot::of_log(log).unwrap();
    assert_eq!((snapshot.skipped(), snapshot.commits().len()), (1, 0));
    assert!(snapshot.commits().get(Hash([1; 20])).is_none());

    let torn = Snapshot::of_log("REC@0+5=").unwrap_err();
    assert!(matches!(torn, ApplyError::Record(_)));
    let garbage = Snapshot::of_log(&b"REC@0+1=\xff"[..]).unwrap_err();
    assert_eq!(
        garbage.to_string(),
        "record at offset 0 of segment 0 holds no mutation"
    );
}
