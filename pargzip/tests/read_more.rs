//! Readers beside other programs, slow and failing sources, and random files.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

mod read_support;

use std::io::{self, Cursor, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use flate2::read::MultiGzDecoder;
use pargzip::{ReadError, Reader, ReaderBuilder};
use proptest::prelude::*;
use read_support::*;

/// What a program makes of this input; none if it is not installed.
fn through(program: &str, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("SKIPPED: {program}: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program} {args:?}");
        Some(output.stdout)
    })
}

#[test]
fn files_of_other_programs() {
    let data = [text(400_000), noise(100_000), vec![0; 200_000]].concat();
    for (program, args) in [
        ("gzip", &["-c"][..]),
        ("gzip", &["-1c"]),
        ("pigz", &["-c"]),
        ("pigz", &["-ic", "-b", "128"]),
        ("igzip", &["-c"]),
        ("bgzip", &["-c"]),
    ] {
        if let Some(file) = through(program, args, &data) {
            assert!(read_ok(&file) == data, "{program} {args:?}");
            assert!(read_ok(&file.repeat(2)) == data.repeat(2));
        }
    }
}

/// Gives what is sent, and waits for more.
struct Live {
    pieces: mpsc::Receiver<Vec<u8>>,
    piece: Cursor<Vec<u8>>,
}

impl Read for Live {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.piece.read(buffer)? {
                0 => match self.pieces.recv() {
                    Ok(piece) => self.piece = Cursor::new(piece),
                    Err(_) => return Ok(0),
                },
                len => return Ok(len),
            }
        }
    }
}

#[test]
fn what_is_there_is_delivered_before_more_is_asked_for() {
    for threads in [1, 2] {
        for kind in [plain, |data: &[u8]| sized(data, None), bgzf] {
            let (sender, pieces) = mpsc::channel();
            let live = Live {
                pieces,
                piece: Cursor::default(),
            };
            let mut reader = ReaderBuilder::new().threads(threads).build(live);
            // The second is more than a reader takes in before it uses threads.
            for data in [
                noise(1000),
                noise(60_000),
                noise(60_000),
                noise(60_000),
                text(10),
            ] {
                sender.send(kind(&data)).unwrap();
                let mut got = vec![0; data.len()];
                // Would wait for ever if the reader asked for the next member first.
                reader.read_exact(&mut got).unwrap();
                assert!(got == data);
            }
            drop(sender);
            assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        }
    }
}

#[test]
fn half_a_member_is_delivered_as_far_as_it_goes() {
    use flate2::{Compression, write::GzEncoder};
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(b"so far").unwrap();
    encoder.flush().unwrap();
    for threads in [1, 2] {
        let (sender, pieces) = mpsc::channel();
        sender.send(encoder.get_ref().clone()).unwrap();
        let live = Live {
            pieces,
            piece: Cursor::default(),
        };
        let mut reader = ReaderBuilder::new().threads(threads).build(live);
        let mut got = [0; 6];
        reader.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"so far");
        drop(sender);
        let error = reader.read(&mut got).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}

/// Fails after some bytes, and is interrupted before each read.
struct Failing {
    rest: Cursor<Vec<u8>>,
    interrupted: bool,
}

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match self.rest.read(buffer)? {
            0 => Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut")),
            len => Ok(len),
        }
    }
}

#[test]
fn errors_of_the_source_come_after_its_data() {
    let data = noise(400_000);
    for kind in [plain, |data: &[u8]| sized(data, None)] {
        let file = kind(&data).repeat(2);
        for len in [0, 5, 100_000, 300_000, file.len() / 2, 500_000, file.len()] {
            for threads in [1, 2] {
                let source = Failing {
                    rest: Cursor::new(file[..len].to_vec()),
                    interrupted: false,
                };
                let mut reader = ReaderBuilder::new().threads(threads).build(source);
                let mut got = Vec::new();
                let error = reader.read_to_end(&mut got).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                assert!(ReadError::of(&error).is_none());
                assert!(data.repeat(2).starts_with(&got));
                // Noise is stored, so that output is about as long as input.
                assert!(got.len() + 70_000 > len, "{} of {len}", got.len());
                assert!(reader.read(&mut [0]).is_err());
            }
        }
    }
}

#[test]
fn a_source_that_panics_or_lies_is_an_error() {
    struct Bad(u32, bool);
    impl Read for Bad {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 <= 3 {
                buffer.fill(0);
                let head = [0x1f, 0x8b, 8, FNAME, 0, 0, 0, 0, 0, 3];
                if self.0 == 1 {
                    let member = plain(&noise(100_000)).repeat(2);
                    let len = buffer.len().min(member.len());
                    buffer[..len].copy_from_slice(&member[..len]);
                } else {
                    buffer[..10].copy_from_slice(&head);
                }
                Ok(buffer.len())
            } else if self.1 {
                panic!("by test")
            } else {
                Ok(buffer.len() + 1)
            }
        }
    }
    for panics in [true, false] {
        let mut reader = ReaderBuilder::new().threads(2).build(Bad(0, panics));
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
    }
}

#[test]
fn dropped_halfway() {
    let file = sized(&noise(700_000), None).repeat(20);
    for threads in [1, 2, 4] {
        for take in [0, 1, 700_000, 3_000_000] {
            let reader = ReaderBuilder::new()
                .threads(threads)
                .build(Cursor::new(file.clone()));
            let mut got = Vec::new();
            reader.take(take).read_to_end(&mut got).unwrap();
            assert_eq!(got.len() as u64, take);
        }
    }
}

#[test]
fn our_own_files() {
    let data = [text(3_000_000), noise(500_000)].concat();
    for layout in [
        pargzip::Layout::Sized,
        pargzip::Layout::Members,
        pargzip::Layout::Bgzf,
        pargzip::Layout::Single,
    ] {
        for chunk_size in [1000, 100_000, 1 << 20] {
            let builder = pargzip::Builder::new().layout(layout).level(1);
            let mut writer = builder.chunk_size(chunk_size).build(Vec::new());
            writer
                .write_all(&data[3_000_000 - 40 * chunk_size.min(50_000)..])
                .unwrap();
            let file = writer.finish().unwrap();
            let mut got = Vec::new();
            Reader::new(Cursor::new(file))
                .read_to_end(&mut got)
                .unwrap();
            assert!(data.ends_with(&got) && got.len() > 500_000, "{layout:?}");
        }
    }
}

fn a_member() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let data = (any::<u8>(), 0_usize..20_000, 0..3_u8).prop_map(|(byte, len, kind)| match kind {
        0 => vec![byte; len],
        1 => text(len),
        _ => noise(len),
    });
    (data, 0..4_u8, 0_u8..32).prop_map(|(data, kind, flags)| {
        let member = match kind {
            0 => plain(&data),
            1 => sized(&data, None),
            2 => bgzf(&data),
            _ => member_with(flags, b"XY\x01\0z", &data),
        };
        (member, data)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_members_in_any_pieces(members in prop::collection::vec(a_member(), 1..12), piece in 1_usize..4000) {
        let (file, data): (Vec<_>, Vec<_>) = members.into_iter().unzip();
        let (file, data) = (file.concat(), data.concat());
        prop_assert!(read_ok(&file) == data);
        let slow = read_all(ReaderBuilder::new().build_local(Dribble::new(&file, piece)));
        prop_assert!(slow.error.is_none() && slow.data == data);
    }

    /// As flate2 does it: what it reads we read, and what it refuses we refuse.
    #[test]
    fn damaged_as_flate2_has_it(
        members in prop::collection::vec(a_member(), 1..5),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut file: Vec<u8> = members.into_iter().flat_map(|(file, _)| file).collect();
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let ours = read(&file);
        let mut theirs = Vec::new();
        match MultiGzDecoder::new(&file[..]).read_to_end(&mut theirs) {
            Ok(_) => prop_assert!(ours.error.is_none() && ours.data == theirs),
            Err(_) => prop_assert!(ours.error.is_some()),
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
        read(&[&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &bytes].concat());
    }
}
