//! The framing of a log: the original's vectors, each way to be wrong, damage of every kind.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::io::{self, BufRead, Read};

use maintner::reclog::{
    Appender, Error, Fault, Header, OpenError, Options, ReadError, Reader, Record, Records, Report,
    Storage, SumsState, find_record, verify,
};
use proptest::prelude::*;

/// Four mutations in one file, as the original writes them.
const GOLDEN: [&str; 4] = [
    "",
    "0a3f0a06676f6c616e671202676f1803220d08641209676f70686572626f742a0608e0cd9fb4054a0a736f6d6520\
     7469746c65fa010b0a09736f6d6520626f6479",
    "0a1a0a06676f6c616e671202676f18039a0100ba010301ac02fa0100",
    "22580a16676f2e676f6f676c65736f757263652e636f6d2f676f1a300a0448454144122830313031303130313031\
     303130313031303130313031303130313031303130313031303130313031220c726566732f68656164732f78",
];

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn write(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut log = Vec::new();
    for payload in payloads {
        log.extend_from_slice(&Header::new(log.len() as u64, payload.len() as u64));
        log.extend_from_slice(payload);
    }
    log
}

fn read(log: &[u8]) -> (Vec<Vec<u8>>, Option<Error>) {
    let mut payloads = Vec::new();
    for record in Records::new(log, 0) {
        match record {
            Ok(record) => payloads.push(record.payload.to_vec()),
            Err(error) => return (payloads, Some(error)),
        }
    }
    (payloads, None)
}

#[test]
fn the_originals_bytes_are_written_and_read() {
    let payloads = GOLDEN.map(unhex);
    let log = write(&payloads);
    assert_eq!(log.len(), 220);
    let headers: Vec<String> = Records::new(&log, 0)
        .map(|record| String::from_utf8(record.unwrap().header.to_vec()).unwrap())
        .collect();
    assert_eq!(
        headers,
        ["REC@0+0=", "REC@8+41=", "REC@52+1c=", "REC@78+5a="]
    );
    assert_eq!(read(&log), (payloads.to_vec(), None));
}

#[test]
fn the_originals_readers_verdicts() {
    let cases: [(&str, &str); 13] = [
        ("REC@0+0=x", "malformed header \"x\" at offset 8"),
        ("REC", "truncated header at offset 0: 3 bytes of it"),
        ("REC@0+0=\n", "malformed header \"\\n\" at offset 8"),
        ("REX@0+0=", "malformed header \"REX@0+0=\" at offset 0"),
        ("REC@0++0=", "malformed header \"REC@0++0=\" at offset 0"),
        (
            "REC@+0=",
            "malformed header \"REC@+0=\" (malformed offset) at offset 0",
        ),
        (
            "REC@0x0+0=",
            "malformed header \"REC@0x0+0=\" (malformed offset) at offset 0",
        ),
        (
            "REC@-0+0=",
            "malformed header \"REC@-0+0=\" (malformed offset) at offset 0",
        ),
        (
            "REC@0+=",
            "malformed header \"REC@0+=\" (bad size) at offset 0",
        ),
        (
            "REC@0+-1=",
            "malformed header \"REC@0+-1=\" (bad size) at offset 0",
        ),
        ("REC@8+0=", "header at offset 0 says that it stands at 8"),
        (
            "REC@0+5=abc",
            "truncated record at offset 0: 3 of 5 bytes of payload",
        ),
        (
            "REC@000000000000000000000000000000000000+0=",
            "malformed overlong header \"REC@000000000000000000000000000000000000\" at offset 0",
        ),
    ];
    for (log, verdict) in cases {
        let (_, error) = read(log.as_bytes());
        assert_eq!(
            error.map(|error| error.to_string()).as_deref(),
            Some(verdict),
            "{log}"
        );
        let mut reader = Reader::new(log.as_bytes(), 0);
        let error = loop {
            match reader.next() {
                Ok(record) => assert!(record.is_some(), "{log}: no error"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), verdict);
        assert!(
            matches!(reader.next(), Ok(None)),
            "after an error there is nothing"
        );
    }
    for log in ["", "REC@0+0=", "REC@00+00=", "REC@0+3=abcREC@B+002=de"] {
        assert_eq!(read(log.as_bytes()).1, None, "{log}");
    }
}

#[test]
fn a_promise_of_much_is_not_believed() {
    let huge = format!("REC@0+{:x}=abc", u64::MAX);
    assert!(matches!(
        read(huge.as_bytes()).1,
        Some(Error::TooLarge { size: u64::MAX, .. })
    ));
    let large = format!("REC@0+{:x}=abc", 64 << 20);
    let mut reader = Reader::new(large.as_bytes(), 0);
    let error = reader.next().unwrap_err();
    assert!(matches!(
        error,
        ReadError::Record(Error::TornPayload { have: 3, .. })
    ));
    let small = Records::new(b"REC@0+5=hello", 0).max_payload(4).next();
    assert!(matches!(
        small,
        Some(Err(Error::TooLarge {
            size: 5,
            limit: 4,
            ..
        }))
    ));
}

#[test]
fn reading_resumes_at_records_and_nowhere_else() {
    let payloads: Vec<Vec<u8>> = (0..20).map(|n| vec![b'x'; n * n]).collect();
    let log = write(&payloads);
    let starts: Vec<u64> = Records::new(&log, 0)
        .map(|record| record.unwrap().offset)
        .collect();
    for offset in 0..log.len() {
        let first = Records::new(&log[offset..], offset as u64).next().unwrap();
        assert_eq!(
            first.is_ok(),
            starts.contains(&(offset as u64)),
            "offset {offset}"
        );
        let found = find_record(&log, 0, offset).map(|at| at as u64);
        assert_eq!(
            found,
            starts.iter().copied().find(|&start| start >= offset as u64)
        );
    }
}

/// Gives its bytes one at a time, with interruptions.
struct Dribble<'a>(&'a [u8], bool);

impl Read for Dribble<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.len().min(buf.len());
        buf[..n].copy_from_slice(&self.0[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Dribble<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(&self.0[..self.0.len().min(1)])
    }

    fn consume(&mut self, n: usize) {
        self.0 = &self.0[n..];
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let log = write(&payloads);
        prop_assert_eq!(read(&log), (payloads.clone(), None));

        let mut reader = Reader::new(Dribble(&log, false), 0);
        for payload in &payloads {
            prop_assert_eq!(reader.next().unwrap().unwrap().payload, &payload[..]);
        }
        prop_assert!(reader.next().unwrap().is_none());

        // Any prefix gives the records that are whole in it, and says so if there is a rest.
        let cut = cut.index(log.len() + 1);
        let (some, error) = read(&log[..cut]);
        prop_assert_eq!(&some[..], &payloads[..some.len()]);
        let whole = write(&some).len();
        prop_assert_eq!(error.is_some(), whole < cut);
        prop_assert!(error.is_none_or(|error| error.is_torn() && error.offset() == whole as u64));
    }

    #[test]
    fn no_bytes_break_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..20_u64) {
        let one: Vec<_> = Records::new(&bytes, at).collect();
        let mut reader = Reader::new(&bytes[..], at);
        for record in &one {
            match (reader.next(), record) {
                (Ok(Some(a)), Ok(b)) => prop_assert_eq!(a, *b),
                (Err(ReadError::Record(a)), Err(b)) => prop_assert_eq!(&a, b),
                (a, b) => prop_assert!(false, "{:?} and {:?}", a, b),
            }
        }
    }
}

/// Storage in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Memory(Vec<u8>);

impl Storage for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        (&self.0[self.0.len().min(offset as usize)..]).read(buf)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let offset = offset as usize;
        assert!(offset <= self.0.len(), "no holes");
        let end = self.0.len().max(offset + bytes.len());
        self.0.resize(end, 0);
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log of some 64 KiB and its checksums: empty records, single bytes, 20 KiB, and payloads that
/// look like records.
fn sample() -> (Vec<Vec<u8>>, Memory, Memory) {
    let payloads: Vec<Vec<u8>> = (0..120_usize)
        .map(|n| match n % 6 {
            0 => vec![],
            1 => vec![n as u8],
            2 => b"REC@0+1=x".to_vec(),
            3 if n % 30 == 3 => vec![0xa5; 10 << 10],
            _ => (0..n * 4).map(|i| (i * 31 + n) as u8 | 1).collect(),
        })
        .collect();
    let (mut appender, _) = Appender::over(
        Memory::default(),
        Some(Memory::default()),
        &Options::default(),
        keep_none,
    )
    .unwrap();
    appender
        .append_all(payloads.iter().map(Vec::as_slice))
        .unwrap();
    let (log, sums) = appender.into_storage();
    assert_eq!(log.0, write(&payloads));
    (payloads, log, sums.unwrap())
}

fn keep_none(_: u64, _: &mut dyn Read) -> io::Result<()> {
    Ok(())
}

/// Opens a log, appends to it, and gives how many of the sample's records were kept.
fn reopen(payloads: &[Vec<u8>], log: Memory, sums: Option<Memory>) -> usize {
    let before = log.clone();
    let mut kept_aside = Vec::new();
    let (mut appender, recovery) = Appender::over(log, sums, &Options::default(), |_, bytes| {
        bytes.read_to_end(&mut kept_aside).map(drop)
    })
    .unwrap();
    appender.append(b"next").unwrap();
    let kept = appender.records() as usize - 1;
    let (log, sums) = appender.into_storage();
    let mut expected = payloads[..kept].to_vec();
    assert!(before.0.starts_with(&write(&expected)));
    assert_eq!(
        before.0.len(),
        write(&expected).len() + kept_aside.len(),
        "not a byte is lost"
    );
    assert_eq!(recovery.cut.is_some(), !kept_aside.is_empty());
    expected.push(b"next".to_vec());
    assert_eq!(
        read(&log.0),
        (expected, None),
        "every reader reads it end to end"
    );
    if let Some(sums) = sums {
        let report = verify(&log, Some(&sums), 1 << 20).unwrap();
        assert!(report.is_good(), "{report:?}");
        assert_eq!(report.confirmed, kept as u64 + 1);
    }
    kept
}

fn whole_before(payloads: &[Vec<u8>], cut: usize) -> usize {
    let log = write(payloads);
    Records::new(&log, 0)
        .filter(|record| {
            record
                .as_ref()
                .is_ok_and(|record| record.end() <= cut as u64)
        })
        .count()
}

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

/// Fails the n-th operation that changes something, in one of several ways; knows what a power cut
/// would leave.
#[derive(Debug, Clone)]
struct Faulty {
    now: Vec<u8>,
    durable: Vec<u8>,
    fail_at: usize,
    count: usize,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Error,
    ShortThenError,
    Interrupted,
}

impl Faulty {
    fn due(&mut self) -> bool {
        self.count += 1;
        self.count == self.fail_at
    }
}

impl Storage for Faulty {
    fn len(&self) -> io::Result<u64> {
        Ok(self.now.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        (&self.now[self.now.len().min(offset as usize)..]).read(buf)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let due = self.due();
        match self.how {
            How::Error if due => return Err(io::ErrorKind::StorageFull.into()),
            How::Interrupted if due => return Err(io::ErrorKind::Interrupted.into()),
            _ => {}
        }
        let bytes = if due {
            &bytes[..bytes.len() / 2]
        } else {
            bytes
        };
        if due && bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if due {
            // The next call finds the disk full.
            self.fail_at = self.count + 1;
            self.how = How::Error;
        }
        let offset = offset as usize;
        let end = self.now.len().max(offset + bytes.len());
        self.now.resize(end, 0);
        self.now[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if self.due() {
            return Err(io::ErrorKind::Other.into());
        }
        self.now.truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.due() {
            return Err(io::ErrorKind::Other.into());
        }
        self.durable = self.now.clone();
        Ok(())
    }
}

#[test]
fn what_was_synced_is_there_after_any_fault_and_a_power_cut() {
    let storage = |fail_at, how| Faulty {
        now: Vec::new(),
        durable: Vec::new(),
        fail_at,
        count: 0,
        how,
    };
    for how in [How::Error, How::ShortThenError, How::Interrupted] {
        for fail_at in 1..60 {
            let mut acked: Vec<Vec<u8>> = Vec::new();
            let mut pending = Vec::new();
            let mut log = storage(fail_at, how);
            let mut n = 0;
            while n < 20 {
                let (mut appender, _) =
                    Appender::over(log, None, &Options::default(), keep_none).unwrap();
                // Whatever was not acknowledged may be there or not.
                pending.clear();
                let all = read(&appender.storage().now).0;
                assert!(all.starts_with(&acked), "{how:?} at {fail_at}");
                acked = all;
                loop {
                    let payload = vec![n as u8; n * 3];
                    n += 1;
                    if n > 20 {
                        break;
                    }
                    if appender.append(&payload).is_err() {
                        break;
                    }
                    pending.push(payload);
                    if appender.sync().is_err() {
                        assert!(
                            appender.append(b"x").is_err(),
                            "nothing goes behind a failed sync"
                        );
                        break;
                    }
                    acked.append(&mut pending);
                }
                log = appender.into_storage().0;
                assert!(
                    read(&log.durable)
                        .0
                        .starts_with(&acked[..acked.len().min(read(&log.durable).0.len())])
                );
                let (mut after_cut, _) = Appender::over(
                    storage_of(&log.durable),
                    None,
                    &Options::default(),
                    keep_none,
                )
                .unwrap();
                assert!(read(&after_cut.storage().now).0.starts_with(&acked));
                after_cut.append(b"life goes on").unwrap();
            }
        }
    }
}

fn storage_of(bytes: &[u8]) -> Faulty {
    Faulty {
        now: bytes.to_vec(),
        durable: bytes.to_vec(),
        fail_at: 0,
        count: 0,
        how: How::Error,
    }
}
