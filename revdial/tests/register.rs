//! Who registers with whom, and what they agree on.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::{convert::Infallible, io};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use revdial::{
    Connect, Dialer, DialerConfig, Listener, ListenerConfig, Peer, RegisterError, Registry, Stream,
    Version, Versions,
    server::{ServeConfig, answer_pickup, answer_registration, serve_connection},
    upgrade::{self, UpgradeError},
    v1::SniffError,
};
use support::{pipe, secs};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// A server that allows `versions`; hands out the dialers of those who register.
fn server(versions: Versions) -> (impl Connect + Clone, mpsc::Receiver<Dialer>) {
    let registry = Registry::new();
    let (dialers, registered) = mpsc::channel(8);
    let connect = move || {
        let (near, far) = pipe();
        let (registry, dialers) = (registry.clone(), dialers.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let dialers = dialers.clone();
            let request = request.into_parts().0;
            let answer: Response<Full<Bytes>> = if request.uri.path() == "/reverse" {
                let config = DialerConfig {
                    versions,
                    ..DialerConfig::default()
                };
                let peer = Peer::named("laptop").at(([192, 0, 2, 1], 7).into());
                answer_registration(&registry, &request, config, peer, async move |dialer| {
                    dialers.send(dialer).await.unwrap();
                })
            } else {
                answer_pickup(&registry, &request, true)
            };
            async { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(serve_connection(
            far,
            service,
            ServeConfig::default(),
            CancellationToken::new(),
        ));
        async { io::Result::Ok(near) }
    };
    (connect, registered)
}

fn wants(versions: Versions) -> ListenerConfig {
    ListenerConfig {
        versions,
        ..ListenerConfig::default()
    }
}

fn reverse() -> upgrade::Request {
    let mut request = upgrade::Request::get("/reverse");
    request.host = "farm.example".to_owned();
    request
}

/// Both ends know each other and have bytes to exchange.
async fn talk(dialer: &Dialer, listener: &mut Listener, version: Version) {
    assert_eq!((dialer.version(), listener.version()), (version, version));
    for round in 1..=3 {
        let (near, far) = tokio::join!(
            async {
                let mut near = dialer.dial().await.unwrap();
                near.write_all(b"ping").await.unwrap();
                near
            },
            listener.accept()
        );
        let (mut near, mut far) = (near, far.unwrap());
        let mut buf = [0; 4];
        far.read_exact(&mut buf).await.unwrap();
        far.write_all(b"answer").await.unwrap();
        let mut buf = [0; 6];
        near.read_exact(&mut buf).await.unwrap();

        let (here, there) = (near.info().unwrap(), far.info().unwrap());
        assert_eq!((here.version, there.version), (version, version));
        assert_eq!(here.number, there.number, "both ends count alike");
        assert_eq!(here.peer.name.as_deref(), Some("laptop"));
        assert_eq!(here.peer.addr, Some(([192, 0, 2, 1], 7).into()));
        assert_eq!(there.peer.name.as_deref(), Some("farm.example"));
        let (ours, theirs) = (dialer.stats(), listener.stats());
        assert_eq!((ours.streams, ours.open, ours.failures), (round, 1, 0));
        assert_eq!((theirs.streams, theirs.open), (round, 1));
        assert_eq!(
            (ours.bytes_written, ours.bytes_read),
            (4 * round, 6 * round)
        );
        assert_eq!(
            (theirs.bytes_written, theirs.bytes_read),
            (6 * round, 4 * round)
        );
    }
    assert_eq!((dialer.stats().open, listener.stats().open), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn two_ends_of_ours_take_the_best_that_both_allow() {
    use Version::{Mux, V1, V2};
    let only = |version| Versions::NONE.with(version);
    for (theirs, ours, agreed) in [
        (Versions::default(), Versions::ALL, Mux),
        (Versions::ALL, Versions::default(), Mux),
        (only(V2), Versions::ALL, V2),
        (Versions::ALL, only(V2), V2),
        (only(Mux), Versions::ALL, Mux),
        (Versions::ALL, only(Mux), Mux),
        (Versions::ALL, only(V1), V1),
    ] {
        let (connect, mut registered) = server(theirs);
        let (mut listener, head) = revdial::register(connect, &reverse(), wants(ours))
            .await
            .unwrap();
        assert_eq!(head.header("X-Revdial-Version"), Some(agreed.number()));
        let dialer = registered.recv().await.unwrap();
        talk(&dialer, &mut listener, agreed).await;
        let closed = listener.closed();
        drop(dialer);
        closed.await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_ends_without_a_common_version_hear_what_go_says() {
    let only = |version| Versions::NONE.with(version);
    for (theirs, ours, words) in [
        (
            only(Version::V2),
            only(Version::Mux),
            "unknown revdial version",
        ),
        (
            only(Version::Mux),
            only(Version::V2),
            "unknown revdial version",
        ),
        (
            Versions::default(),
            only(Version::V1),
            "buildlet binary is too old",
        ),
    ] {
        let (connect, _registered) = server(theirs);
        let failed = revdial::register(connect, &reverse(), wants(ours)).await;
        let Err(RegisterError::Upgrade(UpgradeError::Refused { status, body, .. })) = failed else {
            panic!("{failed:?}");
        };
        assert_eq!((status, body), (400, format!("{words}\n")));
    }
}

/// A server that answers its first connection with `answer`, word for word; gives the request.
fn scripted(answer: &'static str) -> (impl Connect, mpsc::Receiver<(String, Stream)>) {
    let (seen, requests) = mpsc::channel(8);
    let connect = move || {
        let (near, mut far) = pipe();
        let seen = seen.clone();
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(far.read_u8().await.unwrap());
            }
            far.write_all(answer.as_bytes()).await.unwrap();
            let head = String::from_utf8(head).unwrap();
            seen.send((head, far)).await.unwrap();
        });
        async { io::Result::Ok(near) }
    };
    (connect, requests)
}

const GO_ANSWER: &str = "HTTP/0.0 101 Switching Protocols\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_go_server_of_today_sees_nothing_unusual_and_speaks_version_2() {
    let (connect, mut requests) = scripted(concat!(
        "HTTP/0.0 101 Switching Protocols\r\n\r\n",
        "{\"command\":\"keep-alive\"}\n"
    ));
    let (listener, head) = revdial::register(connect, &reverse(), ListenerConfig::default())
        .await
        .unwrap();
    assert_eq!((head.version, listener.version()), ((0, 0), Version::V2));
    let (request, _server) = requests.recv().await.unwrap();
    assert_eq!(
        request,
        "GET /reverse HTTP/1.1\r\nHost: farm.example\r\nUser-Agent: Go-http-client/1.1\r\n\
         X-Revdial-Offer: 3\r\nX-Revdial-Version: 2\r\n\r\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_go_server_of_2018_is_known_by_its_first_frame() {
    let (connect, mut requests) = scripted(GO_ANSWER);
    let registration = tokio::spawn(async move {
        revdial::register(connect, &reverse(), ListenerConfig::default()).await
    });
    let (_, mut server) = requests.recv().await.unwrap();
    // It asks for /status on stream 1.
    server
        .write_all(b"N\0\0\0\x01\0\0W\0\0\0\x01\0\x03GET")
        .await
        .unwrap();
    let (mut listener, _) = registration.await.unwrap().unwrap();
    assert_eq!(listener.version(), Version::V1);
    let mut stream = listener.accept().await.unwrap();
    let mut asked = [0; 3];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"GET");
}

#[tokio::test(start_paused = true)]
async fn servers_that_make_no_sense_are_left() {
    let begin = Instant::now();
    let register = async |answer, versions| {
        let (connect, _requests) = scripted(answer);
        revdial::register(connect, &reverse(), wants(versions)).await
    };
    let failed = register(GO_ANSWER, Versions::ALL).await;
    assert!(matches!(
        failed,
        Err(RegisterError::Sniff(
            SniffError::Timeout(_) | SniffError::Io(_)
        ))
    ));
    assert!(begin.elapsed() <= secs(30));
    let failed = register(
        "HTTP/1.1 101 Switching Protocols\r\nX-Revdial-Version: 77\r\n\r\n",
        Versions::ALL,
    )
    .await;
    assert_eq!(
        failed.unwrap_err().to_string(),
        "server chose version \"77\", which is not known"
    );
    let failed = register(
        "HTTP/1.1 101 Switching Protocols\r\nX-Revdial-Version: 3\r\n\r\n",
        Versions::ALL.without(Version::Mux),
    )
    .await;
    assert_eq!(
        failed.unwrap_err().to_string(),
        "server speaks version 3 (mux), which is not allowed here"
    );
    let failed = register("SSH-2.0-nope\r\n\r\n", Versions::ALL).await;
    assert!(matches!(
        failed,
        Err(RegisterError::Upgrade(UpgradeError::Malformed(_)))
    ));

    let never = || std::future::pending::<io::Result<Stream>>();
    let failed = revdial::register(never, &reverse(), ListenerConfig::default()).await;
    assert!(matches!(failed, Err(RegisterError::ConnectTimeout(limit)) if limit == secs(20)));
}

#[tokio::test(start_paused = true)]
async fn a_go_machine_finds_its_version_at_our_server() {
    for (header, versions, first) in [
        ("X-Revdial-Version: 2\r\n", Versions::default(), b'{'),
        // Of 2018. Our end says nothing until it dials.
        ("", Versions::ALL, b'N'),
    ] {
        let (connect, mut registered) = server(versions);
        let mut machine = connect.connect().await.unwrap();
        let request = format!(
            "GET /reverse HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\n{header}\r\n"
        );
        machine.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(machine.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
        let dialer = registered.recv().await.unwrap();
        let dial = tokio::spawn(async move { dialer.dial().await.map(|stream| (dialer, stream)) });
        assert_eq!(machine.read_u8().await.unwrap(), first);
        dial.abort();
    }
}
