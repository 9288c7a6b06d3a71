//! Both versions, both roles, with a peer written in Go (`tests/go_peer`): its `encoding/json`,
//! `bufio` and `net/http`, its `HTTP/0.0 101`, its empty `Host`, its requests without `Upgrade`.
//!
//! Runs when there is a Go toolchain, in the path or named by `GO`; otherwise says so.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::{
    convert::Infallible,
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command as Run, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use revdial::{
    Dialer, DialerConfig, ListenerConfig, Peer, Registry, Stream, Version, Versions, register,
    server::{ServeConfig, answer_pickup, answer_registration, error_response, serve_connection},
    upgrade,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::ServerName},
};
use tokio_util::sync::CancellationToken;

/// The built peer; nothing where there is no Go.
fn peer() -> Option<&'static Path> {
    static PEER: OnceLock<Option<PathBuf>> = OnceLock::new();
    PEER.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let go = env::var_os("GO").unwrap_or_else(|| "go".into());
    let found = Run::new(&go).arg("version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        eprintln!("\n*** SKIPPED: there is no Go here, so nothing was tested with a Go peer. ***");
        eprintln!("*** Install Go, or name it: GO=/path/to/go                            ***\n");
        return None;
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gopeer");
    let built = Run::new(&go)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go_peer"))
        .args(["build", "-o"])
        .arg(&out)
        .arg(".")
        // Only what is here: the standard library and this toolchain.
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("GOWORK", "off")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "go build: {errors}");
    Some(out)
}

/// A certificate for `localhost`, in files for Go and as configurations for us.
struct Tls {
    dir: tempdir::Dir,
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

mod tempdir {
    use std::{fs, path::PathBuf, sync::atomic};

    /// A folder for as long as it is needed.
    pub(crate) struct Dir(pub(crate) PathBuf);

    impl Dir {
        pub(crate) fn new() -> Self {
            static NEXT: atomic::AtomicUsize = atomic::AtomicUsize::new(0);
            let number = NEXT.fetch_add(1, atomic::Ordering::Relaxed);
            let name = format!("go_peer-{}-{number}", std::process::id());
            let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

impl Tls {
    fn new() -> Arc<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let dir = tempdir::Dir::new();
        fs::write(dir.0.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(dir.0.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![made.cert.der().clone()],
                made.signing_key.serialize_der().try_into().unwrap(),
            )
            .unwrap();
        Arc::new(Self {
            dir,
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
        })
    }
}

async fn connect(addr: SocketAddr, tls: Option<Arc<Tls>>) -> io::Result<Stream> {
    let tcp = TcpStream::connect(addr).await?;
    tcp.set_nodelay(true)?;
    match tls {
        None => Ok(Stream::new(tcp)),
        Some(tls) => {
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            Ok(Stream::new(tls.connector.connect(name, tcp).await?))
        }
    }
}

/// A running peer; stopped when dropped.
struct Go {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
}

impl Go {
    fn start(peer: &Path, args: &[&str], tls: Option<&Tls>) -> Self {
        let mut command = Command::new(peer);
        command.args(args).env_remove("GOPEER_TLS");
        if let Some(tls) = tls {
            command.env("GOPEER_TLS", &tls.dir.0);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, out }
    }

    async fn line(&mut self) -> String {
        let line = soon(self.out.next_line()).await.unwrap();
        line.expect("the peer prints its complaint to standard error")
    }

    /// The number in the last line, once it has ended well.
    async fn done(mut self) -> usize {
        let line = self.line().await;
        let status = soon(self.child.wait()).await.unwrap();
        assert!(status.success(), "{line}: {status}");
        line.strip_prefix("done ").expect(&line).parse().unwrap()
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), what).await.unwrap()
}

/// FNV-1a, 64 bits, as the peer computes it.
fn hash(bytes: &[u8]) -> [u8; 8] {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.to_be_bytes()
}

/// Asks one stream and checks the answer.
async fn ask(mut stream: Stream, len: usize) {
    let data: Vec<u8> = (0..len).map(|at| (at * 31 + 5) as u8).collect();
    stream.write_all(&(len as u64).to_be_bytes()).await.unwrap();
    stream.write_all(&data).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, hash(&data), "{len} bytes");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
}

async fn answer(mut stream: Stream) -> io::Result<()> {
    let len = stream.read_u64().await?;
    let mut data = vec![0; usize::try_from(len).unwrap()];
    stream.read_exact(&mut data).await?;
    stream.write_all(&hash(&data)).await?;
    stream.flush().await?;
    // A dialer that has all it asked for may end the session first.
    drop(stream.shutdown().await);
    Ok(())
}

/// A server of ours; gives the dialers of the machines that register.
async fn server(
    versions: Versions,
    tls: Option<Arc<Tls>>,
) -> (SocketAddr, Registry, mpsc::Receiver<Dialer>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    let registry = Registry::new();
    let (registered, dialers) = mpsc::channel(1);
    let table = registry.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = socket.accept().await {
            let (table, registered) = (table.clone(), registered.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let request = request.into_parts().0;
                let answer: http::Response<Full<Bytes>> = match request.uri.path() {
                    "/reverse" => {
                        let registered = registered.clone();
                        let config = DialerConfig {
                            versions,
                            ..DialerConfig::default()
                        };
                        let peer = Peer::named("gopher");
                        answer_registration(&table, &request, config, peer, async move |dialer| {
                            let _ = registered.send(dialer).await;
                        })
                    }
                    "/revdial" => answer_pickup(&table, &request, true),
                    _ => error_response(http::StatusCode::NOT_FOUND, "not found"),
                };
                async { Ok::<_, Infallible>(answer) }
            });
            let tls = tls.clone();
            tokio::spawn(async move {
                let io = match tls {
                    None => Stream::new(tcp),
                    Some(tls) => Stream::new(tls.acceptor.accept(tcp).await.unwrap()),
                };
                let stop = CancellationToken::new();
                let _ = serve_connection(io, service, ServeConfig::default(), stop).await;
            });
        }
    });
    (addr, registry, dialers)
}

/// Our dialer, a Go listener. Over TLS, as always in the field: over plain TCP a Go listener
/// loses what comes together with the 101.
async fn go_listens(version: Version) {
    let Some(peer) = peer() else { return };
    let tls = Tls::new();
    let versions = Versions::NONE.with(version).with(Version::Mux);
    let (addr, registry, mut dialers) = server(versions, Some(Arc::clone(&tls))).await;
    let role = format!("listen{}", version.number());
    let go = Go::start(peer, &[&role, &addr.to_string()], Some(&tls));
    let dialer = soon(dialers.recv()).await.unwrap();
    assert_eq!(dialer.version(), version);

    let sizes = [0, 1, 100, 4089, 65_535, 65_536, 1 << 20];
    for len in sizes {
        soon(ask(soon(dialer.dial()).await.unwrap(), len)).await;
    }
    let mut work = JoinSet::new();
    for _ in 0..20 {
        let dialer = dialer.clone();
        work.spawn(async move { ask(dialer.dial().await.unwrap(), 300_000).await });
    }
    soon(work.join_all()).await;
    if version == Version::V2 {
        // Given up after the order went out: the next dial gets its own connection.
        drop(timeout(Duration::ZERO, dialer.dial()).await);
        soon(ask(soon(dialer.dial()).await.unwrap(), 10)).await;
        // Bytes of ours that a Go listener cannot know end nothing.
        assert!(!dialer.is_closed());
    }
    dialer.close();
    drop(dialer);
    let extra = usize::from(version == Version::V2);
    let served = go.done().await;
    assert_eq!(served, sizes.len() + 20 + extra);
    assert!(registry.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_go_listener_of_version_2() {
    go_listens(Version::V2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_go_listener_of_version_1() {
    go_listens(Version::V1).await;
}

/// A Go dialer, our listener, which asks for all it can and takes what it gets.
async fn go_dials(version: Version, over_tls: bool) {
    let Some(peer) = peer() else { return };
    let tls = over_tls.then(Tls::new);
    let role = format!("dial{}", version.number());
    let mut go = Go::start(peer, &[&role], tls.as_deref());
    let line = go.line().await;
    let addr: SocketAddr = line.strip_prefix("listening ").unwrap().parse().unwrap();
    let config = ListenerConfig {
        versions: Versions::ALL,
        ..ListenerConfig::default()
    };
    let request = upgrade::Request::get("/reverse");
    let fetch = move || connect(addr, tls.clone());
    let (mut listener, head) = soon(register(fetch, &request, config)).await.unwrap();
    assert_eq!((head.version, head.status), ((0, 0), 101));
    assert_eq!(listener.version(), version);
    let mut served = JoinSet::new();
    while let Ok(stream) = soon(listener.accept()).await {
        served.spawn(answer(stream));
    }
    let count = go.done().await;
    assert_eq!(count, 27);
    let served = served.join_all().await;
    assert!(served.iter().all(Result::is_ok), "{served:?}");
    assert_eq!(served.len(), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_go_dialer_of_version_2() {
    go_dials(Version::V2, false).await;
    go_dials(Version::V2, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_go_dialer_of_version_1() {
    go_dials(Version::V1, false).await;
    go_dials(Version::V1, true).await;
}
