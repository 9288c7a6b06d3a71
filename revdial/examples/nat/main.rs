//! A server reaches a laptop behind NAT, over TLS.
//!
//! In two terminals, or on two machines:
//!
//! ```text
//! cargo run -p revdial --example nat -- server
//! cargo run -p revdial --example nat -- laptop HOST:PORT KEY      (the server prints this line)
//! ```
//!
//! or both in one process: `cargo run -p revdial --example nat`.
//!
//! The laptop opens connections only; nothing ever connects *to* it. Still the server asks it
//! three questions, each on a stream of its own.

mod tls;

use std::{convert::Infallible, process::ExitCode};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use revdial::{
    Dialer, DialerConfig, ListenerConfig, Peer, Registry,
    server::{ServeConfig, answer_pickup, answer_registration, error_response, serve_connection},
    upgrade,
};
use tls::Key;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Err(error) = run(&args, |line| println!("{line}")).await else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

/// The program; `say` prints a line.
pub(crate) async fn run(
    args: &[&str],
    say: impl Fn(String) + Clone + Send + Sync + 'static,
) -> Result<(), BoxError> {
    match args {
        [] => {
            let server = Server::start("127.0.0.1:0").await?;
            let (address, key) = (server.address.clone(), server.key);
            tokio::select! {
                ended = server.run(say.clone()) => ended,
                ended = laptop(address, key, say) => ended,
            }
        }
        ["server"] => serve("127.0.0.1:8119", say).await,
        ["server", address] => serve(address, say).await,
        ["laptop", address, key] => laptop((*address).to_owned(), key.parse()?, say).await,
        _ => Err("usage: nat [server [ADDR] | laptop HOST:PORT KEY]".into()),
    }
}

async fn serve(
    address: &str,
    say: impl Fn(String) + Clone + Send + Sync + 'static,
) -> Result<(), BoxError> {
    let server = Server::start(address).await?;
    say(format!("server: waiting for laptops at {}", server.address));
    say("server: in another terminal, run".to_owned());
    say(format!(
        "    cargo run -p revdial --example nat -- laptop {} {}",
        server.address, server.key
    ));
    server.run(say).await
}

/// The public server.
struct Server {
    socket: TcpListener,
    address: String,
    tls: TlsAcceptor,
    key: Key,
}

impl Server {
    async fn start(address: &str) -> Result<Self, BoxError> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?.to_string();
        let (tls, key) = tls::server()?;
        Ok(Self {
            socket,
            address,
            tls,
            key,
        })
    }

    /// Interviews every laptop that registers, until the program is stopped.
    async fn run(
        self,
        say: impl Fn(String) + Clone + Send + Sync + 'static,
    ) -> Result<(), BoxError> {
        let registry = Registry::new();
        let (registered, mut dialers) = mpsc::channel(16);
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.socket.accept() => {
                    let (tcp, from) = accepted?;
                    tcp.set_nodelay(true)?;
                    let (tls, secret) = (self.tls.clone(), self.key.secret());
                    let (registry, registered) = (registry.clone(), registered.clone());
                    let handler = service_fn(move |request: Request<Incoming>| {
                        let peer = Peer::named("laptop").at(from);
                        let answer = route(request, &registry, &registered, &secret, peer);
                        async { Ok::<_, Infallible>(answer) }
                    });
                    tasks.spawn(async move {
                        let Ok(tls) = tls.accept(tcp).await else { return };
                        let stop = CancellationToken::new();
                        // A connection that fails is the laptop's affair.
                        let _ = serve_connection(tls, handler, ServeConfig::default(), stop).await;
                    });
                }
                Some(dialer) = dialers.recv() => {
                    let say = say.clone();
                    tasks.spawn(async move {
                        if let Err(error) = interview(dialer, &say).await {
                            say(format!("server: the laptop is lost: {error}"));
                        }
                    });
                }
                Some(_) = tasks.join_next() => {}
            }
        }
    }
}

/// Two paths: one for registrations, one for the connections that laptops bring in version 2.
fn route(
    request: Request<Incoming>,
    registry: &Registry,
    registered: &mpsc::Sender<Dialer>,
    secret: &str,
    peer: Peer,
) -> Response<Full<Bytes>> {
    let request = request.into_parts().0;
    if request.uri.path() != "/reverse" {
        return answer_pickup(registry, &request, true);
    }
    // Real programs compare secrets in constant time.
    if request.headers.get("X-Key").is_none_or(|key| key != secret) {
        return error_response(StatusCode::FORBIDDEN, "wrong key");
    }
    let registered = registered.clone();
    let config = DialerConfig::default();
    answer_registration(registry, &request, config, peer, async move |dialer| {
        // Fails when the server has stopped; the dialer is then dropped, and the laptop told.
        let _ = registered.send(dialer).await;
    })
}

/// Asks a laptop three things.
async fn interview(dialer: Dialer, say: &impl Fn(String)) -> Result<(), BoxError> {
    say(format!(
        "server: a laptop registered, we speak {}",
        dialer.version()
    ));
    for question in ["name?", "uptime?", "lunch?"] {
        let mut stream = dialer.dial().await?;
        stream.write_all(question.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        say(format!("server: asked {question:<8} heard {answer}"));
    }
    dialer.close_because("no more questions");
    say(format!("server: {}", dialer.closed().await));
    Ok(())
}

/// The machine behind NAT: registers, and answers until the server has had enough.
async fn laptop(
    address: String,
    key: Key,
    say: impl Fn(String) + Send + Sync + 'static,
) -> Result<(), BoxError> {
    let tls = tls::laptop(key)?;
    let connect = move || tls::connect(address.clone(), tls.clone());
    let request = upgrade::Request::get("/reverse").header("X-Key", key.secret());
    let (mut listener, _) = revdial::register(connect, &request, ListenerConfig::default()).await?;
    say("laptop: registered, waiting for questions".to_owned());
    while let Ok(mut stream) = listener.accept().await {
        let mut question = String::new();
        stream.read_to_string(&mut question).await?;
        let answer = format!("\"{question} I am a laptop that nobody can connect to\"");
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
    }
    say(format!("laptop: {}", listener.closed().await));
    Ok(())
}
