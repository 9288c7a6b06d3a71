//! The pages of a farm that exists only in memory, with a few weeks of believable history and a build that never stops talking.
//!
//! `cargo run -p buildfarm-coordinator --example web_demo [PORT [BUILDERS]]` and open the address it prints.

#[path = "../tests/web/doubles.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod doubles;

use std::time::Duration;

use buildfarm_coordinator::web::router;
use buildfarm_dashboard::record::{BuildState, Outcome, WorkerState};
use doubles::{FakeCommit, FakeFarm};
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;

const SUBJECTS: [&str; 24] = [
    "parser: accept an empty argument list",
    "net: close idle connections after the deadline, not before",
    "docs: explain how offsets survive a reconnect",
    "cache: weigh entries by their size",
    "cli: name the unknown key and the nearest valid one",
    "sched: oldest commit first unless a newer one is free",
    "tests: wait for the event, not for the clock",
    "fs: refuse names that climb out of the tree",
    "http: keep the bytes read ahead of an upgrade",
    "release: 0.4.0",
    "tls: reload the certificate when the file changes",
    "store: one transaction for each transition",
    "log: seal with a digest of what was written",
    "ui: commits down, builders across",
    "ci: cache the toolchain",
    "windows: quote arguments as the C runtime reads them",
    "metrics: count bytes, not chunks",
    "fix data race in the idle list (found by the race builder)",
    "deps: update to the new allocator",
    "revert \"deps: update to the new allocator\"",
    "bench: print the ratio, not the time",
    "api: answer 400 and name the parameter",
    "worker: kill the whole process tree",
    "typo",
];
const AUTHORS: [&str; 6] = [
    "Mia Laurent",
    "Tomás Ferreira",
    "Yuki Sato",
    "Amal Haddad",
    "Jonas Lindqvist",
    "دانا כהן",
];
const WIDE: [&str; 5] = [
    "linux-amd64",
    "linux-amd64-race",
    "linux-arm64",
    "windows-amd64",
    "darwin-arm64",
];

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let port = args.next().and_then(|arg| arg.parse().ok()).unwrap_or(0);
    let builders = args
        .next()
        .and_then(|arg| arg.parse().ok())
        .unwrap_or(WIDE.len());
    let farm = FakeFarm::new();
    if builders > 0 {
        history(&farm, builders);
        tokio::spawn(chatter(farm.clone()));
    }
    let mut view = farm.view();
    view.project = "juniper".to_owned();
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, router(view)).await
}

/// A small generator of numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn names(count: usize) -> Vec<String> {
    let systems = [
        "linux", "windows", "darwin", "freebsd", "netbsd", "android", "wasi",
    ];
    let machines = ["amd64", "arm64", "386", "riscv64", "ppc64le", "s390x"];
    let kinds = ["", "-race", "-longtest", "-nocgo"];
    if count <= WIDE.len() {
        return WIDE
            .iter()
            .take(count)
            .map(|&name| name.to_owned())
            .collect();
    }
    let pick = |n: usize| {
        format!(
            "{}-{}{}",
            systems[n / 24 % 7],
            machines[n / 4 % 6],
            kinds[n % 4]
        )
    };
    (0..count).map(pick).collect()
}

fn history(farm: &FakeFarm, count: usize) {
    let now = Timestamp::now();
    let names = names(count);
    let builders: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut dice = Dice(7);
    for (i, host) in [
        "linux-amd64",
        "linux-amd64",
        "linux-arm64",
        "windows-amd64",
        "darwin-arm64",
    ]
    .iter()
    .enumerate()
    {
        let name = ["alder", "birch", "cedar", "dogwood", "elm"][i];
        farm.pool.add(
            name,
            host,
            WorkerState::Idle,
            now - SignedDuration::from_hours(30 + 9 * i as i64),
        );
        farm.pool
            .change(name, |worker| worker.builds_done = 140 + 31 * i as u64);
        farm.pool.change(name, |worker| {
            worker.last_seen = now - SignedDuration::from_secs(3)
        });
    }
    farm.pool.add(
        "fir",
        "windows-amd64",
        WorkerState::Lost,
        now - SignedDuration::from_hours(3),
    );
    let commits = 62;
    for n in 0..commits {
        let age = SignedDuration::from_mins((commits - n) * (commits - n) * 9 - 6);
        let at = now - age;
        let hash = format!(
            "{:016x}{:016x}{:08x}",
            dice.roll(1 << 31) << 32 | dice.roll(1 << 31),
            dice.0,
            n
        );
        let branch = if n % 7 == 3 { "release/0.4" } else { "main" };
        let subject = SUBJECTS[n as usize % SUBJECTS.len()];
        let author = AUTHORS[dice.roll(6) as usize];
        let ids = farm.commit(
            FakeCommit {
                hash: &hash[..40],
                subject,
                author,
                branch,
            },
            &builders,
            at,
        );
        for (i, id) in ids.into_iter().enumerate() {
            let newest = commits - 1 - n;
            if newest == 0 && i > 0 {
                continue;
            }
            past(
                farm,
                id,
                i,
                (newest == 1 && i == 3) || newest == 0,
                &mut dice,
                at,
                now,
            );
        }
    }
    farm.pool
        .change("fir", |worker| worker.state = WorkerState::Lost);
}

fn past(
    farm: &FakeFarm,
    id: i64,
    column: usize,
    running: bool,
    dice: &mut Dice,
    at: Timestamp,
    now: Timestamp,
) {
    let worker = ["alder", "birch", "cedar", "dogwood", "elm"][column % 5];
    let secs = |n: u64| SignedDuration::from_secs(n as i64);
    let mut clock = if running {
        now - secs(47)
    } else {
        at + secs(2 + dice.roll(9))
    };
    if dice.roll(40) == 0 && !running {
        farm.store.change(id, |detail| {
            detail.build.state = BuildState::Done;
            detail.build.outcome = Some(if dice.roll(2) == 0 {
                Outcome::Skipped
            } else {
                Outcome::Canceled
            });
            detail.build.reason = Some("only documentation changed".to_owned());
            detail.build.ended_at = Some(clock);
        });
        return;
    }
    let steps = ["source", "build", "vet", "test", "package"];
    if dice.roll(14) == 0 {
        let lost = farm.start(id, "fir", &steps, clock);
        farm.begin_step(lost, 0, clock);
        farm.logs.append(lost, "fetching\n");
        clock += secs(20);
        farm.finish(
            lost,
            Outcome::InfraFailed,
            "worker fir went away: no heartbeat for 30 s",
            false,
            clock,
        );
    }
    let attempt = farm.start(id, worker, &steps, clock);
    let fate = dice.roll(22);
    for (i, step) in steps.iter().enumerate() {
        farm.begin_step(attempt, i, clock);
        farm.logs.append(attempt, output(step, dice));
        clock += secs([2, 14, 4, 31, 3][i] + dice.roll([2, 9, 4, 24, 2][i]));
        if running && i == 3 {
            return;
        }
        let (outcome, status, reason) = match (fate, *step) {
            (0 | 1, "test") => (Outcome::Failed, "exit status 1", "step test: exit status 1"),
            (2, "vet") => (Outcome::Failed, "exit status 2", "step vet: exit status 2"),
            (3, "test") => (
                Outcome::TimedOut,
                "signal: killed",
                "step test passed its limit of 10 min",
            ),
            (4, "build") if dice.roll(2) == 0 => (
                Outcome::InfraFailed,
                "worker lost",
                "worker went away three times",
            ),
            _ => {
                farm.end_step(attempt, i, Outcome::Passed, "exit status 0", clock);
                continue;
            }
        };
        if outcome == Outcome::TimedOut {
            clock += secs(600);
        }
        farm.logs.append(attempt, failure(outcome));
        farm.end_step(attempt, i, outcome, status, clock);
        return farm.finish(attempt, outcome, reason, true, clock);
    }
    farm.finish(attempt, Outcome::Passed, "", true, clock);
}

fn output(step: &str, dice: &mut Dice) -> String {
    match step {
        "source" => "unpacked 1,482 files, 9.6 MiB\n".to_owned(),
        "build" => {
            let crates = ["bytes v1.10.1", "tokio v1.54.0", "hyper v1.12.0", "axum v0.8.9", "juniper v0.4.0 (/src)"];
            let lines: String = crates.iter().map(|name| format!("\x1b[1m\x1b[92m   Compiling\x1b[0m {name}\n")).collect();
            let progress: String = (0..100).map(|n| format!("\x1b[1m\x1b[96m    Building\x1b[0m [{:<25}] {n}/100\r", "=".repeat(n / 4))).collect();
            format!("{lines}{progress}\x1b[K\x1b[1m\x1b[92m    Finished\x1b[0m `dev` profile in 14.20s\n")
        }
        "vet" => "\x1b[1m\x1b[33mwarning\x1b[0m\x1b[1m: unused variable: `tail`\x1b[0m\n  \x1b[34m-->\x1b[0m src/queue.rs:118:9\n   \x1b[34m|\x1b[0m\n\x1b[34m118\x1b[0m \x1b[34m|\x1b[0m     let tail = self.ring.back();\n   \x1b[34m|\x1b[0m         \x1b[33m^^^^ help: if this is intentional, prefix it with an underscore: `_tail`\x1b[0m\n\n".to_owned(),
        "test" => {
            let areas = ["parser", "queue", "net::idle", "cache", "fs::names", "tls"];
            let line = |n| format!("test {}::case_{n:03} ... \x1b[32mok\x1b[0m\n", areas[n % areas.len()]);
            (0..40 + dice.roll(60) as usize).map(line).collect()
        }
        _ => "juniper-0.4.0.tar.gz  3.1 MiB\n".to_owned(),
    }
}

fn failure(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::TimedOut => {
            "test net::idle::many_connections ... \x1b[2mrunning for over 60 seconds\x1b[0m\n"
        }
        _ => {
            "test queue::keeps_order ... \x1b[31mFAILED\x1b[0m\n\nfailures:\n\n---- queue::keeps_order ----\nthread 'queue::keeps_order' panicked at src/queue.rs:142:9:\nassertion `left == right` failed\n  left: [1, 2, \x1b[41m4\x1b[0m]\n right: [1, 2, \x1b[42m3\x1b[0m]\n\ntest result: \x1b[31mFAILED\x1b[0m. 61 passed; 1 failed; finished in 3.41s\n"
        }
    }
}

/// Keeps the newest build talking, then ends it and begins another, for ever.
async fn chatter(farm: FakeFarm) {
    let mut n = 0_u32;
    let mut id = None;
    loop {
        let newest = (1..)
            .take_while(|&id| farm.store.build_now(id).is_some())
            .last()
            .unwrap_or(1);
        let now = Timestamp::now();
        let attempt = *id.get_or_insert_with(|| {
            let waiting = (1..=newest).rev().find(|&id| {
                farm.store
                    .build_now(id)
                    .is_some_and(|detail| detail.build.state == BuildState::Queued)
            });
            let build = waiting.unwrap_or_else(|| {
                let hash = format!("{n:040x}");
                let commit = FakeCommit {
                    hash: &hash,
                    subject: "one more thing",
                    author: AUTHORS[0],
                    branch: "main",
                };
                *farm.commit(commit, &WIDE, now).first().unwrap_or(&newest)
            });
            let attempt = farm.start(build, "birch", &["source", "test"], now);
            farm.begin_step(attempt, 0, now);
            attempt
        });
        n += 1;
        match n % 150 {
            5 => {
                farm.end_step(attempt, 0, Outcome::Passed, "exit status 0", now);
                farm.begin_step(attempt, 1, now);
            }
            149 => {
                farm.end_step(attempt, 1, Outcome::Passed, "exit status 0", now);
                farm.finish(attempt, Outcome::Passed, "", true, now);
                id = None;
            }
            _ if n.is_multiple_of(9) => farm.logs.append(
                attempt,
                format!("\x1b[36mfetching\x1b[0m fixtures {}%\r", n % 100),
            ),
            _ => farm.logs.append(
                attempt,
                format!("\x1b[Ktest queue::case_{n:03} ... \x1b[32mok\x1b[0m\n"),
            ),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
