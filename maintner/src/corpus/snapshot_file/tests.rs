use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    corpus::{Compat, Snapshot},
    log::Sha224Sum,
    parse::Facts,
    reclog::{Header, Records},
    store::{Row, Saved, Saver},
    testing::{History, difference, dump},
};

/// A log in segments of about `segment` bytes each.
fn log(seed: u64, bytes: usize, segment: usize) -> Vec<Vec<u8>> {
    let mut segments = vec![Vec::new()];
    let whole = History::new(seed).log(bytes);
    for record in Records::new(&whole, 0) {
        let payload = record.unwrap().payload;
        if segments.last().unwrap().len() > segment {
            segments.push(Vec::new());
        }
        let to = segments.last_mut().unwrap();
        let header = Header::new(to.len() as u64, payload.len() as u64);
        to.extend_from_slice(&header);
        to.extend_from_slice(payload);
    }
    segments
}

/// The log up to the last record that ends within its first `len` bytes.
fn beginning(log: &[Vec<u8>], mut len: usize) -> Vec<Vec<u8>> {
    let mut beginning = Vec::new();
    for segment in log {
        let records = Records::new(segment, 0).map(|record| record.unwrap().end() as usize);
        let end = records.take_while(|&end| end <= len).last().unwrap_or(0);
        if end > 0 {
            beginning.push(segment[..end].to_vec());
        }
        if end < segment.len() {
            break;
        }
        len -= end;
    }
    beginning
}

fn segments(log: &[Vec<u8>]) -> Vec<Segment> {
    let numbered = (0..).zip(log);
    numbered
        .map(|(number, bytes)| Segment::of(number, bytes))
        .collect()
}

/// The log in pieces of a few records each.
fn batches(log: &[Vec<u8>], piece: usize) -> Vec<Batch> {
    let mut batches = Vec::new();
    for (segment, bytes) in (0..).zip(log) {
        let mut from = 0;
        for record in Records::new(bytes, 0) {
            let end = record.unwrap().end() as usize;
            if end - from >= piece || end == bytes.len() {
                let bytes = Bytes::copy_from_slice(&bytes[from..end]);
                batches.push(Batch {
                    segment,
                    offset: from as u64,
                    bytes,
                });
                from = end;
            }
        }
    }
    batches
}

fn apply(writer: &mut Writer, batches: &[Batch]) -> Snapshot {
    for batch in batches {
        writer
            .apply(batch.segment, batch.offset, &batch.bytes)
            .unwrap();
    }
    writer.publish()
}

fn written(log: &[Vec<u8>], piece: usize) -> Writer {
    let mut writer = Writer::new();
    apply(&mut writer, &batches(log, piece));
    writer
}

fn is_damaged(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::NoSnapshot | Reason::Version { .. } | Reason::Truncated | Reason::Damaged
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_file_and_the_rest_make_the_whole(
        seed: u64,
        bytes in 1000..120_000_usize,
        segment in 1000..100_000_usize,
        cut in 0.0..1.0_f64,
        pieces in [1..50_000_usize, 1..50_000_usize],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let files = SnapshotDir::new(dir.path());
        let log = log(seed, bytes, segment);
        let known = beginning(&log, (bytes as f64 * cut) as usize);
        let file = files.save(&written(&known, pieces[0]).checkpoint(), &segments(&known)).unwrap();

        let mut opened = files.open(&segments(&log), &batches(&log, pieces[1])).unwrap();
        prop_assert_eq!(opened.file, file);
        let rest: usize = opened.rest.iter().map(|batch| batch.bytes.len()).sum();
        let (all, part) = (total(&segments(&log)), total(&segments(&known)));
        prop_assert_eq!(rest as u64, all - part);
        let snapshot = apply(&mut opened.writer, &opened.rest);
        let whole = apply(&mut Writer::new(), &batches(&log, usize::MAX));
        prop_assert_eq!(difference(&dump(&snapshot), &dump(&whole)), None);
        prop_assert_eq!(snapshot.log_bytes(), whole.log_bytes());

        // Again, of what was opened.
        files.save(&opened.writer.checkpoint(), &segments(&log)).unwrap();
        let mut opened = files.open(&segments(&log), &batches(&log, pieces[0])).unwrap();
        prop_assert!(opened.rest.is_empty());
        let snapshot = opened.writer.publish();
        prop_assert_eq!(difference(&dump(&snapshot), &dump(&whole)), None);
    }

    #[test]
    fn garbage_is_refused(
        at in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 1..200),
        cut in any::<prop::sample::Index>(),
    ) {
        let (file, schema) = (file(), schema(Options::default()));
        let mut bytes = file.to_vec();
        let at = at.index(bytes.len());
        for (byte, garbage) in bytes[at..].iter_mut().zip(&garbage) {
            *byte ^= garbage;
        }
        if bytes != file {
            prop_assert!(is_damaged(&format::read(&bytes.into(), schema).err().unwrap()));
        }
        let mut bytes = file[..cut.index(file.len())].to_vec();
        prop_assert!(is_damaged(&format::read(&bytes.clone().into(), schema).err().unwrap()));
        bytes.extend(garbage);
        prop_assert!(is_damaged(&format::read(&bytes.into(), schema).err().unwrap()));
    }
}

/// A small file.
fn file() -> Bytes {
    let log = log(7, 3000, usize::MAX);
    let mut bytes = Vec::new();
    let checkpoint = written(&log, 1000).checkpoint();
    format::write(
        &mut bytes,
        checkpoint.schema(),
        &segments(&log),
        &checkpoint,
    )
    .unwrap();
    bytes.into()
}

#[test]
fn any_bit_that_flips_is_noticed() {
    let (file, schema) = (file(), schema(Options::default()));
    assert!(format::read(&file, schema).is_ok());
    let mut bytes = file.to_vec();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let read = format::read(&Bytes::copy_from_slice(&bytes), schema);
        assert!(is_damaged(&read.err().unwrap()), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    for len in 0..file.len() {
        let read = format::read(&file.slice(..len), schema);
        assert!(is_damaged(&read.err().unwrap()), "cut at {len}");
    }
}

#[test]
fn files_of_other_programs_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let files = SnapshotDir::new(dir.path().join("new"));
    let log = log(3, 20_000, 8000);
    let (segments, batches) = (segments(&log), batches(&log, usize::MAX));
    let reason = |files: &SnapshotDir| files.open(&segments, &batches).unwrap_err();
    assert!(matches!(reason(&files), Reason::Missing));

    let file = files
        .save(&written(&log, 5000).checkpoint(), &segments)
        .unwrap();
    assert!(files.open(&segments, &batches).is_ok());
    let compat = Compat::Original;
    let compat = files.clone().options(Options { compat, threads: 1 });
    assert!(matches!(reason(&compat), Reason::Schema));
    assert!(matches!(
        reason(&files.clone().max_bytes(1000)),
        Reason::TooLarge { .. }
    ));
    let other = file.with_file_name("corpus.0123456789abcdef.99999.snap");
    fs::rename(&file, &other).unwrap();
    assert!(matches!(reason(&files), Reason::Schema));
    fs::write(&file, b"").unwrap();
    assert!(matches!(reason(&files), Reason::Truncated));
    fs::write(&file, [7; 4000]).unwrap();
    assert!(matches!(reason(&files), Reason::NoSnapshot));
    assert!(matches!(
        format::read(&fs::read(&other).unwrap().into(), 0x0123_4567_89ab_cdef)
            .err()
            .unwrap(),
        Reason::Schema
    ));
}

#[test]
fn only_a_beginning_of_the_log_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let files = SnapshotDir::new(dir.path());
    let whole = log(5, 60_000, 20_000);
    assert!(whole.len() > 2);
    let known = beginning(&whole, 50_000);
    let last = known.len() - 1;
    files
        .save(&written(&known, 5000).checkpoint(), &segments(&known))
        .unwrap();
    let diverged = |log: &[Vec<u8>]| {
        let opened = files.open(&segments(log), &batches(log, usize::MAX));
        match opened.unwrap_err() {
            Reason::Diverged { segment } => segment as usize,
            other => panic!("{other}"),
        }
    };
    assert!(files.open(&segments(&whole), &batches(&whole, 100)).is_ok());
    // Shorter, fewer, none, and others of the same length.
    assert_eq!(diverged(&beginning(&known, 49_000)), last);
    assert_eq!(diverged(&known[..last]), last);
    assert_eq!(diverged(&[]), 0);
    for segment in 0..=last {
        for log in [&known, &whole] {
            let mut log = log.clone();
            // In the text of the first record.
            log[segment][60] ^= 1;
            assert_eq!(diverged(&log), segment);
        }
    }
    // One in the middle grew, and bytes are not there.
    let mut log = whole.clone();
    let empty = Header::new(log[0].len() as u64, 0);
    log[0].extend_from_slice(&empty);
    assert_eq!(diverged(&log), 0);
    let opened = files.open(&segments(&whole), &batches(&whole, 100)[1..]);
    assert!(matches!(
        opened.unwrap_err(),
        Reason::Diverged { segment: 0 }
    ));
}

#[test]
fn the_best_file_that_fits_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let files = SnapshotDir::new(dir.path());
    let whole = log(6, 50_000, 20_000);
    let save = |len| {
        let known = beginning(&whole, len);
        files
            .save(&written(&known, 5000).checkpoint(), &segments(&known))
            .unwrap()
    };
    let open = |log: &[Vec<u8>]| files.open(&segments(log), &batches(log, usize::MAX));
    let (first, second) = (save(10_000), save(30_000));
    assert_eq!(open(&whole).unwrap().file, second);
    assert_eq!(open(&beginning(&whole, 20_000)).unwrap().file, first);
    // The better one is damaged.
    let mut bytes = fs::read(&second).unwrap();
    bytes[1000] ^= 1;
    fs::write(&second, bytes).unwrap();
    assert_eq!(open(&whole).unwrap().file, first);
    // The last two are kept, whatever log they are of, and one of another program.
    for name in ["corpus.1.5.snap", "corpus.2.6.snap", "other.snap"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let (third, fourth) = (save(40_000), save(5000));
    let mut left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    left.sort();
    assert!(left.contains(&third) && left.contains(&fourth));
    assert!(!left.contains(&first) && !left.contains(&second));
    assert!(left.contains(&dir.path().join("other.snap")));
    assert_eq!(left.len(), 4);
}

#[test]
fn what_is_not_saved_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let files = SnapshotDir::new(dir.path());
    let log = log(8, 20_000, usize::MAX);
    let checkpoint = written(&log, 5000).checkpoint();
    let other = segments(&beginning(&log, 10_000));
    let refused = files.save(&checkpoint, &other).unwrap_err();
    assert!(matches!(refused, SaveError::OtherLog { known, given } if given < known));
    for limit in [0, 100, 5000] {
        let files = files.clone().max_bytes(limit);
        let refused = files.save(&checkpoint, &segments(&log)).unwrap_err();
        assert!(matches!(refused, SaveError::TooLarge { limit: l } if l == limit));
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let in_the_way = dir.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    let refused = SnapshotDir::new(in_the_way).save(&checkpoint, &segments(&log));
    assert!(matches!(refused.unwrap_err(), SaveError::Io(_)));
}

/// The digest of all rows that are stored, but for those of indices, which alone are plain `u64`: they
/// depend on the seeds of hashers. What a writer waits for stands in no order.
fn stored(checkpoint: &Checkpoint) -> Sha224Sum {
    let mut bytes = Vec::new();
    let mut saver = Saver::new(&mut bytes);
    checkpoint.state.save(&mut saver).unwrap();
    let (columns, ..) = saver.finish();
    let mut rest = &bytes[..];
    let mut stored = Vec::new();
    for column in columns {
        let (rows, more) = rest.split_at(column.bytes as usize);
        if column.layout != u64::LAYOUT {
            stored.extend_from_slice(rows);
        }
        rest = more;
    }
    Sha224Sum::of(&stored)
}

#[test]
fn what_is_stored_means_what_it_meant() {
    const MEANING: u32 = 2;
    const FACTS: u32 = 0x7_fe92;
    const LOG: &str = "6768a9fa6bb06e2c045aa2bf17cfaab56d49b8edadcf2e21717f4b89";
    const STORED: &str = "5a9fcb046659a870e2ca7defcc6c598a0f9bfa97ccf9ae5dcf1b4388";

    let log = log(1, 400_000, 150_000);
    let checkpoint = written(&log, 1000).checkpoint();
    // Not every history says all that a message can say.
    let facts = Facts::of(
        b"All\n\nPatch-set: 1\nStatus: merged\nPrivate: true\nWork-in-progress: true\nBranch: b\n\
          Topic: t\nHashtags: h\nCommit: c\nCurrent: true\nLabel: Verified=+1\n",
    );
    let commits = &checkpoint.state.commits;
    let mut ids = 0..(commits.len() + commits.missing()) as u32;
    assert!(ids.any(|id| commits.facts(id).has(Facts::META)));

    let (stored, told) = (stored(&checkpoint), Sha224Sum::of(&log.concat()));
    let is = (
        format::MEANING,
        facts.bits(),
        told.to_string(),
        stored.to_string(),
    );
    let was = (MEANING, FACTS, LOG.to_owned(), STORED.to_owned());
    assert_eq!(
        is, was,
        "what is stored of the same log is not what it was: raise format::MEANING, so that files of \
         older programs are not taken for right, and put it and the new values here. Only if LOG \
         differs, too, because testing::History says other things, MEANING may stay",
    );
}

#[test]
fn files_of_the_first_version_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let files = SnapshotDir::new(dir.path());
    let log = log(3, 20_000, 8000);
    let file = files
        .save(&written(&log, 5000).checkpoint(), &segments(&log))
        .unwrap();
    let mut bytes = fs::read(&file).unwrap();
    // Of the first version, which did not say what it means.
    bytes[8] = 1;
    fs::write(&file, bytes).unwrap();
    let opened = files.open(&segments(&log), &batches(&log, usize::MAX));
    assert!(matches!(
        opened.unwrap_err(),
        Reason::Version { version: 1 }
    ));
}
