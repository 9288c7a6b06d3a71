//! Request bodies on the wire: counted or chunked, as a machine that is fed bytes.

use bytes::{Buf, Bytes, BytesMut};

use super::head::BodyLength;

/// Longest chunk-size line, extensions included.
const MAX_SIZE_LINE: usize = 4096;
/// Longest trailer section of a request.
const MAX_TRAILERS: usize = 16 * 1024;

/// Why a request body could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The client's chunks do not follow RFC 9112 §7.1.
    #[error("malformed chunked body: {0}")]
    Malformed(&'static str),
    /// The client went away within the body.
    #[error("connection ended within the request body")]
    Truncated,
    /// The client sent nothing for too long.
    #[error("request body stalled")]
    Stalled,
    /// The connection failed.
    #[error("connection failed within the request body")]
    Io(#[source] std::io::Error),
}

/// What one step of the decoder gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Bytes of the body.
    Data(Bytes),
    /// Feed more bytes first.
    More,
    /// The body is complete.
    End,
}

/// Decodes one body from a buffer of received bytes, taking only what belongs to it.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Counted(u64),
    Size,
    Data(u64),
    DataEnd,
    Trailers(usize),
    End,
}

impl Decoder {
    pub(super) fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::Sized(0) => State::End,
            BodyLength::Sized(length) => State::Counted(length),
            BodyLength::Chunked => State::Size,
        };
        Self { state }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::End)
    }

    pub(super) fn step(&mut self, buf: &mut BytesMut) -> Result<Step, BodyError> {
        loop {
            match &mut self.state {
                State::End => return Ok(Step::End),
                State::Counted(left) => {
                    let Some(data) = take(left, buf) else {
                        return Ok(Step::More);
                    };
                    if *left == 0 {
                        self.state = State::End;
                    }
                    return Ok(Step::Data(data));
                }
                State::Size => {
                    let Some(line) = line(buf, MAX_SIZE_LINE)? else {
                        return Ok(Step::More);
                    };
                    self.state = match chunk_size(&line)? {
                        0 => State::Trailers(0),
                        size => State::Data(size),
                    };
                }
                State::Data(left) => {
                    let Some(data) = take(left, buf) else {
                        return Ok(Step::More);
                    };
                    if *left == 0 {
                        self.state = State::DataEnd;
                    }
                    return Ok(Step::Data(data));
                }
                State::DataEnd => {
                    if buf.len() < 2 {
                        return Ok(Step::More);
                    }
                    if !buf.starts_with(b"\r\n") {
                        return Err(BodyError::Malformed("no line end after a chunk"));
                    }
                    buf.advance(2);
                    self.state = State::Size;
                }
                State::Trailers(seen) => {
                    let Some(line) = line(buf, MAX_TRAILERS)? else {
                        return Ok(Step::More);
                    };
                    *seen += line.len() + 2;
                    if *seen > MAX_TRAILERS {
                        return Err(BodyError::Malformed("trailers too long"));
                    }
                    if line.is_empty() {
                        self.state = State::End;
                    }
                }
            }
        }
    }
}

fn take(left: &mut u64, buf: &mut BytesMut) -> Option<Bytes> {
    if buf.is_empty() {
        return None;
    }
    let count = usize::try_from(*left).map_or(buf.len(), |left| left.min(buf.len()));
    *left -= count as u64;
    Some(buf.split_to(count).freeze())
}

/// One line without its CRLF, or `None` if it is not complete yet.
fn line(buf: &mut BytesMut, max: usize) -> Result<Option<BytesMut>, BodyError> {
    let window = buf.get(..max.min(buf.len())).unwrap_or_default();
    match window.iter().position(|&byte| byte == b'\n') {
        Some(end) => {
            let mut line = buf.split_to(end + 1);
            if end == 0 || line.get(end - 1) != Some(&b'\r') {
                return Err(BodyError::Malformed("bare line feed"));
            }
            line.truncate(end - 1);
            Ok(Some(line))
        }
        None if buf.len() >= max => Err(BodyError::Malformed("line too long")),
        None => Ok(None),
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let digits = line
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii_end();
    if digits.is_empty() || digits.len() > 15 {
        return Err(BodyError::Malformed("chunk size"));
    }
    digits.iter().try_fold(0_u64, |size, &digit| {
        let value = char::from(digit)
            .to_digit(16)
            .ok_or(BodyError::Malformed("chunk size"))?;
        Ok(size * 16 + u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(wire: &[u8], cut: usize) -> Result<(Vec<u8>, bool, usize), BodyError> {
        let mut decoder = Decoder::new(BodyLength::Chunked);
        let mut buf = BytesMut::new();
        let mut body = Vec::new();
        for piece in wire.chunks(cut) {
            buf.extend_from_slice(piece);
            loop {
                match decoder.step(&mut buf)? {
                    Step::Data(data) => body.extend_from_slice(&data),
                    Step::More => break,
                    Step::End => return Ok((body, true, buf.len())),
                }
            }
        }
        Ok((body, false, buf.len()))
    }

    #[test]
    fn refuses_broken_framing() {
        for wire in [
            &b"g\r\n"[..],
            b"\r\n",
            b"3\nabc",
            b"3\r\nabcd\r\n",
            b"1000000000000000\r\n",
            b"-1\r\n",
        ] {
            assert!(decode(wire, 1).is_err(), "{wire:?}");
        }
        assert!(decode(&[b'1'; 5000], 100).is_err());
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_body(body: Vec<u8>, sizes in prop::collection::vec(1_usize..50, 1..20), cut in 1_usize..40) {
            let mut wire = Vec::new();
            let mut rest = body.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, tail) = rest.split_at((*size).min(rest.len()));
                wire.extend_from_slice(format!("{:x};ext=\"1\"\r\n", piece.len()).as_bytes());
                wire.extend_from_slice(piece);
                wire.extend_from_slice(b"\r\n");
                rest = tail;
            }
            wire.extend_from_slice(b"0\r\nSome: trailer\r\n\r\n");
            let end = wire.len();
            wire.extend_from_slice(b"GET");
            let (decoded, done, left) = decode(&wire, cut).unwrap();
            prop_assert!(done);
            prop_assert_eq!(decoded, body);
            prop_assert!(left <= wire.len() - end);
        }

        #[test]
        fn random_bytes_never_panic(wire: Vec<u8>, cut in 1_usize..40) {
            drop(decode(&wire, cut));
            drop(super::super::head::parse(&wire));
        }
    }
}
