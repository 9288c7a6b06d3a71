//! The built program on real repositories.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use buildfarm_https::Identity;
use maintner::{
    api::apipb::{HasAncestorRequest, maintner_service_client::MaintnerServiceClient},
    corpus::{Snapshot, live::Follower},
    log::{self, Sha224Sum},
    proto::{GithubIssueMutation, Mutation},
    reclog::{Header, Records},
    testing::History,
};
use prost::Message;
use serde_json::Value;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

/// A git repository in a temporary folder.
struct Repo(tempfile::TempDir);

impl Repo {
    fn new() -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo.commit("the first");
        repo
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(self.0.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, subject: &str) -> String {
        self.git(&["commit", "--quiet", "--allow-empty", "-m", subject]);
        self.git(&["rev-parse", "HEAD"])
    }
}

fn maintnerd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maintnerd"));
    command.args(args);
    command
}

fn run(args: &[&str]) -> (Output, String) {
    let output = maintnerd(args).output().unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8(text).unwrap())
}

/// A maintnerd that runs.
struct Server {
    child: Child,
    address: String,
    lines: Receiver<String>,
}

impl Server {
    fn start(data: &Path, args: &[&str]) -> Self {
        let data = data.to_str().unwrap();
        let always = ["--listen", "127.0.0.1:0", "--data-dir", data];
        let mut command = maintnerd(&[&always, args].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut server = Self {
            child,
            address: String::new(),
            lines,
        };
        let open = server.line("  open ");
        let address = open.split("://").nth(1).unwrap();
        server.address = address.trim_end_matches('/').to_owned();
        server
    }

    /// Waits for a line of output that contains `text`.
    fn line(&self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no line with {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The status and the body of an answer.
    fn get(&self, path: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().to_owned();
        (status, answer[end + 4..].to_vec())
    }

    fn page(&self, path: &str) -> String {
        let (status, body) = self.get(path);
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, "200", "{path}: {body}");
        body
    }

    /// Waits until the log has other than `len` bytes, as followers do.
    fn longer_than(&self, len: u64) -> u64 {
        let index: Value =
            serde_json::from_str(&self.page(&format!("/logs?waitsizenot={len}"))).unwrap();
        index
            .as_array()
            .unwrap()
            .iter()
            .map(|segment| segment["size"].as_u64().unwrap())
            .sum()
    }

    /// Waits until a page has a text, and asks for it when an open page does.
    fn shows(&self, path: &str, text: &str) {
        let page = || String::from_utf8(self.get(path).1).unwrap();
        let mut shown = page();
        let generation = shown.split("data-live=\"").nth(1).unwrap();
        let generation = generation.split('"').next().unwrap();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        let request = format!("GET /-/live?since={generation} HTTP/1.0\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap);
        let mut events = lines.filter(|line| line.starts_with("data: "));
        while !shown.contains(text) {
            events.next().unwrap();
            shown = page();
        }
    }

    /// What a follower knows.
    fn follow(&self) -> Snapshot {
        let (status, log) = self.get("/logs/0");
        assert_eq!(status, "200");
        Snapshot::of_log(log).unwrap()
    }

    fn interrupt(mut self) -> Duration {
        let began = Instant::now();
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.child.wait().unwrap().success());
        began.elapsed()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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

/// What [`follow_over_tls`] is to follow.
const FOLLOW: &str = "MAINTNERD_TEST_FOLLOW";

/// In a process of its own, because what it trusts is told by the environment.
#[tokio::test]
async fn follow_over_tls() {
    let Ok(url) = std::env::var(FOLLOW) else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let source = log::Follower::new(&url, cache.path(), log::FollowOptions::default()).unwrap();
    let snapshot = Follower::new(source).catch_up().await.unwrap();
    println!("\n{} commits", snapshot.commits().len());
}

#[tokio::test]
async fn one_port_speaks_tls_and_to_this_machine_plain_http() {
    let (repo, data) = (Repo::new(), tempfile::tempdir().unwrap());
    let git = format!("{}=local/it", repo.path());
    let server = Server::start(data.path(), &["--git", &git, "--name", "farm.example"]);
    server.line("local/it: in step, 1 commits");
    // In the clear, as the Go programs' followers on this machine.
    assert_eq!(server.follow().commits().len(), 1);

    let certificate = data.path().join("dev-cert.pem");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "follow_over_tls", "--nocapture"])
        .env(FOLLOW, format!("https://{}/logs", server.address))
        .env("SSL_CERT_FILE", &certificate)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 commits"), "{text}");

    // gRPC, both ways.
    let ca = Certificate::from_pem(fs::read(&certificate).unwrap());
    let tls = ClientTlsConfig::new()
        .ca_certificate(ca)
        .domain_name("farm.example");
    let over_tls = Endpoint::from_shared(format!("https://{}", server.address)).unwrap();
    let over_tls = over_tls.tls_config(tls).unwrap();
    let plain = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    for endpoint in [over_tls, plain] {
        let channel = endpoint.connect().await.unwrap();
        let mut client = MaintnerServiceClient::new(channel);
        let head = repo.git(&["rev-parse", "HEAD"]);
        let request = HasAncestorRequest {
            commit: head.clone(),
            ancestor: head,
        };
        let answer = client.has_ancestor(request).await.unwrap().into_inner();
        assert!(!answer.unknown_commit, "{answer:?}");
    }
    assert!(server.interrupt() < Duration::from_secs(10));
}

#[test]
fn a_certificate_of_ones_own_is_taken() {
    let (data, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Identity::dev(data.path(), &[]).unwrap();
    let file = |name| data.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (file("dev-cert.pem"), file("dev-key.pem"));
    let server = Server::start(empty.path(), &["--tls-cert", &cert, "--tls-key", &key]);
    assert!(!empty.path().join("dev-cert.pem").exists());
    assert_eq!(server.page("/healthz"), "ok\n");
    let (output, _) = run(&["--git", ".", "--tls-cert", &cert]);
    assert_eq!(output.status.code(), Some(2), "not without its key");
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
    let is_kept = |path: &Path| path.to_string_lossy().contains("/bucket-");
    let (kept, after): (Vec<_>, Vec<_>) = files().into_iter().partition(|(_, path)| is_kept(path));
    assert!(after == before);
    let copies = fs::read_dir(&kept[0].1).unwrap();
    let mut names = copies.map(|entry| entry.unwrap().file_name());
    assert!(names.any(|name| name.to_string_lossy().ends_with(".mutlog")));
}
