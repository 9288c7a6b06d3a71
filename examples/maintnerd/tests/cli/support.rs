//! Repositories, and programs that run.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use maintner::corpus::Snapshot;
use serde_json::Value;

/// A git repository in a temporary folder.
pub(crate) struct Repo(pub(crate) tempfile::TempDir);

impl Repo {
    pub(crate) fn new() -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo.commit("the first");
        repo
    }

    pub(crate) fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
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

    pub(crate) fn commit(&self, subject: &str) -> String {
        self.git(&["commit", "--quiet", "--allow-empty", "-m", subject]);
        self.git(&["rev-parse", "HEAD"])
    }
}

pub(crate) fn maintnerd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maintnerd"));
    command.args(args);
    command
}

pub(crate) fn run(args: &[&str]) -> (Output, String) {
    let output = maintnerd(args).output().unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8(text).unwrap())
}

/// A maintnerd that runs.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    lines: Receiver<String>,
}

impl Server {
    pub(crate) fn start(data: &Path, args: &[&str]) -> Self {
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
    pub(crate) fn line(&self, text: &str) -> String {
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
    pub(crate) fn get(&self, path: &str) -> (String, Vec<u8>) {
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

    pub(crate) fn page(&self, path: &str) -> String {
        let (status, body) = self.get(path);
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, "200", "{path}: {body}");
        body
    }

    /// Waits until the log has other than `len` bytes, as followers do.
    pub(crate) fn longer_than(&self, len: u64) -> u64 {
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
    pub(crate) fn shows(&self, path: &str, text: &str) {
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
    pub(crate) fn follow(&self) -> Snapshot {
        let (status, log) = self.get("/logs/0");
        assert_eq!(status, "200");
        Snapshot::of_log(log).unwrap()
    }

    pub(crate) fn interrupt(mut self) -> Duration {
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

    pub(crate) fn kill(mut self) {
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
