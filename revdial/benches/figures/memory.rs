//! What idle streams cost. Each system is measured in a process of its own, so that what the
//! others have left with the allocator does not count.

use std::{env, fs, process::Command};

use tokio::task::JoinSet;

use crate::{measure::greet, systems::Opener};

/// The first argument of such a process.
pub(crate) const ARGUMENT: &str = "--memory";

/// Resident bytes for one idle stream, both ends.
pub(crate) async fn idle_streams<O: Opener>(opener: &O, count: usize) -> f64 {
    // What the first streams alone bring in is no cost of a stream.
    let mut held = open(opener, 100).await;
    let before = resident();
    held.extend(open(opener, count).await);
    let after = resident();
    drop(held);
    (after - before) / count as f64
}

async fn open<O: Opener>(opener: &O, count: usize) -> Vec<O::Stream> {
    const LANES: usize = 20;
    let mut work = JoinSet::new();
    for _ in 0..LANES {
        let opener = opener.clone();
        work.spawn(async move {
            let mut streams = Vec::with_capacity(count / LANES);
            for _ in 0..count / LANES {
                streams.push(greet(&opener, b'i').await);
            }
            streams
        });
    }
    work.join_all().await.into_iter().flatten().collect()
}

/// Not a number where there is no `/proc`.
fn resident() -> f64 {
    let kib = fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        });
    kib.map_or(f64::NAN, |kib| kib * 1024.0)
}

/// Bytes a stream of `system`, measured by a fresh process of this program.
pub(crate) fn of(system: &str, streams: usize) -> f64 {
    let output = Command::new(env::current_exe().unwrap())
        .args([ARGUMENT, system, &streams.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{system}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().unwrap()
}
