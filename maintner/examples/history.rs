//! Writes a log of a history that never happened, reads it back, and asks it questions:
//! `cargo run -p maintner --features testing --example history`.

use std::collections::HashMap;

use maintner::{
    corpus::Snapshot,
    reclog::{Appender, Options},
    testing::History,
};
use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("maintner-2018-07-09.mutlog");
    let (mut log, _) = Appender::open(&path, &Options::default())?;
    for mutation in History::new(1).take(20_000) {
        log.append(&mutation.encode_to_vec())?;
    }
    log.sync()?;
    println!("{} records, {} bytes", log.records(), log.end());

    let snapshot = Snapshot::of_log(std::fs::read(&path)?)?;
    let commits = snapshot.commits();
    println!("{} commits, {} missing", commits.len(), commits.missing());

    let mut changes: HashMap<&str, usize> = HashMap::new();
    for file in commits.iter().flat_map(|commit| commit.files()) {
        *changes.entry(file.path).or_default() += 1;
    }
    let mut changes: Vec<_> = changes.into_iter().collect();
    changes.sort_by_key(|&(path, count)| (std::cmp::Reverse(count), path));
    println!("changed most often:");
    for (path, count) in changes.iter().take(5) {
        println!("{count:6}  {path}");
    }
    Ok(())
}
