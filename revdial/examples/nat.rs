//! A server reaches a laptop behind NAT.
//!
//! Both in one process: `cargo run -p revdial --example nat`.
//! Apart, in two terminals: `... --example nat server 127.0.0.1:8119`, then
//! `... --example nat laptop 127.0.0.1:8119`.
//!
//! The laptop opens connections only; nothing ever connects *to* it. Still the server asks it
//! three questions, each on a connection of its own. Plain TCP keeps the example short; real
//! programs put TLS underneath.

use std::{convert::Infallible, io, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use revdial::{
    Dialer, DialerConfig, Listener, ListenerConfig, Registry, Stream,
    server::{ServeConfig, answer_pickup, serve_connection, switching_protocols},
    upgrade,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => {
            let socket = TcpListener::bind("127.0.0.1:0").await?;
            let laptop = tokio::spawn(laptop(socket.local_addr()?));
            server(socket).await?;
            laptop.await?
        }
        ["server", addr] => server(TcpListener::bind(addr).await?).await,
        ["laptop", addr] => laptop(addr.parse()?).await,
        _ => Err("usage: nat [server ADDR | laptop ADDR]".into()),
    }
}

/// Waits for a laptop to register and asks it three things.
async fn server(socket: TcpListener) -> Result<(), BoxError> {
    let registry = Registry::new();
    let (registered, mut dialers) = mpsc::channel(1);
    tokio::spawn(accept(socket, registry, registered));
    let Some(dialer) = dialers.recv().await else {
        return Err("server stopped".into());
    };
    for question in ["name?", "uptime?", "lunch?"] {
        let mut stream = dialer.dial().await?;
        stream.write_all(question.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        println!("server asked {question} and heard: {answer}");
    }
    dialer.close();
    Ok(())
}

async fn accept(socket: TcpListener, registry: Registry, registered: mpsc::Sender<Dialer>) {
    while let Ok((tcp, _)) = socket.accept().await {
        let (registry, registered) = (registry.clone(), registered.clone());
        let handler = service_fn(move |request: Request<Incoming>| {
            let answer = route(request, &registry, &registered);
            async { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(serve_connection(
            tcp,
            handler,
            ServeConfig::default(),
            CancellationToken::new(),
        ));
    }
}

/// Two paths: one for registrations, one for the connections that laptops bring.
fn route(
    request: Request<Incoming>,
    registry: &Registry,
    registered: &mpsc::Sender<Dialer>,
) -> Response<Full<Bytes>> {
    if request.uri().path() == "/reverse" {
        let (registry, registered) = (registry.clone(), registered.clone());
        // A real server checks who is asking first.
        switching_protocols(async move |control| {
            let dialer = registry.register(control, DialerConfig::default());
            // Fails when nobody is interested in another laptop; the dialer is then dropped.
            let _ = registered.send(dialer).await;
        })
    } else {
        answer_pickup(registry, &request.into_parts().0, true)
    }
}

/// Registers with the server and answers until the server has had enough.
async fn laptop(addr: SocketAddr) -> Result<(), BoxError> {
    let connect = move || async move {
        let tcp = TcpStream::connect(addr).await?;
        tcp.set_nodelay(true)?;
        io::Result::Ok(Stream::new(tcp))
    };
    let request = upgrade::Request::get("/reverse").header("X-Revdial-Version", "2");
    let (control, _) =
        upgrade::request(connect().await?, &request, &upgrade::Limits::default()).await?;
    let mut listener = Listener::new(control, connect, ListenerConfig::default());
    while let Ok(mut stream) = listener.accept().await {
        let mut question = String::new();
        stream.read_to_string(&mut question).await?;
        let answer = format!("\"{question}\" -- I am a laptop, nobody can reach me");
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
    }
    println!("laptop: {}", listener.closed().await);
    Ok(())
}
