//! A farm of real processes on loopback, for tests that look at it from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A git repository in a temporary folder.
pub(crate) struct Repo(tempfile::TempDir);

impl Repo {
    pub(crate) fn new() -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let identity = [
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.org",
            "-c",
            "commit.gpgsign=false",
        ];
        let out = Command::new("git")
            .current_dir(self.path())
            .args(identity)
            .args(args)
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Commits files and returns the commit's hash.
    pub(crate) fn commit(&self, subject: &str, files: &[(&str, &str)]) -> String {
        for (name, content) in files {
            std::fs::write(self.path().join(name), content).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", subject]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// A running coordinator.
pub(crate) struct Coordinator {
    child: Child,
    pub(crate) address: SocketAddr,
    lines: Receiver<String>,
    data: PathBuf,
    seen: Vec<String>,
}

impl Coordinator {
    /// Starts one on a free port and waits until it has printed where it is.
    pub(crate) fn start(repo: &Repo, data: &Path, more: &[&str]) -> Self {
        Self::start_at(repo, data, "127.0.0.1:0", more)
    }

    pub(crate) fn start_at(repo: &Repo, data: &Path, listen: &str, more: &[&str]) -> Self {
        let url = repo.path().to_string_lossy().into_owned();
        let data_text = data.to_string_lossy().into_owned();
        let args = ["--listen", listen, "--repo", &url, "--data", &data_text];
        Self::run(Path::new("."), data, &[&args[..], more].concat())
    }

    /// Starts one in a folder with these arguments; `data` is where it will keep its data.
    pub(crate) fn run(folder: &Path, data: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_coordinator"))
            .current_dir(folder)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut this = Self {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            lines,
            data: data.to_owned(),
            seen: Vec::new(),
        };
        let open = this.line("  open ");
        let address = open.split("://").nth(1).unwrap().trim_end_matches('/');
        this.address = address.parse().unwrap();
        this
    }

    /// Waits for a line of output that contains `text`.
    pub(crate) fn line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no line with {text:?}; saw:\n{}", self.seen.join("\n")),
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop as Ctrl-C or a service manager does, and says how long it took.
    pub(crate) fn terminate(mut self) -> Duration {
        let began = Instant::now();
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        let status = self.child.wait().unwrap();
        assert!(status.success(), "coordinator ended with {status}");
        began.elapsed()
    }

    pub(crate) fn worker(&self, hostname: &str) -> Worker {
        Worker::start(self.address, &self.data.join("worker.key"), hostname)
    }

    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        let (status, body) = http_get(self.address, path);
        assert_eq!(
            status,
            200,
            "GET {path}: {}",
            String::from_utf8_lossy(&body)
        );
        body
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path)).unwrap()
    }

    pub(crate) fn builds(&self) -> Vec<Value> {
        self.json("/api/v1/builds?limit=1000")
            .as_array()
            .unwrap()
            .clone()
    }

    /// Waits until the builds are as wanted, and returns them.
    pub(crate) fn wait_for_builds(
        &self,
        limit: Duration,
        wanted: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        wait(limit, || {
            let builds = self.builds();
            if wanted(&builds) {
                Ok(builds)
            } else {
                Err(format!("{builds:#?}"))
            }
        })
    }

    pub(crate) fn wait_for_workers(&self, limit: Duration, count: usize) {
        wait(limit, || {
            let workers = self.json("/api/v1/workers");
            let live = workers
                .as_array()
                .unwrap()
                .iter()
                .filter(|w| w["state"] != "lost")
                .count();
            if live >= count {
                Ok(())
            } else {
                Err(format!("{workers:#}"))
            }
        });
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `buildlet`, as on another machine.
pub(crate) struct Worker {
    child: Child,
    _work_dir: tempfile::TempDir,
}

impl Worker {
    pub(crate) fn start(coordinator: SocketAddr, key_file: &Path, hostname: &str) -> Self {
        let work_dir = tempfile::tempdir().unwrap();
        let child = Command::new(buildlet())
            .arg("--coordinator")
            .arg(coordinator.to_string())
            .arg("--key-file")
            .arg(key_file)
            .args(["--hostname", hostname, "--workdir"])
            .arg(work_dir.path().join("work"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            _work_dir: work_dir,
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the process as a suspended laptop does, or wakes it up again.
    pub(crate) fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `buildlet` program of this workspace, built if it is not there.
fn buildlet() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let coordinator = Path::new(env!("CARGO_BIN_EXE_coordinator"));
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(env!("CARGO_MANIFEST_DIR")).args([
            "build",
            "--quiet",
            "--package",
            "example-buildlet",
        ]);
        if coordinator.parent().unwrap().ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build.status().unwrap().success(),
            "buildlet does not compile"
        );
        coordinator.with_file_name(format!("buildlet{}", std::env::consts::EXE_SUFFIX))
    })
}

/// Asks again and again until the answer is `Ok`. Panics with the last `Err` when the time is up.
pub(crate) fn wait<T>(limit: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(last) => assert!(
                Instant::now() < deadline,
                "not within {limit:?}; last: {last}"
            ),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A plain GET on a connection of its own.
pub(crate) fn http_get(address: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    try_http_get(address, path).unwrap()
}

pub(crate) fn try_http_get(address: SocketAddr, path: &str) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let cut = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "answer is cut off");
    let head = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .ok_or_else(cut)?;
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .ok_or_else(cut)?;
    let body = &answer[head + 4..];
    if !text.contains("transfer-encoding: chunked") {
        return Ok((status, body.to_vec()));
    }
    let (mut rest, mut whole) = (body, Vec::new());
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n").ok_or_else(cut)?;
        let size = std::str::from_utf8(&rest[..line])
            .ok()
            .and_then(|s| usize::from_str_radix(s, 16).ok())
            .ok_or_else(cut)?;
        if size == 0 {
            return Ok((status, whole));
        }
        whole.extend_from_slice(rest.get(line + 2..line + 2 + size).ok_or_else(cut)?);
        rest = rest.get(line + 4 + size..).ok_or_else(cut)?;
    }
}

/// Command lines of living processes that contain `text`.
pub(crate) fn processes_with(text: &str) -> Vec<String> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}
