//! The whole farm as its users run it: real programs, real git, real TLS.

use std::collections::HashSet;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Coordinator, Repo, processes_with, wait};
use serde_json::Value;

const FARM: &str = r#"
[project]
recent = 10

[builder.unit]
timeout = "60s"
steps = [
    { name = "hello", run = "echo hello from $BUILDFARM_BUILDER" },
    { name = "test", run = "sh ./test.sh", timeout = "6s" },
]
"#;

fn build<'a>(builds: &'a [Value], commit: &str) -> &'a Value {
    builds
        .iter()
        .find(|b| b["commit"] == commit)
        .unwrap_or_else(|| panic!("no build of {commit}: {builds:#?}"))
}

fn all_done(count: usize) -> impl Fn(&[Value]) -> bool {
    move |builds| builds.len() >= count && builds.iter().all(|b| b["state"] == "done")
}

#[test]
fn a_repository_is_built_by_workers_that_joined() {
    // A length that no other process sleeps, to find what the timed-out step leaves behind.
    let hang = format!("{}", 40_000 + std::process::id() % 10_000);
    let repo = Repo::new();
    let good = repo.commit(
        "good",
        &[
            ("farm.toml", FARM),
            (
                "test.sh",
                "printf 'all\\033[32m well\\033[0m\\n'\nsleep 1\n",
            ),
        ],
    );
    let failing = repo.commit(
        "failing <script>alert(1)</script>",
        &[("test.sh", "echo sorry; exit 3\n")],
    );
    let hanging = repo.commit(
        "hanging",
        &[(
            "test.sh",
            &format!("echo begun; (setsid sleep {hang} &) ; sleep {hang}\n"),
        )],
    );
    let data = tempfile::tempdir().unwrap();
    let farm = Coordinator::start(&repo, data.path(), &["--workers", "0"]);
    let _workers = [farm.worker("alpha"), farm.worker("beta")];
    farm.wait_for_workers(Duration::from_secs(5), 2);

    // A commit that arrives while the others are built.
    farm.wait_for_builds(Duration::from_secs(20), |builds| {
        builds.iter().any(|b| b["state"] == "running")
    });
    let late = repo.commit("late", &[("test.sh", "echo late\n")]);

    let builds = farm.wait_for_builds(Duration::from_secs(60), all_done(4));
    assert_eq!(builds.len(), 4);
    for field in [
        "id",
        "builder",
        "commit",
        "subject",
        "state",
        "outcome",
        "attempt",
        "queued_at",
        "started_at",
        "ended_at",
    ] {
        assert!(
            builds.iter().all(|b| !b[field].is_null()),
            "{field} is missing"
        );
    }
    assert_eq!(build(&builds, &good)["outcome"], "passed");
    assert_eq!(build(&builds, &late)["outcome"], "passed");
    let failed = build(&builds, &failing);
    assert_eq!(
        (&failed["outcome"], &failed["reason"]),
        (&"failed".into(), &"step test failed: exit status 3".into())
    );
    assert_eq!(failed["attempt"], 1, "a failing test is not retried");
    let hung = build(&builds, &hanging);
    assert_eq!(hung["outcome"], "timed_out");
    assert_eq!(
        hung["reason"],
        "step test passed its limit of 6 s and was killed"
    );
    wait(Duration::from_secs(5), || {
        let left = processes_with(&format!("sleep {hang}"));
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
    let workers: HashSet<_> = builds
        .iter()
        .map(|b| b["worker"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(workers.len(), 2, "both workers had work");

    // The log holds what the commands wrote, byte for byte, and can be read from anywhere.
    let id = &build(&builds, &good)["id"];
    let log = farm.get(&format!("/api/v1/builds/{id}/log"));
    assert_eq!(log, b"hello from unit\nall\x1b[32m well\x1b[0m\n");
    assert_eq!(
        farm.get(&format!("/api/v1/builds/{id}/log?offset=11")),
        log[11..]
    );
    let detail = farm.json(&format!("/api/v1/builds/{id}"));
    assert_eq!(detail["attempts"][0]["steps"][1]["log_offset"], 16);
    assert_eq!(detail["attempts"][0]["log_bytes"], log.len());

    // Pages show people the same, and nothing of a commit's text is taken for markup.
    let grid = String::from_utf8(farm.get("/")).unwrap();
    assert!(grid.contains("late") && !grid.contains("<script>alert"));
    assert!(
        String::from_utf8(farm.get("/workers"))
            .unwrap()
            .contains("alpha")
    );
    let page = String::from_utf8(farm.get(&format!("/builds/{}", failed["id"]))).unwrap();
    assert!(page.contains("sorry") && !page.contains("<script>alert"));

    assert!(farm.terminate() < Duration::from_secs(5));
}

#[test]
fn one_command_in_a_repository_is_enough() {
    let repo = Repo::new();
    repo.commit("first", &[("Makefile", "test:\n\techo made\n")]);
    let data = repo.path().join(".buildfarm");
    let mut farm = Coordinator::run(repo.path(), &data, &["--listen", "127.0.0.1:0"]);
    farm.line("joined");
    farm.line("passed");
    let builds = farm.wait_for_builds(Duration::from_secs(5), all_done(1));
    assert!(
        builds.iter().all(|b| b["outcome"] == "passed"),
        "{builds:#?}"
    );
    assert_eq!(
        repo.git(&["status", "--porcelain"]),
        "",
        "the data folder is nothing to commit"
    );
    #[cfg(unix)]
    for private in ["dev-key.pem", "worker.key"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(data.join(private))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{private}");
    }

    // A second one on the same data would ruin both.
    let second = Command::new(env!("CARGO_BIN_EXE_coordinator"))
        .current_dir(repo.path())
        .args(["--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another coordinator works with"));

    assert!(farm.terminate() < Duration::from_secs(5));
    // The worker went with it.
    let work_dir = data.join("workers").to_string_lossy().into_owned();
    wait(Duration::from_secs(3), || {
        let left = processes_with(&work_dir);
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
}

#[test]
fn any_url_of_git_will_do() {
    let repo = Repo::new();
    let commit = repo.commit(
        "first",
        &[("ci.sh", "echo \"in $(pwd | xargs basename)\"\n")],
    );
    let data = tempfile::tempdir().unwrap();
    let url = format!("file://{}", repo.path().display());
    let data_text = data.path().to_string_lossy();
    let args = [
        "--listen",
        "127.0.0.1:0",
        "--repo",
        &url,
        "--data",
        &data_text,
    ];
    let farm = Coordinator::run(data.path(), data.path(), &args);
    let builds = farm.wait_for_builds(Duration::from_secs(20), all_done(1));
    assert_eq!(build(&builds, &commit)["outcome"], "passed", "{builds:#?}");
}

#[test]
fn init_writes_what_would_run_and_check_finds_mistakes() {
    let repo = Repo::new();
    std::fs::write(repo.path().join("Makefile"), "test:\n\ttrue\n").unwrap();
    let run = |args: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_coordinator"))
            .current_dir(repo.path())
            .args(args)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        (out.status.code(), text)
    };
    let (status, text) = run(&["init"]);
    assert_eq!(status, Some(0), "{text}");
    let written = std::fs::read_to_string(repo.path().join("farm.toml")).unwrap();
    assert!(written.contains("make test"), "{written}");
    assert_eq!(run(&["check"]).0, Some(0));
    let (status, text) = run(&["init"]);
    assert!(status == Some(1) && text.contains("--force"), "{text}");

    std::fs::write(repo.path().join("farm.toml"), "[builder.test]\nstep = []\n").unwrap();
    for command in [&["check"][..], &["--listen", "127.0.0.1:0"]] {
        let (status, text) = run(command);
        let mistake = "farm.toml:2:1: unknown key 'step', did you mean 'steps'?";
        assert!(
            status == Some(2) && text.contains(mistake),
            "{status:?} {text}"
        );
    }
}

#[test]
fn a_worker_that_dies_costs_its_build_an_attempt_and_nothing_else() {
    let repo = Repo::new();
    let slow = "echo begun\nwhile [ ! -e \"$GATE\" ]; do sleep 0.1; done\necho ended\n";
    let gate = repo.path().join(".git/gate").to_string_lossy().into_owned();
    let farm_toml = format!(
        "[builder.slow]\nenv = {{ GATE = \"{gate}\" }}\nsteps = [{{ name = \"wait\", run = \"sh slow.sh\" }}]\n"
    );
    repo.commit("one", &[("farm.toml", &farm_toml), ("slow.sh", slow)]);
    let data = tempfile::tempdir().unwrap();
    let farm = Coordinator::start(&repo, data.path(), &["--workers", "0"]);
    let mut first = farm.worker("doomed");
    let running = farm.wait_for_builds(Duration::from_secs(20), |b| {
        b.len() == 1 && b[0]["state"] == "running"
    });
    let id = running[0]["id"].clone();
    wait(Duration::from_secs(10), || {
        let log = farm.get(&format!("/api/v1/builds/{id}/log"));
        if log == b"begun\n" {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&log).into_owned())
        }
    });
    let _second = farm.worker("heir");
    farm.wait_for_workers(Duration::from_secs(5), 2);
    first.kill();
    farm.wait_for_builds(Duration::from_secs(20), |b| {
        b[0]["attempt"] == 2 && b[0]["state"] == "running"
    });
    std::fs::write(gate, "").unwrap();
    let done = farm.wait_for_builds(Duration::from_secs(20), all_done(1));
    assert_eq!(
        (&done[0]["outcome"], &done[0]["attempt"], &done[0]["worker"]),
        (&"passed".into(), &2.into(), &"heir".into())
    );
    let detail = farm.json(&format!("/api/v1/builds/{id}"));
    assert_eq!(detail["attempts"][0]["outcome"], "infra_failed");
    let reason = detail["attempts"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("doomed"), "{reason}");
    assert_eq!(
        farm.get(&format!("/api/v1/builds/{id}/log?attempt=1")),
        b"begun\n"
    );
    assert_eq!(
        farm.get(&format!("/api/v1/builds/{id}/log")),
        b"begun\nended\n"
    );
}

#[test]
fn a_frozen_worker_loses_its_claim_and_cannot_come_back_with_it() {
    let repo = Repo::new();
    let farm_toml = "[builder.slow]\nsteps = [{ name = \"wait\", run = \"echo begun; sleep 4; echo ended\" }]\n";
    repo.commit("one", &[("farm.toml", farm_toml)]);
    let data = tempfile::tempdir().unwrap();
    let farm = Coordinator::start(&repo, data.path(), &["--workers", "0"]);
    let frozen = farm.worker("sleepy");
    farm.wait_for_builds(Duration::from_secs(20), |b| {
        b.len() == 1 && b[0]["state"] == "running"
    });
    frozen.freeze(true);
    let _second = farm.worker("awake");
    // Nothing is closed and nothing is reset: only silence tells.
    let began = Instant::now();
    farm.wait_for_builds(Duration::from_secs(20), |b| {
        b[0]["attempt"] == 2 && b[0]["state"] == "running"
    });
    println!(
        "frozen worker given up after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    frozen.freeze(false);
    let done = farm.wait_for_builds(Duration::from_secs(20), all_done(1));
    assert_eq!(
        (&done[0]["outcome"], &done[0]["worker"]),
        (&"passed".into(), &"awake".into())
    );
    // It registers anew, and is as good as any other.
    farm.wait_for_workers(Duration::from_secs(20), 2);
    let detail = farm.json(&format!("/api/v1/builds/{}", done[0]["id"]));
    assert_eq!(detail["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(detail["attempts"][0]["outcome"], "infra_failed");
}
