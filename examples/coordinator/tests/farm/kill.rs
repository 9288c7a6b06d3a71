//! Nothing is lost and nothing is done twice, however often the coordinator is killed.
//!
//! `BUILDFARM_KILL_SEED` repeats a run, `BUILDFARM_KILLS` makes it longer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::support::{Coordinator, Repo, Worker};
use sha2::{Digest, Sha256};

const BUILDERS: [&str; 3] = ["a", "b", "c"];

const FARM: &str = r#"
[project]
recent = 50
[retry]
infra = 20
backoff = ["50ms", "500ms"]

[builder.a]
steps = [{ name = "talk", run = "sh talk.sh 200" }]
[builder.b]
steps = [{ name = "talk", run = "sh talk.sh 20" }, { name = "again", run = "sh talk.sh 50" }]
[builder.c]
steps = [{ name = "talk", run = "sh talk.sh 2000" }]
"#;

/// Writes numbered lines, with pauses in between so that kills fall into the middle.
const TALK: &str = r#"
i=0
while [ $i -lt $1 ]; do
    echo "$BUILDFARM_BUILDER line $i of $1, and some more so that it has a length"
    i=$((i+1))
    [ $((i % 50)) = 0 ] && sleep 0.05
done
exit 0
"#;

fn expected_log(builder: &str) -> String {
    let talk = |n: usize| -> String {
        (0..n)
            .map(|i| format!("{builder} line {i} of {n}, and some more so that it has a length\n"))
            .collect()
    };
    match builder {
        "a" => talk(200),
        "b" => talk(20) + &talk(50),
        _ => talk(2000),
    }
}

fn sha256(data: &[u8]) -> String {
    Sha256::digest(data)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// A small random generator: the same seed gives the same test.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_build_ends_exactly_once_through_twenty_kills() {
    let seed = setting("BUILDFARM_KILL_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        now.as_nanos() as u64 | 1
    });
    let kills = setting("BUILDFARM_KILLS").unwrap_or(20);
    println!("seed {seed}, {kills} kills");
    let mut random = Random(seed);

    let repo = Repo::new();
    let mut commits = Vec::new();
    for n in 0..4 {
        commits.push(repo.commit(
            &format!("commit {n}"),
            &[("farm.toml", FARM), ("talk.sh", TALK)],
        ));
    }
    let data = tempfile::tempdir().unwrap();
    let mut farm = Coordinator::start(&repo, data.path(), &[]);
    // The address stays, so that the workers on other machines find the next coordinator.
    let listen = farm.address.to_string();
    let key = data.path().join("worker.key");
    let _remote = [
        Worker::start(farm.address, &key, "remote-1"),
        Worker::start(farm.address, &key, "remote-2"),
    ];

    let mut slowest_start = Duration::ZERO;
    for kill in 0..kills {
        // New work keeps coming, so that every kill finds builds in all states.
        commits.push(repo.commit(&format!("pushed before kill {kill}"), &[]));
        std::thread::sleep(Duration::from_millis(50 + random.below(1_500)));
        farm.kill();
        let began = Instant::now();
        farm = Coordinator::start_at(&repo, data.path(), &listen, &[]);
        slowest_start = slowest_start.max(began.elapsed());
    }

    let count = commits.len() * BUILDERS.len();
    let builds = farm.wait_for_builds(Duration::from_secs(180), |builds| {
        builds.len() >= count && builds.iter().all(|b| b["state"] == "done")
    });

    let mut seen = HashMap::new();
    let mut interrupted = 0;
    for build in &builds {
        let (commit, builder) = (
            build["commit"].as_str().unwrap(),
            build["builder"].as_str().unwrap(),
        );
        assert!(
            seen.insert((commit, builder), ()).is_none(),
            "{commit} {builder} has two builds"
        );
        assert_eq!(build["outcome"], "passed", "{build:#}");
        let detail = farm.json(&format!("/api/v1/builds/{}", build["id"]));
        let attempts = detail["attempts"].as_array().unwrap();
        let (last, earlier) = attempts.split_last().unwrap();
        assert_eq!(last["outcome"], "passed");
        assert_eq!(last["number"], attempts.len());
        for attempt in earlier {
            // What was broken off is told as that, and what it wrote up to then is kept.
            interrupted += 1;
            assert_eq!(attempt["outcome"], "infra_failed", "{detail:#}");
            assert!(!attempt["reason"].as_str().unwrap().is_empty());
            let log = farm.get(&format!(
                "/api/v1/builds/{}/log?attempt={}",
                build["id"], attempt["number"]
            ));
            assert!(
                expected_log(builder).as_bytes().starts_with(&log),
                "the log of a broken-off attempt is not a beginning"
            );
            assert_eq!(attempt["log_sha256"], sha256(&log));
        }
        let log = farm.get(&format!("/api/v1/builds/{}/log", build["id"]));
        assert!(
            log == expected_log(builder).as_bytes(),
            "log of build {} differs from what was written",
            build["id"]
        );
        assert_eq!(last["log_sha256"], sha256(&log));
    }
    for commit in &commits {
        for builder in BUILDERS {
            assert!(
                seen.contains_key(&(commit.as_str(), builder)),
                "{commit} {builder} was lost"
            );
        }
    }
    assert_eq!(builds.len(), count);
    println!(
        "kills={kills} builds={count} lost=0 doubled=0 interrupted_attempts={interrupted} slowest_start={:.2}s seed={seed}",
        slowest_start.as_secs_f64()
    );
}
