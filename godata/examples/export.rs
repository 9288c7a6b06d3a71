//! All issues as NDJSON, one object a line: `cargo run -p godata --example export [LOG] | jq .title`;
//! or as tables: `cargo run -p godata --example export -- --sqlite issues.db [LOG]`, which another time
//! writes only what changed since.

use std::io::{BufWriter, Write};

use anyhow::Context;
use godata::{
    Corpus,
    maintner::corpus::{Timestamp, User},
    sqlite::Tables,
};
use serde_json::json;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    let mut args = std::env::args().skip(1).peekable();
    let tables = args.next_if_eq("--sqlite").is_some();
    let tables = tables.then(|| args.next().context("--sqlite needs a file"));
    let tables = tables.transpose()?;
    let corpus = godata::open(args.next().as_deref().unwrap_or(example)).await?;
    match tables {
        Some(file) => to_sqlite(&corpus, &file).await,
        None => to_ndjson(&corpus),
    }
}

async fn to_sqlite(corpus: &Corpus, file: &str) -> anyhow::Result<()> {
    let mut tables = Tables::open(file).await?;
    let mut feed = corpus.follow(tables.from());
    while let Some(batch) = feed.next_now() {
        tables.write(&batch).await?;
        println!("{file} has the log up to byte {}", batch.cursor().bytes());
    }
    Ok(tables.close().await?)
}

fn to_ndjson(corpus: &Corpus) -> anyhow::Result<()> {
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
