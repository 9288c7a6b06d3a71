//! A worker played by the test, over memory: it sees raw requests and writes raw answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io;
use std::time::Duration;

use buildlet_client::{BoxFuture, Builder, Client, Connector, Heartbeat};
use revdial::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, watch};

/// How much one direction of a connection holds.
pub(crate) const PIPE: usize = 64 << 10;

/// Connects to the test.
pub(crate) struct Memory {
    connections: mpsc::UnboundedSender<DuplexStream>,
    closed: watch::Receiver<Option<String>>,
}

impl Connector for Memory {
    fn connect(&self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async {
            let (ours, theirs) = tokio::io::duplex(PIPE);
            self.connections
                .send(theirs)
                .map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Stream::new(ours))
        })
    }

    fn closed(&self) -> BoxFuture<'_, String> {
        let mut closed = self.closed.clone();
        Box::pin(async move {
            let why = closed
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|why| why.clone());
            match why {
                Some(why) => why,
                None => std::future::pending().await,
            }
        })
    }
}

/// The test's side of [`Memory`]. Dropping it refuses further connections.
pub(crate) struct Worker {
    connections: mpsc::UnboundedReceiver<DuplexStream>,
    closed: watch::Sender<Option<String>>,
}

impl Worker {
    pub(crate) async fn accept(&mut self) -> Peer {
        Peer(self.connections.recv().await.expect("a connection"))
    }

    /// Connections opened and not accepted yet.
    pub(crate) fn waiting(&self) -> usize {
        self.connections.len()
    }

    pub(crate) fn close_transport(&self, why: &str) {
        self.closed.send_replace(Some(why.to_owned()));
    }
}

pub(crate) fn memory() -> (Memory, Worker) {
    let (sender, connections) = mpsc::unbounded_channel();
    let (closed, watch) = watch::channel(None);
    (
        Memory {
            connections: sender,
            closed: watch,
        },
        Worker {
            connections,
            closed,
        },
    )
}

pub(crate) fn worker() -> (Builder, Worker) {
    let (memory, worker) = memory();
    (Client::builder(memory).name("w1").host("w1"), worker)
}

/// A client without heartbeats.
pub(crate) fn quiet() -> (Client, Worker) {
    let (builder, worker) = worker();
    (builder.heartbeat(Heartbeat::off()).build(), worker)
}

/// One connection, seen from the worker.
pub(crate) struct Peer(pub(crate) DuplexStream);

/// A request as it came.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    /// Request line and headers, each with its line end; the client's version is cut off.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// `GET /status`.
    pub(crate) fn line(&self) -> &str {
        self.head.split(" HTTP").next().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.head, String::from_utf8_lossy(&self.body))
    }
}

impl Peer {
    /// Reads one request with its body.
    pub(crate) async fn request(&mut self) -> Request {
        let head = self.head().await.expect("a request");
        let mut body = Vec::new();
        if let Some(length) = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
        {
            body.resize(length.parse().unwrap(), 0);
            self.0.read_exact(&mut body).await.unwrap();
        } else if head.contains("Transfer-Encoding: chunked") {
            while let Some(chunk) = self.chunk().await {
                body.extend_from_slice(&chunk);
            }
        }
        Request { head, body }
    }

    /// Reads up to the blank line; `None` if the connection ends before it.
    pub(crate) async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.ok()?);
        }
        let agent = concat!(
            "User-Agent: buildlet-client/",
            env!("CARGO_PKG_VERSION"),
            "\r\n"
        );
        Some(String::from_utf8(head).unwrap().replace(agent, ""))
    }

    /// Reads one chunk of a body; `None` for the last.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.0.read_u8().await.unwrap());
        }
        let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.0.read_exact(&mut chunk).await.unwrap();
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn ok(&mut self, body: &str) {
        self.answer("200 OK", body).await;
    }

    pub(crate) async fn answer(&mut self, status: &str, body: &str) {
        let length = body.len();
        self.write(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    }

    /// The head of an exec answer.
    pub(crate) async fn exec_head(&mut self) {
        self.write(
            "HTTP/1.1 200 OK\r\nTrailer: Process-State\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await;
    }

    pub(crate) async fn write_chunk(&mut self, data: &str) {
        self.write(format!("{:x}\r\n{data}\r\n", data.len())).await;
    }

    /// The last chunk, with these trailers.
    pub(crate) async fn end(&mut self, trailers: &str) {
        self.write(format!("0\r\n{trailers}\r\n")).await;
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn gone(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap();
    }

    /// Answers heartbeats (and any other request alike) for as long as they come.
    pub(crate) async fn answer_status(mut self) {
        while self.head().await.is_some() {
            self.ok(r#"{"Version":29}"#).await;
        }
    }
}

/// Fails the test if `work` is not done soon; for real time, where a hang would otherwise stop the suite.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .expect("done soon")
}
