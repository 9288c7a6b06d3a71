//! The object that says what the log is.
//!
//! One line of JSON, and behind it the newest records of the segment that grows. It is only ever
//! replaced by a leader that has seen what it replaces, so there is one line of history.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha224};

use crate::log::{Segment, Sha224Sum};

/// The name of the object.
pub(super) const NAME: &str = "log.head";

const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    format: u32,
    /// Counts the leaders.
    pub(super) epoch: u64,
    /// The leader.
    pub(super) leader: String,
    /// Counts what this leader has tried to write: no two heads are alike.
    pub(super) write: u64,
    /// The sealed segments.
    sealed: Vec<Sum>,
    /// All of the segment that grows.
    growing: Sum,
    /// The objects with its first records. Those that they lack stand behind this.
    pub(super) pieces: Vec<Piece>,
    /// Objects that nobody needs any more.
    pub(super) remove: Vec<String>,
}

/// A segment; its number is its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sum {
    size: u64,
    sha224: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) name: String,
    pub(super) size: u64,
}

impl Sum {
    fn of(segment: &Segment) -> Self {
        Self {
            size: segment.size,
            sha224: segment.sha224.to_string(),
        }
    }

    fn segment(&self, number: usize) -> Option<Segment> {
        Some(Segment {
            number: u32::try_from(number).ok()?,
            size: self.size,
            sha224: Sha224Sum::from_hex(&self.sha224)?,
        })
    }
}

impl Head {
    /// Of a log that nobody has led.
    pub(super) fn new(sealed: &[Segment], grown: Option<(Segment, String)>) -> Self {
        let nothing = Segment::of(0, b"");
        let size = |segment: &Segment| segment.size;
        Self {
            format: FORMAT,
            epoch: 0,
            leader: String::new(),
            write: 0,
            sealed: sealed.iter().map(Sum::of).collect(),
            growing: Sum::of(grown.as_ref().map_or(&nothing, |(segment, _)| segment)),
            pieces: grown
                .map(|(segment, name)| Piece {
                    name,
                    size: size(&segment),
                })
                .into_iter()
                .collect(),
            remove: Vec::new(),
        }
    }

    /// The sealed segments. `None` if this cannot be.
    pub(super) fn sealed(&self) -> Option<Vec<Segment>> {
        let sealed = self.sealed.iter().enumerate();
        sealed.map(|(number, sum)| sum.segment(number)).collect()
    }

    /// The segment that grows.
    pub(super) fn growing(&self) -> Option<Segment> {
        self.growing.segment(self.sealed.len())
    }

    pub(super) fn grow(&mut self, size: u64, sum: &Sha224) {
        let sha224 = Sha224Sum(sum.clone().finalize().into()).to_string();
        self.growing = Sum { size, sha224 };
    }

    /// The segment that grew is `segment`, and the next one begins.
    pub(super) fn seal(&mut self, segment: &Segment) {
        self.sealed.push(Sum::of(segment));
        self.growing = Sum::of(&Segment::of(0, b""));
        self.pieces.clear();
    }

    pub(super) fn encode(&self, newest: &[u8]) -> Result<Bytes, serde_json::Error> {
        let mut line = BytesMut::new().writer();
        serde_json::to_writer(&mut line, self)?;
        let mut bytes = line.into_inner();
        bytes.put_u8(b'\n');
        bytes.put_slice(newest);
        Ok(bytes.freeze())
    }

    /// The head, and the newest records. `None` if this is none.
    pub(super) fn decode(bytes: &Bytes) -> Option<(Self, Bytes)> {
        let end = memchr::memchr(b'\n', bytes)?;
        let head: Self = serde_json::from_slice(&bytes[..end]).ok()?;
        let newest = bytes.slice(end + 1..);
        let in_pieces = head
            .pieces
            .iter()
            .try_fold(0, |sum: u64, piece| sum.checked_add(piece.size))?;
        let whole = in_pieces.checked_add(newest.len() as u64)? == head.growing.size;
        (head.format == FORMAT && whole && head.sealed().is_some() && head.growing().is_some())
            .then_some((head, newest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let full = Segment::of(0, b"full");
        let grown = (Segment::of(1, b"REC"), "0001.x".to_owned());
        let mut head = Head::new(&[full], Some(grown));
        head.grow(8, &Sha224::new_with_prefix(b"REC@0+0="));
        let bytes = head.encode(b"@0+0=").unwrap();
        let (read, newest) = Head::decode(&bytes).unwrap();
        assert_eq!((&read, &newest[..]), (&head, &b"@0+0="[..]));
        assert_eq!(read.sealed(), Some(vec![full]));
        assert_eq!(read.growing(), Some(Segment::of(1, b"REC@0+0=")));
        for cut in 0..bytes.len() {
            assert_eq!(Head::decode(&bytes.slice(..cut)), None, "{cut}");
        }
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let later = text.replace("\"format\":1", "\"format\":2");
        assert_eq!(Head::decode(&later.into()), None, "of a later version");
    }
}
