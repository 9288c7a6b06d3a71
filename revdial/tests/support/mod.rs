//! A peer that plays by a script, line by line.
#![allow(dead_code, reason = "each test program uses its part")]

use std::time::Duration;

use revdial::Stream;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex},
    time::timeout,
};

/// The far end of a control connection.
pub(crate) struct Script {
    io: BufReader<DuplexStream>,
}

impl Script {
    /// A script and the near end that it talks to.
    pub(crate) fn new() -> (Self, Stream) {
        let (near, far) = duplex(64 * 1024);
        (
            Self {
                io: BufReader::new(far),
            },
            Stream::new(near),
        )
    }

    pub(crate) async fn send(&mut self, line: &str) {
        self.io.write_all(line.as_bytes()).await.unwrap();
    }

    /// The next line as it is; empty at the end.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(Duration::from_secs(3600), self.io.read_line(&mut line)).await;
        read.expect("peer stays silent for an hour").unwrap();
        line
    }

    /// The next line that is no keep-alive.
    pub(crate) async fn order(&mut self) -> String {
        loop {
            let line = self.line().await;
            if !line.contains("\"keep-alive\"") {
                return line;
            }
        }
    }

    /// Waits for a `conn-ready`; gives its path.
    pub(crate) async fn conn_ready(&mut self) -> String {
        let line = self.order().await;
        let path = line
            .strip_prefix("{\"command\":\"conn-ready\",\"connPath\":\"")
            .expect(&line);
        path.strip_suffix("\"}\n")
            .expect(&line)
            .replace("\\u0026", "&")
    }

    /// Reads to the end; gives the last line.
    pub(crate) async fn end(&mut self) -> String {
        let mut last = String::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return last;
            }
            last = line;
        }
    }
}

/// Two ends of a connection.
pub(crate) fn pipe() -> (Stream, Stream) {
    let (a, b) = duplex(64 * 1024);
    (Stream::new(a), Stream::new(b))
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
