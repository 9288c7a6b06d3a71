//! Issues and changes that a query finds.

use std::io::{self, Write};

use maintner::corpus::{
    Change, Issue, Snapshot,
    query::{Found, Query, QueryError},
};
use serde_json::{Value, json};

/// Reads a query; if there is a mistake in it, shows where.
pub(crate) fn parse(text: &str) -> anyhow::Result<Query> {
    text.parse().map_err(|QueryError { at, kind, .. }| {
        let (text, before) = (plain(text), text.get(..at).unwrap_or_default());
        let space = " ".repeat(before.chars().count());
        anyhow::anyhow!("{kind}\n  {text}\n  {space}^")
    })
}

/// Prints what is found: JSON, an object a line, or a table.
pub(crate) fn print(
    snapshot: &Snapshot,
    query: &Query,
    limit: usize,
    as_json: bool,
    to: &mut impl Write,
) -> io::Result<()> {
    let found = query.find(snapshot);
    let listed = found.iter().take(limit);
    if as_json {
        return listed
            .map(to_json)
            .try_for_each(|found| writeln!(to, "{found}"));
    }
    let rows: Vec<[String; 4]> = listed.map(row).collect();
    if rows.is_empty() && found.is_empty() {
        example_cli::note("maintq: nothing fits");
    }
    let mut widths = [0; 3];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let [name, state, updated] = widths;
    for [of_name, of_state, of_updated, title] in &rows {
        writeln!(
            to,
            "{of_name:name$}  {of_state:state$}  {of_updated:updated$}  {title}"
        )?;
    }
    if found.len() > rows.len() {
        let more = found.len() - rows.len();
        writeln!(to, "… and {more} more; --limit {} shows all", found.len())?;
    }
    Ok(())
}

fn row(found: &Found<'_>) -> [String; 4] {
    match found {
        Found::Issue(issue) => {
            let labels: Vec<String> = issue
                .labels()
                .map(|label| format!("[{}]", label.name()))
                .collect();
            let labels = labels.join(" ");
            [
                issue.reference().to_string(),
                state(*issue).to_owned(),
                issue.updated().map_or_else(String::new, day),
                plain(&format!("{} {labels}", issue.title())),
            ]
        }
        Found::Change(change) => [
            name(*change),
            change.status().name().to_owned(),
            day(change.updated()),
            plain(&change.subject()),
        ],
        _ => Default::default(),
    }
}

fn to_json(found: &Found<'_>) -> Value {
    match found {
        Found::Issue(issue) => json!({
            "kind": if issue.is_pull_request() { "pull_request" } else { "issue" },
            "repo": issue.repo().to_string(),
            "number": issue.number(),
            "title": issue.title(),
            "state": state(*issue),
            "author": issue.author().map(|author| author.login()),
            "labels": issue.labels().map(|label| label.name()).collect::<Vec<_>>(),
            "assignees": issue.assignees().map(|user| user.login()).collect::<Vec<_>>(),
            "milestone": issue.milestone().map(|milestone| milestone.title()),
            "comments": issue.comment_count(),
            "created": issue.created().map(|time| time.to_string()),
            "updated": issue.updated().map(|time| time.to_string()),
        }),
        Found::Change(change) => json!({
            "kind": "change",
            "project": change.project().full_name(),
            "number": change.number(),
            "title": change.subject(),
            "state": change.status().name(),
            "owner": change.owner().map(|owner| owner.person),
            "branch": change.branch(),
            "patch_set": change.version(),
            "commit": change.commit().name().to_string(),
            "hashtags": change.hashtags().iter().collect::<Vec<_>>(),
            "created": change.created().to_string(),
            "updated": change.updated().to_string(),
        }),
        _ => Value::Null,
    }
}

fn name(change: Change<'_>) -> String {
    format!("{}/{}", change.project().full_name(), change.number())
}

fn state(issue: Issue<'_>) -> &'static str {
    match (issue.not_exist(), issue.is_open()) {
        (true, _) => "gone",
        (false, true) => "open",
        (false, false) => "closed",
    }
}

fn day(time: maintner::store::Timestamp) -> String {
    let mut day = time.to_string();
    day.truncate(10);
    day
}

/// Without characters that move a terminal's cursor or worse.
fn plain(text: &str) -> String {
    let text = text.trim_end();
    text.chars()
        .filter(|character| !character.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use maintner::testing::History;

    use super::*;

    fn printed(query: &str, limit: usize, as_json: bool) -> String {
        let snapshot = Snapshot::of_log(History::new(5).log(400_000)).unwrap();
        let mut out = Vec::new();
        print(&snapshot, &query.parse().unwrap(), limit, as_json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_says_what_it_leaves_out() {
        let table = printed("is:issue is:open", 3, false);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4, "{table}");
        assert!(
            lines[..3]
                .iter()
                .all(|line| line.contains("#") && line.contains("  open  "))
        );
        assert!(
            lines[3].starts_with("… and ") && lines[3].ends_with("shows all"),
            "{table}"
        );
    }

    #[test]
    fn a_mistake_is_shown_in_its_place() {
        let error = parse("is:open -lable:x").unwrap_err().to_string();
        let expected =
            "unknown key `lable`; did you mean `label`?\n  is:open -lable:x\n          ^";
        assert_eq!(error, expected);
    }

    #[test]
    fn json_is_an_object_a_line() {
        for (query, kind) in [("is:issue", "issue"), ("is:cl", "change")] {
            let lines = printed(query, usize::MAX, true);
            assert!(lines.lines().count() > 3);
            for line in lines.lines() {
                let found: Value = serde_json::from_str(line).unwrap();
                assert_eq!(found["kind"], kind);
                assert!(found["number"].as_i64().unwrap() > 0);
            }
        }
    }
}
