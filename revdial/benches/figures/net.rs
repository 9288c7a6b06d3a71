//! What carries the bytes: TCP and TLS 1.3, on loopback.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use revdial::Io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector, client,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::ServerName,
        version::TLS13,
    },
    server,
};

/// Opens one side of a connection and takes in the other.
pub(crate) trait Net: Clone + Send + Sync + 'static {
    type Near: Io;
    type Far: Io;

    fn connect(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Near>> + Send;

    fn accept(&self, tcp: TcpStream) -> impl Future<Output = io::Result<Self::Far>> + Send;
}

pub(crate) async fn bind() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// Both ends of one connection.
pub(crate) async fn pair<N: Net>(net: &N) -> (N::Near, N::Far) {
    let (socket, addr) = bind().await;
    let far = async { net.accept(socket.accept().await?.0).await };
    tokio::try_join!(net.connect(addr), far).unwrap()
}

#[derive(Clone)]
pub(crate) struct Tcp;

impl Net for Tcp {
    type Near = TcpStream;
    type Far = TcpStream;

    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let tcp = TcpStream::connect(addr).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }

    async fn accept(&self, tcp: TcpStream) -> io::Result<TcpStream> {
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }
}

/// Another network with a way of `delay` in between, for each direction.
#[derive(Clone)]
pub(crate) struct Distant<N> {
    net: N,
    delay: Duration,
}

impl<N> Distant<N> {
    pub(crate) fn new(net: N, delay: Duration) -> Self {
        Self { net, delay }
    }
}

impl<N: Net> Net for Distant<N> {
    type Near = DuplexStream;
    type Far = N::Far;

    async fn connect(&self, addr: SocketAddr) -> io::Result<DuplexStream> {
        // The handshake of TCP takes a round trip too.
        tokio::time::sleep(2 * self.delay).await;
        let (reader, writer) = tokio::io::split(self.net.connect(addr).await?);
        let (near, inner) = tokio::io::duplex(64 * 1024);
        let (from_near, to_near) = tokio::io::split(inner);
        tokio::spawn(carry(from_near, writer, self.delay));
        tokio::spawn(carry(reader, to_near, self.delay));
        Ok(near)
    }

    async fn accept(&self, tcp: TcpStream) -> io::Result<N::Far> {
        self.net.accept(tcp).await
    }
}

/// Passes bytes on `delay` after they came, and the end too.
async fn carry<R: Io, W: Io>(mut from: ReadHalf<R>, mut to: WriteHalf<W>, delay: Duration) {
    let (road, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    tokio::spawn(async move {
        while let Some((due, bytes)) = arriving.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    let mut buf = vec![0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buf).await {
        if road
            .send((Instant::now() + delay, buf[..n].to_vec()))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// TLS 1.3 with a certificate of its own, sessions resumed as rustls does by default.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl Tls {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![made.cert.der().clone()],
                made.signing_key.serialize_der().try_into().unwrap(),
            )
            .unwrap();
        Self {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
        }
    }
}

impl Net for Tls {
    type Near = client::TlsStream<TcpStream>;
    type Far = server::TlsStream<TcpStream>;

    async fn connect(&self, addr: SocketAddr) -> io::Result<Self::Near> {
        let tcp = Tcp.connect(addr).await?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        self.connector.connect(name, tcp).await
    }

    async fn accept(&self, tcp: TcpStream) -> io::Result<Self::Far> {
        tcp.set_nodelay(true)?;
        self.acceptor.accept(tcp).await
    }
}
