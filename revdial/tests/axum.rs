//! A machine behind NAT as an axum server: `cargo test -p revdial --features axum --test axum`.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use axum::{Router, extract::ConnectInfo, routing::get};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use revdial::{Dialer, Listener, Peer, StreamInfo, client::Connector, mux::Config};
use support::pipe;

#[tokio::test(start_paused = true)]
async fn axum_serves_what_is_dialled_until_the_session_ends() {
    let (here, there) = pipe();
    let dialer = Dialer::mux(here, Config::default());
    let listener = Listener::mux(there, Config::default()).with_peer(Peer::named("server"));

    let router = Router::new().route(
        "/who",
        get(|ConnectInfo(info): ConnectInfo<StreamInfo>| async move {
            format!("{} by {}", info.peer.name.unwrap(), info.version)
        }),
    );
    let closed = listener.closed();
    let service = router.into_make_service_with_connect_info::<StreamInfo>();
    let served = tokio::spawn(
        axum::serve(listener, service)
            .with_graceful_shutdown(async { drop(closed.await) })
            .into_future(),
    );

    let client = Client::builder(TokioExecutor::new())
        .build::<_, Empty<Bytes>>(Connector::new(dialer.clone()));
    let answer = client
        .get("http://laptop/who".parse().unwrap())
        .await
        .unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "server by version 3 (mux)");

    drop(client);
    dialer.close();
    drop(dialer);
    served.await.unwrap().unwrap();
}
