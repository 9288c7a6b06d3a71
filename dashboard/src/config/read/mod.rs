//! From text to a checked [`Farm`].

mod builder;
mod policy;

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use self::builder::{builder, host};
use self::policy::policies;
use super::error::{ConfigErrors, Sink};
use super::section::{BUILDER, HOST, Section, Value, duration, in_order, shown, wrong_type};
use super::{Farm, Logs, MAX_ENTRIES, MAX_FILE, MAX_NAME, Project, Retry, is_name};
use crate::glob::Glob;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn farm(file: &str, bytes: &[u8], default_host: &str) -> Result<Farm, ConfigErrors> {
    let mut sink = Sink::new(file, bytes);
    let farm = read(&mut sink, bytes, default_host);
    sink.finish()?;
    Ok(farm)
}

/// Reads what can be read. The result counts only if nothing was reported.
fn read(sink: &mut Sink<'_>, bytes: &[u8], default_host: &str) -> Farm {
    let mut farm = Farm {
        project: Project::default(),
        hosts: BTreeMap::new(),
        builders: Vec::new(),
        policies: Vec::new(),
        retry: Retry::default(),
        logs: Logs::default(),
        default_host: default_host.to_owned(),
    };
    if bytes.len() > MAX_FILE {
        sink.report(
            0,
            format!(
                "the file has more than {MAX_FILE} bytes: move long commands into scripts of the repository"
            ),
        );
        return farm;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            sink.report(
                error.valid_up_to(),
                "the file is not UTF-8 here: save it as UTF-8",
            );
            return farm;
        }
    };
    let (root, faults) = DeTable::parse_recoverable(text);
    report_syntax(sink, text, &faults);
    // What follows a syntax error is guesswork; reporting it would bury the cause.
    if !sink.is_empty() {
        return farm;
    }
    let root = Section::new(sink, 0, root.get_ref(), "the top level");
    schema(sink, &root);
    project(sink, &root, &mut farm.project);
    farm.hosts = named(sink, &root, "host", host)
        .into_iter()
        .map(|host| (host.name.clone(), host))
        .collect();
    farm.builders = named(sink, &root, "builder", |sink, name, section| {
        builder(sink, name, section, default_host, &mut farm.hosts)
    });
    if root.get("builder").is_none_or(is_empty_table) {
        root.missing(
            sink,
            "builder",
            "no builder: add [builder.test] with steps = [{ name = \"test\", run = \"make test\" }]",
        );
    }
    farm.policies = policies(sink, &root, &farm.builders);
    retry(sink, &root, &mut farm.retry);
    if let Some(section) = table(sink, &root, "logs", "[logs]") {
        let range = 64 << 10..=1 << 40;
        farm.logs.limit = section
            .size(sink, "limit", range)
            .unwrap_or(farm.logs.limit);
    }
    farm
}

/// Reports the parser's findings, with the fix where people need one.
fn report_syntax(sink: &mut Sink<'_>, text: &str, faults: &[toml::de::Error]) {
    // Where the parser gives up for depth it also reports every bracket it left open.
    if let Some(deep) = faults.iter().find(|f| f.message().contains("recurs")) {
        let at = deep.span().map_or(0, |span| span.start);
        sink.report(
            at,
            "nested too deeply: farm.toml needs no more than four levels",
        );
        return;
    }
    for fault in faults {
        let span = fault.span().unwrap_or_default();
        let message = fault.message();
        let message = message
            .strip_suffix(", expected nothing")
            .unwrap_or(message);
        let message = if message.starts_with("duplicate key") {
            let name = text.get(span.clone()).unwrap_or_default();
            format!(
                "duplicate name '{}': rename or remove one of the two",
                shown(name)
            )
        } else if message.starts_with("string values must be quoted") {
            "not valid TOML: text must stand in quotes, such as name = \"widget\"".to_owned()
        } else {
            format!("not valid TOML: {message}")
        };
        sink.report(span.start, message);
    }
}

fn schema(sink: &mut Sink<'_>, root: &Section<'_>) {
    let Some(value) = root.get("schema") else {
        return;
    };
    let is_one = matches!(value.get_ref(), DeValue::Integer(number) if number.as_str() == "1");
    if !is_one {
        sink.report(
            value.span().start,
            "this program reads schema 1 only: write schema = 1, or update the program",
        );
    }
}

fn project(sink: &mut Sink<'_>, root: &Section<'_>, project: &mut Project) {
    let Some(section) = table(sink, root, "project", "[project]") else {
        return;
    };
    project.name = section.text(sink, "name", "\"widget\"");
    if let (Some(name), Some(value)) = (&project.name, section.get("name"))
        && (name.trim().is_empty() || name.contains('\n') || name.chars().count() > 100)
    {
        sink.report(
            value.span().start,
            "'name' must be one line of 1 to 100 characters",
        );
    }
    if let Some(branches) = section.globs(sink, "branches") {
        project.branches = plain(branches);
    }
    if let Some(recent) = section.count(sink, "recent", 1..=1000) {
        project.recent = recent;
    }
    if let Some(poll) = section.duration(sink, "poll", 100 * MS..=DAY) {
        project.poll = poll;
    }
}

fn retry(sink: &mut Sink<'_>, root: &Section<'_>, retry: &mut Retry) {
    let Some(section) = table(sink, root, "retry", "[retry]") else {
        return;
    };
    if let Some(infra) = section.count(sink, "infra", 0..=100) {
        retry.infra = infra;
    }
    let Some(value) = section.get("backoff") else {
        return;
    };
    let at = value.span().start;
    let Some([first, longest]) = value.get_ref().as_array().and_then(|items| {
        let mut items = items.iter();
        Some([items.next()?, items.next()?]).filter(|_| items.next().is_none())
    }) else {
        sink.report(
            at,
            "'backoff' must be the first and the longest wait: write [\"1s\", \"2m\"]",
        );
        return;
    };
    let range = MS..=DAY;
    let first = duration(sink, first, "backoff", &range);
    let longest = duration(sink, longest, "backoff", &range);
    if let (Some(first), Some(longest)) = (first, longest) {
        if first > longest {
            sink.report(
                at,
                "'backoff' starts above its longest wait: swap the two, as in [\"1s\", \"2m\"]",
            );
        }
        (retry.backoff_first, retry.backoff_max) = (first, longest);
    }
}

/// A table that occurs at most once.
fn table<'a>(
    sink: &mut Sink<'_>,
    root: &Section<'a>,
    key: &str,
    kind: &'static str,
) -> Option<Section<'a>> {
    let value = root.get(key)?;
    let at = value.span().start;
    let Some(table) = value.get_ref().as_table() else {
        sink.report(
            at,
            format!("{}: write {kind}", wrong_type(key, "a table", value)),
        );
        return None;
    };
    Some(Section::new(sink, at, table, kind))
}

/// The tables below `[host]` or `[builder]`, each under its name, in the order of the file.
fn named<T>(
    sink: &mut Sink<'_>,
    root: &Section<'_>,
    key: &str,
    mut read: impl FnMut(&mut Sink<'_>, &str, &Section<'_>) -> T,
) -> Vec<T> {
    let kind = if key == "host" { HOST } else { BUILDER };
    let Some(value) = root.get(key) else {
        return Vec::new();
    };
    let Some(table) = value.get_ref().as_table() else {
        let fault = wrong_type(key, "a named table", value);
        sink.report(value.span().start, format!("{fault}: write {kind}"));
        return Vec::new();
    };
    if too_many(sink, value, &format!("{key}s"), table.len()) {
        return Vec::new();
    }
    let mut all = Vec::new();
    for (name, value) in in_order(table) {
        let at = name.span().start;
        let name = name.get_ref().as_ref();
        let Some(table) = value.get_ref().as_table() else {
            sink.report(
                at,
                format!(
                    "'{}' stands in [{key}] itself: name the {key} first, as in [{key}.test]",
                    shown(name)
                ),
            );
            continue;
        };
        check_name(sink, at, key, name);
        let section = Section::new(sink, at, table, kind);
        all.push(read(sink, name, &section));
    }
    all
}

fn too_many(sink: &mut Sink<'_>, value: &Value<'_>, what: &str, count: usize) -> bool {
    if count > MAX_ENTRIES {
        sink.report(
            value.span().start,
            format!("{count} {what}, the limit is {MAX_ENTRIES}: split the farm"),
        );
    }
    count > MAX_ENTRIES
}

fn check_name(sink: &mut Sink<'_>, at: usize, what: &str, name: &str) {
    if is_name(name) {
        return;
    }
    // The nearest name that is allowed, so that the fix can be pasted.
    let better: String = name
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '-',
        })
        .take(MAX_NAME)
        .collect();
    let fix = if is_name(&better) {
        format!(", for example '{better}'")
    } else {
        String::new()
    };
    sink.report(
        at,
        format!(
            "bad {what} name '{}': use a-z, 0-9, '.', '_' and '-', at most {MAX_NAME}, \
             a letter or digit first{fix}",
            shown(name)
        ),
    );
}

fn is_empty_table(value: &Value<'_>) -> bool {
    value.get_ref().as_table().is_some_and(|t| t.is_empty())
}

fn plain(globs: Vec<(usize, Glob)>) -> Vec<Glob> {
    globs.into_iter().map(|(_, glob)| glob).collect()
}
