//! Times, sizes and outcomes in words.

use buildfarm_dashboard::record::{Build, BuildState, Outcome, WorkerState};
use jiff::{SignedDuration, Timestamp};

use super::ansi::reorders;

/// A duration for a narrow place: `0.4s`, `12s`, `1m 12s`, `2h 5m`, `3d 4h`. Negative durations, from clocks that were set back,
/// count as none.
pub(crate) fn brief(duration: SignedDuration) -> String {
    spell(duration, ["s", "m", "h", "d"])
}

/// A duration for a sentence: `0.4 s`, `12 s`, `1 min 12 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn spoken(duration: SignedDuration) -> String {
    spell(duration, ["\u{a0}s", "\u{a0}min", "\u{a0}h", "\u{a0}d"])
}

fn spell(duration: SignedDuration, [s, m, h, d]: [&str; 4]) -> String {
    let tenths = (duration.as_millis().max(0) + 50) / 100;
    let secs = (duration.as_millis().max(0) + 500) / 1000;
    match secs {
        _ if tenths < 100 && tenths % 10 != 0 => format!("{}.{}{s}", tenths / 10, tenths % 10),
        0..60 => format!("{secs}{s}"),
        60..3600 => pair(secs / 60, m, secs % 60, s),
        3600..86_400 => pair(secs / 3600, h, secs / 60 % 60, m),
        _ => pair(secs / 86_400, d, secs / 3600 % 24, h),
    }
}

fn pair(big: i128, big_unit: &str, small: i128, small_unit: &str) -> String {
    if small == 0 {
        format!("{big}{big_unit}")
    } else {
        format!("{big}{big_unit} {small}{small_unit}")
    }
}

/// How long ago something was: `just now`, `5 min ago`, `3 days ago`.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let secs = now.duration_since(then).as_secs();
    let count =
        |n: i64, one: &str, many: &str| format!("{n}\u{a0}{} ago", if n == 1 { one } else { many });
    match secs {
        ..10 => "just now".to_owned(),
        10..60 => count(secs, "s", "s"),
        60..3600 => count(secs / 60, "min", "min"),
        3600..86_400 => count(secs / 3600, "h", "h"),
        86_400..1_209_600 => count(secs / 86_400, "day", "days"),
        1_209_600..5_184_000 => count(secs / 604_800, "week", "weeks"),
        5_184_000..63_072_000 => count(secs / 2_592_000, "month", "months"),
        _ => count(secs / 31_536_000, "year", "years"),
    }
}

/// A size: `812 B`, `1.2 KiB`, `3.4 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = "B";
    let mut tenths = bytes.saturating_mul(10);
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if tenths < 10_240 {
            break;
        }
        tenths = tenths.saturating_add(512) / 1024;
        unit = larger;
    }
    if unit == "B" || tenths >= 1000 {
        format!("{}\u{a0}{unit}", tenths / 10)
    } else {
        format!("{}.{}\u{a0}{unit}", tenths / 10, tenths % 10)
    }
}

/// A number with its noun.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A moment, in full, as people write it: `2026-05-01 14:03:22 UTC`.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// One line of foreign text, fit for a page: at most `max` characters, nothing in it that is invisible or changes the order of
/// what stands beside it.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let shown = |c: char| {
        if c.is_control() || reorders(c) {
            '\u{fffd}'
        } else {
            c
        }
    };
    let mut chars = text.trim().chars();
    let mut out: String = chars.by_ref().take(max).map(shown).collect();
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// What a cell of the grid says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Waits.
    Queued,
    /// Is at work.
    Running,
    /// Is over.
    Done(Outcome),
    /// Was not reached.
    Never,
}

impl Kind {
    pub(crate) fn of(build: &Build) -> Self {
        match (build.state, build.outcome) {
            (BuildState::Queued, _) => Self::Queued,
            (BuildState::Running, _) => Self::Running,
            (BuildState::Done, Some(outcome)) => Self::Done(outcome),
            (BuildState::Done, None) => Self::Done(Outcome::InfraFailed),
        }
    }

    /// Of something that may not have started and may not have ended: a step, an attempt.
    pub(crate) fn of_part(started: bool, outcome: Option<Outcome>) -> Self {
        match outcome {
            Some(outcome) => Self::Done(outcome),
            None if started => Self::Running,
            None => Self::Never,
        }
    }

    /// Class on the page.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Never => "never",
            Self::Done(Outcome::Passed) => "passed",
            Self::Done(Outcome::Failed) => "failed",
            Self::Done(Outcome::TimedOut) => "timedout",
            Self::Done(Outcome::InfraFailed) => "infra",
            Self::Done(Outcome::Canceled) => "canceled",
            Self::Done(Outcome::Skipped) => "skipped",
        }
    }

    /// A character of its own for each kind: colour alone must never tell them apart.
    pub(crate) fn glyph(self) -> &'static str {
        match self {
            Self::Queued => "·",
            Self::Running => "▶\u{fe0e}",
            Self::Never => " ",
            Self::Done(Outcome::Passed) => "✓",
            Self::Done(Outcome::Failed) => "✗",
            Self::Done(Outcome::TimedOut) => "T",
            Self::Done(Outcome::InfraFailed) => "!",
            Self::Done(Outcome::Canceled) => "×",
            Self::Done(Outcome::Skipped) => "–",
        }
    }

    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Never => "not reached",
            Self::Done(Outcome::Passed) => "passed",
            Self::Done(Outcome::Failed) => "failed",
            Self::Done(Outcome::TimedOut) => "timed out",
            Self::Done(Outcome::InfraFailed) => "infrastructure failure",
            Self::Done(Outcome::Canceled) => "canceled",
            Self::Done(Outcome::Skipped) => "skipped",
        }
    }

    /// Whether it is a result that speaks against the commit or the farm.
    pub(crate) fn is_bad(self) -> bool {
        matches!(
            self,
            Self::Done(Outcome::Failed | Outcome::TimedOut | Outcome::InfraFailed)
        )
    }
}

/// Time a build took, or has taken so far.
pub(crate) fn run_time(build: &Build, now: Timestamp) -> Option<SignedDuration> {
    let started = build.started_at?;
    match build.state {
        BuildState::Queued => None,
        BuildState::Running => Some(now.duration_since(started)),
        BuildState::Done => build.ended_at.map(|ended| ended.duration_since(started)),
    }
}

/// A worker's state as class and word in one.
pub(crate) fn worker_state(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Idle => "idle",
        WorkerState::Busy => "busy",
        WorkerState::Cleaning => "cleaning",
        WorkerState::Lost => "lost",
    }
}

/// The command's end as a clause that follows the step's name: `exited with status 3`, `was killed by signal 9`.
pub(crate) fn step_end(status: &str) -> String {
    let status = clean(status, 200);
    if let Some(number) = status.strip_prefix("exit status ") {
        format!("exited with status {number}")
    } else if let Some(signal) = status.strip_prefix("signal: ") {
        format!("was ended by a signal ({signal})")
    } else {
        format!("ended: {status}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [
            (0, "0s"),
            (40, "0s"),
            (400, "0.4s"),
            (960, "1s"),
            (1_240, "1.2s"),
            (12_000, "12s"),
            (59_600, "1m"),
            (72_000, "1m 12s"),
            (3_600_000, "1h"),
            (7_500_000, "2h 5m"),
            (273_600_000, "3d 4h"),
            (-5_000, "0s"),
        ];
        for (millis, words) in table {
            assert_eq!(
                brief(SignedDuration::from_millis(millis)),
                words,
                "{millis}"
            );
        }
        assert_eq!(
            spoken(SignedDuration::from_secs(72)),
            "1\u{a0}min 12\u{a0}s"
        );
    }

    #[test]
    fn ages() {
        let now: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        let table = [
            (-100, "just now"),
            (3, "just now"),
            (42, "42 s ago"),
            (60, "1 min ago"),
            (7_200, "2 h ago"),
            (86_400, "1 day ago"),
            (3 * 86_400, "3 days ago"),
            (15 * 86_400, "2 weeks ago"),
            (70 * 86_400, "2 months ago"),
            (800 * 86_400, "2 years ago"),
        ];
        for (secs, words) in table {
            let then = now - SignedDuration::from_secs(secs);
            assert_eq!(age(then, now).replace('\u{a0}', " "), words, "{secs}");
        }
    }

    #[test]
    fn sizes() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (262_144, "256 KiB"),
            (3_565_158, "3.4 MiB"),
            (u64::MAX, "1677721 TiB"),
        ];
        for (bytes, words) in table {
            assert_eq!(size(bytes).replace('\u{a0}', " "), words, "{bytes}");
        }
    }

    #[test]
    fn foreign_text_is_tamed() {
        assert_eq!(clean("  a\0b\u{202e}c\n", 9), "a\u{fffd}b\u{fffd}c");
        assert_eq!(clean("abcdef", 3), "abc…");
        assert_eq!(clean("abc", 3), "abc");
        assert_eq!(clean("שלום", 9), "שלום");
    }

    #[test]
    fn each_kind_has_its_own_glyph_class_and_word() {
        let all = [
            Kind::Queued,
            Kind::Running,
            Kind::Never,
            Kind::Done(Outcome::Passed),
            Kind::Done(Outcome::Failed),
            Kind::Done(Outcome::TimedOut),
            Kind::Done(Outcome::InfraFailed),
            Kind::Done(Outcome::Canceled),
            Kind::Done(Outcome::Skipped),
        ];
        for tell in [Kind::class, Kind::glyph, Kind::word] {
            let distinct: std::collections::BTreeSet<&str> =
                all.iter().map(|&kind| tell(kind)).collect();
            assert_eq!(distinct.len(), all.len());
        }
    }

    #[test]
    fn step_ends() {
        assert_eq!(step_end("exit status 3"), "exited with status 3");
        assert_eq!(step_end("signal: killed"), "was ended by a signal (killed)");
        assert_eq!(step_end("no such file"), "ended: no such file");
    }
}
