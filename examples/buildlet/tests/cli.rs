//! The built program, as people use it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, too, say best where they failed"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn buildlet(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_buildlet"));
    command
        .current_dir(dir)
        .env("TMPDIR", dir)
        .env_remove("BUILDFARM_KEY")
        .stdin(Stdio::null());
    command
}

fn outcome(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text)
}

/// A running program and what it prints.
struct Running {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// The rest of the next line that starts so.
    fn says(&self, start: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(10)) {
                Ok(line) => match line.strip_prefix(&format!("buildlet: {start}")) {
                    Some(rest) => return rest.to_owned(),
                    None => seen.push(line),
                },
                Err(_) => panic!("never said {start:?}, but {seen:?}"),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    fn ends(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn exec(script: &str) -> String {
    let script: String = script.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let body = format!("cmd=sh&mode=sys&cmdArg=-c&cmdArg={script}");
    format!(
        "POST /exec HTTP/1.1\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn help_starts_with_examples_and_tells_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let output = buildlet(dir.path()).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("Examples:\n  buildlet --coordinator "),
        "{text}"
    );
    assert!(text.contains("Exit codes:"));
    let output = buildlet(dir.path()).arg("-version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("(protocol 29)"), "{text}");
    let output = buildlet(dir.path())
        .args(["--completions", "bash"])
        .output()
        .unwrap();
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("--coordinator")
    );
}

#[test]
fn mistakes_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| outcome(&buildlet(dir.path()).args(args).output().unwrap());
    let (code, text) = run(&["--coordinater", "x"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("--coordinator"), "{text}");
    let (code, text) = run(&["--coordinator", "localhost:1"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("no key: give --key-file"), "{text}");
    let (code, text) = run(&["--coordinator", "localhost:1", "--key", "nonsense"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("the key is not usable"), "{text}");
    assert!(!text.contains("nonsense"));
    let (code, text) = run(&["--listen", "0.0.0.0:0"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("--danger-no-password"), "{text}");
    let key = buildfarm_dashboard::keys::JoinKey::generate()
        .unwrap()
        .with_pin([1; 32]);
    let (code, text) = run(&["--coordinator", "localhost", "--key", &key.word()]);
    assert_eq!(code, Some(1));
    assert!(text.contains("is not HOST:PORT"), "{text}");
    let left: Vec<PathBuf> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn serves_and_ends_in_peace() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(
        buildlet(dir.path())
            .args(["--listen", "127.0.0.1:0", "--hide-env", "MY_*"])
            .env("BUILDFARM_KEY", "farm1.secret")
            .env("MY_TOKEN", "secret")
            .env("OTHER", "kept"),
    );
    let work_dir = running.says("working in ");
    let address = running.says("listening on http://");
    let status = ask(
        &address,
        "GET /status HTTP/1.1\r\nConnection: close\r\n\r\n",
    );
    assert!(status.contains("\"Version\":29"), "{status}");
    let answer = ask(
        &address,
        &exec("env; (setsid env -i sleep 1000 >/dev/null 2>&1 &); mkdir ro; chmod 555 ro"),
    );
    assert!(answer.contains("OTHER=kept"));
    assert!(!answer.contains("secret"), "{answer}");
    assert!(
        answer.contains("\r\nBuildlet-Strays-Killed: 1\r\n"),
        "{answer}"
    );

    // Ctrl-C in the middle of a command.
    let mut stream = TcpStream::connect(&address).unwrap();
    stream
        .write_all(exec("trap '' TERM INT; echo $$; sleep 1000").as_bytes())
        .unwrap();
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    let pid: i32 = loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if line.trim().len() > 1
            && let Ok(pid) = line.trim().parse()
        {
            break pid;
        }
    };
    let start = Instant::now();
    running.signal(Signal::SIGINT);
    assert_eq!(running.ends(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert!(kill(Pid::from_raw(pid), None).is_err(), "command lives on");
    assert!(!Path::new(&work_dir).exists());
}

#[test]
fn a_given_work_directory_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(buildlet(dir.path()).args([
        "-listen=127.0.0.1:0",
        "-workdir=w",
        "-halt=false",
    ]));
    let address = running.says("listening on http://");
    ask(&address, &exec("echo kept > file"));
    ask(&address, "POST /halt HTTP/1.1\r\nConnection: close\r\n\r\n");
    running.says("halted");
    assert_eq!(running.ends(), Some(0));
    assert!(dir.path().join("w/file").exists());
}

#[test]
fn ends_with_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(
        buildlet(dir.path())
            .args(["--listen", "127.0.0.1:0", "--while-stdin"])
            .stdin(Stdio::piped()),
    );
    running.says("listening on http://");
    drop(running.child.stdin.take());
    assert_eq!(running.ends(), Some(0));
}

#[test]
fn a_password_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pw"), "open\n").unwrap();
    let running = Running::start(buildlet(dir.path()).args([
        "--listen",
        "0.0.0.0:0",
        "--password-file",
        "pw",
    ]));
    let address = running
        .says("listening on http://")
        .replace("0.0.0.0", "127.0.0.1");
    let head = "GET /status HTTP/1.1\r\nConnection: close\r\n";
    assert!(ask(&address, &format!("{head}\r\n")).starts_with("HTTP/1.1 403 "));
    let answer = ask(
        &address,
        &format!("{head}Authorization: Basic YW55Om9wZW4=\r\n\r\n"),
    );
    assert!(answer.starts_with("HTTP/1.1 200 "));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.ends(), Some(0));
}

#[test]
fn a_key_in_the_directory_is_found() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(".buildfarm")).unwrap();
    let key = buildfarm_dashboard::keys::JoinKey::generate()
        .unwrap()
        .with_pin([1; 32]);
    std::fs::write(dir.path().join(".buildfarm/worker.key"), key.word()).unwrap();
    // Nobody listens on a port that was free a moment ago.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let address = format!("127.0.0.1:{port}");
    let running = Running::start(buildlet(dir.path()).args([
        "--coordinator",
        &address,
        "--hostname",
        "box1",
        "--host-type",
        "h",
    ]));
    running.says("using the key in .buildfarm/worker.key");
    running.says("offering h as box1");
    running.says("connecting to 127.0.0.1:");
    running.says("coordinator not reached: ");
    running.says("trying again in ");
    running.signal(Signal::SIGINT);
    assert_eq!(running.ends(), Some(0));
}

#[test]
fn what_a_killed_worker_left_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Running::start(buildlet(dir.path()).args(["--listen", "127.0.0.1:0"]));
    let first = start();
    let work_dir = first.says("working in ");
    let address = first.says("listening on http://");
    let mut stream = TcpStream::connect(&address).unwrap();
    stream
        .write_all(exec("setsid sh -c 'echo $$ > pid; sleep 1000' & wait").as_bytes())
        .unwrap();
    let file = Path::new(&work_dir).join("pid");
    let deadline = Instant::now() + Duration::from_secs(10);
    let pid = loop {
        assert!(Instant::now() < deadline);
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if let Ok(pid) = text.trim().parse() {
            break Pid::from_raw(pid);
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    first.signal(Signal::SIGKILL);
    assert_eq!(first.ends(), None);
    assert!(kill(pid, None).is_ok(), "nobody was there to kill it");

    let second = start();
    second.says(&format!("removed {work_dir}"));
    second.says("listening on http://");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    assert!(!Path::new(&work_dir).exists());
    second.signal(Signal::SIGINT);
    assert_eq!(second.ends(), Some(0));
}
