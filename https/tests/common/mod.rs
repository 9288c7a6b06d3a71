//! A server to talk to, and ways to talk to it.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Router, routing::get};
use buildfarm_https::{Identity, Limits, Peer, Plain, ServeError, Server};
use http::Response;
use revdial::server::switching_protocols;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// What the handlers of [`app`] have seen and wait for.
#[derive(Clone)]
pub(crate) struct Gate {
    /// Gets a permit when `/held` is entered.
    pub(crate) entered: Arc<Semaphore>,
    /// `/held` answers when it gets a permit.
    pub(crate) released: Arc<Semaphore>,
    pub(crate) inside: Arc<AtomicUsize>,
    pub(crate) most_inside: Arc<AtomicUsize>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            entered: Arc::new(Semaphore::new(0)),
            released: Arc::new(Semaphore::new(0)),
            inside: Arc::default(),
            most_inside: Arc::default(),
        }
    }

    pub(crate) async fn wait_entered(&self) {
        self.entered.acquire().await.expect("open").forget();
    }
}

pub(crate) fn app(gate: Gate) -> Router {
    Router::new()
        .route("/", get(peer))
        .route("/held", get(held))
        .route("/echo", get(echo))
        .with_state(gate)
}

async fn peer(Extension(peer): Extension<Peer>) -> String {
    let how = if peer.tls { "tls" } else { "plain" };
    format!("{how} {}", peer.addr.ip())
}

async fn held(State(gate): State<Gate>) -> &'static str {
    let inside = gate.inside.fetch_add(1, Ordering::SeqCst) + 1;
    gate.most_inside.fetch_max(inside, Ordering::SeqCst);
    gate.entered.add_permits(1);
    gate.released.acquire().await.expect("open").forget();
    gate.inside.fetch_sub(1, Ordering::SeqCst);
    "released"
}

async fn echo() -> Response<Body> {
    switching_protocols(async |stream| {
        let (mut read, mut write) = tokio::io::split(stream);
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    })
}

pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<Result<(), ServeError>>,
    pub(crate) gate: Gate,
}

impl Running {
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        self.served.await.expect("no panic").expect("served");
    }
}

pub(crate) async fn start(identity: Option<Identity>, plain: Plain, limits: Limits) -> Running {
    let mut server = Server::bind("127.0.0.1:0")
        .await
        .expect("a free port")
        .plain(plain)
        .limits(limits);
    if let Some(identity) = identity {
        server = server.identity(identity);
    }
    let (addr, stop, gate) = (server.local_addr(), CancellationToken::new(), Gate::new());
    let served = tokio::spawn(server.serve(app(gate.clone()), stop.clone()));
    Running {
        addr,
        stop,
        served,
        gate,
    }
}

pub(crate) fn identity() -> Identity {
    let dir = tempfile::tempdir().expect("a folder");
    Identity::dev(dir.path(), &[]).expect("an identity")
}

pub(crate) async fn connect(
    addr: SocketAddr,
    config: Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let tcp = TcpStream::connect(addr).await?;
    TlsConnector::from(config).connect(name, tcp).await
}

/// Sends a request, without keep-alive, and returns the whole answer.
pub(crate) async fn ask(mut io: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: farm.example:8119\r\nConnection: close\r\n\r\n");
    io.write_all(request.as_bytes()).await.expect("written");
    rest(io).await
}

/// Everything up to the end or the cut of the connection.
pub(crate) async fn rest(mut io: impl AsyncRead + Unpin) -> String {
    let mut answer = Vec::new();
    let _ = io.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
