//! The built program on real repositories.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use maintner::{corpus::Snapshot, reclog::Records};
use serde_json::Value;

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
    assert!(server.page("/local/it").contains("the first"));
    let status: Value = serde_json::from_str(&server.page("/status")).unwrap();
    assert_eq!(
        (&status[0]["name"], &status[0]["skipped"]),
        (&"local/it".into(), &0.into())
    );

    let len = server.longer_than(0);
    let second = repo.commit("the second <b>");
    let mut len = server.longer_than(len);
    // The ref comes after its commit.
    while !server
        .page("/local/it/log/refs/heads/main")
        .contains("the second &#60;b&#62;")
    {
        len = server.longer_than(len);
    }
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
        let mut len = 0;
        // Not even the project is there before the first look at the repository.
        let shows = |(status, page): (String, Vec<u8>)| {
            status == "200" && String::from_utf8_lossy(&page).contains(&commit)
        };
        while !shows(server.get("/local/it/log/HEAD")) {
            len = server.longer_than(len);
        }
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
    assert_eq!(run(&["--gti", "."]).0.status.code(), Some(2));
    assert!(run(&["--help"]).1.starts_with("Examples:"));
    assert!(
        run(&["completions", "zsh"])
            .1
            .contains("#compdef maintnerd")
    );
}
