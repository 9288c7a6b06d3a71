//! The built program on real repositories.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod support;
mod tls;

use std::{
    fs,
    time::{Duration, Instant},
};

use maintner::{
    corpus::Snapshot,
    log::Sha224Sum,
    proto::{GithubIssueMutation, Mutation},
    reclog::{Header, Records},
    testing::History,
};
use prost::Message;
use serde_json::Value;

use support::{Repo, Server, run};

#[test]
fn one_command_mirrors_follows_serves_and_shows() {
    let (repo, data) = (Repo::new(), tempfile::tempdir().unwrap());
    let git = format!("{}=local/it", repo.path());
    let server = Server::start(data.path(), &["--git", &git]);
    server.line("local/it: in step, 1 commits");
    assert_eq!(server.page("/healthz"), "ok\n");
    assert!(server.page("/").contains("href=\"/local/it\""));
    for page in ["/", "/local/it"] {
        assert!(server.page(page).contains("the first"));
    }
    let status: Value = serde_json::from_str(&server.page("/status")).unwrap();
    assert_eq!(
        (&status[0]["name"], &status[0]["skipped"]),
        (&"local/it".into(), &0.into())
    );

    let len = server.longer_than(0);
    let branch = "/local/it/log/refs/heads/main";
    let second = repo.commit("the second <b>");
    let committed = Instant::now();
    server.shows(branch, "the second &#60;b&#62;");
    // A second, or some more on a machine with much else to do.
    assert!(committed.elapsed() < Duration::from_secs(10));
    assert!(server.longer_than(len) > len);
    assert!(
        server
            .page(&format!("/local/it/commit/{second}"))
            .contains("Ada")
    );
    assert!(server.page("/search?q=second").contains(&second));
    let follower = server.follow();
    assert_eq!(follower.commits().len(), 2);
    assert!(server.interrupt() < Duration::from_secs(10));
}

#[test]
fn what_was_seen_survives_a_kill() {
    let (repo, data) = (Repo::new(), tempfile::tempdir().unwrap());
    let git = format!("{}=local/it", repo.path());
    let mut seen = Vec::new();
    for turn in 0..3 {
        let server = Server::start(data.path(), &["--git", &git]);
        let commit = repo.commit(&format!("turn {turn}"));
        server.shows("/local/it/log/HEAD", &commit);
        let (_, log) = server.get("/logs/0");
        assert!(
            log.starts_with(&seen),
            "nothing that was seen is gone or different"
        );
        assert!(Records::new(&log, 0).all(|record| record.is_ok()));
        seen = log;
        server.kill();
    }
}

#[test]
fn a_second_one_on_the_same_folder_or_port_is_refused() {
    let (repo, data, other) = (
        Repo::new(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let server = Server::start(data.path(), &["--git", repo.path()]);
    let [data, other] = [&data, &other].map(|dir| dir.path().to_str().unwrap());
    let (output, text) = run(&[
        "--git",
        repo.path(),
        "--data-dir",
        data,
        "--listen",
        "127.0.0.1:0",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("another maintnerd works with"), "{text}");
    let (output, text) = run(&[
        "--git",
        repo.path(),
        "--data-dir",
        other,
        "--listen",
        &server.address,
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("--listen"), "{text}");
}

#[test]
fn once_and_quit() {
    let (repo, data) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.commit("the second");
    let data = data.path().to_str().unwrap();
    // As the Go program's flags are written.
    let (output, text) = run(&["-git", repo.path(), "-data-dir", data, "-sync-and-quit"]);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("2 commits, "), "{text}");
    let (output, text) = run(&["--data-dir", data, "--init-and-quit"]);
    assert!(
        output.status.success() && text.contains("loaded 2 commits"),
        "{text}"
    );
}

/// The bot of `godata`'s README, on what a maintnerd serves.
#[tokio::test]
async fn a_bot_looks_at_what_is_served() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = History::new(6).log(300_000);
    fs::write(data.path().join("0000.growing.mutlog"), &log).unwrap();
    let server = Server::start(data.path(), &[]);
    let url = format!("http://{}/logs", server.address);
    let options = godata::Options::new().cache(cache.path());
    let corpus = options.open(&url).await.unwrap();
    let mut feed = corpus.follow(Default::default());
    let batch = feed.next().await.unwrap();
    let mut found = Vec::new();
    for repo in batch.snapshot().github().repos() {
        for issue in repo.issues().filter(|issue| issue.is_open()) {
            if issue.labels().next().is_none() {
                found.push(issue.reference().to_string());
            }
        }
    }
    let expected = Snapshot::of_log(log).unwrap();
    let query = "is:open no:label".parse::<maintner::corpus::query::Query>();
    let expected = query.unwrap().issues(&expected).len();
    assert!(expected > 0 && found.len() == expected, "{found:?}");
}

/// A log that is long enough for a snapshot file, most of it in a few records.
fn long_log() -> Vec<u8> {
    let mut log = History::new(4).log(100_000);
    let text = "A long story. ".repeat(80_000);
    while log.len() < 17 << 20 {
        let issue = GithubIssueMutation {
            owner: "o".into(),
            repo: "r".into(),
            number: 1,
            body: text.clone(),
            ..Default::default()
        };
        let mutation = Mutation {
            github_issue: Some(issue),
            ..Default::default()
        };
        let payload = mutation.encode_to_vec();
        log.extend_from_slice(&Header::new(log.len() as u64, payload.len() as u64));
        log.extend_from_slice(&payload);
    }
    log
}

#[test]
fn it_begins_with_its_snapshot_file_but_the_log_is_the_truth() {
    let (repo, data) = (Repo::new(), tempfile::tempdir().unwrap());
    let log = long_log();
    let name = format!("0000.{}.mutlog", Sha224Sum::of(&log));
    fs::write(data.path().join(&name), &log).unwrap();
    let git = format!("{}=local/it", repo.path());
    let commits = Snapshot::of_log(log.clone()).unwrap().commits().len();
    let snapshots = || fs::read_dir(data.path().join("snapshots")).map_or(0, Iterator::count);

    let server = Server::start(data.path(), &["--git", &git]);
    server.line(&format!("local/it: in step, {} commits", commits + 1));
    server.interrupt();
    assert!(snapshots() > 0, "left one at the end at the latest");

    // Rows come from the file: of the log, the file's part cannot be read as records now.
    let mut unreadable = log.clone();
    unreadable[..4].fill(0);
    fs::write(data.path().join(&name), &unreadable).unwrap();
    repo.commit("the second");
    let server = Server::start(data.path(), &["--git", &git]);
    server.line(&format!("local/it: in step, {} commits", commits + 2));
    server.kill();
    fs::write(data.path().join(&name), &log).unwrap();

    // What the file knows of a log that is another one now does not count.
    for file in fs::read_dir(data.path()).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("0001.") {
            fs::remove_file(file.path()).unwrap();
        }
    }
    let data = data.path().to_str().unwrap();
    let (output, text) = run(&["--data-dir", data, "--init-and-quit"]);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains(&format!("loaded {commits} commits")),
        "{text}"
    );
    assert!(snapshots() > 0);
}

#[test]
fn mistakes_are_explained() {
    let empty = tempfile::tempdir().unwrap();
    let nothing = empty.path().to_str().unwrap();
    let (output, text) = run(&["--git", nothing]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("is no git repository"), "{text}");
    assert!(run(&[]).1.contains("--git"));
    let repo = Repo::new();
    let (_, text) = run(&[
        "--git",
        repo.path(),
        "--git",
        repo.path(),
        "--data-dir",
        nothing,
    ]);
    assert!(
        text.contains("two repositories are called local/"),
        "{text}"
    );
    fs::write(empty.path().join("maintner-2018-07-09.mutlog"), "").unwrap();
    let (output, text) = run(&["--data-dir", nothing, "--init-and-quit"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("mutlog convert --to segments"), "{text}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 1);
    assert_eq!(run(&["--gti", "."]).0.status.code(), Some(2));
    assert!(run(&["--help"]).1.starts_with("Examples:"));
    assert!(
        run(&["completions", "zsh"])
            .1
            .contains("#compdef maintnerd")
    );
}

#[test]
#[cfg(feature = "object-store")]
fn a_bucket_leaves_the_log_in_the_folder_as_it_is() {
    let (repo, data) = (Repo::new(), tempfile::tempdir().unwrap());
    let folder = data.path().to_str().unwrap();
    let once = [
        "--git",
        repo.path(),
        "--data-dir",
        folder,
        "--sync-and-quit",
    ];
    let (output, text) = run(&once);
    assert!(output.status.success(), "{text}");
    let files = || {
        let paths = fs::read_dir(data.path()).unwrap();
        let paths = paths.map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths.map(|path| (fs::read(&path).ok(), path)).collect();
        files.sort();
        files
    };
    let before = files();
    // Longer than a segment: the one before it is sealed.
    let message = repo.0.path().join("message");
    fs::write(&message, "long\n".repeat(4 << 20)).unwrap();
    let message = message.to_str().unwrap();
    repo.git(&["commit", "--quiet", "--allow-empty", "-F", message]);
    let (output, text) = run(&[&once[..], &["--log", "memory:///logs"]].concat());
    assert!(output.status.success(), "{text}");
    let is_kept = |path: &std::path::Path| path.to_string_lossy().contains("/bucket-");
    let (kept, after): (Vec<_>, Vec<_>) = files().into_iter().partition(|(_, path)| is_kept(path));
    assert!(after == before);
    let copies = fs::read_dir(&kept[0].1).unwrap();
    let mut names = copies.map(|entry| entry.unwrap().file_name());
    assert!(names.any(|name| name.to_string_lossy().ends_with(".mutlog")));
}
