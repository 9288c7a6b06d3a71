use std::{fmt, num::NonZeroU32};

use super::Row;
use crate::proto::view;

const NANOS_PER_SECOND: i32 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// A point in time, to the nanosecond, UTC. 12 bytes, and so is `Option<Timestamp>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(Rust, packed(4))]
pub struct Timestamp {
    seconds: i64,
    /// One more than they are, so that there is a bit pattern left for "none".
    nanos: NonZeroU32,
}

impl Timestamp {
    /// `seconds` since 1970 and `nanos` more, which may be negative or more than a second.
    /// Saturates.
    pub fn new(seconds: i64, nanos: i32) -> Self {
        let seconds = seconds.saturating_add(nanos.div_euclid(NANOS_PER_SECOND).into());
        let nanos = nanos.rem_euclid(NANOS_PER_SECOND).unsigned_abs();
        Self {
            seconds,
            nanos: NonZeroU32::MIN.saturating_add(nanos),
        }
    }

    /// Whole seconds since 1970; negative before.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after that, less than a thousand million.
    pub fn nanos(self) -> u32 {
        let nanos = self.nanos;
        nanos.get() - 1
    }

    /// That of a message.
    pub fn of(view: &view::Timestamp<'_>) -> Self {
        Self::new(view.seconds, view.nanos)
    }
}

/// The beginning of 1970.
impl Default for Timestamp {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl Row for Timestamp {
    const SIZE: usize = 12;
    const LAYOUT: u64 = super::row::layout_of_name(super::row::LAYOUT, "timestamp");

    #[inline]
    fn write(&self, bytes: &mut [u8]) {
        (self.seconds(), self.nanos()).write(bytes);
    }

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        let (seconds, nanos) = <(i64, u32)>::read(bytes);
        Self::new(seconds, (nanos % NANOS_PER_SECOND as u32) as i32)
    }
}

/// As RFC 3339 has it, `2018-07-09T12:00:00Z`, with a fraction if there is one. Years beyond 9999
/// have as many digits as they need.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds.rem_euclid(SECONDS_PER_DAY);
        let (year, month, day) = date(self.seconds.div_euclid(SECONDS_PER_DAY));
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if self.nanos() > 0 {
            let digits = format!("{:09}", self.nanos());
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The year, month and day of the Gregorian calendar, `days` days after 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    // Years that begin in March, so that the leap day is the last; eras of 400 of them.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year;
    match month {
        0..10 => (year, month + 3, day),
        _ => (year + 1, month - 9, day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_in_rfc_3339() {
        for (seconds, nanos, expected) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_257_894_000, 0, "2009-11-10T23:00:00Z"),
            (951_782_399, 500_000_000, "2000-02-28T23:59:59.5Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.000000001Z"),
            (951_868_800, 0, "2000-03-01T00:00:00Z"),
            (-1, 0, "1969-12-31T23:59:59Z"),
            (0, -1, "1969-12-31T23:59:59.999999999Z"),
            (0, i32::MAX, "1970-01-01T00:00:02.147483647Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
            (253_402_300_800, 0, "10000-01-01T00:00:00Z"),
        ] {
            assert_eq!(Timestamp::new(seconds, nanos).to_string(), expected);
        }
        for extreme in [i64::MIN, i64::MAX] {
            let _ = Timestamp::new(extreme, i32::MIN).to_string();
            let _ = Timestamp::new(extreme, i32::MAX).to_string();
        }
    }

    #[test]
    fn small_and_in_order() {
        assert_eq!(size_of::<Timestamp>(), 12);
        assert_eq!(size_of::<Option<Timestamp>>(), 12);
        let mut times = [(2, 0), (1, 999_999_999), (1, 0), (-1, 1)];
        times.sort_by_key(|&(seconds, nanos)| Timestamp::new(seconds, nanos));
        assert_eq!(times, [(-1, 1), (1, 0), (1, 999_999_999), (2, 0)]);
        assert!(None < Some(Timestamp::new(i64::MIN, 0)));
    }
}
