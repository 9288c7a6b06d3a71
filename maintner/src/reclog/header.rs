//! The header of a record: where it stands and how long it is.

use std::{fmt, ops::Deref};

use super::{Error, MAX_HEADER};

/// The four bytes that every record begins with.
pub(super) const PREFIX: &[u8; 4] = b"REC@";

/// A header as bytes: `REC@<offset>+<length>=`, both numbers in lower-case hex without padding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl Header {
    /// The header of a record that begins at byte `offset` of its file and has `payload_len` bytes
    /// of payload.
    pub fn new(offset: u64, payload_len: u64) -> Self {
        let mut header = Self {
            bytes: [0; MAX_HEADER],
            len: 0,
        };
        header.put(PREFIX);
        header.put_hex(offset);
        header.put(b"+");
        header.put_hex(payload_len);
        header.put(b"=");
        header
    }

    fn put(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }

    fn put_hex(&mut self, number: u64) {
        let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            let nibble = (number >> (4 * digit)) & 15;
            self.put(&[b"0123456789abcdef"[nibble as usize]]);
        }
    }
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parsed {
    /// Bytes of the header, `=` included.
    pub(super) header_len: usize,
    pub(super) payload_len: u64,
}

/// Reads the header at the front of `bytes`, which must say that it stands at `offset`. `bytes`
/// must hold [`MAX_HEADER`] bytes, or all there are.
#[inline]
pub(super) fn parse(bytes: &[u8], offset: u64) -> Result<Parsed, Error> {
    let end = bytes.len().min(MAX_HEADER);
    // The way of every good record: no search, each byte looked at once.
    if let Some(plus) = expected(bytes, offset)
        && let Some((payload_len, equals)) = hex(&bytes[..end], plus + 1)
        && bytes[..end].get(equals) == Some(&b'=')
    {
        return Ok(Parsed {
            header_len: equals + 1,
            payload_len,
        });
    }
    parse_any(bytes, offset)
}

/// Where the `+` stands behind an offset, written as it usually is.
#[inline]
fn expected(bytes: &[u8], offset: u64) -> Option<usize> {
    let (prefix, rest) = bytes.split_first_chunk()?;
    let found = u64::from_be_bytes(*rest.first_chunk()?);
    let unused = (offset as u32 | 1).leading_zeros() & !3;
    let plus = 8 - unused as usize / 4;
    // Digits to the front; what is behind them does not matter.
    let expected = hex_digits(u32::try_from(offset).ok()?) << (2 * unused);
    let differs = (found ^ expected) >> (2 * unused) != 0;
    (prefix == PREFIX && !differs && rest.get(plus) == Some(&b'+')).then_some(PREFIX.len() + plus)
}

/// Eight lower-case digits, the first in the highest byte.
#[inline]
fn hex_digits(number: u32) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let spread = u64::from(number);
    let spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in each byte that is over 9.
    let letters = (spread + 6 * ONES) >> 4 & ONES;
    spread + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)
}

fn parse_any(bytes: &[u8], offset: u64) -> Result<Parsed, Error> {
    let end = bytes.len().min(MAX_HEADER);
    if bytes.starts_with(PREFIX)
        && let Some((found, plus)) = hex(&bytes[..end], PREFIX.len())
        && bytes.get(plus) == Some(&b'+')
        && let Some((payload_len, equals)) = hex(&bytes[..end], plus + 1)
        && bytes[..end].get(equals) == Some(&b'=')
        && found == offset
    {
        return Ok(Parsed {
            header_len: equals + 1,
            payload_len,
        });
    }
    Err(diagnose(&bytes[..end], offset))
}

/// The number whose digits begin at `start`, and where they end. Upper case and leading zeros are
/// taken, signs are not.
#[inline]
fn hex(bytes: &[u8], start: usize) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => break,
        };
        if number >> 60 != 0 {
            return None;
        }
        number = number << 4 | u64::from(digit);
        at += 1;
    }
    (at > start).then_some((number, at))
}

/// Says what is wrong with a header that could not be read.
#[cold]
fn diagnose(bytes: &[u8], offset: u64) -> Error {
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string().into_boxed_str();
    let plausible = bytes.len() < PREFIX.len() && PREFIX.starts_with(bytes)
        || bytes.starts_with(PREFIX)
            && bytes[PREFIX.len()..]
                .iter()
                .all(|byte| byte.is_ascii_hexdigit() || *byte == b'+');
    let Some(equals) = bytes.iter().position(|&byte| byte == b'=') else {
        return if bytes.len() < MAX_HEADER && plausible {
            Error::TornHeader {
                offset,
                have: bytes.len(),
            }
        } else if plausible {
            Error::OverlongHeader {
                offset,
                header: shown(bytes),
            }
        } else {
            Error::MalformedHeader {
                offset,
                header: shown(bytes),
            }
        };
    };
    let header = shown(&bytes[..=equals]);
    let plus = bytes[..equals].iter().position(|&byte| byte == b'+');
    let Some(plus) = plus.filter(|_| bytes.starts_with(PREFIX)) else {
        return Error::MalformedHeader { offset, header };
    };
    match hex(&bytes[..plus], PREFIX.len()) {
        Some((found, end)) if end == plus => {
            if bytes[plus + 1..equals].contains(&b'+') {
                Error::MalformedHeader { offset, header }
            } else if hex(&bytes[..equals], plus + 1).is_none_or(|(_, end)| end != equals) {
                Error::MalformedSize { offset, header }
            } else {
                Error::WrongOffset { offset, found }
            }
        }
        _ => Error::MalformedOffset { offset, header },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_lower_case_hex_without_padding() {
        assert_eq!(&*Header::new(0, 0), b"REC@0+0=");
        assert_eq!(&*Header::new(0x14c, 9), b"REC@14c+9=");
        assert_eq!(&*Header::new(10, 16), b"REC@a+10=");
        let longest = Header::new(u64::MAX, u64::MAX);
        assert_eq!(&*longest, b"REC@ffffffffffffffff+ffffffffffffffff=");
    }

    #[test]
    fn digits() {
        for number in [0, 9, 10, 0x9a, 0x0123_4567, 0x89ab_cdef, u32::MAX] {
            assert_eq!(
                &hex_digits(number).to_be_bytes(),
                format!("{number:08x}").as_bytes()
            );
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for shift in 0..64 {
            for number in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let header = Header::new(number, number ^ 5);
                let parsed = parse(&header, number).unwrap();
                assert_eq!(parsed.header_len, header.len());
                assert_eq!(parsed.payload_len, number ^ 5);
            }
        }
    }

    #[test]
    fn each_way_to_be_wrong_has_its_name() {
        use Error::*;
        let check = |bytes: &[u8]| parse(bytes, 0).unwrap_err();
        assert!(matches!(check(b""), TornHeader { have: 0, .. }));
        assert!(matches!(check(b"RE"), TornHeader { have: 2, .. }));
        assert!(matches!(check(b"REC@0+"), TornHeader { have: 6, .. }));
        assert!(matches!(check(b"REX@0+0="), MalformedHeader { .. }));
        assert!(matches!(check(b"\0\0\0"), MalformedHeader { .. }));
        assert!(matches!(check(b"REC@00="), MalformedHeader { .. }));
        assert!(matches!(check(b"REC@0+0+0="), MalformedHeader { .. }));
        assert!(matches!(check(b"REC@+0="), MalformedOffset { .. }));
        assert!(matches!(check(b"REC@0x0+0="), MalformedOffset { .. }));
        assert!(matches!(check(b"REC@-0+0="), MalformedOffset { .. }));
        assert!(matches!(check(b"REC@0+="), MalformedSize { .. }));
        assert!(matches!(check(b"REC@0+-1="), MalformedSize { .. }));
        assert!(matches!(check(b"REC@0+_="), MalformedSize { .. }));
        assert!(matches!(check(b"REC@1+0="), WrongOffset { found: 1, .. }));
        let padded = format!("REC@{:036}+0=", 0);
        assert!(matches!(check(padded.as_bytes()), OverlongHeader { .. }));
        let over = "REC@0+11111111111111111=";
        assert!(matches!(check(over.as_bytes()), MalformedSize { .. }));
    }

    #[test]
    fn the_oddities_that_go_reads_are_read() {
        assert_eq!(parse(b"REC@00+00=", 0).unwrap().header_len, 10);
        assert_eq!(parse(b"REC@A+0F=", 10).unwrap().payload_len, 15);
        let forty = format!("REC@{:034}+0=", 0);
        assert_eq!(forty.len(), 41);
        assert!(parse(forty.as_bytes(), 0).is_err());
        let forty = format!("REC@{:033}+0=", 0);
        assert_eq!(parse(forty.as_bytes(), 0).unwrap().header_len, MAX_HEADER);
    }
}
