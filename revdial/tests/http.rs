//! HTTP over what is dialled: hyper's client on one end, its server on the other.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use revdial::{
    CloseReason, Dialer, DialerConfig, Listener, ListenerConfig, Registry,
    client::{ConnectError, Connector},
    mux::Config,
    server::{ServeConfig, answer_pickup, serve, serve_connection},
};
use support::{pipe, secs};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// A pair that speaks version 2, pickups included.
fn v2() -> (Dialer, Listener) {
    let registry = Registry::new();
    let (near, far) = pipe();
    let dialer = registry.register(near, DialerConfig::default());
    let connect = move || {
        let (near, far) = pipe();
        let registry = registry.clone();
        let pickup = service_fn(move |request: Request<Incoming>| {
            let answer: Response<Full<Bytes>> =
                answer_pickup(&registry, &request.into_parts().0, true);
            async { Ok::<_, Infallible>(answer) }
        });
        let stop = CancellationToken::new();
        tokio::spawn(serve_connection(far, pickup, ServeConfig::default(), stop));
        async { Ok(near) }
    };
    (
        dialer,
        Listener::new(far, connect, ListenerConfig::default()),
    )
}

fn mux() -> (Dialer, Listener) {
    let (near, far) = pipe();
    (
        Dialer::mux(near, Config::default()),
        Listener::mux(far, Config::default()),
    )
}

fn v1() -> (Dialer, Listener) {
    let (near, far) = pipe();
    (
        Dialer::v1(near, Config::default()),
        Listener::v1(far, Config::default()),
    )
}

/// Serves: says who it is, the path, and how long the body was.
fn machine(name: &'static str, listener: Listener) -> (JoinHandle<CloseReason>, CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| async move {
        let path = request.uri().path().to_owned();
        if path == "/slow" {
            sleep(secs(5)).await;
        }
        let len = request
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .len();
        let answer = Full::<Bytes>::from(format!("{name} {path} {len}"));
        Ok::<_, Infallible>(Response::new(answer))
    });
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(
        listener,
        service,
        ServeConfig::default(),
        stop.clone(),
    ));
    (served, stop)
}

type Http = Client<Connector, Full<Bytes>>;

fn client(connector: Connector) -> Http {
    Client::builder(TokioExecutor::new()).build(connector)
}

async fn post(client: &Http, uri: &str, len: usize) -> String {
    let request = Request::post(uri)
        .body(Full::from(vec![b'x'; len]))
        .unwrap();
    let answer = client.request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn requests_go_through_every_version_and_connections_are_used_again() {
    for (dialer, listener) in [v1(), v2(), mux()] {
        let (served, _stop) = machine("box", listener);
        let client = client(Connector::new(dialer.clone()));
        for n in [0, 1, 1000, 300_000] {
            let answer = post(&client, "http://box/a/b", n).await;
            assert_eq!(answer, format!("box /a/b {n}"));
        }
        assert_eq!(dialer.stats().streams, 1, "{}", dialer.version());

        // At the same time: as many connections.
        let mut all = JoinSet::new();
        for _ in 0..20 {
            let client = client.clone();
            all.spawn(async move { post(&client, "http://box/slow", 5).await });
        }
        let all = all.join_all().await;
        assert!(all.iter().all(|answer| answer == "box /slow 5"));
        assert_eq!(dialer.stats().streams, 20);

        dialer.close();
        drop((dialer, client));
        assert!(matches!(served.await.unwrap(), CloseReason::Peer(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_for_many_machines() {
    let ((a, to_a), (b, to_b)) = (mux(), v2());
    let (_a, _b) = (machine("a", to_a), machine("b", to_b));
    let client = client(Connector::choosing(move |uri| match uri.host()? {
        "a" => Some(a.clone()),
        "b" => Some(b.clone()),
        _ => None,
    }));
    assert_eq!(post(&client, "http://a/x", 1).await, "a /x 1");
    assert_eq!(post(&client, "http://b/y", 2).await, "b /y 2");
    let error = client.get("http://c/".parse().unwrap()).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    let connect = source.downcast_ref::<ConnectError>().unwrap();
    assert_eq!(
        connect.to_string(),
        "no machine is connected under the name \"c\""
    );
}

#[tokio::test(start_paused = true)]
async fn stopping_answers_what_was_asked() {
    for (dialer, listener) in [v1(), v2(), mux()] {
        let (served, stop) = machine("box", listener);
        let client = client(Connector::new(dialer.clone()));
        let slow = {
            let client = client.clone();
            tokio::spawn(async move { post(&client, "http://box/slow", 3).await })
        };
        sleep(secs(1)).await;
        stop.cancel();
        assert_eq!(slow.await.unwrap(), "box /slow 3");
        assert!(matches!(served.await.unwrap(), CloseReason::Local));
        let again = Request::get("http://box/").body(Full::default()).unwrap();
        assert!(client.request(again).await.is_err());
    }
}
