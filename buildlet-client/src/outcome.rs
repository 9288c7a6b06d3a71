//! How a command ended, as the worker reports it.

use std::fmt;

use http::HeaderMap;

use crate::error::CommError;

/// How a command ended, as reported by a worker that could observe it.
///
/// `Display` gives the text a Go worker sends in its `Process-State` trailer (`ok`, `exit status 3`,
/// `signal: killed`), which is what people search their logs for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecOutcome {
    /// It ran and exited with this code. Windows codes above `i32::MAX` wrap to negative ones.
    Exited(i32),
    /// A signal ended it.
    Signaled {
        /// The signal as Go spells it: `killed`, `segmentation fault`, `signal 34`.
        signal: String,
        /// Whether a core was written.
        core: bool,
    },
    /// It never ran: not found, not executable, no such directory. The worker's environment, or the request,
    /// is to blame, and not the command.
    NotStarted(String),
    /// The worker ended it because a limit of the worker ran out (time, memory, output), or because
    /// it was told to; the text says which.
    Stopped {
        /// `timeout`, `canceled`, `oom` or `limit`.
        why: String,
        /// The process state text.
        state: String,
    },
    /// A text we do not know. It is not success.
    Other(String),
}

impl ExecOutcome {
    /// Whether the command ran and exited with code 0, and all of its output was passed on.
    pub fn success(&self) -> bool {
        *self == Self::Exited(0)
    }

    /// The exit code, if the command ran to its own end.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(*code),
            _ => None,
        }
    }

    /// Reads the trailers of an exec answer.
    ///
    /// `Process-State` decides; `Buildlet-Outcome` and `Buildlet-Exit-Code`, which only our own worker sends,
    /// settle what its text leaves open.
    pub(crate) fn from_trailers(trailers: &HeaderMap) -> Result<Self, CommError> {
        let text = |name: &str| {
            trailers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        };
        let state = text("process-state");
        let kind = text("buildlet-outcome");
        let code = text("buildlet-exit-code").and_then(|code| code.parse::<i32>().ok());
        let state = match (state, &kind) {
            (Some(state), _) if !state.is_empty() => state,
            (_, Some(kind)) => kind.clone(),
            _ => return Err(CommError::MissingTrailer),
        };
        let parsed = Self::from_state(&state);
        Ok(match (kind.as_deref(), parsed) {
            (Some("not-started"), _) => Self::NotStarted(state),
            (Some(why @ ("timeout" | "canceled" | "oom" | "limit")), _) => Self::Stopped {
                why: why.to_owned(),
                state,
            },
            (Some("exited"), Self::Other(_)) if code.is_some_and(|code| code != 0) => {
                Self::Exited(code.unwrap_or_default())
            }
            // A text that only looks like a start failure: the worker knows that it started.
            (Some("exited" | "signaled"), Self::NotStarted(state)) => {
                code.map_or_else(|| Self::Other(state), Self::Exited)
            }
            (_, parsed) => parsed,
        })
    }

    /// Reads a `Process-State` text.
    fn from_state(state: &str) -> Self {
        if state == "ok" {
            return Self::Exited(0);
        }
        if let Some(code) = state.strip_prefix("exit status ") {
            return match parse_code(code) {
                // Go writes "exit status 0" when the command succeeded and its output was lost.
                Some(0) | None => Self::Other(state.to_owned()),
                Some(code) => Self::Exited(code),
            };
        }
        if let Some(signal) = state.strip_prefix("signal: ") {
            let (signal, core) = match signal.strip_suffix(" (core dumped)") {
                Some(signal) => (signal, true),
                None => (signal, false),
            };
            return Self::Signaled {
                signal: signal.to_owned(),
                core,
            };
        }
        if ["fork/exec ", "chdir ", "exec: "]
            .iter()
            .any(|prefix| state.starts_with(prefix))
        {
            return Self::NotStarted(state.to_owned());
        }
        Self::Other(state.to_owned())
    }
}

impl fmt::Display for ExecOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(0) => f.write_str("ok"),
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Signaled {
                signal,
                core: false,
            } => write!(f, "signal: {signal}"),
            Self::Signaled { signal, core: true } => write!(f, "signal: {signal} (core dumped)"),
            Self::Stopped { why, state } => write!(f, "{state} ({why})"),
            Self::NotStarted(state) | Self::Other(state) => f.write_str(state),
        }
    }
}

/// Decimal, or hexadecimal as Go prints large Windows codes; those above `i32::MAX` wrap.
fn parse_code(text: &str) -> Option<i32> {
    if let Some(hex) = text.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).ok().map(u32::cast_signed);
    }
    text.parse::<i32>()
        .ok()
        .or_else(|| text.parse::<u32>().ok().map(u32::cast_signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<ExecOutcome, CommError> {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.insert(*name, value.parse().unwrap());
        }
        ExecOutcome::from_trailers(&map)
    }

    fn state(text: &str) -> ExecOutcome {
        read(&[("process-state", text)]).unwrap()
    }

    #[test]
    fn go_texts_are_understood() {
        assert_eq!(state("ok"), ExecOutcome::Exited(0));
        assert_eq!(state("exit status 3"), ExecOutcome::Exited(3));
        assert_eq!(state("exit status 4294967295"), ExecOutcome::Exited(-1));
        assert_eq!(
            state("exit status 0xc0000005"),
            ExecOutcome::Exited(0xc000_0005_u32.cast_signed())
        );
        assert_eq!(
            state("signal: segmentation fault (core dumped)"),
            ExecOutcome::Signaled {
                signal: "segmentation fault".to_owned(),
                core: true
            }
        );
        for text in [
            "fork/exec /w/nope: no such file or directory",
            "chdir /w/nodir: no such file or directory",
            r#"exec: "nosuchcmd": executable file not found in $PATH"#,
        ] {
            assert_eq!(state(text), ExecOutcome::NotStarted(text.to_owned()));
            assert_eq!(state(text).to_string(), text);
        }
    }

    #[test]
    fn lost_output_is_not_success() {
        assert!(!state("exit status 0").success());
        assert!(!state("exit status x").success());
        assert!(!state("something new").success());
    }

    #[test]
    fn our_trailers_settle_what_the_text_leaves_open() {
        let outcome = |pairs: &[_]| read(pairs).unwrap();
        assert_eq!(
            outcome(&[
                ("process-state", "no space left on device"),
                ("buildlet-outcome", "not-started")
            ]),
            ExecOutcome::NotStarted("no space left on device".to_owned())
        );
        assert_eq!(
            outcome(&[
                ("process-state", "strange"),
                ("buildlet-outcome", "exited"),
                ("buildlet-exit-code", "7")
            ]),
            ExecOutcome::Exited(7)
        );
        assert_eq!(
            outcome(&[
                ("process-state", "signal: killed"),
                ("buildlet-outcome", "timeout")
            ]),
            ExecOutcome::Stopped {
                why: "timeout".to_owned(),
                state: "signal: killed".to_owned()
            }
        );
        assert!(
            !outcome(&[
                ("process-state", "exit status 0"),
                ("buildlet-outcome", "exited"),
                ("buildlet-exit-code", "0")
            ])
            .success()
        );
    }

    #[test]
    fn no_trailer_is_an_error() {
        assert!(matches!(read(&[]), Err(CommError::MissingTrailer)));
        assert!(matches!(
            read(&[("process-state", "")]),
            Err(CommError::MissingTrailer)
        ));
    }

    #[test]
    fn display_round_trips() {
        for text in [
            "ok",
            "exit status 5",
            "signal: killed",
            "signal: aborted (core dumped)",
        ] {
            assert_eq!(state(text).to_string(), text);
        }
    }
}
