//! Where connections to the worker come from.

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use revdial::{Dialer, Stream};
use tokio::net::TcpStream;

/// A boxed future that borrows from `'a`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens connections to one worker, each a fresh byte stream on which the worker serves HTTP/1.1.
///
/// Implement it to reach a worker through TLS, a proxy, a Unix socket or, in tests, through memory.
pub trait Connector: Send + Sync + 'static {
    /// Opens one connection. The client limits the time it waits ([`Timeouts::connect`](crate::Timeouts::connect));
    /// dropping the future must give the attempt up.
    ///
    /// # Errors
    /// Whatever kept the connection from coming about.
    fn connect(&self) -> BoxFuture<'_, io::Result<Stream>>;

    /// Resolves, with a reason for people, once no connection can ever be opened again.
    ///
    /// The client then fails at once instead of waiting for heartbeats to be missed. The default never resolves.
    fn closed(&self) -> BoxFuture<'_, String> {
        Box::pin(pending())
    }

    /// How long opening a connection may take, unless the builder says otherwise. Ten seconds by default.
    fn connect_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// Connects over plain TCP.
#[derive(Debug, Clone)]
pub struct TcpConnector {
    addr: String,
}

impl TcpConnector {
    /// For a worker that listens at `addr`, `host:port` or `[v6]:port`. Names are looked up at every connection.
    pub fn new(addr: impl Into<String>) -> Self {
        Self { addr: addr.into() }
    }

    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }
}

impl Connector for TcpConnector {
    fn connect(&self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async {
            let tcp = TcpStream::connect(&self.addr).await?;
            // Requests are small and answered one at a time; waiting to fill a segment only costs.
            tcp.set_nodelay(true)?;
            Ok(Stream::new(tcp))
        })
    }
}

/// Connects through a worker's reverse registration.
#[derive(Debug, Clone)]
pub struct RevdialConnector {
    dialer: Dialer,
}

impl RevdialConnector {
    /// Every connection is a [`Dialer::dial`].
    pub fn new(dialer: Dialer) -> Self {
        Self { dialer }
    }
}

impl Connector for RevdialConnector {
    fn connect(&self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async { self.dialer.dial().await.map_err(io::Error::other) })
    }

    fn closed(&self) -> BoxFuture<'_, String> {
        Box::pin(async { self.dialer.closed().await.to_string() })
    }

    /// The original's worker may take 10 s to connect back and another 30 s for TLS.
    fn connect_timeout(&self) -> Duration {
        Duration::from_secs(45)
    }
}
