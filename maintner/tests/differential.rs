//! What a corpus says is what the plain model says.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use bytes::Bytes;
use maintner::{
    corpus::{Compat, Options as Reading, Snapshot, Writer, snapshot_file::SnapshotDir},
    log::{Batch, Segment},
    proto::{GerritMutation, GitCommit, GitRef, Mutation},
    reclog::{Appender, Header, Options, Reader, Records},
    testing::{History, Model, difference, dump, mischief},
};
use proptest::prelude::*;
use prost::Message;
use serde_json::Value;

fn log<'a>(mutations: impl IntoIterator<Item = &'a Mutation>) -> Bytes {
    let mut log = Vec::new();
    for mutation in mutations {
        let payload = mutation.encode_to_vec();
        log.extend_from_slice(&Header::new(log.len() as u64, payload.len() as u64));
        log.extend(payload);
    }
    log.into()
}

/// What a corpus says that was published at some ends of records.
fn in_pieces(log: &Bytes, cuts: &[usize], compat: Compat) -> Snapshot {
    let mut writer = Writer::with_options(Reading { compat, threads: 1 });
    let ends: Vec<usize> = Records::new(log, 0)
        .map(|record| record.unwrap().end() as usize)
        .collect();
    let mut cuts: Vec<usize> = cuts
        .iter()
        .filter_map(|cut| ends.get(cut % ends.len().max(1)).copied())
        .collect();
    cuts.push(log.len());
    cuts.sort_unstable();
    let mut from = 0;
    for to in cuts {
        writer.apply(0, from as u64, &log.slice(from..to)).unwrap();
        writer.publish();
        from = to;
    }
    writer.publish()
}

fn model<'a>(mutations: impl IntoIterator<Item = &'a Mutation>) -> Value {
    told(Model::new(), mutations)
}

fn told<'a>(mut model: Model, mutations: impl IntoIterator<Item = &'a Mutation>) -> Value {
    for mutation in mutations {
        model.apply(mutation);
    }
    model.dump()
}

/// The log in segments of about `size` bytes, each of which begins at offset 0.
fn in_segments(log: &Bytes, size: usize) -> Vec<Bytes> {
    let mut segments = vec![Vec::new()];
    for record in Records::new(log, 0) {
        let payload = record.unwrap().payload;
        if segments.last().unwrap().len() > size {
            segments.push(Vec::new());
        }
        let to = segments.last_mut().unwrap();
        to.extend_from_slice(&Header::new(to.len() as u64, payload.len() as u64));
        to.extend_from_slice(payload);
    }
    segments.into_iter().map(Bytes::from).collect()
}

/// What a corpus says whose snapshot file was written when so many records of each segment were
/// there, the last segments none, and that was opened from it when all were.
fn from_file(segments: &[Bytes], cut: usize, compat: Compat) -> Snapshot {
    let dir = tempfile::tempdir().unwrap();
    let files = SnapshotDir::new(dir.path()).options(Reading { compat, threads: 1 });
    let whole = |bytes: &[Bytes]| -> (Vec<Segment>, Vec<Batch>) {
        let numbered = || (0..).zip(bytes);
        let batch = |(segment, bytes): (u32, &Bytes)| Batch {
            segment,
            offset: 0,
            bytes: bytes.clone(),
        };
        let segments = numbered().map(|(number, bytes)| Segment::of(number, bytes));
        (segments.collect(), numbered().map(batch).collect())
    };
    // The records up to the cut.
    let mut left = cut;
    let mut known = Vec::new();
    for bytes in segments {
        let ends: Vec<usize> = Records::new(bytes, 0)
            .map(|record| record.unwrap().end() as usize)
            .take(left)
            .collect();
        left -= ends.len();
        let Some(&end) = ends.last() else { break };
        known.push(bytes.slice(..end));
        if left == 0 {
            break;
        }
    }
    let (known_segments, batches) = whole(&known);
    let mut writer = Writer::with_options(Reading { compat, threads: 1 });
    for batch in &batches {
        writer
            .apply(batch.segment, batch.offset, &batch.bytes)
            .unwrap();
    }
    writer.publish();
    files.save(&writer.checkpoint(), &known_segments).unwrap();

    let (segments, batches) = whole(segments);
    let mut opened = files.open(&segments, &batches).unwrap();
    for batch in &opened.rest {
        opened
            .writer
            .apply(batch.segment, batch.offset, &batch.bytes)
            .unwrap();
    }
    opened.writer.publish()
}

fn assert_same(what: &str, corpus: &Value, expected: &Value) {
    for half in ["github", "commits", "gerrit"] {
        if let Some(difference) = difference(&corpus[half], &expected[half]) {
            panic!("{what}, corpus != expected: {half}{difference}");
        }
    }
}

#[test]
fn a_history_is_read_as_the_model_reads_it() {
    let mutations: Vec<Mutation> = History::new(5).take(2000).collect();
    let log = log(&mutations);
    let expected = model(&mutations);
    let at_once = Snapshot::of_log(log.clone()).unwrap();
    assert_same("at once", &dump(&at_once), &expected);
    assert_eq!(at_once.skipped(), 0, "everything makes sense");
    let cuts: Vec<usize> = (0..40).map(|at| at * 61).collect();
    assert_same(
        "in pieces",
        &dump(&in_pieces(&log, &cuts, Compat::Right)),
        &expected,
    );
}

#[test]
fn a_history_is_read_as_the_original_reads_it_if_asked_to() {
    let mutations: Vec<Mutation> = History::new(6).take(1500).collect();
    let log = log(&mutations);
    let expected = told(Model::as_original(), &mutations);
    let cuts: Vec<usize> = (0..20).map(|at| at * 83).collect();
    for cuts in [&[][..], &cuts] {
        let snapshot = in_pieces(&log, cuts, Compat::Original);
        assert_same("as the original", &dump(&snapshot), &expected);
    }
}

/// A meta ref points to a commit whose parent is not known yet, and when it is, to another such.
#[test]
fn a_change_that_became_complete_stays_so_whenever_it_is_published() {
    let commit = |text: &str, parent: Option<&str>| {
        let parent = parent.map_or_else(String::new, |parent| format!("parent {parent}\n"));
        let who = "G <1@x> 5 +0000";
        let raw = format!(
            "tree {}\n{parent}author {who}\ncommitter {who}\n\n{text}\n\nPatch-set: 1\n",
            "0".repeat(40)
        );
        GitCommit {
            sha1: format!("{:02x}", text.as_bytes()[0]).repeat(20),
            raw: raw.into_bytes(),
            diff_tree: None,
        }
    };
    let told = |commits: Vec<GitCommit>, refs: &[(&str, &GitCommit)]| Mutation {
        gerrit: Some(GerritMutation {
            project: "h/p".to_owned(),
            commits,
            refs: refs
                .iter()
                .map(|(name, to)| GitRef {
                    r#ref: format!("refs/changes/01/1/{name}"),
                    sha1: to.sha1.clone(),
                })
                .collect(),
            deleted_refs: vec![],
        }),
        ..Mutation::default()
    };
    let (first, unknown) = (commit("a", None), commit("x", None));
    let second = commit("b", Some(&first.sha1));
    let other = commit("c", Some(&unknown.sha1));
    let mutations = [
        told(vec![second.clone()], &[("meta", &second), ("1", &second)]),
        told(vec![first], &[]),
        told(vec![other.clone()], &[("meta", &other)]),
    ];
    let (log, expected) = (log(&mutations), model(&mutations));
    assert_eq!(expected["gerrit"][0]["changes"][0]["meta"], second.sha1);
    assert_same(
        "at once",
        &dump(&Snapshot::of_log(log.clone()).unwrap()),
        &expected,
    );
    assert_same(
        "in pieces",
        &dump(&in_pieces(&log, &[0, 1], Compat::Right)),
        &expected,
    );
}

#[test]
fn told_twice_is_told_once() {
    let mutations: Vec<Mutation> = History::new(8).take(1500).collect();
    let (once, twice) = (log(&mutations), log(mutations.iter().chain(&mutations)));
    let [once, twice] = [once, twice].map(|log| {
        let mut dump = dump(&Snapshot::of_log(log).unwrap());
        // But for what counts how often it was told, and the order of those who come and go.
        for project in dump["gerrit"].as_array_mut().unwrap() {
            project["label_changes"].take();
        }
        for repo in dump["github"]["repos"].as_array_mut().unwrap() {
            for issue in repo["issues"].as_array_mut().unwrap() {
                issue["assignees"]
                    .as_array_mut()
                    .unwrap()
                    .sort_by_key(Value::to_string);
            }
        }
        dump
    });
    assert_same("twice", &twice, &once);
}

#[test]
fn what_does_not_depend_on_each_other_may_come_in_any_order() {
    let mutations: Vec<Mutation> = History::new(9).take(1500).collect();
    let expected = dump(&Snapshot::of_log(log(&mutations)).unwrap());
    let is_github = |mutation: &&Mutation| mutation.gerrit.is_none();
    let (github, gerrit): (Vec<&Mutation>, Vec<&Mutation>) = mutations.iter().partition(is_github);
    let has_commits = |mutation: &&Mutation| {
        mutation
            .gerrit
            .as_ref()
            .is_some_and(|gerrit| !gerrit.commits.is_empty())
    };
    let (commits, refs): (Vec<&Mutation>, Vec<&Mutation>) =
        gerrit.iter().copied().partition(has_commits);
    let newest_first = commits.iter().rev().copied();
    for (what, order) in [
        (
            "GitHub first",
            github.iter().chain(&gerrit).copied().collect::<Vec<_>>(),
        ),
        (
            "Gerrit first",
            gerrit.iter().chain(&github).copied().collect(),
        ),
        (
            "commits first",
            commits
                .iter()
                .chain(&refs)
                .chain(&github)
                .copied()
                .collect(),
        ),
        (
            "children first",
            newest_first.chain(github).chain(refs).collect(),
        ),
    ] {
        let log = log(order);
        assert_same(what, &dump(&Snapshot::of_log(log).unwrap()), &expected);
    }
}

/// Records as the original reads them: any hex digits, signs too.
fn leniently(log: &[u8]) -> Vec<Vec<u8>> {
    let (mut records, mut at) = (Vec::new(), 0);
    while at < log.len() {
        let header = log[at..].split(|&byte| byte == b'=').next().unwrap();
        let text = std::str::from_utf8(header).unwrap();
        assert!(text.len() < 40);
        let (offset, len) = text.strip_prefix("REC@").unwrap().split_once('+').unwrap();
        assert_eq!(i64::from_str_radix(offset, 16).unwrap(), at as i64);
        let len = i64::from_str_radix(len, 16).unwrap().max(0) as usize;
        let from = at + text.len() + 1;
        records.push(log[from..from + len].to_vec());
        at = from + len;
    }
    records
}

#[test]
fn what_is_written_is_read_by_strict_and_by_lenient_readers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("maintner-2018-07-09.mutlog");
    let (mut file, _) = Appender::open(&path, &Options::default()).unwrap();
    let payloads: Vec<Vec<u8>> = History::new(10)
        .take(400)
        .chain((0..200).map(mischief))
        .map(|mutation| mutation.encode_to_vec())
        .collect();
    for payload in &payloads {
        file.append(payload).unwrap();
    }
    file.sync().unwrap();
    drop(file);
    let log = std::fs::read(&path).unwrap();
    let strictly: Vec<Vec<u8>> = Records::new(&log, 0)
        .map(|record| record.unwrap().payload.to_vec())
        .collect();
    assert_eq!(strictly, payloads);
    assert_eq!(leniently(&log), payloads);
    let mut reader = Reader::new(&log[..], 0);
    let mut streamed = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        streamed.push(record.payload.to_vec());
    }
    assert_eq!(streamed, payloads);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mischief_is_read_as_the_model_reads_it(
        numbers in prop::collection::vec(any::<u64>(), 1..80),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let mutations: Vec<Mutation> = numbers.into_iter().map(mischief).collect();
        let log = log(&mutations);
        for (compat, model) in [
            (Compat::Right, Model::new()),
            (Compat::Original, Model::as_original()),
        ] {
            let expected = told(model, &mutations);
            let what = |how: &str| format!("{compat:?} {how}");
            let at_once = in_pieces(&log, &[], compat);
            assert_same(&what("at once"), &dump(&at_once), &expected);
            let in_pieces = in_pieces(&log, &cuts, compat);
            assert_same(&what("in pieces"), &dump(&in_pieces), &expected);
        }
    }

    #[test]
    fn a_snapshot_file_and_the_rest_say_what_the_model_says(
        seed in 0..100_u64,
        numbers in prop::collection::vec(any::<u64>(), 1..60),
        size in 100..20_000_usize,
        cut in 0.0..1.0_f64,
        compat in prop::sample::select(vec![Compat::Right, Compat::Original]),
    ) {
        let count = numbers.len();
        let odd = numbers.into_iter().map(mischief);
        let mutations: Vec<Mutation> = History::new(seed)
            .zip(odd)
            .flat_map(|(one, other)| [one, other])
            .collect();
        let segments = in_segments(&log(&mutations), size);
        let model = match compat {
            Compat::Right => Model::new(),
            Compat::Original => Model::as_original(),
        };
        let cut = 1 + (cut * (2 * count - 1) as f64) as usize;
        let snapshot = from_file(&segments, cut, compat);
        assert_same("from a file", &dump(&snapshot), &told(model, &mutations));
    }
}
