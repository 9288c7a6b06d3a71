//! Processes that share a folder of snapshot files, and are killed while they save.
#![cfg(feature = "testing")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use maintner::{
    corpus::{Writer, snapshot_file::SnapshotDir},
    log::{Batch, Segment},
    testing::{History, difference, dump},
};

const FOLDER: &str = "MAINTNER_TEST_SNAPSHOTS";

fn log() -> (Vec<Segment>, Vec<Batch>) {
    let bytes = Bytes::from(History::new(9).log(150_000));
    let batch = Batch {
        segment: 0,
        offset: 0,
        bytes,
    };
    (vec![Segment::of(0, &batch.bytes)], vec![batch])
}

fn written(batches: &[Batch]) -> Writer {
    let mut writer = Writer::new();
    for batch in batches {
        writer
            .apply(batch.segment, batch.offset, &batch.bytes)
            .unwrap();
    }
    writer.publish();
    writer
}

/// What the other processes do: save, until they are killed.
#[test]
fn save_for_ever_if_told_to() {
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    let (segments, batches) = log();
    let (files, checkpoint) = (SnapshotDir::new(folder), written(&batches).checkpoint());
    for turn in 0.. {
        files.save(&checkpoint, &segments).unwrap();
        if turn == 0 {
            println!("\nsaved");
        }
    }
}

fn spawn(folder: &Path) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "save_for_ever_if_told_to", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "saved"));
    child
}

fn unfinished(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().flatten();
    names
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "unfinished"))
        .count()
}

#[test]
fn whoever_is_killed_in_the_middle_leaves_what_there_was() {
    let dir = tempfile::tempdir().unwrap();
    let (segments, batches) = log();
    let expected = dump(&written(&batches).publish());
    let files = SnapshotDir::new(dir.path());
    let mut torn = 0;
    for _ in 0..5 {
        let mut children = [spawn(dir.path()), spawn(dir.path())];
        // One reads while two save.
        for _ in 0..5 {
            let mut opened = files.open(&segments, &batches).unwrap();
            let known = dump(&opened.writer.publish());
            assert_eq!(difference(&known, &expected), None);
        }
        // Most of the time, one of them is in the middle of it.
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        torn = unfinished(dir.path());
        let mut opened = files.open(&segments, &batches).unwrap();
        assert!(opened.rest.is_empty());
        let known = dump(&opened.writer.publish());
        assert_eq!(difference(&known, &expected), None);
    }
    assert!(torn > 0, "nobody was killed in the middle of it");
}
