//! Gzip data made by hand, and ways to read them.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]

use std::io::{self, Cursor, Read, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use pargzip::{ReadError, ReaderBuilder};

pub const FTEXT: u8 = 1;
pub const FHCRC: u8 = 2;
pub const FEXTRA: u8 = 4;
pub const FNAME: u8 = 8;
pub const FCOMMENT: u8 = 16;

pub fn deflate(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub fn crc(data: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(data);
    crc.sum()
}

fn trailer(data: &[u8]) -> Vec<u8> {
    [crc(data).to_le_bytes(), (data.len() as u32).to_le_bytes()].concat()
}

/// A member with these flags, each field filled.
pub fn member_with(flags: u8, extra: &[u8], data: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3];
    if flags & FEXTRA != 0 {
        member.extend((extra.len() as u16).to_le_bytes());
        member.extend(extra);
    }
    if flags & FNAME != 0 {
        member.extend(b"a name\0");
    }
    if flags & FCOMMENT != 0 {
        member.extend(b"a comment\0");
    }
    if flags & FHCRC != 0 {
        let sum = crc(&member) as u16;
        member.extend(sum.to_le_bytes());
    }
    member.extend(deflate(data, 6));
    member.extend(trailer(data));
    member
}

/// A member that says nothing of its length.
pub fn plain(data: &[u8]) -> Vec<u8> {
    member_with(0, b"", data)
}

/// A member that claims to be `claim` bytes long, or tells the truth.
pub fn sized(data: &[u8], claim: Option<u32>) -> Vec<u8> {
    let mut member = member_with(FEXTRA, b"IG\x04\0\0\0\0\0", data);
    let claim = claim.unwrap_or(member.len() as u32);
    member[16..20].copy_from_slice(&claim.to_le_bytes());
    member
}

/// A BGZF member.
pub fn bgzf(data: &[u8]) -> Vec<u8> {
    let mut member = member_with(FEXTRA, b"BC\x02\0\0\0", data);
    let claim = (member.len() - 1) as u16;
    member[16..18].copy_from_slice(&claim.to_le_bytes());
    member
}

/// Hardly compressible, the same for every run.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(next).collect()
}

/// Compresses about as text does.
pub fn text(len: usize) -> Vec<u8> {
    let noise = noise(len / 4 + 1);
    let mut text = Vec::new();
    for &byte in &noise {
        text.extend(b"abcdefgh".iter().cycle().skip((byte & 7) as usize).take(4));
    }
    text.truncate(len);
    text
}

/// What a reader gave before it ended or failed.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub data: Vec<u8>,
    pub error: Option<ReadError>,
}

impl Outcome {
    /// Where deflate data are broken or grow too fast, how far a reader comes depends on the pieces it decodes.
    pub fn assert_same(&self, other: &Self) {
        match (&self.error, &other.error) {
            (Some(ReadError::BadDeflate { .. }), Some(ReadError::BadDeflate { .. }))
            | (Some(ReadError::RatioLimit { .. }), Some(ReadError::RatioLimit { .. })) => {
                let common = self.data.len().min(other.data.len());
                assert!(self.data[..common] == other.data[..common]);
            }
            (one, two) => {
                assert_eq!(one, two);
                assert!(self.data == other.data);
            }
        }
    }
}

pub fn read_all(mut reader: impl Read) -> Outcome {
    let mut data = Vec::new();
    let error = reader
        .read_to_end(&mut data)
        .err()
        .map(|error| ReadError::of(&error).expect("no other errors").clone());
    if let Some(error) = &error {
        let again = reader.read(&mut [0]).unwrap_err();
        assert_eq!(ReadError::of(&again), Some(error), "errors stay");
    } else {
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the end stays");
    }
    Outcome { data, error }
}

/// Reads in every way there is, which must all give the same.
pub fn read_each_way(builder: &ReaderBuilder, compressed: &[u8]) -> Outcome {
    let local = read_all(builder.build_local(compressed));
    local.assert_same(&read_all(builder.build_local(Dribble::new(compressed, 7))));
    for threads in [2, 3] {
        let builder = builder.clone().threads(threads);
        local.assert_same(&read_all(builder.build(Cursor::new(compressed.to_vec()))));
    }
    #[cfg(feature = "tokio")]
    local.assert_same(&read_async(&builder.clone().threads(2), compressed));
    local
}

/// Even little input is given to threads here.
#[cfg(feature = "tokio")]
pub fn read_async(builder: &ReaderBuilder, compressed: &[u8]) -> Outcome {
    use tokio::io::AsyncReadExt;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut reader = builder.build_async(compressed);
        let mut data = Vec::new();
        let error = reader.read_to_end(&mut data).await.err();
        Outcome {
            data,
            error: error.map(|error| ReadError::of(&error).unwrap().clone()),
        }
    })
}

pub fn read(compressed: &[u8]) -> Outcome {
    read_each_way(&ReaderBuilder::new(), compressed)
}

pub fn read_ok(compressed: &[u8]) -> Vec<u8> {
    let outcome = read(compressed);
    assert_eq!(outcome.error, None);
    outcome.data
}

/// Gives a few bytes at a time.
pub struct Dribble<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl<'a> Dribble<'a> {
    pub fn new(rest: &'a [u8], piece: usize) -> Self {
        Self { rest, piece }
    }
}

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.piece.min(buffer.len());
        (&mut self.rest).take(len as u64).read(buffer)
    }
}
