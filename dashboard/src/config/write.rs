//! From a [`Farm`] to a commented `farm.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Action, Builder, DEFAULT_TIMEOUT, Farm, Host, Logs, Project, Retry, Step, everything};
use crate::glob::Glob;
use crate::units::{format_duration, format_size};

/// Lines of the file so far.
struct Page(String);

impl Page {
    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    /// A table's header, explained where its kind occurs first.
    fn header(&mut self, header: &str, meaning: &str, first: bool) {
        self.line("");
        if first {
            self.line(format!("# {meaning}"));
        }
        self.line(header);
    }

    /// `key = value`, as a comment if the value is the default.
    fn setting(&mut self, key: &str, value: &str, is_default: bool) {
        let comment = if is_default { "# " } else { "" };
        let _ = writeln!(self.0, "{comment}{key} = {value}");
    }

    fn optional(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.setting(key, &string(value), false);
        }
    }

    fn env(&mut self, env: &BTreeMap<String, String>) {
        if !env.is_empty() {
            self.setting("env", &inline_table(env), false);
        }
    }
}

pub(super) fn farm(farm: &Farm) -> String {
    let mut page = Page(String::new());
    page.line(
        "# What this farm builds, where and how. A line that starts with '#' shows a default.",
    );
    page.line("schema = 1");
    project(&mut page, &farm.project);
    let mut hosts = 0;
    for host in farm.hosts.values() {
        // A builder without a host brings the default one along by itself.
        let implied = host.name == farm.default_host
            && *host == Host::new(&host.name)
            && farm.builders.iter().any(|b| b.host == host.name);
        if !implied {
            self::host(&mut page, host, hosts == 0);
            hosts += 1;
        }
    }
    for (index, builder) in farm.builders.iter().enumerate() {
        self::builder(&mut page, builder, &farm.default_host, index == 0);
    }
    for (index, policy) in farm.policies.iter().enumerate() {
        page.header(
            "[[policy]]",
            "The first policy that applies decides; without one the builder runs.",
            index == 0,
        );
        let all = everything();
        page.setting("builders", &globs(&policy.builders), policy.builders == all);
        page.setting("branches", &globs(&policy.branches), policy.branches == all);
        if !policy.paths.is_empty() {
            page.setting("paths", &globs(&policy.paths), false);
        }
        let action = match policy.action {
            Action::Run => "run",
            Action::Skip => "skip",
        };
        page.setting("action", &string(action), false);
        page.optional("reason", policy.reason.as_deref());
    }
    limits(&mut page, &farm.retry, &farm.logs);
    page.0
}

fn project(page: &mut Page, project: &Project) {
    let default = Project::default();
    page.line("\n[project]");
    page.optional("name", project.name.as_deref());
    page.line("# Branches whose new commits are built.");
    page.setting(
        "branches",
        &globs(&project.branches),
        project.branches == default.branches,
    );
    page.line("# Newest commits of the default branch that are built at the first start.");
    page.setting(
        "recent",
        &project.recent.to_string(),
        project.recent == default.recent,
    );
    page.line("# Time between two looks at the repository.");
    page.setting(
        "poll",
        &string(&format_duration(project.poll)),
        project.poll == default.poll,
    );
}

fn host(page: &mut Page, host: &Host, first: bool) {
    let default = Host::new("");
    let header = format!("[host.{}]", key(&host.name));
    page.header(&header, "A kind of machine.", first);
    page.optional("description", host.description.as_deref());
    page.optional("os", host.os.as_deref());
    page.setting("expect", &host.expect.to_string(), host.expect == 0);
    page.env(&host.env);
    page.setting("shell", &strings(&host.shell), host.shell == default.shell);
}

fn builder(page: &mut Page, builder: &Builder, default_host: &str, first: bool) {
    let header = format!("[builder.{}]", key(&builder.name));
    page.header(
        &header,
        "A column of the board: its steps run for every commit, in order.",
        first,
    );
    page.optional("description", builder.description.as_deref());
    page.setting("host", &string(&builder.host), builder.host == default_host);
    page.env(&builder.env);
    page.optional("dir", builder.dir.as_deref());
    let timeout = string(&format_duration(builder.timeout));
    page.setting("timeout", &timeout, builder.timeout == DEFAULT_TIMEOUT);
    page.line("steps = [");
    for step in &builder.steps {
        page.line(format!("    {},", self::step(step)));
    }
    page.line("]");
}

fn step(step: &Step) -> String {
    let mut text = format!(
        "{{ name = {}, run = {}",
        string(&step.name),
        string(&step.run)
    );
    if let Some(timeout) = step.timeout {
        let _ = write!(text, ", timeout = {}", string(&format_duration(timeout)));
    }
    if !step.env.is_empty() {
        let _ = write!(text, ", env = {}", inline_table(&step.env));
    }
    if let Some(dir) = &step.dir {
        let _ = write!(text, ", dir = {}", string(dir));
    }
    text.push_str(" }");
    text
}

fn limits(page: &mut Page, retry: &Retry, logs: &Logs) {
    let default = Retry::default();
    page.line("\n[retry]");
    page.line("# Further attempts when the farm could not run or observe a build. A failing command is never retried.");
    page.setting(
        "infra",
        &retry.infra.to_string(),
        retry.infra == default.infra,
    );
    page.line("# First and longest wait between them.");
    let backoff = [retry.backoff_first, retry.backoff_max].map(format_duration);
    let is_default =
        (retry.backoff_first, retry.backoff_max) == (default.backoff_first, default.backoff_max);
    page.setting("backoff", &strings(&backoff), is_default);
    page.line("\n[logs]");
    page.line("# Largest log of one attempt.");
    let limit = string(&format_size(logs.limit));
    page.setting("limit", &limit, *logs == Logs::default());
}

fn globs(globs: &[Glob]) -> String {
    strings(globs.iter().map(Glob::as_str))
}

fn strings<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let items: Vec<String> = items.into_iter().map(|s| string(s.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

fn inline_table(table: &BTreeMap<String, String>) -> String {
    let entries: Vec<String> = table
        .iter()
        .map(|(name, value)| format!("{} = {}", key(name), string(value)))
        .collect();
    format!("{{ {} }}", entries.join(", "))
}

/// A key, bare where it may be.
fn key(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !name.is_empty() && name.bytes().all(bare) {
        name.to_owned()
    } else {
        escaped(name)
    }
}

/// A string; several lines stay several lines where that can be written plainly.
fn string(text: &str) -> String {
    let plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    if text.contains('\n')
        && text.chars().all(plain)
        && !text.contains("''")
        && !text.ends_with('\'')
    {
        return format!("'''\n{text}'''");
    }
    escaped(text)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
