//! The framing of a log: the original's vectors, each way to be wrong, damage of every kind.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod reclog_damage;
mod reclog_power_cut;

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
