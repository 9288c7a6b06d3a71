//! Real sockets, real threads: what a virtual clock on one thread cannot show.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use revdial::{
    DialerConfig, Listener, ListenerConfig, Registry, Stream,
    server::{ServeConfig, answer_pickup, serve_connection},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dials_and_cancelled_dials_from_many_threads() {
    for spares in [0, 2] {
        let registry = Registry::new();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let (here, there) = tokio::join!(TcpStream::connect(addr), socket.accept());
        let dialer = registry.register(
            Stream::new(here.unwrap()),
            DialerConfig {
                spares,
                ..DialerConfig::default()
            },
        );
        let server = tokio::spawn({
            let registry = registry.clone();
            async move {
                let mut connections = JoinSet::new();
                while let Ok((tcp, _)) = socket.accept().await {
                    let registry = registry.clone();
                    let service = service_fn(move |request: Request<Incoming>| {
                        let answer: Response<Full<Bytes>> =
                            answer_pickup(&registry, &request.into_parts().0, true);
                        async { Ok::<_, Infallible>(answer) }
                    });
                    let stop = CancellationToken::new();
                    connections.spawn(serve_connection(tcp, service, ServeConfig::default(), stop));
                }
            }
        });
        let connect = move || async move { TcpStream::connect(addr).await.map(Stream::new) };
        let mut listener = Listener::new(
            Stream::new(there.unwrap().0),
            connect,
            ListenerConfig::default(),
        );
        let closed = listener.closed();
        let far = tokio::spawn(async move {
            while let Ok(mut stream) = listener.accept().await {
                tokio::spawn(async move {
                    let n = stream.read_u32().await?;
                    stream.write_u32(!n).await
                });
            }
        });

        let mut dials = JoinSet::new();
        for n in 0..400_u32 {
            let dialer = dialer.clone();
            dials.spawn(async move {
                if n % 4 == 0 {
                    // Given up somewhere on the way.
                    let patience = Duration::from_micros(u64::from(n) * 20);
                    drop(timeout(patience, dialer.dial()).await);
                    return;
                }
                let mut stream = dialer.dial().await.unwrap();
                stream.write_u32(n).await.unwrap();
                assert_eq!(stream.read_u32().await.unwrap(), !n);
            });
        }
        timeout(Duration::from_secs(60), dials.join_all())
            .await
            .expect("stuck");
        drop(dialer);
        assert!(registry.is_empty());
        timeout(Duration::from_secs(10), closed)
            .await
            .expect("listener must notice");
        far.await.unwrap();
        server.abort();
    }
}
