//! Times in queries: days and instants, ranges of them.

use crate::{corpus::github::Range, store::Timestamp};

/// What ranges look like.
pub(super) const EXPECTED: &str =
    "a time as in 2018-07-09, >2018-07-09, <=2018-07-09T12:00:00Z or 2018-01-01..2018-07-09";

/// Reads a range.
pub(super) fn range(text: &str) -> Option<Range> {
    if let Some((from, to)) = text.split_once("..") {
        let end = |text: &str| match text {
            "*" => Some(None),
            text => span(text).map(Some),
        };
        let (from, to) = (end(from)?, end(to)?);
        return Some(Range {
            from: from.map(|(from, _)| from),
            to: to.map(|(_, to)| to),
        });
    }
    // The longer ones first.
    for (sign, from, to) in [
        (">=", Some(true), None),
        ("<=", None, Some(true)),
        (">", Some(false), None),
        ("<", None, Some(false)),
    ] {
        if let Some(text) = text.strip_prefix(sign) {
            let (start, end) = span(text)?;
            return Some(Range {
                from: from.map(|itself| if itself { start } else { end }),
                to: to.map(|itself| if itself { end } else { start }),
            });
        }
    }
    let (start, end) = span(text)?;
    Some(Range {
        from: Some(start),
        to: Some(end),
    })
}

/// The beginning and the end of a day or of a second: `2018-07-09`, `2018-07-09T12:00:00Z`,
/// `2018-07-09T12:00:00+02:00` (RFC 3339).
fn span(text: &str) -> Option<(Timestamp, Timestamp)> {
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let mut parts = day.splitn(3, '-');
    let year = number(parts.next()?, 4)?;
    let month = number(parts.next()?, 2).filter(|month| (1..=12).contains(month))?;
    let day = number(parts.next()?, 2)?;
    let first = days(year, month);
    let next = if month == 12 {
        days(year + 1, 1)
    } else {
        days(year, month + 1)
    };
    let day = first + day - 1;
    if !(first..next).contains(&day) {
        return None;
    }
    let at = |seconds| Timestamp::new(seconds, 0);
    let midnight = day * 86_400;
    let Some(time) = time else {
        return Some((at(midnight), at(midnight + 86_400)));
    };
    let (time, zone) = time.split_at_checked(8)?;
    let seconds = midnight + clock(time)? - offset(zone)?;
    Some((at(seconds), at(seconds + 1)))
}

/// `12:34:56` in seconds.
fn clock(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let mut part = |limit| number(parts.next()?, 2).filter(|&number| number < limit);
    Some(part(24)? * 3600 + part(60)? * 60 + part(60)?)
}

/// `Z` or `+02:00` in seconds east of UTC.
fn offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, text) = match text.split_at_checked(1)? {
        ("+", text) => (1, text),
        ("-", text) => (-1, text),
        _ => return None,
    };
    Some(sign * clock(&format!("{text}:00"))?)
}

/// A number of just so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let is_one = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_one)
}

/// Days from 1970-01-01 to the first of a month of the Gregorian calendar.
fn days(year: i64, month: i64) -> i64 {
    // Years that begin in March, so that the leap day is the last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month + 2) / 5 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let end =
            |time: Option<Timestamp>| time.map_or_else(|| "*".to_owned(), |time| time.to_string());
        range(text).map(|range| format!("{}..{}", end(range.from), end(range.to)))
    }

    #[test]
    fn ranges() {
        for (text, from, to) in [
            ("2018-07-09", "2018-07-09T00:00:00Z", "2018-07-10T00:00:00Z"),
            (">2018-12-31", "2019-01-01T00:00:00Z", "*"),
            (">=2018-12-31", "2018-12-31T00:00:00Z", "*"),
            ("<2020-02-29", "*", "2020-02-29T00:00:00Z"),
            ("<=2020-02-29", "*", "2020-03-01T00:00:00Z"),
            (
                "2018-01-01..2018-01-02",
                "2018-01-01T00:00:00Z",
                "2018-01-03T00:00:00Z",
            ),
            ("*..1969-12-31", "*", "1970-01-01T00:00:00Z"),
            ("0000-01-01..*", "0000-01-01T00:00:00Z", "*"),
            (
                "2018-07-09T12:34:56Z",
                "2018-07-09T12:34:56Z",
                "2018-07-09T12:34:57Z",
            ),
            (">2018-07-09T00:30:00+02:00", "2018-07-08T22:30:01Z", "*"),
            ("<2018-07-09T23:30:00-02:00", "*", "2018-07-10T01:30:00Z"),
        ] {
            assert_eq!(shown(text), Some(format!("{from}..{to}")), "{text}");
        }
        for text in [
            "",
            "*",
            ">",
            "2018",
            "2018-7-9",
            "2018-13-01",
            "2018-00-01",
            "2018-02-30",
            "2019-02-29",
            "2018-01-00",
            "2018-01-01T",
            "2018-01-01T12:00Z",
            "2018-01-01T24:00:00Z",
            "2018-01-01T12:00:00",
            "2018-01-01T12:00:00+2",
            "yesterday",
            "..",
            "2018-01-01..",
            "\u{e9}018-01-01",
            "2018-01-01T12:00:0\u{e9}",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_a_thousand_years_is_found() {
        for day in -200_000..200_000_i64 {
            let time = Timestamp::new(day * 86_400, 0).to_string();
            let (start, _) = span(&time[..10]).unwrap();
            assert_eq!(start.seconds(), day * 86_400, "{time}");
        }
    }
}
