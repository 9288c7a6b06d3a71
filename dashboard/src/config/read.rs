//! From text to a checked [`Farm`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigErrors, Sink};
use super::nearest::nearest;
use super::section::{BUILDER, HOST, Section, Value, duration, in_order, shown, wrong_type};
use super::{
    Action, Builder, DEFAULT_TIMEOUT, Farm, Host, Logs, MAX_ENTRIES, MAX_FILE, MAX_NAME, MAX_STEPS,
    MAX_TIMEOUT, Policy, Project, Retry, Step, everything, is_name,
};
use crate::glob::Glob;

/// Name that the farm's own step has in every attempt.
const RESERVED_STEP: &str = "source";

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

fn host(sink: &mut Sink<'_>, name: &str, section: &Section<'_>) -> Host {
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

fn builder(
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
                crate::units::format_duration(limit)
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

fn policies(sink: &mut Sink<'_>, root: &Section<'_>, builders: &[Builder]) -> Vec<Policy> {
    let Some(value) = root.get("policy") else {
        return Vec::new();
    };
    let Some(items) = value.get_ref().as_array() else {
        sink.report(
            value.span().start,
            format!(
                "{}: write [[policy]], with two brackets",
                wrong_type("policy", "a list", value)
            ),
        );
        return Vec::new();
    };
    if too_many(sink, value, "policies", items.len()) {
        return Vec::new();
    }
    let mut policies = Vec::new();
    for item in items.iter() {
        let at = item.span().start;
        let Some(table) = item.get_ref().as_table() else {
            sink.report(
                at,
                format!(
                    "{}: write [[policy]]",
                    wrong_type("policy", "a list of tables", item)
                ),
            );
            continue;
        };
        let section = Section::new(sink, at, table, "[[policy]]");
        policies.push(policy(sink, &section, builders));
    }
    policies
}

fn policy(sink: &mut Sink<'_>, section: &Section<'_>, builders: &[Builder]) -> Policy {
    let named = section.globs(sink, "builders").unwrap_or_default();
    for (at, glob) in &named {
        let matches_none = !builders.iter().any(|builder| glob.matches(&builder.name));
        if matches_none && !builders.is_empty() {
            let names = builders.iter().map(|builder| builder.name.as_str());
            let fix = nearest(glob.as_str(), names).map_or_else(
                || "correct or remove it".to_owned(),
                |meant| format!("did you mean '{meant}'?"),
            );
            sink.report(
                *at,
                format!("no builder matches '{}', {fix}", shown(glob.as_str())),
            );
        }
    }
    let named = plain(named);
    let action = match section.get("action") {
        None => {
            section.missing(
                sink,
                "action",
                "this policy has no action: add action = \"run\" or action = \"skip\"",
            );
            Action::Run
        }
        Some(value) => match value.get_ref().as_str() {
            Some("run") => Action::Run,
            Some("skip") => Action::Skip,
            Some(other) => {
                sink.report(
                    value.span().start,
                    format!(
                        "unknown action '{}': write \"run\" or \"skip\"",
                        shown(other)
                    ),
                );
                Action::Run
            }
            None => {
                sink.report(
                    value.span().start,
                    wrong_type("action", "\"run\" or \"skip\"", value),
                );
                Action::Run
            }
        },
    };
    Policy {
        builders: if named.is_empty() {
            everything()
        } else {
            named
        },
        branches: section
            .globs(sink, "branches")
            .map_or_else(everything, plain),
        paths: section.globs(sink, "paths").map(plain).unwrap_or_default(),
        action,
        reason: section.text(sink, "reason", "\"docs only\""),
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
