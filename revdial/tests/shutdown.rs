//! The end of a session: what was asked is still answered, what is said last is heard.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::{convert::Infallible, future::Future, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use revdial::{
    CloseReason, Connect, Dialer, DialerConfig, Listener, ListenerConfig, Registry, Stream,
    mux::Config,
    server::{ServeConfig, serve},
};
use support::{pipe, secs};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

type Pair = (Dialer, Listener);

fn v1(room: usize) -> Pair {
    let (near, far) = duplex(room);
    (
        Dialer::v1(Stream::new(near), Config::default()),
        Listener::v1(Stream::new(far), Config::default()),
    )
}

fn mux(room: usize) -> Pair {
    let (near, far) = duplex(room);
    (
        Dialer::mux(Stream::new(near), Config::default()),
        Listener::mux(Stream::new(far), Config::default()),
    )
}

/// What a listener connects to: a server that takes every pickup.
fn pickups(registry: &Registry) -> impl Connect + use<> {
    let registry = registry.clone();
    move || {
        let (near, mut far) = pipe();
        let registry = registry.clone();
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(far.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let pickup = registry.pickup(head.split(' ').nth(1).unwrap()).unwrap();
            let switched = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
            far.write_all(switched).await.unwrap();
            pickup.deliver(far);
        });
        async { Ok(near) }
    }
}

fn v2() -> Pair {
    let (near, far) = pipe();
    let registry = Registry::new();
    let dialer = registry.register(near, DialerConfig::default());
    let config = ListenerConfig::default();
    (dialer, Listener::new(far, pickups(&registry), config))
}

fn service() -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send,
> + Clone
+ Send
+ 'static {
    service_fn(|_: Request<Incoming>| async {
        sleep(secs(1)).await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("heard")))
    })
}

#[tokio::test(start_paused = true)]
async fn requests_on_streams_that_wait_to_be_accepted_are_answered() {
    for (dialer, listener) in [v1(64 * 1024), v2(), mux(64 * 1024)] {
        let mut asked = Vec::new();
        for _ in 0..3 {
            let mut stream = dialer.dial().await.unwrap();
            let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            stream.write_all(request).await.unwrap();
            asked.push(stream);
        }
        // They are there by now, and nobody has accepted them.
        sleep(secs(1)).await;
        let stop = CancellationToken::new();
        stop.cancel();
        let served = tokio::spawn(serve(listener, service(), ServeConfig::default(), stop));
        for mut stream in asked {
            let mut answer = String::new();
            let read = stream.read_to_string(&mut answer);
            timeout(secs(60), read).await.unwrap().unwrap();
            assert!(
                answer.ends_with("heard"),
                "{}: {answer:?}",
                dialer.version()
            );
        }
        assert!(matches!(served.await.unwrap(), CloseReason::Local));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_end_of_the_connection_has_told_its_peer() {
    for (dialer, listener) in [v2(), mux(64)] {
        dialer.close_because("the server restarts");
        timeout(secs(5), dialer.disconnected()).await.unwrap();
        // Nothing of the dialer's runs from here on.
        let reason = timeout(Duration::ZERO, listener.closed()).await;
        let said = reason.unwrap().to_string();
        assert_eq!(said, "closed by the peer: the server restarts");
    }
    for (dialer, listener) in [v2(), mux(64)] {
        listener.close_because("going home");
        timeout(secs(5), listener.disconnected()).await.unwrap();
        let said = dialer.closed().await.to_string();
        assert_eq!(said, "closed by the peer: going home");
    }
}

#[tokio::test(start_paused = true)]
async fn the_connection_ends_after_everything_that_was_written() {
    for (dialer, mut listener) in [v1(1000), mux(1000)] {
        let mut near = dialer.dial().await.unwrap();
        let reader = tokio::spawn(async move {
            let mut far = listener.accept().await.unwrap();
            sleep(secs(2)).await;
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all.len()
        });
        near.write_all(&[7; 50_000]).await.unwrap();
        near.shutdown().await.unwrap();
        let gone = dialer.disconnected();
        drop((near, dialer));
        timeout(secs(60), gone).await.unwrap();
        assert_eq!(reader.await.unwrap(), 50_000);
    }
}

#[tokio::test]
async fn a_session_that_never_starts_has_no_connection() {
    let (near, mut far) = pipe();
    let config = DialerConfig {
        base_path: "nowhere".to_owned(),
        ..DialerConfig::default()
    };
    let dialer = Registry::new().register(near, config);
    dialer.disconnected().await;
    assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
}

/// Bounds are switched off with the largest values there are.
#[tokio::test(start_paused = true)]
async fn the_largest_values_mean_never_and_without_end() {
    let max = Duration::MAX;
    let (near, far) = pipe();
    let config = DialerConfig {
        dial_timeout: max,
        keep_alive: max,
        idle_timeout: max,
        write_timeout: max,
        max_pending: usize::MAX,
        spares: 1,
        spare_lifetime: max,
        ..DialerConfig::default()
    };
    let registry = Registry::new();
    let dialer = registry.register(near, config);
    let config = ListenerConfig {
        keep_alive: max,
        idle_timeout: max,
        write_timeout: max,
        max_pickups: usize::MAX,
        max_waiting: usize::MAX,
        accept_queue: usize::MAX,
        connect_timeout: max,
        ..ListenerConfig::default()
    };
    let mut listener = Listener::new(far, pickups(&registry), config);
    // The spare and one dial.
    sleep(secs(1)).await;
    let _spare = timeout(secs(60), dialer.dial()).await.unwrap().unwrap();
    let _other = timeout(secs(60), dialer.dial()).await.unwrap().unwrap();
    for _ in 0..2 {
        timeout(secs(60), listener.accept()).await.unwrap().unwrap();
    }
    // Not longer, because an end that sends no keep-alives is given 90 s.
    sleep(secs(60)).await;
    assert!(!dialer.is_closed() && !listener.is_closed());
}
