//! An HTTP service behind NAT, and a public server that calls it as if it were next door.
//!
//! `cargo run -p revdial --example http_service`
//!
//! The machine behind NAT runs an ordinary hyper service (an axum `Router` would do as well, see
//! the feature `axum`); only where its connections come from is unusual. The public server uses
//! an ordinary pooling hyper client; only where its connections go is unusual. TLS is left out
//! here; the example `nat` shows it.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use revdial::{
    Dialer, DialerConfig, ListenerConfig, Peer, Registry, Stream,
    client::Connector,
    server::{self, ServeConfig, answer_pickup, answer_registration, serve_connection},
    upgrade,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    run(|line| println!("{line}")).await
}

/// The program; `say` prints a line.
pub(crate) async fn run(say: impl Fn(String)) -> Result<(), BoxError> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let (registered, mut dialers) = mpsc::channel(1);
    let public = tokio::spawn(public_server(socket, registered));
    let machine = tokio::spawn(machine(address));

    let Some(dialer) = dialers.recv().await else {
        return Err("nobody registered".into());
    };
    // From here on nothing knows of revdial: a client, and URIs.
    let client = Client::builder(TokioExecutor::new())
        .build::<_, Full<Bytes>>(Connector::new(dialer.clone()));
    for (method, path, body) in [
        (Method::GET, "/", ""),
        (Method::POST, "/shout", "is anybody there?"),
        (Method::GET, "/nowhere", ""),
    ] {
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("http://machine{path}"))
            .body(Full::from(body))?;
        let answer = client.request(request).await?;
        let status = answer.status();
        let text = answer.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&text);
        say(format!("{method} {path}: {status}: {text}"));
    }
    let stats = dialer.stats();
    say(format!(
        "3 requests; streams: {}, {} bytes out, {} bytes in",
        stats.streams, stats.bytes_written, stats.bytes_read
    ));

    drop(client);
    dialer.close_because("that was all");
    drop(dialer);
    say(format!("machine: {}", machine.await??));
    public.abort();
    Ok(())
}

/// What runs behind NAT.
async fn machine(server: SocketAddr) -> Result<String, BoxError> {
    let connect = move || async move {
        let tcp = TcpStream::connect(server).await?;
        tcp.set_nodelay(true)?;
        Ok(Stream::new(tcp))
    };
    let request = upgrade::Request::get("/reverse");
    let (listener, _) = revdial::register(connect, &request, ListenerConfig::default()).await?;
    let stop = CancellationToken::new();
    let reason = server::serve(listener, service_fn(app), ServeConfig::default(), stop).await;
    Ok(reason.to_string())
}

/// The service itself.
async fn app(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => Response::new(Full::from("hello from behind NAT")),
        (&Method::POST, "/shout") => {
            let body = request.into_body().collect().await?.to_bytes();
            let text = String::from_utf8_lossy(&body).to_uppercase();
            Response::new(Full::from(text))
        }
        _ => {
            let mut response = Response::new(Full::from("no such path"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    })
}

/// The public end: takes registrations, and the connections that machines bring in version 2.
async fn public_server(socket: TcpListener, registered: mpsc::Sender<Dialer>) {
    let registry = Registry::new();
    while let Ok((tcp, from)) = socket.accept().await {
        // Or the first control lines wait for each other's acknowledgement.
        if tcp.set_nodelay(true).is_err() {
            continue;
        }
        let (registry, registered) = (registry.clone(), registered.clone());
        let handler = service_fn(move |request: Request<Incoming>| {
            let (request, registered) = (request.into_parts().0, registered.clone());
            let answer: Response<Full<Bytes>> = if request.uri.path() == "/reverse" {
                let peer = Peer::named("machine").at(from);
                let config = DialerConfig::default();
                // A real server checks who is asking first.
                answer_registration(&registry, &request, config, peer, async move |dialer| {
                    // Fails when nobody is interested; the dialer is then dropped.
                    let _ = registered.send(dialer).await;
                })
            } else {
                answer_pickup(&registry, &request, true)
            };
            async { Ok::<_, Infallible>(answer) }
        });
        let stop = CancellationToken::new();
        tokio::spawn(serve_connection(tcp, handler, ServeConfig::default(), stop));
    }
}
