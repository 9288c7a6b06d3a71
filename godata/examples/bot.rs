//! A bot that asks for a label on each open issue that has none, and for a reviewer on each open
//! change that has none, as soon as they appear: `cargo run -p godata --example bot [LOG]`.
//!
//! Without an argument it looks at the invented history in `godata/data` and ends; given the address of
//! a log, it goes on for ever. `BOT_FROM` is the cursor that it printed last: it begins there.

use godata::maintner::corpus::{Change, Issue, feed::FollowOptions};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    let log = std::env::args().nth(1);
    let corpus = godata::open(log.as_deref().unwrap_or(example)).await?;
    let from = match std::env::var("BOT_FROM") {
        Ok(cursor) => FollowOptions::from(cursor.parse()?),
        Err(_) => FollowOptions::default(),
    };
    let mut feed = corpus.follow(from);
    while let Some(batch) = feed.next().await {
        if batch.resynced() {
            // The first time, and after a split, everything may have changed.
            let (github, gerrit) = (batch.snapshot().github(), batch.snapshot().gerrit());
            github
                .repos()
                .flat_map(|repo| repo.issues())
                .for_each(look_at_issue);
            gerrit
                .projects()
                .flat_map(|project| project.open_cls())
                .for_each(look_at_change);
        } else {
            batch
                .issues()
                .for_each(|change| look_at_issue(change.issue));
            let new = batch.cls().filter(|change| change.what.created());
            new.for_each(|change| look_at_change(change.cl));
        }
        println!("handled up to BOT_FROM={}", batch.cursor());
        if log.is_none() {
            break;
        }
    }
    Ok(())
}

fn look_at_issue(issue: Issue<'_>) {
    if issue.is_open() && !issue.is_pull_request() && issue.labels().next().is_none() {
        println!("{} needs a label: {}", issue.reference(), issue.title());
    }
}

fn look_at_change(change: Change<'_>) {
    if change.is_open() && !change.is_private() && change.reviewers().is_empty() {
        println!("{} needs a reviewer: {}", change.url(), change.subject());
    }
}
