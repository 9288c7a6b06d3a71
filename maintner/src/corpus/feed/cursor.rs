use std::{fmt, str::FromStr};

use sha2::{Digest, Sha224};

use crate::{log::Position, store::Segments};

/// Bytes before the place that are looked at, at most: some records.
const CHECKED: u64 = 4096;

/// A place in a log that can be kept: what was handled up to there.
///
/// It is a short text, and knows its log again: with the number of bytes before it goes a check over
/// the last of them, so that a log which became another one is not taken for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    bytes: u64,
    check: u64,
}

/// The text is no [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a log: give what `Cursor` was shown as, two numbers in hex with a dash")]
pub struct ParseCursorError;

impl Cursor {
    /// The beginning of any log: all that it says is still to be handled.
    pub const BEGINNING: Self = Self { bytes: 0, check: 0 };

    /// Bytes of the log before it.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// The cursor of a place.
    pub(super) fn at(segments: &Segments, position: Position) -> Self {
        Self {
            bytes: position.bytes,
            check: check(segments, position),
        }
    }

    /// The place of this cursor, if it is one of this log, which ends at `end`.
    pub(super) fn find(self, segments: &Segments, end: Position) -> Option<Position> {
        if self.bytes > end.bytes {
            return None;
        }
        let mut position = Position::default();
        // The end of a segment rather than the beginning of the next.
        for segment in 0..=end.segment {
            let size = if segment == end.segment {
                end.offset
            } else {
                segments.end(segment)
            };
            let left = self.bytes - position.bytes;
            position.segment = segment;
            if left <= size {
                position.bytes = self.bytes;
                position.offset = left;
                return (check(segments, position) == self.check).then_some(position);
            }
            position.bytes += size;
        }
        None
    }
}

/// Of the last bytes before a place in its segment; 0 at its beginning, which only the first
/// segment's place can be.
fn check(segments: &Segments, position: Position) -> u64 {
    if position.bytes == 0 {
        return 0;
    }
    let from = position.offset.saturating_sub(CHECKED);
    let mut sum = Sha224::new();
    for (_, bytes) in segments.read(position.segment, from, position.offset) {
        sum.update(&bytes);
    }
    let sum: [u8; 28] = sum.finalize().into();
    sum.first_chunk()
        .map_or(0, |first| u64::from_be_bytes(*first))
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:016x}", self.bytes, self.check)
    }
}

impl FromStr for Cursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        let (bytes, check) = text.trim().split_once('-').ok_or(ParseCursorError)?;
        let hex = |digits: &str| {
            let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = u64::from_str_radix(digits, 16).ok();
            number.filter(|_| is_hex).ok_or(ParseCursorError)
        };
        Ok(Self {
            bytes: hex(bytes)?,
            check: hex(check)?,
        })
    }
}
