//! Durations and sizes as people write them: `1h30m`, `64MiB`.

use std::fmt;
use std::time::Duration;

/// Longest duration that is read: 365 days.
pub const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// Duration units, largest first, with their length in milliseconds.
const DURATIONS: [(&str, u64); 5] = [
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Size units, largest first within each system, with their length in bytes.
const SIZES: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Why a duration or a size could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// Nothing but space.
    #[error("it is empty")]
    Empty,
    /// A number without a unit.
    #[error("it has no unit")]
    NoUnit,
    /// A unit that is none.
    #[error("its unit is not known")]
    UnknownUnit,
    /// Something that is not a whole decimal number where one belongs.
    #[error("it does not start with a whole number")]
    NoNumber,
    /// Units that repeat or grow, as in `5s1m`.
    #[error("its units are not in falling order")]
    Order,
    /// More than fits.
    #[error("it is too large")]
    TooLarge,
}

/// Reads a duration such as `90s`, `5m`, `1h30m`, `2d` or `500ms`.
///
/// Units are `d`, `h`, `m`, `s` and `ms`, each at most once and in this order. `0s` is read as zero.
///
/// # Errors
/// [`UnitError`] says what is wrong; more than [`MAX_DURATION`] is [`UnitError::TooLarge`].
///
/// ```
/// use buildfarm_dashboard::units::parse_duration;
/// assert_eq!(parse_duration("1h30m")?.as_secs(), 5400);
/// # Ok::<(), buildfarm_dashboard::units::UnitError>(())
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(UnitError::Empty);
    }
    let mut total: u64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let (number, after) = number(rest)?;
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if unit.is_empty() {
            return Err(UnitError::NoUnit);
        }
        let index = DURATIONS
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or(UnitError::UnknownUnit)?;
        if index < next_unit {
            return Err(UnitError::Order);
        }
        next_unit = index + 1;
        total = number
            .checked_mul(DURATIONS[index].1)
            .and_then(|ms| total.checked_add(ms))
            .ok_or(UnitError::TooLarge)?;
        rest = after;
    }
    let total = Duration::from_millis(total);
    if total > MAX_DURATION {
        return Err(UnitError::TooLarge);
    }
    Ok(total)
}

/// Writes a duration so that [`parse_duration`] reads it back; what is below a millisecond is dropped.
///
/// ```
/// use buildfarm_dashboard::units::format_duration;
/// assert_eq!(format_duration(std::time::Duration::from_secs(5400)), "1h30m");
/// ```
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, length) in DURATIONS {
        // "1d" reads better than "24h", but "36h" better than "1d12h".
        if unit == "d" && left % length != 0 {
            continue;
        }
        let count = left / length;
        if count > 0 {
            let _ = fmt::Write::write_fmt(&mut text, format_args!("{count}{unit}"));
            left %= length;
        }
    }
    text
}

/// Reads a size in bytes such as `64MiB`, `512KiB`, `10MB` or `100B`.
///
/// Units are `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) and `kB`, `MB`, `GB` (powers of 1000).
///
/// # Errors
/// [`UnitError`] says what is wrong.
///
/// ```
/// use buildfarm_dashboard::units::parse_size;
/// assert_eq!(parse_size("64MiB")?, 64 << 20);
/// # Ok::<(), buildfarm_dashboard::units::UnitError>(())
/// ```
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    let (number, unit) = number(text)?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err(UnitError::NoUnit);
    }
    let (_, length) = SIZES
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or(UnitError::UnknownUnit)?;
    number.checked_mul(*length).ok_or(UnitError::TooLarge)
}

/// Writes a size so that [`parse_size`] reads back exactly the same number.
///
/// ```
/// use buildfarm_dashboard::units::format_size;
/// assert_eq!(format_size(64 << 20), "64MiB");
/// assert_eq!(format_size(1_500), "1500B");
/// ```
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let (unit, length) = SIZES
        .iter()
        .filter(|(name, _)| name.ends_with("iB"))
        .find(|(_, length)| bytes > 0 && bytes.is_multiple_of(*length))
        .unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / length)
}

/// Splits a leading whole number off.
fn number(text: &str) -> Result<(u64, &str), UnitError> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::NoNumber);
    }
    let number = number.parse().map_err(|_| UnitError::TooLarge)?;
    Ok((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("500ms", 500),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
            (" 5m ", 300_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
        for (text, error) in [
            ("", UnitError::Empty),
            ("5", UnitError::NoUnit),
            ("1h30", UnitError::NoUnit),
            ("5 m", UnitError::NoUnit),
            ("5w", UnitError::UnknownUnit),
            ("5M", UnitError::UnknownUnit),
            ("m", UnitError::NoNumber),
            ("-5m", UnitError::NoNumber),
            ("1.5h", UnitError::NoUnit),
            ("5s1m", UnitError::Order),
            ("1m1m", UnitError::Order),
            ("99999999999999999999s", UnitError::TooLarge),
            ("18446744073709551615d", UnitError::TooLarge),
            ("366d", UnitError::TooLarge),
        ] {
            assert_eq!(parse_duration(text), Err(error), "{text}");
        }
        assert_eq!(format_duration(Duration::from_secs(36 * 3600)), "36h");
        assert_eq!(format_duration(Duration::from_secs(48 * 3600)), "2d");
        assert_eq!(format_duration(Duration::ZERO), "0s");
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("1 GiB", 1 << 30),
            ("10MB", 10_000_000),
            ("3kB", 3000),
            ("0B", 0),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, error) in [
            ("", UnitError::Empty),
            ("64", UnitError::NoUnit),
            ("64M", UnitError::UnknownUnit),
            ("64mib", UnitError::UnknownUnit),
            ("MiB", UnitError::NoNumber),
            ("99999999TiB", UnitError::TooLarge),
        ] {
            assert_eq!(parse_size(text), Err(error), "{text}");
        }
        assert_eq!(format_size(0), "0B");
    }

    proptest! {
        #[test]
        fn written_durations_read_back(ms in 0..MAX_DURATION.as_millis() as u64) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn written_sizes_read_back(bytes: u64) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_answered(text: String) {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
