//! PAX records and their values.

use crate::HeaderFault;

/// The first PAX record of a text, and what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) rest: &'a [u8],
}

/// Takes one record off: `LENGTH KEY=VALUE\n`, where the length counts itself.
pub(crate) fn record(text: &[u8]) -> Result<Record<'_>, HeaderFault> {
    let space = text
        .iter()
        .take(MAX_DIGITS)
        .position(|&b| b == b' ')
        .ok_or(HeaderFault::Record)?;
    let len = decimal(&text[..space]).map_err(|_| HeaderFault::Record)?;
    let len = usize::try_from(len).map_err(|_| HeaderFault::Record)?;
    // The shortest record has an equals sign and a newline behind the blank.
    if len < space + 3 || len > text.len() || text[len - 1] != b'\n' {
        return Err(HeaderFault::Record);
    }
    let body = &text[space + 1..len - 1];
    let equals = body
        .iter()
        .position(|&b| b == b'=')
        .ok_or(HeaderFault::Record)?;
    if equals == 0 {
        return Err(HeaderFault::Record);
    }
    Ok(Record {
        key: &body[..equals],
        value: &body[equals + 1..],
        rest: &text[len..],
    })
}

/// A value that becomes a name. A NUL would end it early for some readers.
pub(crate) fn plain(value: &[u8]) -> Result<Vec<u8>, HeaderFault> {
    if value.contains(&0) {
        Err(HeaderFault::Record)
    } else {
        Ok(value.to_vec())
    }
}

pub(crate) fn decimal(text: &[u8]) -> Result<u64, HeaderFault> {
    if text.is_empty() {
        return Err(HeaderFault::Number);
    }
    text.iter().try_fold(0u64, |n, &d| {
        if !d.is_ascii_digit() {
            return Err(HeaderFault::Number);
        }
        n.checked_mul(10)
            .and_then(|n| n.checked_add(u64::from(d - b'0')))
            .ok_or(HeaderFault::Number)
    })
}

/// Seconds with an optional fraction, of which nanoseconds are kept; as (floor, nanoseconds).
pub(crate) fn seconds(text: &[u8]) -> Result<(i64, u32), HeaderFault> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut halves = text.splitn(2, |&b| b == b'.');
    let secs = decimal(halves.next().unwrap_or_default())?;
    let secs = i64::try_from(secs).map_err(|_| HeaderFault::Number)?;
    let fraction = halves.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(HeaderFault::Number);
    }
    let nanos = (0..9).fold(0u32, |n, i| {
        n * 10 + u32::from(fraction.get(i).map_or(0, |d| d - b'0'))
    });
    Ok(match (negative, nanos) {
        (false, _) => (secs, nanos),
        (true, 0) => (-secs, 0),
        (true, _) => (-secs - 1, 1_000_000_000 - nanos),
    })
}

/// Digits and blank of a record's length; 1 MiB has seven digits.
const MAX_DIGITS: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        for (text, key, value, rest) in [
            (&b"8 k=abc\n"[..], &b"k"[..], &b"abc"[..], &b""[..]),
            (b"8 k=a=b\nX", b"k", b"a=b", b"X"),
            (b"5 k=\n", b"k", b"", b""),
        ] {
            assert_eq!(record(text), Ok(Record { key, value, rest }));
        }
        for bad in [
            &b"9 k=abc\n"[..],
            b"7 k=abc\n",
            b"4 =a\n",
            b"8 kkabc\n",
            b"0 k=a\n",
            b"-8 k=abc\n",
            b"99999999999999999999999 k=a\n",
            b"18446744073709551615 k=a\n",
            b"\n",
            b" k=a\n",
            b"3 \n",
        ] {
            assert!(record(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn fractions_of_seconds() {
        assert_eq!(seconds(b"12"), Ok((12, 0)));
        assert_eq!(seconds(b"12.5"), Ok((12, 500_000_000)));
        assert_eq!(seconds(b"12.0000000019"), Ok((12, 1)));
        assert_eq!(seconds(b"-1.25"), Ok((-2, 750_000_000)));
        assert_eq!(
            seconds(b"-9223372036854775807.9"),
            Ok((i64::MIN, 100_000_000))
        );
        for bad in [
            &b""[..],
            b".5",
            b"1.x",
            b"--1",
            b"1e9",
            b"99999999999999999999",
        ] {
            assert!(seconds(bad).is_err());
        }
    }
}
