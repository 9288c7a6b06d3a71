//! The `Range` header (RFC 9110, section 14), for one range of bytes.

use std::ops::Range;

use axum::http::HeaderValue;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Everything. Several ranges count as such: a server need not split an answer.
    All,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// What is not there, or makes no sense.
    Nothing,
}

impl Asked {
    pub(super) fn parse(header: &HeaderValue, len: u64) -> Self {
        let Some(range) = header
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("bytes="))
        else {
            return Self::Nothing;
        };
        if range.contains(',') {
            return Self::All;
        }
        let Some((first, last)) = range.trim().split_once('-') else {
            return Self::Nothing;
        };
        let number = |digits: &str| {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse().ok()).flatten()
        };
        let range = match (first, last) {
            ("", last) => number(last).map(|count: u64| len.saturating_sub(count)..len),
            (first, "") => number(first).map(|first| first..len),
            (first, last) => number(first)
                .zip(number(last))
                .filter(|(first, last)| first <= last)
                .map(|(first, last)| first..len.min(last.saturating_add(1))),
        };
        range
            .filter(|range| !range.is_empty())
            .map_or(Self::Nothing, Self::Part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let parse = |text: &'static str| Asked::parse(&HeaderValue::from_static(text), 10);
        for (text, asked) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=3-5", Asked::Part(3..6)),
            ("bytes=3-", Asked::Part(3..10)),
            ("bytes=3-99", Asked::Part(3..10)),
            ("bytes=3-18446744073709551615", Asked::Part(3..10)),
            ("bytes=-4", Asked::Part(6..10)),
            ("bytes=-40", Asked::Part(0..10)),
            ("bytes=0-1,3-4", Asked::All),
            ("bytes=10-", Asked::Nothing),
            ("bytes=10-12", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=5-3", Asked::Nothing),
            ("bytes=-", Asked::Nothing),
            ("bytes=+1-2", Asked::Nothing),
            ("bytes=a-b", Asked::Nothing),
            ("bytes=99999999999999999999-", Asked::Nothing),
            ("lines=1-2", Asked::Nothing),
        ] {
            assert_eq!(parse(text), asked, "{text}");
        }
    }
}
