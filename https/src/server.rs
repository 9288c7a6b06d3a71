//! The port: what it is told, and its accept loop.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use revdial::server::ServeConfig;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::accept::Backoff;
use crate::connection::{Shared, connection};
use crate::identity::Identity;

/// Who sent a request. An extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Address of the other end. Behind a proxy that is the proxy.
    pub addr: SocketAddr,
    /// Whether the request came over TLS.
    pub tls: bool,
}

/// What happens to requests without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Plain {
    /// Served like the others.
    Serve,
    /// Served for this machine's own programs; others are redirected.
    #[default]
    Loopback,
    /// Redirected to `https` on the same host and port with status 308.
    Redirect,
    /// Answered with status 403.
    Refuse,
}

/// Bounds of a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Most connections at a time; further ones wait to be accepted. One that a handler took over counts until the
    /// handler's future ends. Default: 4096.
    pub connections: usize,
    /// Longest time from a connection's start to the end of its TLS handshake, or to the first byte of plain HTTP.
    /// Default: 10 s.
    pub handshake: Duration,
    /// Time that requests under way get after the stop before they are cut. Default: 3 s.
    pub grace: Duration,
    /// Bounds of requests.
    pub http: ServeConfig,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshake: Duration::from_secs(10),
            grace: Duration::from_secs(3),
            http: ServeConfig::default(),
        }
    }
}

/// One port that speaks TLS and plain HTTP/1.1, and HTTP/2 if asked to.
///
/// Bind first, so that the address is known; then [`serve`](Self::serve). Without an [`identity`](Self::identity)
/// there is no TLS.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    identity: Option<Identity>,
    plain: Plain,
    limits: Limits,
    http2: bool,
}

impl Server {
    /// Listens on an address such as `127.0.0.1:0`, `[::]:443` or `localhost:8119`. Connections queue up from here on.
    ///
    /// # Errors
    /// What the system says, with the address before it.
    pub async fn bind(addr: impl ToSocketAddrs + fmt::Debug) -> Result<Self, BindError> {
        let text = format!("{addr:?}").replace('"', "");
        let wrap = |source| BindError { addr: text, source };
        let listener = match TcpListener::bind(addr).await {
            Ok(listener) => listener,
            Err(source) => return Err(wrap(source)),
        };
        Self::from_listener(listener).map_err(wrap)
    }

    /// Takes a listener that is bound already, such as one inherited from a service manager.
    ///
    /// # Errors
    /// If the system does not tell its address.
    pub fn from_listener(listener: TcpListener) -> io::Result<Self> {
        Ok(Self {
            local_addr: listener.local_addr()?,
            listener,
            identity: None,
            plain: Plain::default(),
            limits: Limits::default(),
            http2: false,
        })
    }

    /// Speaks TLS with this identity.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Treats requests without TLS in this way. Default: [`Plain::Loopback`].
    #[must_use]
    pub fn plain(mut self, plain: Plain) -> Self {
        self.plain = plain;
        self
    }

    /// Speaks HTTP/2 with those who ask for it: in the TLS handshake, or in the clear by beginning with it. gRPC needs
    /// it. A response made by [`revdial::server::switching_protocols`] does not work there: servers with such handlers do
    /// without.
    ///
    /// A connection has at most 250 requests at a time, and is asked every 60 s whether it still lives.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Keeps to these bounds.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Address that is listened on, with the port the system chose if it was asked for port 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` is cancelled, then lets requests under way finish for [`Limits::grace`] and cuts the rest.
    ///
    /// The service, for example an `axum::Router`, is cloned for each request and finds a [`Peer`] among the request's
    /// extensions. A response made by [`revdial::server::switching_protocols`] takes the connection over.
    ///
    /// Failing connections are the peers' affair and are logged at debug level only. Cancel safe: dropping the future
    /// closes the port and cuts all connections.
    ///
    /// # Errors
    /// [`ServeError::NoIdentity`] at once, if plain HTTP is to be redirected and there is no TLS to go to.
    pub async fn serve<S, B>(
        self,
        service: S,
        shutdown: CancellationToken,
    ) -> Result<(), ServeError>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Self {
            listener,
            local_addr,
            identity,
            plain,
            limits,
            http2,
        } = self;
        let tls = match &identity {
            Some(identity) => Some(TlsAcceptor::from(
                identity.server_config(http2).map_err(ServeError::Tls)?,
            )),
            None if plain == Plain::Redirect => return Err(ServeError::NoIdentity),
            None => None,
        };
        let shared = Arc::new(Shared {
            tls,
            plain,
            limits,
            http2,
            stop: shutdown.clone(),
        });
        let permits = Arc::new(Semaphore::new(
            shared.limits.connections.clamp(1, Semaphore::MAX_PERMITS),
        ));
        let mut connections = JoinSet::new();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = accept(&listener, &permits, |tcp, addr, permit| {
                let (shared, service) = (Arc::clone(&shared), service.clone());
                connections.spawn(async move {
                    connection(&shared, service, tcp, addr).await;
                    drop(permit);
                });
                // Collects what has ended, so that the set does not grow with the number of connections ever made.
                while connections.try_join_next().is_some() {}
            }) => {}
        }
        drop(listener);
        let finished = timeout(shared.limits.grace, async {
            while connections.join_next().await.is_some() {}
        });
        if finished.await.is_err() {
            let cut = connections.len();
            tracing::info!(%local_addr, cut, "connections cut at the end of the grace");
            connections.shutdown().await;
        }
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("local_addr", &self.local_addr)
            .field("identity", &self.identity)
            .field("plain", &self.plain)
            .field("limits", &self.limits)
            .field("http2", &self.http2)
            .finish_non_exhaustive()
    }
}

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}")]
pub struct BindError {
    addr: String,
    source: io::Error,
}

impl BindError {
    /// What kind of failure it is, such as [`io::ErrorKind::AddrInUse`].
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Why a server did not start to serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// [`Plain::Redirect`] without an identity.
    #[error("plain HTTP is to be redirected to https, but the server has no certificate")]
    NoIdentity,
    /// The TLS library refuses the identity.
    #[error("cannot speak TLS with this identity")]
    Tls(#[source] rustls::Error),
}

/// Accepts for ever, each connection with a permit.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    mut start: impl FnMut(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit),
) {
    let mut backoff = Backoff::default();
    while let Ok(permit) = Arc::clone(permits).acquire_owned().await {
        let (tcp, addr) = loop {
            match listener.accept().await {
                Ok(accepted) => break accepted,
                Err(error) => {
                    if let Some(wait) = backoff.after(&error) {
                        sleep(wait).await;
                    }
                }
            }
        };
        backoff.reset();
        start(tcp, addr, permit);
    }
}
