//! The life of a connection: TLS, plain HTTP or noise, and the requests on it.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use revdial::Io;
use revdial::server::{ServeError, serve_connection};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _, util::Oneshot};

use crate::provider::HTTP2;
use crate::redirect;
use crate::server::{Limits, Peer, Plain};

/// First byte of every TLS handshake record.
const TLS: u8 = 0x16;

/// Idle time before the system asks whether the peer still lives, as long as the Go original's; then every 30 s.
const KEEPALIVE: Duration = Duration::from_secs(180);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) plain: Plain,
    pub(crate) limits: Limits,
    /// HTTP/2 for those who ask for it.
    pub(crate) http2: bool,
    pub(crate) stop: CancellationToken,
}

/// Serves one connection to its end. Failures are the peer's affair and only logged.
pub(crate) async fn connection<S, B>(shared: &Shared, service: S, tcp: TcpStream, addr: SocketAddr)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    tune(&tcp);
    let opened = tokio::select! {
        opened = timeout(shared.limits.handshake, open(shared, tcp)) => opened,
        // Nothing was asked yet, so nothing is owed.
        () = shared.stop.cancelled() => return,
    };
    let served = match opened {
        Ok(Ok(Opened::Tls(tls))) => {
            let peer = Peer { addr, tls: true };
            let is_http2 = tls.get_ref().1.alpn_protocol() == Some(HTTP2);
            Box::pin(serve(shared, tls, WithPeer { service, peer }, is_http2)).await
        }
        Ok(Ok(Opened::Plain(tcp, is_http2))) if is_served(shared.plain, addr) => {
            let peer = Peer { addr, tls: false };
            Box::pin(serve(shared, tcp, WithPeer { service, peer }, is_http2)).await
        }
        Ok(Ok(Opened::Plain(tcp, _))) => {
            let redirects = shared.plain != Plain::Refuse && shared.tls.is_some();
            let answer = service_fn(move |request: Request<Incoming>| {
                std::future::ready(Ok::<_, Infallible>(if redirects {
                    redirect::to_https(&request)
                } else {
                    redirect::refusal()
                }))
            });
            let (http, stop) = (shared.limits.http, shared.stop.clone());
            Box::pin(serve_connection(tcp, answer, http, stop)).await
        }
        Ok(Ok(Opened::Noise)) => {
            tracing::debug!(%addr, "closed: neither TLS nor HTTP");
            return;
        }
        Ok(Err(error)) => {
            tracing::debug!(%addr, %error, "closed: handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(%addr, "closed: handshake took too long");
            return;
        }
    };
    if let Err(error) = served {
        tracing::debug!(%addr, error = &error as &dyn StdError, "connection failed");
    }
}

async fn serve<S, B>(
    shared: &Shared,
    io: impl Io,
    service: WithPeer<S>,
    is_http2: bool,
) -> Result<(), ServeError>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let (http, stop) = (shared.limits.http, shared.stop.clone());
    #[cfg(feature = "http2")]
    if is_http2 {
        return crate::http2::serve(io, service, http, stop).await;
    }
    debug_assert!(
        !is_http2 || cfg!(feature = "http2"),
        "nobody was offered it"
    );
    serve_connection(io, service, http, stop).await
}

/// Small answers at once, and dead peers noticed. A socket that refuses still carries bytes.
fn tune(tcp: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE_INTERVAL);
    let _ = tcp.set_nodelay(true);
    let _ = SockRef::from(tcp).set_tcp_keepalive(&keepalive);
}

fn is_served(plain: Plain, addr: SocketAddr) -> bool {
    match plain {
        Plain::Serve => true,
        // Canonical, because a socket for both families shows 127.0.0.1 as ::ffff:127.0.0.1.
        Plain::Loopback => addr.ip().to_canonical().is_loopback(),
        Plain::Redirect | Plain::Refuse => false,
    }
}

/// How a connection began.
enum Opened {
    Tls(Box<TlsStream<TcpStream>>),
    /// And whether it is HTTP/2.
    Plain(TcpStream, bool),
    Noise,
}

async fn open(shared: &Shared, tcp: TcpStream) -> io::Result<Opened> {
    let mut begin = [0; 6];
    let seen = tcp.peek(&mut begin).await?;
    match (&begin[..seen], &shared.tls) {
        ([TLS, ..], Some(tls)) => {
            let tls = Box::pin(tls.accept(tcp)).await?;
            Ok(Opened::Tls(Box::new(tls)))
        }
        // A proxy's preamble, which this server does not read.
        (b"PROXY ", _) => Ok(Opened::Noise),
        // How HTTP/2 begins when it was not agreed on before; clients send it in one piece.
        (b"PRI * ", _) if shared.http2 => Ok(Opened::Plain(tcp, true)),
        // Every HTTP method in use starts so.
        ([b'A'..=b'Z', ..], _) => Ok(Opened::Plain(tcp, false)),
        _ => Ok(Opened::Noise),
    }
}

/// A tower service as hyper wants it, with the peer among each request's extensions.
pub(crate) struct WithPeer<S> {
    service: S,
    peer: Peer,
}

impl<S> hyper::service::Service<Request<Incoming>> for WithPeer<S>
where
    S: Service<Request<Incoming>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Oneshot<S, Request<Incoming>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.service.clone().oneshot(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_served_in_the_clear() {
        for (addr, loopback) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("10.0.0.1:1", false),
            ("[::ffff:10.0.0.1]:1", false),
            ("[fe80::1]:1", false),
            ("0.0.0.0:1", false),
        ] {
            let addr = addr.parse().unwrap();
            assert_eq!(is_served(Plain::Loopback, addr), loopback, "{addr}");
            assert!(is_served(Plain::Serve, addr));
            assert!(!is_served(Plain::Redirect, addr));
            assert!(!is_served(Plain::Refuse, addr));
        }
    }
}
