//! What is measured: the bare transport and the ways of this crate.

use std::{convert::Infallible, future::Future, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use revdial::{
    Dialer, DialerConfig, Io, Listener, ListenerConfig, Registry, Stream, mux,
    server::{ServeConfig, answer_pickup, serve_connection},
};
use tokio_util::sync::CancellationToken;

use crate::{
    far::behave,
    net::{Net, bind, pair},
};

/// Opens streams whose far end [behaves](behave).
pub(crate) trait Opener: Clone + Send + Sync + 'static {
    type Stream: Io;

    fn open(&self) -> impl Future<Output = Self::Stream> + Send;
}

/// A new connection for each stream.
#[derive(Clone)]
pub(crate) struct Raw<N> {
    net: N,
    addr: SocketAddr,
}

impl<N: Net> Raw<N> {
    pub(crate) async fn new(net: &N) -> Self {
        let (socket, addr) = bind().await;
        let far = net.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = socket.accept().await {
                let net = far.clone();
                tokio::spawn(async move { behave(net.accept(tcp).await?).await });
            }
        });
        Self {
            net: net.clone(),
            addr,
        }
    }
}

impl<N: Net> Opener for Raw<N> {
    type Stream = N::Near;

    async fn open(&self) -> N::Near {
        self.net.connect(self.addr).await.unwrap()
    }
}

impl Opener for Dialer {
    type Stream = Stream;

    async fn open(&self) -> Stream {
        self.dial().await.unwrap()
    }
}

/// Version 2: a server for pickups and a listener behind it.
pub(crate) async fn v2<N: Net>(net: &N, spares: usize) -> Dialer {
    let registry = Registry::new();
    let (near, far) = pair(net).await;
    let config = DialerConfig {
        spares,
        ..DialerConfig::default()
    };
    // The machine behind NAT is the one that connects.
    let dialer = registry.register(Stream::new(far), config);
    let (socket, addr) = bind().await;
    let server = net.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = socket.accept().await {
            let (registry, net) = (registry.clone(), server.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let answer: Response<Full<Bytes>> =
                    answer_pickup(&registry, &request.into_parts().0, true);
                async { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(async move {
                let Ok(io) = net.accept(tcp).await else {
                    return;
                };
                let stop = CancellationToken::new();
                let _ = serve_connection(io, service, ServeConfig::default(), stop).await;
            });
        }
    });
    let net = net.clone();
    let fetch = move || {
        let net = net.clone();
        async move { net.connect(addr).await.map(Stream::new) }
    };
    serve(Listener::new(
        Stream::new(near),
        fetch,
        ListenerConfig::default(),
    ));
    dialer
}

/// Version 1: all streams over one connection.
pub(crate) async fn v1<N: Net>(net: &N) -> Dialer {
    let (near, far) = pair(net).await;
    serve(Listener::v1(Stream::new(near), mux::Config::default()));
    Dialer::v1(Stream::new(far), mux::Config::default())
}

/// The native mode: streams with credits over one connection.
pub(crate) async fn mux<N: Net>(net: &N) -> Dialer {
    let (near, far) = pair(net).await;
    serve(Listener::mux(Stream::new(near), mux::Config::default()));
    Dialer::mux(Stream::new(far), mux::Config::default())
}

fn serve(mut listener: Listener) {
    tokio::spawn(async move {
        while let Ok(stream) = listener.accept().await {
            tokio::spawn(behave(stream));
        }
    });
}
