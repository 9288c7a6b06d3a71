//! Frames: a type letter, a stream id, a length, a payload. No I/O.

use bytes::{Buf, BufMut, BytesMut};

/// Bytes in front of every payload.
pub const HEADER_LEN: usize = 7;

/// The most a frame carries.
pub const MAX_PAYLOAD: usize = u16::MAX as usize;

/// The longest reason in a frame of the mux, in bytes of UTF-8.
pub const MAX_REASON: usize = 255;

/// Which language a session speaks. Both have the same headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Version 1, as in 2018: [`New`](Kind::New), [`Write`](Kind::Write),
    /// [`Close`](Kind::Close), and [`Alive`](Kind::Alive) between ends of this crate. Everything
    /// else is skipped.
    V1,
    /// The mux: every kind but [`Alive`](Kind::Alive). Anything else is an error.
    Mux,
}

/// What a frame is for: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `N`: the dialer opens a stream.
    New,
    /// `C`: the sender closes its side of a stream. In the mux, both sides: it writes and reads
    /// no more.
    Close,
    /// `W`: data of a stream.
    Write,
    /// `K`, only in version 1: the sender is alive and says so every *id* milliseconds. Ends of
    /// this crate send it; the Go original skips it, as every letter it does not know.
    Alive,
    /// `E`: the sender writes no more.
    End,
    /// `S`: the sender reads no more.
    Stop,
    /// `R`: the stream is broken off or was never accepted; a code and a reason.
    Reset,
    /// `A`: the receiver may send so many bytes more; a `u32`.
    Allow,
    /// `B`: the sender has data and no allowance left.
    Blocked,
    /// `P`: asks for a [`Pong`](Kind::Pong); a `u64`.
    Ping,
    /// `Q`: the `u64` of a ping.
    Pong,
    /// `G`: the sender goes away; a code and a reason.
    GoAway,
    /// Any other letter. Version 1 skips it with its payload.
    Other(u8),
}

impl Kind {
    /// The letter.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::New => b'N',
            Self::Close => b'C',
            Self::Write => b'W',
            Self::Alive => b'K',
            Self::End => b'E',
            Self::Stop => b'S',
            Self::Reset => b'R',
            Self::Allow => b'A',
            Self::Blocked => b'B',
            Self::Ping => b'P',
            Self::Pong => b'Q',
            Self::GoAway => b'G',
            Self::Other(byte) => byte,
        }
    }

    fn from_byte(byte: u8) -> Self {
        match byte {
            b'N' => Self::New,
            b'C' => Self::Close,
            b'W' => Self::Write,
            b'K' => Self::Alive,
            b'E' => Self::End,
            b'S' => Self::Stop,
            b'R' => Self::Reset,
            b'A' => Self::Allow,
            b'B' => Self::Blocked,
            b'P' => Self::Ping,
            b'Q' => Self::Pong,
            b'G' => Self::GoAway,
            other => Self::Other(other),
        }
    }

    /// Whether a frame of the mux may have `len` bytes of payload.
    pub(super) fn allows(self, len: u16) -> bool {
        match self {
            Self::Write => len > 0,
            Self::Allow => len == 4,
            Self::Ping | Self::Pong => len == 8,
            Self::Reset | Self::GoAway => (1..=1 + MAX_REASON).contains(&len.into()),
            _ => len == 0,
        }
    }

    /// Whether the frame is about the session and not one of its streams.
    pub(super) fn is_of_session(self) -> bool {
        matches!(self, Self::Ping | Self::Pong | Self::GoAway)
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

/// A frame of the mux with a code and a reason, ready to be sent. The reason is cut to
/// [`MAX_REASON`] bytes.
pub(super) fn with_reason(kind: Kind, id: u32, code: u8, reason: &str) -> BytesMut {
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    let header = Header {
        len: 1 + reason.len() as u16,
        ..Header::empty(kind, id)
    };
    let mut frame = BytesMut::with_capacity(HEADER_LEN + 1 + reason.len());
    frame.put_slice(&header.to_bytes());
    frame.put_u8(code);
    frame.put_slice(reason.as_bytes());
    frame
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
    /// The whole payload of any other frame that has one. Only in the mux.
    Body(Header, BytesMut),
}

/// Cuts incoming bytes into [`Piece`]s. Holds at most an unfinished header and, in the mux, an
/// unfinished short payload: data is handed out as it comes, without waiting for the rest of its
/// frame.
#[derive(Debug)]
pub struct Decoder {
    dialect: Dialect,
    head: [u8; HEADER_LEN],
    have: usize,
    /// The frame whose payload is under way.
    open: Option<Header>,
    rest: usize,
    body: BytesMut,
}

impl Decoder {
    /// An empty one.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            head: [0; HEADER_LEN],
            have: 0,
            open: None,
            rest: 0,
            body: BytesMut::new(),
        }
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
            if header.kind == Kind::Write {
                if take > 0 {
                    let data = input.split_to(take);
                    return Some(Piece::Data {
                        id: header.id,
                        data,
                    });
                }
            } else if self.dialect == Dialect::Mux {
                self.body.extend_from_slice(&input[..take]);
                input.advance(take);
                return (self.rest == 0)
                    .then(|| Piece::Body(header, std::mem::take(&mut self.body)));
            } else {
                input.advance(take);
            }
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

    #[test]
    fn reasons_are_cut_between_characters() {
        let frame = with_reason(Kind::GoAway, 0, 1, &"é".repeat(200));
        assert_eq!(frame.len(), HEADER_LEN + 1 + 254);
        assert_eq!(frame[..9], *b"G\0\0\0\0\0\xff\x01\xc3");
    }

    #[test]
    fn every_byte_is_a_kind_and_every_kind_a_byte() {
        for byte in 0..=255 {
            assert_eq!(Kind::from_byte(byte).to_byte(), byte);
        }
    }

    type Found = (Vec<Header>, Vec<(u32, u8)>, Vec<(Header, Vec<u8>)>);

    fn all(decoder: &mut Decoder, bytes: &[u8], found: &mut Found) {
        let mut input = BytesMut::from(bytes);
        while let Some(piece) = decoder.next_piece(&mut input) {
            match piece {
                Piece::Header(header) => found.0.push(header),
                Piece::Data { id, data } => found.1.extend(data.iter().map(|b| (id, *b))),
                Piece::Body(header, body) => found.2.push((header, body.to_vec())),
            }
        }
        assert!(input.is_empty(), "everything is taken in");
    }

    proptest! {
        #[test]
        fn any_bytes_mean_the_same_however_they_are_cut(
            bytes in prop::collection::vec(prop_oneof![
                any::<u8>(), Just(0), Just(b'W'), Just(b'N'), Just(b'C'), Just(3),
            ], 0..400),
            cuts in prop::collection::vec(1_usize..40, 0..60),
            mux in any::<bool>(),
        ) {
            let dialect = if mux { Dialect::Mux } else { Dialect::V1 };
            let mut whole = Decoder::new(dialect);
            let mut expected = Found::default();
            all(&mut whole, &bytes, &mut expected);
            let mut pieces = Decoder::new(dialect);
            let mut found = Found::default();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                all(&mut pieces, now, &mut found);
            }
            all(&mut pieces, rest, &mut found);
            prop_assert_eq!(found, expected);
            prop_assert_eq!(pieces.is_between_frames(), whole.is_between_frames());
        }
    }
}
