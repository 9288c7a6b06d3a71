use std::ops::Range;

use ::http::HeaderMap;
use ::http::header::RANGE;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// Not empty, and within the log.
    Part(Range<u64>),
    /// A range without any byte that is there.
    Nothing,
}

pub(super) fn wanted(headers: &HeaderMap, len: u64) -> Wanted {
    let mut values = headers.get_all(RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Wanted::All;
    };
    let Some((first, last)) = value.to_str().ok().and_then(parse) else {
        return Wanted::All;
    };
    let part = match (first, last) {
        (Some(first), Some(last)) if last < first => return Wanted::All,
        (Some(first), last) => first..last.map_or(len, |last| last.saturating_add(1).min(len)),
        (None, Some(suffix)) => len.saturating_sub(suffix)..len,
        (None, None) => return Wanted::All,
    };
    if part.is_empty() {
        Wanted::Nothing
    } else {
        Wanted::Part(part)
    }
}

/// First and last position of a single byte range.
fn parse(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    Some((position(first)?, position(last)?))
}

fn position(digits: &str) -> Option<Option<u64>> {
    if digits.is_empty() {
        return Some(None);
    }
    let all_digits = digits.bytes().all(|digit| digit.is_ascii_digit());
    // What does not fit into 64 bits lies behind the end of any log.
    all_digits.then(|| Some(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn ask(values: &[&'static str], len: u64) -> Wanted {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RANGE, HeaderValue::from_static(value));
        }
        wanted(&headers, len)
    }

    #[test]
    fn single_ranges() {
        for (value, part) in [
            ("bytes=0-", 0..10),
            ("bytes=0-0", 0..1),
            ("bytes=3-5", 3..6),
            ("Bytes= 3-5 ", 3..6),
            ("bytes=9-9", 9..10),
            ("bytes=3-99", 3..10),
            ("bytes=3-99999999999999999999999", 3..10),
            ("bytes=3-18446744073709551615", 3..10),
            ("bytes=-1", 9..10),
            ("bytes=-99", 0..10),
        ] {
            assert_eq!(ask(&[value], 10), Wanted::Part(part), "{value}");
        }
        for value in [
            "bytes=10-",
            "bytes=10-11",
            "bytes=99999999999999999999999-",
            "bytes=-0",
        ] {
            assert_eq!(ask(&[value], 10), Wanted::Nothing, "{value}");
        }
        assert_eq!(ask(&["bytes=0-"], 0), Wanted::Nothing);
        assert_eq!(ask(&["bytes=-5"], 0), Wanted::Nothing);
    }

    #[test]
    fn what_is_ignored() {
        for value in [
            "bytes=5-3",
            "bytes=-",
            "bytes=",
            "bytes",
            "bytes=1-2,4-5",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=0x1-2",
            "lines=1-2",
            "",
        ] {
            assert_eq!(ask(&[value], 10), Wanted::All, "{value}");
        }
        assert_eq!(ask(&[], 10), Wanted::All);
        assert_eq!(ask(&["bytes=1-2", "bytes=4-5"], 10), Wanted::All);
    }
}
