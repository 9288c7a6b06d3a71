//! All issues as NDJSON, one object a line: `cargo run -p godata --example export [LOG] | jq .title`.

use std::io::{BufWriter, Write};

use godata::maintner::corpus::{Timestamp, User};
use serde_json::json;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    let log = std::env::args().nth(1);
    let corpus = godata::open(log.as_deref().unwrap_or(example)).await?;
    let snapshot = corpus.snapshot();
    let mut out = BufWriter::new(std::io::stdout().lock());
    for issue in snapshot.github().repos().flat_map(|repo| repo.issues()) {
        let comments = issue.comments().map(|comment| {
            json!({
                "user": comment.user().map(User::login),
                "created": time(comment.created()),
                "body": comment.body(),
            })
        });
        let line = json!({
            "repo": issue.repo().to_string(),
            "number": issue.number(),
            "pull_request": issue.is_pull_request(),
            "exists": !issue.not_exist(),
            "open": issue.is_open(),
            "title": issue.title(),
            "body": issue.body(),
            "author": issue.author().map(User::login),
            "created": time(issue.created()),
            "updated": time(issue.updated()),
            "closed": time(issue.closed_at()),
            "milestone": issue.milestone().map(|milestone| milestone.title()),
            "labels": issue.labels().map(|label| label.name()).collect::<Vec<_>>(),
            "assignees": issue.assignees().map(User::login).collect::<Vec<_>>(),
            "comments": comments.collect::<Vec<_>>(),
        });
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}

/// As RFC 3339 has it.
fn time(time: Option<Timestamp>) -> Option<String> {
    let time = time?;
    let time = jiff::Timestamp::new(time.seconds(), time.nanos() as i32).ok()?;
    Some(time.to_string())
}
