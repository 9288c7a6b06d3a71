//! A worker in a fresh directory and a client that writes bytes.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use buildlet::{Buildlet, Config, EnvPolicy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A worker that serves a loopback port. Stops when dropped.
pub struct Fixture {
    pub buildlet: Buildlet,
    pub address: std::net::SocketAddr,
    pub dir: PathBuf,
    pub stop: CancellationToken,
    _temp: tempfile::TempDir,
    _accept: AbortOnDropHandle<()>,
}

pub async fn worker() -> Fixture {
    worker_with(|_| {}).await
}

pub async fn worker_with(change: impl FnOnce(&mut Config)) -> Fixture {
    let temp = tempfile::tempdir().unwrap();
    let mut config = Config::new(temp.path().join("w"));
    config.env = EnvPolicy::inherit(std::env::vars_os());
    change(&mut config);
    let buildlet = Buildlet::new(config).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let (server, token) = (buildlet.clone(), stop.clone());
    let accept = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (server, token) = (server.clone(), token.clone());
            connections.spawn(async move { server.serve_connection(stream, token).await });
        }
    });
    Fixture {
        dir: buildlet.work_dir().to_owned(),
        buildlet,
        address,
        stop,
        _temp: temp,
        _accept: AbortOnDropHandle::new(accept),
    }
}

/// An answer, taken apart.
#[derive(Debug, Clone)]
pub struct Answer {
    pub head: String,
    pub status: u16,
    pub body: Vec<u8>,
    pub trailers: String,
    /// False if the body was cut off.
    pub complete: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn state(&self) -> &str {
        self.trailer("Process-State").unwrap_or("<none>")
    }
}

/// A connection of a client that knows just enough HTTP.
pub struct Client {
    pub stream: TcpStream,
    buf: Vec<u8>,
}

impl Fixture {
    pub async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            stream,
            buf: Vec::new(),
        }
    }

    pub async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect().await;
        client.send(request).await;
        client.answer().await
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.ask(format!("GET {target} HTTP/1.1\r\nHost: \r\n\r\n"))
            .await
    }

    pub async fn put(&self, target: &str, body: &[u8]) -> Answer {
        let mut request = format!(
            "PUT {target} HTTP/1.1\r\nHost: w\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.ask(request).await
    }

    pub async fn post(&self, target: &str, form: &[(&str, &str)]) -> Answer {
        self.ask(post(target, form)).await
    }

    /// Runs a shell script.
    pub async fn sh(&self, script: &str) -> Answer {
        self.post("/exec", &shell(script)).await
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

pub fn shell(script: &str) -> [(&str, &str); 5] {
    [
        ("cmd", "sh"),
        ("mode", "sys"),
        ("dir", ""),
        ("cmdArg", "-c"),
        ("cmdArg", script),
    ]
}

pub fn post(target: &str, form: &[(&str, &str)]) -> Vec<u8> {
    let body: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    let body = body.join("&");
    format!(
        "POST {target} HTTP/1.1\r\nHost: w\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nAccept-Encoding: gzip\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

impl Client {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until the buffer satisfies a condition; false at the end of the connection.
    async fn fill(&mut self, enough: impl Fn(&[u8]) -> bool) -> bool {
        let patience = Duration::from_secs(20);
        while !enough(&self.buf) {
            let read = tokio::time::timeout(patience, self.stream.read_buf(&mut self.buf));
            match read.await.expect("no answer in time") {
                Ok(0) | Err(_) => return false,
                Ok(_) => {}
            }
        }
        true
    }

    async fn until(&mut self, end: &str) -> Option<String> {
        let find = |buf: &[u8]| {
            buf.windows(end.len())
                .position(|window| window == end.as_bytes())
        };
        self.fill(|buf| find(buf).is_some()).await.then(|| {
            let at = find(&self.buf).unwrap() + end.len();
            String::from_utf8(self.buf.drain(..at).collect()).unwrap()
        })
    }

    pub async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await.unwrap_or_default()
    }

    /// The next chunk of a chunked body; empty for the last.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.until("\r\n").await?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            return Some(Vec::new());
        }
        self.fill(|buf| buf.len() >= size + 2).await.then(|| {
            let mut chunk: Vec<u8> = self.buf.drain(..size + 2).collect();
            chunk.truncate(size);
            chunk
        })
    }

    pub async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let mut answer = self.body(&head).await;
        answer.status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_default();
        answer.head = head;
        answer
    }

    pub async fn body(&mut self, head: &str) -> Answer {
        let mut answer = Answer {
            head: String::new(),
            status: 0,
            body: Vec::new(),
            trailers: String::new(),
            complete: false,
        };
        if head.contains("Transfer-Encoding: chunked") {
            while let Some(chunk) = self.chunk().await {
                if chunk.is_empty() {
                    let mut trailers = String::new();
                    while let Some(line) = self.until("\r\n").await {
                        if line == "\r\n" {
                            answer.complete = true;
                            break;
                        }
                        trailers.push_str(&line);
                    }
                    answer.trailers = trailers;
                    break;
                }
                answer.body.extend_from_slice(&chunk);
            }
        } else if let Some(length) = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
        {
            let length: usize = length.trim().parse().unwrap();
            answer.complete = self.fill(|buf| buf.len() >= length).await;
            answer.body = self.buf.drain(..length.min(self.buf.len())).collect();
        } else {
            self.fill(|_| false).await;
            answer.body = std::mem::take(&mut self.buf);
        }
        answer
    }
}

/// Living processes with an entry in their environment.
pub fn marked(entry: &str) -> Vec<i32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|found| found.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
                environ
                    .split(|&byte| byte == 0)
                    .any(|found| found == entry.as_bytes())
            })
        })
        .filter(|pid| alive(*pid))
        .collect()
}

/// Whether a process exists and is no zombie.
pub fn alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap().starts_with('Z'))
}

/// All living processes of a work directory's commands.
pub fn of_work_dir(dir: &Path) -> Vec<i32> {
    marked(&format!("BUILDLET_WORK_DIR={}", dir.display()))
}

/// Polls a condition, for at most the given time; gives the time it took.
pub async fn eventually(limit: Duration, condition: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "still not so after {limit:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

/// Waits until a file has a number in it, and gives it.
pub async fn pid_in(path: &Path) -> i32 {
    let read = || {
        std::fs::read_to_string(path)
            .ok()
            .filter(|text| text.ends_with('\n'))
            .and_then(|text| text.trim().parse().ok())
    };
    eventually(Duration::from_secs(10), || read().is_some()).await;
    read().unwrap()
}
