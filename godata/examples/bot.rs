//! A bot that asks for a label on each open issue that has none, as soon as it is opened:
//! `cargo run -p godata --example bot [LOG]`.
//!
//! Without an argument it looks at the invented history in `godata/data` and ends; given the address of
//! a log, it goes on for ever. `BOT_FROM` is the cursor that it printed last: it begins there.

use godata::maintner::corpus::feed::FollowOptions;

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
        let changed = batch.issues().map(|change| change.issue);
        // The first time, and after a split, everything may have changed.
        let issues: Vec<_> = if batch.resynced() {
            let repos = batch.snapshot().github().repos();
            repos.flat_map(|repo| repo.issues()).collect()
        } else {
            changed.collect()
        };
        for issue in issues {
            if issue.is_open() && !issue.is_pull_request() && issue.labels().next().is_none() {
                println!("{} needs a label: {}", issue.reference(), issue.title());
            }
        }
        println!("handled up to BOT_FROM={}", batch.cursor());
        if log.is_none() {
            break;
        }
    }
    Ok(())
}
