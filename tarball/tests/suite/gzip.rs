//! Damaged, layered and inflated compression.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use flate2::{Compression, GzBuilder, write::GzEncoder};
use tarball::{
    GzipFault, Limit, Limits, TarFault, UnpackError, UnpackErrorKind, UnpackOptions, Unpacked,
    unpack_gz,
};

use crate::support::{Sandbox, Tar, gz, record};

fn unpack(bytes: impl Read) -> (Result<Unpacked, UnpackError>, Vec<String>) {
    let sandbox = Sandbox::new();
    let result = unpack_gz(bytes, &sandbox.dir(), &UnpackOptions::default());
    sandbox.assert_untouched();
    (result, sandbox.tree())
}

fn fault(bytes: &[u8]) -> String {
    let error = unpack(bytes).0.unwrap_err();
    assert!(error.is_input_fault());
    error.message()
}

fn archive() -> Vec<u8> {
    Tar::new()
        .file("a", "first")
        .file("b", &"second".repeat(1000))
        .end()
}

#[test]
fn not_gzip() {
    assert_eq!(fault(b""), "requires gzip-compressed body: EOF");
    assert_eq!(
        fault(b"hello, this is no archive"),
        "requires gzip-compressed body: gzip: invalid header"
    );
    assert_eq!(
        fault(&archive()),
        "requires gzip-compressed body: gzip: invalid header"
    );
    assert_eq!(
        fault(b"\x1f\x8b\x08"),
        "requires gzip-compressed body: unexpected EOF"
    );
    assert_eq!(
        fault(b"\x1f\x8b\x07\0\0\0\0\0\0\xff"),
        "requires gzip-compressed body: gzip: invalid header"
    );
    let mut reserved = gz(&archive());
    reserved[3] = 0xe0;
    assert_eq!(
        fault(&reserved),
        "requires gzip-compressed body: gzip: invalid header"
    );
    assert_eq!(fault(&gz(b"hello")), "tar error: unexpected EOF");
}

#[test]
fn empty_archives() {
    assert_eq!(unpack(&gz(b"")[..]).0.unwrap().files, 0);
    // What the Go original's tarutil makes of an empty list.
    let golden = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x62\x18\x05\xa3\x60\x14\x8c\x58\0\x18\0\x2e\xaf\xb5\xef\0\x04\0\0";
    let (report, tree) = unpack(&golden[..golden.len()]);
    assert_eq!(report.map(|r| r.files).map_err(|e| e.message()), Ok(0));
    assert!(tree.is_empty());
}

#[test]
fn members_may_split_it_anywhere() {
    let archive = archive();
    for at in (0..archive.len()).step_by(101) {
        let bytes = [gz(&archive[..at]), gz(&archive[at..])].concat();
        assert_eq!(unpack(&bytes[..]).0.unwrap().files, 2, "split at {at}");
    }
    let bytes: Vec<u8> = archive.chunks(7).flat_map(gz).collect();
    assert_eq!(unpack(&bytes[..]).0.unwrap().bytes, 6005);
}

#[test]
fn empty_members_are_passed_over() {
    let mut bytes = gz(b"").repeat(100_000);
    bytes.extend_from_slice(&gz(&archive()));
    assert_eq!(unpack(&bytes[..]).0.unwrap().files, 2);
}

#[test]
fn trailers_are_verified() {
    let good = gz(&archive());
    let n = good.len();
    let mut crc = good.clone();
    crc[n - 8] ^= 1;
    assert_eq!(fault(&crc), "tar error: gzip: invalid checksum");
    let mut isize = good.clone();
    isize[n - 4] ^= 1;
    assert_eq!(fault(&isize), "tar error: gzip: invalid checksum");
    let garbage = [&good[..], b"garbage behind it"].concat();
    assert_eq!(fault(&garbage), "tar error: gzip: invalid header");
    // Only zeros up to the end are no garbage.
    let padded = [&good[..], &[0; 1000]].concat();
    assert_eq!(unpack(&padded[..]).0.unwrap().files, 2);
    let behind_zeros = [&padded[..], &good[..]].concat();
    assert_eq!(fault(&behind_zeros), "tar error: gzip: invalid header");
    let second = [&good[..], &gz(b"")[..12]].concat();
    assert_eq!(fault(&second), "tar error: unexpected EOF");
    let (result, tree) = unpack(&crc[..]);
    assert_eq!(
        result.unwrap_err().progress().files,
        2,
        "the damage shows only at the end"
    );
    assert_eq!(tree.len(), 2);
}

#[test]
fn cut_at_every_byte() {
    let good = gz(&archive());
    for cut in 0..good.len() {
        let error = unpack(&good[..cut]).0.unwrap_err();
        assert!(
            matches!(
                error.kind(),
                UnpackErrorKind::NotGzip {
                    source: GzipFault::Empty | GzipFault::Truncated
                } | UnpackErrorKind::Tar {
                    source: TarFault::Gzip(GzipFault::Truncated)
                }
            ),
            "cut at {cut}: {}",
            error.message()
        );
    }
}

#[test]
fn damage_anywhere_is_noticed() {
    let good = gz(&archive());
    for at in 10..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        match unpack(&bad[..]) {
            // There are several ways to encode a run of zeros.
            (Ok(_), tree) => assert_eq!(tree, unpack(&good[..]).1, "flipped at {at}"),
            (Err(error), _) => assert!(error.is_input_fault(), "flipped at {at}"),
        }
    }
}

#[test]
fn headers_may_be_long_but_not_endless() {
    let build = |builder: GzBuilder| {
        let mut encoder = builder.write(Vec::new(), Compression::fast());
        encoder.write_all(&archive()).unwrap();
        encoder.finish().unwrap()
    };
    let long = build(
        GzBuilder::new()
            .extra(vec![7; 65_535])
            .filename(vec![b'n'; 60_000])
            .comment(vec![b'c'; 60_000]),
    );
    assert_eq!(unpack(&long[..]).0.unwrap().files, 2);
    let endless = build(GzBuilder::new().filename(vec![b'n'; 300_000]));
    assert_eq!(
        fault(&endless),
        "requires gzip-compressed body: gzip: invalid header"
    );
}

#[test]
fn stored_blocks_and_layers() {
    let mut stored = GzEncoder::new(Vec::new(), Compression::none());
    stored.write_all(&archive()).unwrap();
    assert_eq!(unpack(&stored.finish().unwrap()[..]).0.unwrap().files, 2);
    // One layer is unpacked, not ten.
    let layers = (0..10).fold(archive(), |bytes, _| gz(&bytes));
    assert!(fault(&layers).starts_with("tar error: "));
}

#[test]
fn a_drip_is_as_good_as_a_stream() {
    struct Drip<'a>(&'a [u8], bool);
    impl Read for Drip<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            self.0.read(&mut buf[..1])
        }
    }
    assert_eq!(unpack(Drip(&gz(&archive()), false)).0.unwrap().files, 2);
}

#[test]
fn a_reader_that_fails_is_no_damage() {
    struct Broken(usize, Vec<u8>);
    impl Read for Broken {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0 == self.1.len() {
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    "connection lost",
                ));
            }
            buf[0] = self.1[self.0];
            self.0 += 1;
            Ok(1)
        }
    }
    for keep in [0, 5, 60] {
        let error = unpack(Broken(0, gz(&archive())[..keep].to_vec()))
            .0
            .unwrap_err();
        assert_eq!(
            error.message(),
            "tar error: connection lost",
            "after {keep} bytes"
        );
        assert!(matches!(
            error.kind(),
            UnpackErrorKind::Tar {
                source: TarFault::Read(_)
            }
        ));
        assert!(error.is_input_fault());
    }
}

/// An endless stream of zeros, compressed as it is read.
fn bomb(head: Vec<u8>) -> impl Read {
    flate2::read::GzEncoder::new(
        io::Cursor::new(head).chain(io::repeat(0)),
        Compression::default(),
    )
}

fn limit_of(error: &UnpackError) -> Option<Limit> {
    match error.kind() {
        UnpackErrorKind::Limit { limit, .. } => Some(*limit),
        _ => None,
    }
}

#[test]
fn bombs_stop_at_the_ratio() {
    // Within one file, and after the end mark, where nothing is written.
    let file = Tar::new()
        .entry(b"bomb", b'0', b"", |b| {
            crate::support::put(b, 124, b"07777777777\0")
        })
        .0;
    for head in [file, Tar::new().file("a", "x").end()] {
        let start = Instant::now();
        let (result, tree) = unpack(bomb(head));
        assert_eq!(limit_of(&result.unwrap_err()), Some(Limit::Ratio));
        assert!(
            !tree.iter().any(|line| line.starts_with("bomb")),
            "nothing half-written stays: {tree:?}"
        );
        assert!(start.elapsed() < Duration::from_secs(8));
    }
}

#[test]
fn bombs_stop_at_the_total() {
    let limits = Limits {
        max_bytes: 1 << 20,
        ..Limits::default()
    };
    let options = UnpackOptions {
        limits,
        ..UnpackOptions::default()
    };
    let total = |archive: Vec<u8>| {
        let sandbox = Sandbox::new();
        let result = unpack_gz(bomb(archive), &sandbox.dir(), &options);
        (limit_of(&result.unwrap_err()), sandbox.tree().len())
    };
    assert_eq!(total(Tar::new().end()), (Some(Limit::Bytes), 0));
    let declared = Tar::new()
        .entry(b"big", b'0', b"", |b| {
            crate::support::put(b, 124, b"00004000000\0")
        })
        .0;
    assert_eq!(total(declared), (Some(Limit::Bytes), 0));
    // Headers count as well as content.
    let headers = record("comment", &[b'c'; 400_000]);
    let many = (0..4)
        .fold(Tar::new(), |tar, _| tar.entry(b"", b'g', &headers, |_| {}))
        .end();
    assert_eq!(total(many), (Some(Limit::Bytes), 0));
}
