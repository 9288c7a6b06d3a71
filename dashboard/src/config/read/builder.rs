//! `[host.NAME]` and `[builder.NAME]` with its steps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::error::Sink;
use super::super::nearest::nearest;
use super::super::section::{Section, shown, wrong_type};
use super::super::{Builder, DEFAULT_TIMEOUT, Host, MAX_STEPS, MAX_TIMEOUT, Step, is_name};
use super::{SECOND, check_name};
use crate::units::format_duration;

/// Name that the farm's own step has in every attempt.
const RESERVED_STEP: &str = "source";

pub(super) fn host(sink: &mut Sink<'_>, name: &str, section: &Section<'_>) -> Host {
    let mut host = Host::new(name);
    host.description = section.text(sink, "description", "\"the big machine\"");
    host.os = section.text(sink, "os", "\"linux\"");
    if let (Some(os), Some(value)) = (&host.os, section.get("os"))
        && !is_name(os)
    {
        sink.report(
            value.span().start,
            "'os' must be a lower-case word such as \"linux\" or \"darwin\"",
        );
    }
    host.expect = section.count(sink, "expect", 0..=10_000).unwrap_or(0);
    host.env = section.env(sink);
    if let Some(shell) = section.words(sink, "shell", "[\"sh\", \"-c\"]") {
        host.shell = shell;
    }
    if let (Some(first), Some(value)) = (host.shell.first(), section.get("shell"))
        && first.trim().is_empty()
    {
        sink.report(
            value.span().start,
            "'shell' starts with an empty text: write a program first, such as [\"sh\", \"-c\"]",
        );
    }
    host
}

pub(super) fn builder(
    sink: &mut Sink<'_>,
    name: &str,
    section: &Section<'_>,
    default_host: &str,
    hosts: &mut BTreeMap<String, Host>,
) -> Builder {
    let named = section.text(sink, "host", "\"linux-amd64\"");
    let host = named.unwrap_or_else(|| default_host.to_owned());
    if !hosts.contains_key(&host) {
        if host == default_host {
            hosts.insert(host.clone(), Host::new(&host));
        } else {
            let at = section.get("host").map_or(section.at, |v| v.span().start);
            let known = hosts.keys().map(String::as_str).chain([default_host]);
            let fix = match nearest(&host, known) {
                Some(meant) => format!("did you mean '{meant}'?"),
                None if is_name(&host) => format!(
                    "declare it with [host.{host}], or remove 'host' to use '{default_host}'"
                ),
                None => format!("remove 'host' to use '{default_host}'"),
            };
            sink.report(at, format!("unknown host '{}', {fix}", shown(&host)));
        }
    }
    let timeout = section.duration(sink, "timeout", SECOND..=MAX_TIMEOUT);
    let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT);
    Builder {
        name: name.to_owned(),
        host,
        description: section.text(sink, "description", "\"unit tests\""),
        env: section.env(sink),
        dir: section.dir(sink),
        timeout,
        steps: steps(sink, section, timeout),
    }
}

fn steps(sink: &mut Sink<'_>, builder: &Section<'_>, limit: Duration) -> Vec<Step> {
    const EXAMPLE: &str = "steps = [{ name = \"test\", run = \"make test\" }]";
    let Some(value) = builder.get("steps") else {
        builder.missing(
            sink,
            "steps",
            format!("this builder has no steps: add {EXAMPLE}"),
        );
        return Vec::new();
    };
    let at = value.span().start;
    let Some(items) = value.get_ref().as_array() else {
        sink.report(
            at,
            format!(
                "{}: write {EXAMPLE}",
                wrong_type("steps", "a list of tables", value)
            ),
        );
        return Vec::new();
    };
    if items.is_empty() {
        sink.report(at, format!("'steps' is empty: write {EXAMPLE}"));
    }
    if items.len() > MAX_STEPS {
        sink.report(
            at,
            format!(
                "{} steps, the limit is {MAX_STEPS}: put several commands into one step",
                items.len()
            ),
        );
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut steps = Vec::new();
    for item in items.iter() {
        let at = item.span().start;
        let Some(table) = item.get_ref().as_table() else {
            sink.report(
                at,
                wrong_type(
                    "steps",
                    "a list of tables such as { name = \"test\", run = \"make test\" }",
                    item,
                ),
            );
            continue;
        };
        let section = Section::new(sink, at, table, "a step of [builder.NAME]");
        let step = step(sink, &section, limit);
        if !step.name.is_empty() && !names.insert(step.name.clone()) {
            let at = section.get("name").map_or(at, |value| value.span().start);
            sink.report(
                at,
                format!(
                    "duplicate step '{}': give each step its own name",
                    step.name
                ),
            );
        }
        steps.push(step);
    }
    steps
}

fn step(sink: &mut Sink<'_>, section: &Section<'_>, limit: Duration) -> Step {
    let name = match section.get("name") {
        None => {
            section.missing(sink, "name", "this step has no name: add name = \"test\"");
            String::new()
        }
        Some(value) => {
            let name = section.text(sink, "name", "\"test\"").unwrap_or_default();
            if value.get_ref().is_str() {
                check_name(sink, value.span().start, "step", &name);
            }
            if name == RESERVED_STEP {
                sink.report(
                    value.span().start,
                    format!("'{RESERVED_STEP}' is the farm's own step: choose another name"),
                );
            }
            name
        }
    };
    let run = match section.get("run") {
        None => {
            section.missing(
                sink,
                "run",
                "this step has no command: add run = \"make test\"",
            );
            String::new()
        }
        Some(value) => {
            let run = section.text(sink, "run", "\"make test\"");
            if run.as_deref().is_some_and(|run| run.trim().is_empty()) {
                sink.report(
                    value.span().start,
                    "'run' is empty: write the command, such as \"make test\"",
                );
            }
            run.unwrap_or_default()
        }
    };
    let timeout = section.duration(sink, "timeout", SECOND..=MAX_TIMEOUT);
    if let (Some(timeout), Some(value)) = (timeout, section.get("timeout"))
        && timeout > limit
    {
        sink.report(
            value.span().start,
            format!(
                "'timeout' is longer than the whole builder's {}: raise the builder's or lower this one",
                format_duration(limit)
            ),
        );
    }
    Step {
        name,
        run,
        timeout,
        env: section.env(sink),
        dir: section.dir(sink),
    }
}
