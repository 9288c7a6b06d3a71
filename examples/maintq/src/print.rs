//! Answers as JSON, and as text of the form that protocol buffers are printed in.

use maintner::api::apipb::{
    DashCommit, DashRepoHead, DashboardResponse, GerritTryWorkItem, GoFindTryWorkResponse,
    GoRelease, HasAncestorResponse, ListGoReleasesResponse, MajorMinor, TryVoteMessage,
};
use serde_json::{Value, json};

pub(crate) trait Json {
    fn json(&self) -> Value;
}

fn all<T: Json>(items: &[T]) -> Vec<Value> {
    items.iter().map(Json::json).collect()
}

impl Json for HasAncestorResponse {
    fn json(&self) -> Value {
        json!({ "has_ancestor": self.has_ancestor, "unknown_commit": self.unknown_commit })
    }
}

impl Json for GoFindTryWorkResponse {
    fn json(&self) -> Value {
        json!({ "waiting": all(&self.waiting) })
    }
}

impl Json for GerritTryWorkItem {
    fn json(&self) -> Value {
        json!({
            "project": self.project,
            "branch": self.branch,
            "change_id": self.change_id,
            "commit": self.commit,
            "go_commit": self.go_commit,
            "go_branch": self.go_branch,
            "go_version": all(&self.go_version),
            "try_message": all(&self.try_message),
            "version": self.version,
            "author_email": self.author_email,
        })
    }
}

impl Json for MajorMinor {
    fn json(&self) -> Value {
        json!({ "major": self.major, "minor": self.minor })
    }
}

impl Json for TryVoteMessage {
    fn json(&self) -> Value {
        json!({
            "message": self.message,
            "author_id": self.author_id,
            "version": self.version,
        })
    }
}

impl Json for ListGoReleasesResponse {
    fn json(&self) -> Value {
        json!({ "releases": all(&self.releases) })
    }
}

impl Json for GoRelease {
    fn json(&self) -> Value {
        json!({
            "major": self.major,
            "minor": self.minor,
            "patch": self.patch,
            "tag_name": self.tag_name,
            "tag_commit": self.tag_commit,
            "branch_name": self.branch_name,
            "branch_commit": self.branch_commit,
        })
    }
}

impl Json for DashboardResponse {
    fn json(&self) -> Value {
        json!({
            "commits": all(&self.commits),
            "repo_heads": all(&self.repo_heads),
            "branches": self.branches,
            "releases": all(&self.releases),
            "commits_truncated": self.commits_truncated,
        })
    }
}

impl Json for DashCommit {
    fn json(&self) -> Value {
        json!({
            "commit": self.commit,
            "author_name": self.author_name,
            "author_email": self.author_email,
            "commit_time_sec": self.commit_time_sec,
            "title": self.title,
            "go_commit_at_time": self.go_commit_at_time,
            "branch": self.branch,
            "go_commit_latest": self.go_commit_latest,
        })
    }
}

impl Json for DashRepoHead {
    fn json(&self) -> Value {
        json!({
            "gerrit_project": self.gerrit_project,
            "commit": self.commit.as_ref().map(Json::json),
        })
    }
}

/// A line for each field that is not what it is by default; messages in braces.
pub(crate) fn text(message: &Value) -> String {
    let mut out = String::new();
    fields(message, 0, &mut out);
    out
}

fn fields(message: &Value, depth: usize, out: &mut String) {
    for (name, value) in message.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) => items.iter().for_each(|item| field(name, item, depth, out)),
            value if is_default(value) => {}
            value => field(name, value, depth, out),
        }
    }
}

fn field(name: &str, value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let mut line = |text: &str| {
        out.push_str(&indent);
        out.push_str(text);
        out.push('\n');
    };
    if value.is_object() {
        line(&format!("{name} {{"));
        fields(value, depth + 1, out);
        out.push_str(&indent);
        out.push_str("}\n");
    } else {
        line(&format!("{name}: {value}"));
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_what_is_set() {
        let release = GoRelease {
            major: 1,
            minor: 11,
            tag_name: "go1.11".to_owned(),
            ..GoRelease::default()
        };
        let response = DashboardResponse {
            branches: vec!["dev \"x\"".to_owned(), "master".to_owned()],
            releases: vec![release],
            commits_truncated: true,
            ..DashboardResponse::default()
        };
        let mut lines: Vec<_> = text(&response.json()).lines().map(str::to_owned).collect();
        lines.sort();
        let expected = [
            "  major: 1",
            "  minor: 11",
            "  tag_name: \"go1.11\"",
            "branches: \"dev \\\"x\\\"\"",
            "branches: \"master\"",
            "commits_truncated: true",
            "releases {",
            "}",
        ];
        assert_eq!(lines, expected);
    }
}
