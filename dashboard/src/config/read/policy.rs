//! `[[policy]]`.

use super::super::error::Sink;
use super::super::nearest::nearest;
use super::super::section::{Section, shown, wrong_type};
use super::super::{Action, Builder, Policy, everything};
use super::{plain, too_many};

/// Work spent on finding patterns that match no builder. A farm written by people needs less; beyond it
/// such patterns go unnoticed rather than a hostile file taking minutes.
const MAX_WORK: usize = 5_000_000;

pub(super) fn policies(
    sink: &mut Sink<'_>,
    root: &Section<'_>,
    builders: &[Builder],
) -> Vec<Policy> {
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
    let mut steps = MAX_WORK;
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
        policies.push(policy(sink, &section, builders, &mut steps));
    }
    policies
}

fn policy(
    sink: &mut Sink<'_>,
    section: &Section<'_>,
    builders: &[Builder],
    steps: &mut usize,
) -> Policy {
    let named = section.globs(sink, "builders").unwrap_or_default();
    for (at, glob) in &named {
        let cost = builders.iter().map(|b| glob.cost(b.name.len())).sum();
        let Some(left) = steps.checked_sub(cost) else {
            break;
        };
        *steps = left;
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
