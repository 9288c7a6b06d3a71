//! One table of the file: unknown keys refused, values read by type, every mistake reported with its place.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::Sink;
use super::nearest::nearest;
use super::{MAX_ENV, MAX_GLOBS, MAX_STRING};
use crate::glob::Glob;
use crate::units::{format_duration, format_size, parse_duration, parse_size};

/// Header of a host's table.
pub(super) const HOST: &str = "[host.NAME]";
/// Header of a builder's table.
pub(super) const BUILDER: &str = "[builder.NAME]";

/// Keys of every table, for the hint that a key belongs elsewhere.
pub(super) const KEYS: [(&str, &[&str]); 8] = [
    (
        "the top level",
        &[
            "schema", "project", "host", "builder", "policy", "retry", "logs",
        ],
    ),
    ("[project]", &["name", "branches", "recent", "poll"]),
    (HOST, &["description", "os", "expect", "env", "shell"]),
    (
        BUILDER,
        &["host", "description", "env", "dir", "timeout", "steps"],
    ),
    (
        "a step of [builder.NAME]",
        &["name", "run", "timeout", "env", "dir"],
    ),
    (
        "[[policy]]",
        &["builders", "branches", "paths", "action", "reason"],
    ),
    ("[retry]", &["infra", "backoff"]),
    ("[logs]", &["limit"]),
];

pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// A table whose keys are all known.
pub(super) struct Section<'a> {
    /// Where it starts, for messages about what it lacks.
    pub(super) at: usize,
    table: &'a DeTable<'a>,
    /// Keys that a misspelt one was taken for: not missing, only wrong.
    meant: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Takes a table; keys that its kind (an index into [`KEYS`]) does not have are reported.
    pub(super) fn new(
        sink: &mut Sink<'_>,
        at: usize,
        table: &'a DeTable<'a>,
        kind: &'static str,
    ) -> Self {
        let valid = KEYS
            .iter()
            .find(|(name, _)| *name == kind)
            .map_or(&[][..], |(_, keys)| keys);
        let mut suspects = Vec::new();
        for (key, value) in in_order(table) {
            let name = key.get_ref().as_ref();
            if !valid.contains(&name) {
                let only = (valid.len() == 1).then(|| valid[0]);
                let meant = nearest(name, valid.iter().copied()).or(only);
                suspects.extend(meant);
                if kind == BUILDER && value.get_ref().is_table() {
                    suspects.push("steps");
                }
                let message = unknown_key(name, value, kind, valid, meant);
                sink.report(key.span().start, message);
            }
        }
        Self {
            at,
            table,
            meant: suspects,
        }
    }

    /// Reports that a required key is missing, unless a misspelling of it was reported already.
    pub(super) fn missing(&self, sink: &mut Sink<'_>, key: &str, message: impl Into<String>) {
        if !self.meant.contains(&key) {
            sink.report(self.at, message);
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value<'a>> {
        self.table
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key)
            .map(|(_, value)| value)
    }

    /// A text of one or more lines without other control characters.
    pub(super) fn text(&self, sink: &mut Sink<'_>, key: &str, example: &str) -> Option<String> {
        text(sink, self.get(key)?, key, example)
    }

    pub(super) fn duration(
        &self,
        sink: &mut Sink<'_>,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        duration(sink, self.get(key)?, key, &range)
    }

    pub(super) fn size(
        &self,
        sink: &mut Sink<'_>,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = self.get(key)?;
        let at = value.span().start;
        let Some(text) = value.get_ref().as_str() else {
            sink.report(
                at,
                wrong_type(key, "a size in quotes such as \"64MiB\"", value),
            );
            return None;
        };
        match parse_size(text) {
            Ok(size) if range.contains(&size) => Some(size),
            Ok(size) => {
                let (low, high) = (format_size(*range.start()), format_size(*range.end()));
                sink.report(
                    at,
                    format!(
                        "'{key}' is {}, it must be from {low} to {high}",
                        format_size(size)
                    ),
                );
                None
            }
            Err(error) => {
                sink.report(
                    at,
                    format!(
                        "'{key}' is not a size ({error}): write one such as \"64MiB\" or \"512KiB\""
                    ),
                );
                None
            }
        }
    }

    pub(super) fn count(
        &self,
        sink: &mut Sink<'_>,
        key: &str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = self.get(key)?;
        let at = value.span().start;
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(integer) = value.get_ref() else {
            sink.report(at, wrong_type(key, &wanted, value));
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        match number.and_then(|number| u32::try_from(number).ok()) {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                sink.report(
                    at,
                    format!(
                        "'{key}' is {}, it must be {wanted}",
                        shown(integer.as_str())
                    ),
                );
                None
            }
        }
    }

    /// One pattern or a list of patterns.
    pub(super) fn globs(&self, sink: &mut Sink<'_>, key: &str) -> Option<Vec<(usize, Glob)>> {
        let value = self.get(key)?;
        let at = value.span().start;
        let patterns = match value.get_ref() {
            DeValue::String(_) => vec![value],
            DeValue::Array(items) => items.iter().collect(),
            _ => {
                sink.report(
                    at,
                    wrong_type(
                        key,
                        "a pattern such as \"main\" or a list such as [\"main\", \"release-*\"]",
                        value,
                    ),
                );
                return None;
            }
        };
        if patterns.is_empty() {
            sink.report(
                at,
                format!("'{key}' is empty and so matches nothing: remove it to match all"),
            );
            return None;
        }
        if patterns.len() > MAX_GLOBS {
            let count = patterns.len();
            sink.report(
                at,
                format!("{count} patterns, the limit is {MAX_GLOBS}: write wider ones"),
            );
            return None;
        }
        let mut globs = Vec::new();
        for pattern in patterns {
            let at = pattern.span().start;
            match pattern.get_ref().as_str().map(str::parse::<Glob>) {
                Some(Ok(glob)) => globs.push((at, glob)),
                Some(Err(error)) => sink.report(
                    at,
                    format!(
                        "a pattern in '{key}' is broken ({error}): \
                         write one such as \"main\", \"release-*\" or \"docs/**\""
                    ),
                ),
                None => sink.report(at, wrong_type(key, "a list of patterns in quotes", pattern)),
            }
        }
        Some(globs)
    }

    /// A list of texts, at least one.
    pub(super) fn words(
        &self,
        sink: &mut Sink<'_>,
        key: &str,
        example: &str,
    ) -> Option<Vec<String>> {
        let value = self.get(key)?;
        let Some(items) = value.get_ref().as_array().filter(|items| !items.is_empty()) else {
            sink.report(
                value.span().start,
                wrong_type(key, &format!("a list such as {example}"), value),
            );
            return None;
        };
        items
            .iter()
            .map(|item| text(sink, item, key, example))
            .collect()
    }

    /// A table of environment variables.
    pub(super) fn env(&self, sink: &mut Sink<'_>) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        let Some(value) = self.get("env") else {
            return env;
        };
        let Some(table) = value.get_ref().as_table() else {
            let wanted = "a table such as { CC = \"clang\" }";
            sink.report(value.span().start, wrong_type("env", wanted, value));
            return env;
        };
        if table.len() > MAX_ENV {
            sink.report(
                value.span().start,
                format!(
                    "'env' has {} variables, the limit is {MAX_ENV}: set the others in a step's command",
                    table.len()
                ),
            );
            return env;
        }
        for (key, value) in in_order(table) {
            let name = key.get_ref().as_ref();
            if !is_variable(name) {
                sink.report(
                    key.span().start,
                    format!(
                        "'{}' cannot name a variable: use letters, digits and '_', not a digit first",
                        shown(name)
                    ),
                );
            } else if let Some(value) = text(sink, value, name, "\"1\"") {
                env.insert(name.to_owned(), value);
            }
        }
        env
    }

    /// A folder below the checkout's root.
    pub(super) fn dir(&self, sink: &mut Sink<'_>) -> Option<String> {
        let at = self.get("dir")?.span().start;
        let dir = self.text(sink, "dir", "\"sub/folder\"")?;
        let fault = if dir.is_empty() {
            "is empty: remove it to use the checkout's root"
        } else if dir.starts_with('/') {
            "must be relative to the checkout's root: remove the '/' it starts with"
        } else if dir.contains('\\') || dir.contains('\n') || dir.contains('\t') {
            "must be a plain path: use '/' between folders"
        } else if dir.split('/').any(|part| part == "..") {
            "must stay inside the checkout: remove '..'"
        } else {
            return Some(dir);
        };
        sink.report(at, format!("'dir' {fault}"));
        None
    }
}

pub(super) fn duration(
    sink: &mut Sink<'_>,
    value: &Value<'_>,
    key: &str,
    range: &RangeInclusive<Duration>,
) -> Option<Duration> {
    let at = value.span().start;
    let Some(text) = value.get_ref().as_str() else {
        let mut message = wrong_type(key, "a duration in quotes such as \"90s\" or \"5m\"", value);
        if let DeValue::Integer(integer) = value.get_ref() {
            let number = shown(integer.as_str());
            message = format!("{message}: write \"{number}s\" or \"{number}m\"");
        }
        sink.report(at, message);
        return None;
    };
    match parse_duration(text) {
        Ok(duration) if range.contains(&duration) => Some(duration),
        Ok(duration) => {
            let low = format_duration(*range.start());
            let high = format_duration(*range.end());
            sink.report(
                at,
                format!(
                    "'{key}' is {}, it must be from {low} to {high}",
                    format_duration(duration)
                ),
            );
            None
        }
        Err(error) => {
            sink.report(
                at,
                format!(
                    "'{key}' is not a duration ({error}): write one such as \"90s\", \"5m\" or \"1h30m\""
                ),
            );
            None
        }
    }
}

fn text(sink: &mut Sink<'_>, value: &Value<'_>, key: &str, example: &str) -> Option<String> {
    let at = value.span().start;
    let key = shown(key);
    let fault = match value.get_ref().as_str() {
        None => wrong_type(&key, &format!("text in quotes such as {example}"), value),
        Some(text) if text.len() > MAX_STRING => format!(
            "'{key}' has {} bytes, the limit is {MAX_STRING}: move it into a file of the repository",
            text.len()
        ),
        Some(text) if text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') => {
            format!("'{key}' contains a control character: remove it")
        }
        Some(text) => return Some(text.to_owned()),
    };
    sink.report(at, fault);
    None
}

/// A table's entries in the order of the file.
pub(super) fn in_order<'a>(
    table: &'a DeTable<'a>,
) -> Vec<(&'a Spanned<DeString<'a>>, &'a Value<'a>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// "'timeout' must be X, found an integer".
pub(super) fn wrong_type(key: &str, wanted: &str, value: &Value<'_>) -> String {
    let found = match value.get_ref() {
        DeValue::String(text) if text.is_empty() => "an empty string",
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(items) if items.is_empty() => "an empty list",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("'{key}' must be {wanted}, found {found}")
}

fn unknown_key(
    name: &str,
    value: &Value<'_>,
    kind: &str,
    valid: &[&str],
    meant: Option<&str>,
) -> String {
    let name_shown = shown(name);
    if let Some(meant) = meant {
        return format!("unknown key '{name_shown}', did you mean '{meant}'?");
    }
    if name == "name" && (kind == BUILDER || kind == HOST) {
        return format!("unknown key 'name' in {kind}: the name stands in the brackets");
    }
    if kind == BUILDER && value.get_ref().is_table() {
        return format!(
            "unknown key '{name_shown}': if it is part of a name with a dot, quote the whole name"
        );
    }
    // The top level is the least likely place: its words are those of the headers.
    let mut places = KEYS.iter().skip(1).chain(&KEYS[..1]);
    let elsewhere = places.find(|(_, keys)| keys.contains(&name));
    if let Some((place, _)) = elsewhere {
        return format!("unknown key '{name_shown}' in {kind}: it belongs in {place}");
    }
    format!(
        "unknown key '{name_shown}' in {kind}: valid keys are {}",
        valid.join(", ")
    )
}

/// A text from the file as messages show it: short, on one line.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text
        .chars()
        .take(MOST)
        .flat_map(|c| {
            let escape = c.is_control();
            let escaped = escape.then(|| c.escape_default());
            escaped.into_iter().flatten().chain((!escape).then_some(c))
        })
        .collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 256
        && bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("at", &self.at).finish()
    }
}
