//! Frames: a type letter, a stream id, a length, a payload. No I/O.

use bytes::{Buf, BytesMut};

/// Bytes in front of every payload.
pub const HEADER_LEN: usize = 7;

/// The most a frame carries.
pub const MAX_PAYLOAD: usize = u16::MAX as usize;

/// What a frame is for: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `N`: the dialer opens a stream.
    New,
    /// `C`: the sender closes its side of a stream.
    Close,
    /// `W`: data of a stream.
    Write,
    /// `K`: the sender is alive and says so every *id* milliseconds. Ends of this crate send it;
    /// the Go original skips it, as every letter it does not know.
    Alive,
    /// Any other letter. Skipped with its payload.
    Other(u8),
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Self::New => b'N',
            Self::Close => b'C',
            Self::Write => b'W',
            Self::Alive => b'K',
            Self::Other(byte) => byte,
        }
    }

    fn from_byte(byte: u8) -> Self {
        match byte {
            b'N' => Self::New,
            b'C' => Self::Close,
            b'W' => Self::Write,
            b'K' => Self::Alive,
            other => Self::Other(other),
        }
    }
}

/// The fixed part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// What the frame is for.
    pub kind: Kind,
    /// The stream it belongs to.
    pub id: u32,
    /// Bytes of payload that follow.
    pub len: u16,
}

impl Header {
    /// The header of a frame without payload.
    pub fn empty(kind: Kind, id: u32) -> Self {
        Self { kind, id, len: 0 }
    }

    /// The header of data; `len` is cut to what a frame can carry.
    pub fn data(id: u32, len: usize) -> Self {
        Self {
            kind: Kind::Write,
            id,
            len: u16::try_from(len).unwrap_or(u16::MAX),
        }
    }

    /// As it goes over the wire: letter, id and length, both big-endian.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.id.to_be_bytes();
        let [e, f] = self.len.to_be_bytes();
        [self.kind.to_byte(), a, b, c, d, e, f]
    }

    /// Every seven bytes are a header.
    pub fn from_bytes([kind, a, b, c, d, e, f]: [u8; HEADER_LEN]) -> Self {
        Self {
            kind: Kind::from_byte(kind),
            id: u32::from_be_bytes([a, b, c, d]),
            len: u16::from_be_bytes([e, f]),
        }
    }
}

/// What a [`Decoder`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A header, of any kind. The payload of a `W` follows in pieces.
    Header(Header),
    /// The next bytes of a `W`; never empty.
    Data {
        /// The stream they belong to.
        id: u32,
        /// At most what one call of [`Decoder::next_piece`] was given.
        data: BytesMut,
    },
}

/// Cuts incoming bytes into [`Piece`]s. Holds at most an unfinished header: payload is handed
/// out as it comes, without waiting for the rest of its frame.
#[derive(Debug, Default)]
pub struct Decoder {
    head: [u8; HEADER_LEN],
    have: usize,
    /// The frame whose payload is under way.
    open: Option<Header>,
    rest: usize,
}

impl Decoder {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece off the front of `input`, or all of `input` and gives `None` when it
    /// holds none. Data shares the memory of `input`.
    pub fn next_piece(&mut self, input: &mut BytesMut) -> Option<Piece> {
        if let Some(header) = self.open {
            let take = self.rest.min(input.len());
            self.rest -= take;
            if self.rest == 0 {
                self.open = None;
            }
            if header.kind == Kind::Write && take > 0 {
                return Some(Piece::Data {
                    id: header.id,
                    data: input.split_to(take),
                });
            }
            input.advance(take);
            if self.rest > 0 {
                return None;
            }
        }
        let take = (HEADER_LEN - self.have).min(input.len());
        self.head[self.have..self.have + take].copy_from_slice(&input[..take]);
        input.advance(take);
        self.have += take;
        if self.have < HEADER_LEN {
            return None;
        }
        self.have = 0;
        let header = Header::from_bytes(self.head);
        self.rest = usize::from(header.len);
        self.open = (self.rest > 0).then_some(header);
        Some(Piece::Header(header))
    }

    /// Whether the last frame is complete, so that the bytes may end here.
    pub fn is_between_frames(&self) -> bool {
        self.have == 0 && self.open.is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_worked_example() {
        let header = Header::data(2, 12);
        assert_eq!(header.to_bytes(), [0x57, 0, 0, 0, 2, 0, 12]);
        let header = Header::empty(Kind::New, 0x0102_0304);
        assert_eq!(header.to_bytes(), [0x4e, 1, 2, 3, 4, 0, 0]);
    }

    fn all(decoder: &mut Decoder, bytes: &[u8]) -> (Vec<Header>, Vec<(u32, u8)>) {
        let (mut headers, mut data) = (Vec::new(), Vec::new());
        let mut input = BytesMut::from(bytes);
        while let Some(piece) = decoder.next_piece(&mut input) {
            match piece {
                Piece::Header(header) => headers.push(header),
                Piece::Data { id, data: bytes } => data.extend(bytes.iter().map(|b| (id, *b))),
            }
        }
        assert!(input.is_empty(), "everything is taken in");
        (headers, data)
    }

    proptest! {
        #[test]
        fn any_bytes_mean_the_same_however_they_are_cut(
            bytes in prop::collection::vec(prop_oneof![
                any::<u8>(), Just(0), Just(b'W'), Just(b'N'), Just(b'C'), Just(3),
            ], 0..400),
            cuts in prop::collection::vec(1_usize..40, 0..60),
        ) {
            let mut whole = Decoder::new();
            let expected = all(&mut whole, &bytes);
            let mut pieces = Decoder::new();
            let (mut headers, mut data) = (Vec::new(), Vec::new());
            let mut rest = &bytes[..];
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                let (h, d) = all(&mut pieces, now);
                headers.extend(h);
                data.extend(d);
            }
            let (h, d) = all(&mut pieces, rest);
            headers.extend(h);
            data.extend(d);
            prop_assert_eq!((headers, data), expected);
            prop_assert_eq!(pieces.is_between_frames(), whole.is_between_frames());
        }
    }
}
