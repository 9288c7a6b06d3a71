//! The bytes of the file.
//!
//! Little-endian throughout:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `corpus\r\n` |
//! | 4 | version of this format: 2 |
//! | 4 | 0 |
//! | … | the columns, one after the other |
//! | … | directory: hash of the schema (8); numbers of segments, of numbers, of columns (4 each); for each segment number (4), size (8), SHA-224 (28); each number (8); for each column layout (8), length (8), CRC-32 (4) |
//! | 8 | where the directory begins |
//! | 4 | CRC-32 of the directory |
//! | 4 | 0 |
//! | 8 | `\r\nsuproc` |

use std::{
    io::{self, Write},
    thread,
};

use bytes::Bytes;

use super::Reason;
use crate::{
    log::{Segment, Sha224Sum},
    store::{Column, Row, Saved, Saver, row},
};

const BEGIN: &[u8; 8] = b"corpus\r\n";
const END: &[u8; 8] = b"\r\nsuproc";
const VERSION: u32 = 2;

/// Raise this whenever what is stored means something else, or more, than before while fields keep their
/// names and types: another bit, another number for something, another reading of the log. Layouts do
/// not tell, and files of older programs would be taken for right.
pub(super) const MEANING: u32 = 2;

const HEADER: usize = 16;
const TRAILER: usize = 24;

/// Columns beyond this size are verified on two threads.
const LARGE: usize = 16 << 20;

/// What a file has, verified.
pub(super) struct Contents {
    pub(super) segments: Vec<Segment>,
    pub(super) numbers: Vec<u64>,
    pub(super) columns: Vec<Column>,
    /// The bytes of the columns.
    pub(super) rows: Bytes,
}

/// The hash of the schema of a type, one value of which is `value`, and of what it means.
pub(super) fn schema(value: &impl Saved) -> u64 {
    let mut nowhere = io::sink();
    let mut saver = Saver::new(&mut nowhere);
    // Nowhere takes everything.
    let _ = value.save(&mut saver);
    row::layout_of(saver.finish().2, MEANING.into())
}

/// Writes a file with what `value` has of a log of these segments.
pub(super) fn write(
    to: &mut dyn Write,
    schema: u64,
    segments: &[Segment],
    value: &impl Saved,
) -> io::Result<()> {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(BEGIN);
    VERSION.write(&mut header[8..12]);
    to.write_all(&header)?;
    let mut saver = Saver::new(to);
    value.save(&mut saver)?;
    let (columns, numbers, _) = saver.finish();

    let mut directory = Vec::new();
    put(&mut directory, schema);
    for count in [segments.len(), numbers.len(), columns.len()] {
        put(&mut directory, count as u32);
    }
    for segment in segments {
        put(
            &mut directory,
            (segment.number, segment.size, segment.sha224.0),
        );
    }
    numbers
        .iter()
        .for_each(|&number| put(&mut directory, number));
    columns
        .iter()
        .for_each(|&column| put(&mut directory, column));
    to.write_all(&directory)?;

    let begin: u64 = columns.iter().map(|column| column.bytes).sum();
    let mut trailer = Vec::with_capacity(TRAILER);
    put(&mut trailer, begin + HEADER as u64);
    put(&mut trailer, crc32fast::hash(&directory));
    put(&mut trailer, 0_u32);
    trailer.extend_from_slice(END);
    to.write_all(&trailer)
}

/// Reads a file, and verifies every byte of it.
pub(super) fn read(file: &Bytes, schema: u64) -> Result<Contents, Reason> {
    let (header, rest) = file.split_at_checked(HEADER).ok_or(Reason::Truncated)?;
    if !header.starts_with(BEGIN) {
        return Err(Reason::NoSnapshot);
    }
    let (version, reserved) = <(u32, u32)>::read(&header[8..]);
    if version != VERSION {
        return Err(Reason::Version { version });
    }
    let end = rest.len().checked_sub(TRAILER).ok_or(Reason::Truncated)?;
    let (rest, trailer) = rest.split_at(end);
    if !trailer.ends_with(END) {
        return Err(Reason::Truncated);
    }
    let (begin, crc, zero) = <(u64, u32, u32)>::read(&trailer[..16]);
    let begin = usize::try_from(begin)
        .ok()
        .and_then(|begin| begin.checked_sub(HEADER));
    let parts = begin.and_then(|begin| rest.split_at_checked(begin));
    let (rows, directory) = parts.ok_or(Reason::Damaged)?;
    if reserved != 0 || zero != 0 || crc32fast::hash(directory) != crc {
        return Err(Reason::Damaged);
    }
    let (saved_schema, mut contents) = directory_of(directory).ok_or(Reason::Damaged)?;
    if saved_schema != schema {
        return Err(Reason::Schema);
    }
    contents.rows = file.slice_ref(rows);
    if !is_sound(rows, &contents.columns) {
        return Err(Reason::Damaged);
    }
    Ok(contents)
}

fn directory_of(mut bytes: &[u8]) -> Option<(u64, Contents)> {
    let bytes = &mut bytes;
    let (schema, counts) = take::<(u64, [u32; 3])>(bytes)?;
    let [segments, numbers, columns] = counts;
    let segments = take_all(bytes, segments)?.into_iter();
    let contents = Contents {
        segments: segments
            .map(|(number, size, sha224)| Segment {
                number,
                size,
                sha224: Sha224Sum(sha224),
            })
            .collect(),
        numbers: take_all(bytes, numbers)?,
        columns: take_all(bytes, columns)?,
        rows: Bytes::new(),
    };
    bytes.is_empty().then_some((schema, contents))
}

/// Whether the columns are what was written, and all that was.
fn is_sound(rows: &[u8], columns: &[Column]) -> bool {
    let mut rest = rows;
    let mut parts = Vec::with_capacity(columns.len());
    for column in columns {
        let len = usize::try_from(column.bytes).ok();
        let Some((bytes, more)) = len.and_then(|len| rest.split_at_checked(len)) else {
            return false;
        };
        parts.push((bytes, column.crc));
        rest = more;
    }
    let is_sound = |parts: &[(&[u8], u32)]| {
        let mut parts = parts.iter();
        parts.all(|&(bytes, crc)| crc32fast::hash(bytes) == crc)
    };
    if rows.len() < LARGE {
        return rest.is_empty() && is_sound(&parts);
    }
    // About half of the bytes each.
    let mut half = rows.len() / 2;
    let middle = parts.iter().position(|(bytes, _)| {
        let is_beyond = bytes.len() > half;
        half = half.saturating_sub(bytes.len());
        is_beyond
    });
    let (one, other) = parts.split_at(middle.unwrap_or(0));
    thread::scope(|scope| {
        let spawned = thread::Builder::new().spawn_scoped(scope, || is_sound(one));
        let is_other_sound = is_sound(other);
        let is_one_sound = match spawned {
            Ok(thread) => thread.join().unwrap_or(false),
            // The system may have no thread to give.
            Err(_) => is_sound(one),
        };
        is_one_sound && is_other_sound && rest.is_empty()
    })
}

fn put<T: Row>(to: &mut Vec<u8>, row: T) {
    let at = to.len();
    to.resize(at + T::SIZE, 0);
    row.write(&mut to[at..]);
}

fn take<T: Row>(bytes: &mut &[u8]) -> Option<T> {
    let (row, rest) = bytes.split_at_checked(T::SIZE)?;
    *bytes = rest;
    Some(T::read(row))
}

fn take_all<T: Row>(bytes: &mut &[u8], count: u32) -> Option<Vec<T>> {
    let len = (count as usize).checked_mul(T::SIZE)?;
    let (rows, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(rows.chunks_exact(T::SIZE).map(T::read).collect())
}
