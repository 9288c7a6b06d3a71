//! What the files of days are called.

use std::time::{SystemTime, UNIX_EPOCH};

/// The name of a day's file.
pub(super) fn name_of(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (year, month, day) = date(seconds / 86_400);
    format!("maintner-{year:04}-{month:02}-{day:02}.mutlog")
}

/// The date of a day, counted from 1970-01-01. Years are counted from March, so that the day that
/// some of them have more is their last.
fn date(days: u64) -> (u64, u64, u64) {
    const FOUR_CENTURIES: u64 = 146_097;
    // From 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days / FOUR_CENTURIES, days % FOUR_CENTURIES);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months have 153 days, whichever they are.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (year, month + 3),
        _ => (year + 1, month - 9),
    };
    (era * 400 + year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn days_have_the_names_of_the_original() {
        let name = |seconds| name_of(UNIX_EPOCH + Duration::from_secs(seconds));
        for (seconds, date) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_531_094_400, "2018-07-09"),
            (1_531_180_799, "2018-07-09"),
            (1_531_180_800, "2018-07-10"),
            (1_798_761_599, "2026-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(name(seconds), format!("maintner-{date}.mutlog"));
        }
        // Each day follows the one before.
        let mut last = date(0);
        for day in 1..200_000 {
            let (year, month, day) = date(day);
            let (y, m, d) = last;
            let next = (year, month, day) == (y, m, d + 1)
                || (year, month, day) == (y, m + 1, 1) && d >= 28
                || (year, month, day) == (y + 1, 1, 1) && (m, d) == (12, 31);
            assert!(next, "{last:?}");
            last = (year, month, day);
        }
    }
}
