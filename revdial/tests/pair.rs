//! Dialer and listener against each other, through the real HTTP layer, on a virtual clock.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::{
    collections::HashSet,
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use revdial::{
    CloseReason, Connect, DialError, Dialer, DialerConfig, Listener, ListenerConfig, Registry,
    Stream,
    server::{ServeConfig, answer_pickup, serve_connection},
};
use support::{pipe, secs};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// A server that serves pickups only; every connection goes through `wrap`.
fn server(registry: &Registry, wrap: fn(DuplexStream) -> Stream) -> impl Connect {
    let registry = registry.clone();
    move || {
        let (near, far) = duplex(4096);
        let registry = registry.clone();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let answer: Response<Full<Bytes>> =
                answer_pickup(&registry, &request.into_parts().0, true);
            async { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(serve_connection(
            wrap(far),
            service,
            ServeConfig::default(),
            CancellationToken::new(),
        ));
        async move { Ok(wrap(near)) }
    }
}

fn pair(dialer: DialerConfig, listener: ListenerConfig) -> (Registry, Dialer, Listener) {
    let registry = Registry::new();
    let (near, far) = pipe();
    let connect = server(&registry, Stream::new);
    (
        registry.clone(),
        registry.register(near, dialer),
        Listener::new(far, connect, listener),
    )
}

/// Answers every connection with what it sends.
async fn echo(mut listener: Listener) {
    let mut streams = JoinSet::new();
    while let Ok(stream) = listener.accept().await {
        streams.spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
        });
    }
}

async fn round_trip(stream: &mut Stream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, bytes);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_dials_at_once_each_get_their_own() {
    let (registry, dialer, listener) = pair(DialerConfig::default(), ListenerConfig::default());
    tokio::spawn(echo(listener));
    let mut dials = JoinSet::new();
    for n in 0..1000_u32 {
        let dialer = dialer.clone();
        dials.spawn(async move {
            let mut stream = dialer.dial().await.unwrap();
            round_trip(&mut stream, &n.to_be_bytes()).await;
            n
        });
    }
    assert_eq!(
        dials
            .join_all()
            .await
            .into_iter()
            .collect::<HashSet<_>>()
            .len(),
        1000
    );
    assert_eq!(registry.len(), 1);
    dialer.close();
    assert!(registry.is_empty());
}

#[tokio::test(start_paused = true)]
async fn cancelled_dials_leave_no_trace() {
    let (_registry, dialer, listener) = pair(DialerConfig::default(), ListenerConfig::default());
    tokio::spawn(echo(listener));
    // Dropped at every possible point of their life: after 0, 1, 2, .. polls.
    let mut finished = 0;
    for polls in 0..200 {
        let mut dial = std::pin::pin!(dialer.dial());
        let mut left = polls;
        finished += std::future::poll_fn(|cx| {
            if left == 0 {
                return Poll::Ready(0);
            }
            left -= 1;
            cx.waker().wake_by_ref();
            dial.as_mut()
                .poll(cx)
                .map(|dialled| usize::from(dialled.is_ok()))
        })
        .await;
    }
    assert!(finished > 0 && finished < 200, "{finished}");
    let mut stream = dialer.dial().await.unwrap();
    round_trip(&mut stream, b"still in step").await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_pair_stays_open_and_half_close_passes_through() {
    let (_registry, dialer, listener) = pair(
        DialerConfig {
            spares: 1,
            ..DialerConfig::default()
        },
        ListenerConfig::default(),
    );
    tokio::spawn(echo(listener));
    for _ in 0..10 {
        sleep(secs(3600)).await;
        let mut stream = dialer.dial().await.unwrap();
        round_trip(&mut stream, b"on time").await;
        stream.write_all(b"last words").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "last words");
    }
}

#[tokio::test(start_paused = true)]
async fn each_end_learns_why_the_other_closed() {
    let (_registry, dialer, listener) = pair(DialerConfig::default(), ListenerConfig::default());
    dialer.close();
    let reason = listener.closed().await;
    assert!(matches!(&reason, CloseReason::Peer(None)), "{reason}");
    let (_registry, dialer, listener) = pair(DialerConfig::default(), ListenerConfig::default());
    dialer.close_because("moving to another server");
    assert_eq!(
        dialer.closed().await.to_string(),
        "closed by this side: moving to another server"
    );
    assert_eq!(
        listener.closed().await.to_string(),
        "closed by the peer: moving to another server"
    );
    let (_registry, dialer, listener) = pair(DialerConfig::default(), ListenerConfig::default());
    listener.close_because("going to sleep");
    assert_eq!(
        dialer.closed().await.to_string(),
        "closed by the peer: going to sleep"
    );
    let (_registry, dialer, listener) = pair(DialerConfig::default(), ListenerConfig::default());
    drop(listener);
    assert_eq!(dialer.closed().await.to_string(), "closed by the peer");
    assert!(matches!(
        dialer.dial().await,
        Err(DialError::Closed(CloseReason::Peer(_)))
    ));
}

/// A wire that can be cut without either end being told.
struct Cable {
    io: DuplexStream,
    cut: CancellationToken,
}

impl AsyncRead for Cable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.is_cancelled() {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cut.is_cancelled() {
            // Into the kernel's buffers, and no further.
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut.is_cancelled() {
            Poll::Pending
        } else {
            Pin::new(&mut self.io).poll_shutdown(cx)
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pulled_cable_is_noticed_at_both_ends_within_15_seconds() {
    let registry = Registry::new();
    let (near, far) = duplex(4096);
    let cut = CancellationToken::new();
    let cable = |io| {
        Stream::new(Cable {
            io,
            cut: cut.clone(),
        })
    };
    let dialer = registry.register(cable(near), DialerConfig::default());
    let mut listener = Listener::new(
        cable(far),
        server(&registry, Stream::new),
        ListenerConfig::default(),
    );
    sleep(secs(123)).await;
    assert!(!dialer.is_closed() && !listener.is_closed());
    let waiting = tokio::spawn({
        let dialer = dialer.clone();
        async move { dialer.dial().await }
    });
    sleep(secs(1)).await;
    waiting.await.unwrap().unwrap();
    listener.accept().await.unwrap();

    cut.cancel();
    let begin = Instant::now();
    let stuck = tokio::spawn({
        let dialer = dialer.clone();
        async move { dialer.dial().await }
    });
    let (here, there) = tokio::join!(dialer.closed(), listener.closed());
    assert!(matches!(here, CloseReason::Idle(_)), "{here}");
    assert!(matches!(there, CloseReason::Idle(_)), "{there}");
    assert!(begin.elapsed() <= secs(15), "{:?}", begin.elapsed());
    assert!(matches!(
        stuck.await.unwrap(),
        Err(DialError::Closed(CloseReason::Idle(_)))
    ));
    assert!(registry.is_empty());
}

/// Cuts reads and writes into pieces and stalls now and then, always the same way.
struct Choppy {
    io: DuplexStream,
    seed: u64,
}

impl Choppy {
    fn roll(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    fn stalls(&mut self, cx: &Context<'_>) -> bool {
        let stalls = self.roll(3) == 0;
        if stalls {
            cx.waker().wake_by_ref();
        }
        stalls
    }
}

impl AsyncRead for Choppy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stalls(cx) {
            return Poll::Pending;
        }
        let size = usize::try_from(self.roll(13) + 1)
            .unwrap()
            .min(buf.remaining());
        let mut piece = [0; 13];
        let mut piece = ReadBuf::new(&mut piece[..size]);
        let read = Pin::new(&mut self.io).poll_read(cx, &mut piece);
        buf.put_slice(piece.filled());
        read
    }
}

impl AsyncWrite for Choppy {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.stalls(cx) {
            return Poll::Pending;
        }
        let size = usize::try_from(self.roll(13) + 1).unwrap().min(buf.len());
        Pin::new(&mut self.io).poll_write(cx, &buf[..size])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn segment_boundaries_mean_nothing() {
    for seed in 1..20 {
        let registry = Registry::new();
        let (near, far) = duplex(64);
        let choppy = |io, seed| Stream::new(Choppy { io, seed });
        let connect = server(&registry, |io| Stream::new(Choppy { io, seed: 42 }));
        let dialer = registry.register(choppy(near, seed), DialerConfig::default());
        tokio::spawn(echo(Listener::new(
            choppy(far, seed + 99),
            connect,
            ListenerConfig::default(),
        )));
        let mut dials = JoinSet::new();
        for n in 0..20_u8 {
            let dialer = dialer.clone();
            dials.spawn(async move {
                let mut stream = dialer.dial().await.unwrap();
                round_trip(&mut stream, &vec![n; 3000]).await;
            });
        }
        timeout(secs(30), dials.join_all()).await.expect("stuck");
    }
}
