//! Logs that are cut, flipped, overwritten and mixed up, and what is told of them.

use crate::*;

#[test]
fn a_log_cut_anywhere_opens_with_all_that_was_whole() {
    let (payloads, log, sums) = sample();
    for cut in (0..log.0.len())
        .step_by(7)
        .chain(log.0.len() - 40..=log.0.len())
    {
        let whole = whole_before(&payloads, cut);
        let torn = Memory(log.0[..cut].to_vec());
        assert_eq!(reopen(&payloads, torn.clone(), None), whole, "cut at {cut}");
        assert_eq!(
            reopen(&payloads, torn, Some(sums.clone())),
            whole,
            "cut at {cut}"
        );
    }
}

#[test]
fn zeros_and_garbage_behind_a_cut_are_no_records() {
    let (payloads, log, sums) = sample();
    for cut in (0..log.0.len()).step_by(4) {
        let whole = whole_before(&payloads, cut);
        let mut zeros = log.0[..cut].to_vec();
        zeros.resize(cut.next_multiple_of(4096), 0);
        assert_eq!(
            reopen(&payloads, Memory(zeros), Some(sums.clone())),
            whole,
            "cut at {cut}"
        );
        let mut garbage = log.0[..cut].to_vec();
        let mut noise = cut as u64 | 1;
        garbage.extend((0..5000).map(|_| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        }));
        assert_eq!(
            reopen(&payloads, Memory(garbage), Some(sums.clone())),
            whole,
            "cut at {cut}"
        );
    }
}

#[test]
fn every_flipped_bit_is_found_at_its_record() {
    let (_, log, sums) = sample();
    let records: Vec<Record<'_>> = Records::new(&log.0, 0).map(Result::unwrap).collect();
    let mut damaged = log.clone();
    for bit in 0..log.0.len() * 8 {
        damaged.0[bit / 8] ^= 1 << (bit % 8);
        let report = verify(&damaged, Some(&sums), 1 << 20).unwrap();
        let at = (bit / 8) as u64;
        let record = records[records.partition_point(|record| record.offset <= at) - 1];
        assert_eq!(report.damaged, 1, "bit {bit}: {report:?}");
        assert_eq!(report.damage[0].offset, record.offset, "bit {bit}");
        assert_eq!(report.damage[0].end, record.end(), "bit {bit}");
        assert_eq!(
            report.records,
            records.len() as u64 - 1,
            "the others are still there"
        );
        damaged.0[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn sectors_that_moved_are_found() {
    let (payloads, log, sums) = sample();
    let sectors = log.0.len() / 512;
    for (from, to) in
        (sectors - 16..sectors).flat_map(|a| (sectors - 16..sectors).map(move |b| (a, b)))
    {
        let mut damaged = log.clone();
        damaged
            .0
            .copy_within(from * 512..from * 512 + 512, to * 512);
        let report = verify(&damaged, Some(&sums), 1 << 20).unwrap();
        assert_eq!(report.is_good(), damaged == log, "sector {from} over {to}");
        let good = Records::new(&log.0, 0)
            .map(Result::unwrap)
            .filter(|record| {
                let place = record.offset as usize..record.end() as usize;
                damaged.0[place.clone()] == log.0[place]
            });
        assert_eq!(report.records, good.count() as u64);
        assert!(report.records <= payloads.len() as u64);
    }
}

#[test]
fn damage_in_the_middle_is_never_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("maintner-2018-07-09.mutlog");
    let (mut log, recovery) = Appender::open(&path, &Options::default()).unwrap();
    assert_eq!(recovery.report, Report::default());
    for payload in [&b"first"[..], b"second", b"third"] {
        log.append(payload).unwrap();
    }
    log.sync().unwrap();
    assert!(matches!(
        Appender::open(&path, &Options::default()),
        Err(OpenError::InUse { .. })
    ));
    drop(log);
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[22] ^= 4;
    std::fs::write(&path, &bad).unwrap();
    let refused = Appender::open(&path, &Options::default()).unwrap_err();
    let OpenError::Damaged { offset: 13, report } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(report.damage[0].fault, Fault::Checksum { offset: 13 });
    assert_eq!(
        refused.to_string(),
        "log is damaged at offset 13, and good records follow; repair it before appending"
    );
    assert_eq!(std::fs::read(&path).unwrap(), bad, "left as it was");

    std::fs::write(&path, &good).unwrap();
    let (log, recovery) = Appender::open(&path, &Options::default()).unwrap();
    assert_eq!((log.records(), recovery.report.confirmed), (3, 3));
}

#[test]
fn a_torn_end_is_kept_beside_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    std::fs::write(&path, "REC@0+3=abcREC@b+5=de").unwrap();
    let (mut log, recovery) = Appender::open(&path, &Options::default()).unwrap();
    let cut = recovery.cut.unwrap();
    assert_eq!((cut.offset, cut.bytes), (11, 10));
    let saved = cut.saved_to.unwrap();
    assert_eq!(saved.file_name().unwrap(), "log.torn-b");
    assert_eq!(std::fs::read(saved).unwrap(), b"REC@b+5=de");
    assert_eq!(log.append(b"de").unwrap(), 11);
    assert_eq!(log.end(), 21);
    assert_eq!(std::fs::read(&path).unwrap(), b"REC@0+3=abcREC@b+2=de");
    #[cfg(unix)]
    {
        let fresh = dir.path().join("fresh");
        Appender::open(&fresh, &Options::default()).unwrap();
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(fresh).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn damaged_or_foreign_checksums_are_made_anew() {
    let (payloads, log, sums) = sample();
    for bit in (0..sums.0.len() * 8).step_by(37) {
        let mut damaged = sums.clone();
        damaged.0[bit / 8] ^= 1 << (bit % 8);
        let report = verify(&log, Some(&damaged), 1 << 20).unwrap();
        assert!(report.is_good(), "the log is not at fault");
        assert!(matches!(report.sums, SumsState::Damaged(_)));
        assert_eq!(
            reopen(&payloads, log.clone(), Some(damaged)),
            payloads.len()
        );
    }
    for len in 0..80 {
        let short = Memory(sums.0[..len].to_vec());
        assert_eq!(reopen(&payloads, log.clone(), Some(short)), payloads.len());
    }
    // A log that lost records its checksums know: what is there is kept, the loss is told.
    let less = write(&payloads[..50]);
    let report = verify(&Memory(less), Some(&sums), 1 << 20).unwrap();
    assert_eq!(
        (report.records, report.missing, report.damaged),
        (50, 70, 0)
    );
    assert!(!report.is_good());
}
