//! The part of an address after the question mark.

use std::collections::BTreeMap;

use buildfarm_dashboard::record::{BuildState, Outcome};
use serde::de::DeserializeOwned;

use super::error::Fault;
use super::words::clean;

/// Parameters by name; of a repeated one the last counts.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Refuses parameters that mean nothing, so that a misspelt filter does not silently match everything.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Fault> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let known = if known.is_empty() {
                    "there are none".to_owned()
                } else {
                    format!("known are {}", known.join(", "))
                };
                Err(Fault::BadQuery(format!(
                    "unknown parameter `{key}`; {known}"
                )))
            }
        }
    }

    /// The same query with one parameter set otherwise.
    pub(crate) fn with(&self, name: &str, value: i64) -> String {
        let mut changed = self.0.clone();
        changed.insert(name.to_owned(), value.to_string());
        changed
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect::<Vec<_>>()
            .join("&")
    }

    /// A text; an empty one counts as left out.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// A whole number from `min` to `max`.
    pub(crate) fn number(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>, Fault> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ if max == i64::MAX => Err(Fault::BadQuery(format!(
                "parameter `{name}` must be a whole number from {min} on"
            ))),
            _ => Err(Fault::BadQuery(format!(
                "parameter `{name}` must be a whole number from {min} to {max}"
            ))),
        }
    }

    /// An attempt's number.
    pub(crate) fn attempt(&self) -> Result<Option<u32>, Fault> {
        Ok(self
            .number("attempt", 1, i64::from(u32::MAX))?
            .and_then(|n| u32::try_from(n).ok()))
    }

    /// A byte offset.
    pub(crate) fn offset(&self, name: &str) -> Result<Option<u64>, Fault> {
        Ok(self.number(name, 0, i64::MAX)?.map(i64::unsigned_abs))
    }

    /// A switch: `1` or `true`, `0` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.text(name) {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(_) => Err(Fault::BadQuery(format!(
                "parameter `{name}` must be 0 or 1"
            ))),
        }
    }

    /// The beginning of a commit's hash, in lower case.
    pub(crate) fn commit(&self) -> Result<Option<String>, Fault> {
        match self.text("commit") {
            None => Ok(None),
            Some(text) if text.len() <= 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Ok(Some(text.to_ascii_lowercase()))
            }
            Some(_) => Err(Fault::BadQuery(
                "parameter `commit` must be the beginning of a commit hash".to_owned(),
            )),
        }
    }

    /// A build's state.
    pub(crate) fn state(&self) -> Result<Option<BuildState>, Fault> {
        self.word("state", "queued, running or done")
    }

    /// A build's outcome.
    pub(crate) fn outcome(&self) -> Result<Option<Outcome>, Fault> {
        self.word(
            "outcome",
            "passed, failed, timed_out, infra_failed, canceled or skipped",
        )
    }

    fn word<T: DeserializeOwned>(&self, name: &str, known: &str) -> Result<Option<T>, Fault> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match serde_json::from_value(serde_json::Value::String(text.to_owned())) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Fault::BadQuery(format!(
                "parameter `{name}` must be {known}"
            ))),
        }
    }
}

/// A build's number from a path.
pub(crate) fn build_id(text: &str) -> Result<i64, Fault> {
    match text.parse::<i64>() {
        Ok(id) if id > 0 => Ok(id),
        _ => Err(no_build(clean(text, 40))),
    }
}

/// The fault of a build that is not there.
pub(crate) fn no_build(id: impl std::fmt::Display) -> Fault {
    Fault::NotFound(format!("there is no build {id}"))
}

/// Percent-encodes all but letters, digits and `-._~/`.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
            }
        }
    }
    out
}
