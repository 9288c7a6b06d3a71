//! Connections taken over by a handler, and everything around them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use revdial::{
    DialerConfig, Registry, Stream,
    server::{
        ServeConfig, ServeError, answer_pickup, error_response, serve_connection,
        switching_protocols,
    },
    upgrade,
};
use support::{Script, pipe, secs};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

type Answer = Response<Full<Bytes>>;
type Served = JoinHandle<Result<(), ServeError>>;

/// `/take` is taken over and echoes, `/moved` redirects there, `/slow` takes 30 s, `/full` reads no
/// body, the rest says how long the request body was.
async fn app(request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(match request.uri().path() {
        "/take" => switching_protocols(async |mut stream: Stream| {
            let mut buf = [0; 1024];
            while let Ok(n @ 1..) = stream.read(&mut buf).await {
                stream.write_all(&buf[..n]).await.unwrap();
            }
        }),
        "/moved" => Response::builder()
            .status(StatusCode::TEMPORARY_REDIRECT)
            .header("Location", "/take")
            .body(Full::from("moved\n"))
            .unwrap(),
        "/big" => Response::new(Full::from(vec![b'x'; 1_000_000])),
        "/long" => {
            let _ = request.into_body().collect().await;
            sleep(secs(7200)).await;
            Response::new(Full::from("at last"))
        }
        "/slow" => {
            sleep(secs(30)).await;
            Response::new(Full::from("done"))
        }
        "/full" => Response::builder()
            .status(StatusCode::PAYLOAD_TOO_LARGE)
            .body(Full::from("too much"))
            .unwrap(),
        "/lost" => {
            let mut response: Answer =
                switching_protocols(async |_: Stream| panic!("must not run"));
            *response.status_mut() = StatusCode::FORBIDDEN;
            response
        }
        _ => {
            let body = request
                .into_body()
                .collect()
                .await
                .map_or(0, |body| body.to_bytes().len());
            Response::new(Full::from(format!("got {body}")))
        }
    })
}

fn serve() -> (Stream, Served, CancellationToken) {
    let (near, far) = pipe();
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(serve_connection(
        far,
        service_fn(app),
        ServeConfig::default(),
        shutdown.clone(),
    ));
    (near, served, shutdown)
}

/// Reads until `end` is seen.
async fn read_until(stream: &mut Stream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        match stream.read_u8().await {
            Ok(byte) => text.push(byte),
            Err(_) => panic!("ended with {:?}", String::from_utf8_lossy(&text)),
        }
    }
    String::from_utf8(text).unwrap()
}

async fn read_rest(mut stream: Stream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

const GO_REQUEST: &str = "GET /take HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn any_kind_of_request_can_be_answered_by_a_switch() {
    for head in [
        GO_REQUEST,
        "GET /take HTTP/1.1\r\n\r\n",
        "GET /take HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ssh\r\n\r\n",
        "POST /take HTTP/1.1\r\nHost: \r\nContent-Length: 0\r\n\r\n",
        "GET /take HTTP/1.0\r\n\r\n",
    ] {
        let (mut stream, served, _) = serve();
        // The next protocol's first bytes in one write with the request.
        stream
            .write_all(format!("{head}early").as_bytes())
            .await
            .unwrap();
        let answer = read_until(&mut stream, "\r\n\r\n").await;
        assert!(answer.contains(" 101 Switching Protocols\r\n"), "{answer}");
        assert!(
            !answer.to_lowercase().contains("content-length"),
            "{answer}"
        );
        assert!(
            !answer.to_lowercase().contains("transfer-encoding"),
            "{answer}"
        );
        assert_eq!(read_until(&mut stream, "early").await, "early");
        stream.write_all(b"later").await.unwrap();
        assert_eq!(read_until(&mut stream, "later").await, "later");
        drop(stream);
        served.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_switch_is_on_the_wire_before_the_connection_changes_hands() {
    // A transport that takes 7 bytes at a time.
    let (near, far) = tokio::io::duplex(7);
    let service = service_fn(app);
    let served = tokio::spawn(serve_connection(
        far,
        service,
        ServeConfig::default(),
        CancellationToken::new(),
    ));
    let mut stream = Stream::new(near);
    stream.write_all(GO_REQUEST.as_bytes()).await.unwrap();
    sleep(secs(1)).await;
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{answer}"
    );
    stream.write_all(b"ping").await.unwrap();
    assert_eq!(read_until(&mut stream, "ping").await, "ping");
    drop(stream);
    served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn our_own_client_and_server_agree() {
    let (stream, _served, _) = serve();
    let (mut stream, head) = upgrade::request(
        stream,
        &upgrade::Request::get("/moved"),
        &upgrade::Limits::default(),
    )
    .await
    .unwrap();
    assert_eq!((head.version, head.status), ((1, 1), 101));
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
}

#[tokio::test(start_paused = true)]
async fn ordinary_requests_are_served_with_keep_alive() {
    let (mut stream, served, _) = serve();
    for _ in 0..3 {
        stream
            .write_all(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            .await
            .unwrap();
        assert!(
            read_until(&mut stream, "got 3")
                .await
                .starts_with("HTTP/1.1 200 OK\r\n")
        );
        // Longer than a head may take, shorter than a connection may idle.
        sleep(secs(60)).await;
    }
    // Pipelined, the last one a switch.
    let get = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    stream
        .write_all(format!("{get}{get}{GO_REQUEST}tail").as_bytes())
        .await
        .unwrap();
    let all = read_until(&mut stream, "tail").await;
    assert_eq!(
        (
            all.matches("got 0").count(),
            all.matches("101 Switching").count()
        ),
        (2, 1)
    );
    drop(stream);
    served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_change_its_mind() {
    let (mut stream, served, _) = serve();
    stream
        .write_all(b"GET /lost HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let all = read_until(&mut stream, "got 0").await;
    assert!(all.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{all}");
    drop(stream);
    served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_given_10_seconds() {
    for before in ["", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let (mut stream, served, _) = serve();
        if !before.is_empty() {
            stream.write_all(before.as_bytes()).await.unwrap();
            read_until(&mut stream, "got 0").await;
        }
        sleep(secs(50)).await;
        let begin = Instant::now();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let trickle = async {
            for byte in GO_REQUEST.bytes().cycle() {
                if writer.write_u8(byte).await.is_err() {
                    break;
                }
                sleep(Duration::from_millis(700)).await;
            }
        };
        let mut rest = Vec::new();
        tokio::select! {
            _ = reader.read_to_end(&mut rest) => {}
            () = trickle => {}
            () = sleep(secs(60)) => {}
        }
        assert_eq!(begin.elapsed(), secs(10));
        assert!(rest.is_empty());
        assert!(
            matches!(served.await.unwrap(), Err(ServeError::SlowHead(limit)) if limit == secs(10))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_idle_for_two_minutes() {
    let (stream, served, _) = serve();
    let begin = Instant::now();
    assert_eq!(read_rest(stream).await, "");
    assert_eq!(begin.elapsed(), secs(120));
    assert!(matches!(served.await.unwrap(), Err(ServeError::Idle(_))));
    // A slow answer is not idleness.
    let (mut stream, _served, _) = serve();
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut stream, "done").await;
}

#[tokio::test(start_paused = true)]
async fn a_head_has_a_size() {
    let (mut stream, served, _) = serve();
    let head = format!(
        "GET /x HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n",
        "x".repeat(70_000)
    );
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let _ = tokio::join!(writer.write_all(head.as_bytes()), async {
        let mut start = [0; 12];
        reader.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 431");
    });
    drop(stream);
    let _ = served.await.unwrap();
}

/// Over TCP, where closing with bytes unread resets the connection and takes the answer with it.
#[tokio::test]
async fn a_peer_that_is_told_to_stop_hears_it() {
    let full = "POST /full HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n";
    for (head, status) in [("GET / HTTP/1.1\r\nX: ", 431), (full, 413)] {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(socket.local_addr().unwrap());
        let (client, server) = tokio::join!(client, socket.accept());
        let served = tokio::spawn(serve_connection(
            server.unwrap().0,
            service_fn(app),
            ServeConfig::default(),
            CancellationToken::new(),
        ));
        let (mut reader, mut writer) = client.unwrap().into_split();
        // More than the sockets hold, and not a byte of the answer is read before all is sent.
        writer.write_all(head.as_bytes()).await.unwrap();
        writer.write_all(&vec![b'x'; 8_000_000]).await.unwrap();
        let mut answer = String::new();
        reader.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        drop(writer);
        let _ = served.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_is_graceful() {
    // Idle, never used.
    let (stream, served, shutdown) = serve();
    shutdown.cancel();
    assert_eq!(read_rest(stream).await, "");
    served.await.unwrap().unwrap();
    // Idle between requests.
    let (mut stream, served, shutdown) = serve();
    stream
        .write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut stream, "got 0").await;
    shutdown.cancel();
    assert_eq!(read_rest(stream).await, "");
    served.await.unwrap().unwrap();
    // Busy: the answer still comes.
    let (mut stream, served, shutdown) = serve();
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    sleep(secs(1)).await;
    shutdown.cancel();
    assert!(read_rest(stream).await.ends_with("done"));
    served.await.unwrap().unwrap();
    // Half a head: not waited for beyond its limit.
    let (mut stream, served, shutdown) = serve();
    stream.write_all(b"GET /x HT").await.unwrap();
    sleep(secs(1)).await;
    shutdown.cancel();
    let begin = Instant::now();
    assert_eq!(read_rest(stream).await, "");
    assert!(begin.elapsed() <= secs(9));
    let _ = served.await.unwrap();
    // Taken over: not touched.
    let (mut stream, served, shutdown) = serve();
    stream.write_all(GO_REQUEST.as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    shutdown.cancel();
    sleep(secs(600)).await;
    stream.write_all(b"still here").await.unwrap();
    read_until(&mut stream, "still here").await;
    drop(stream);
    served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn pickups_are_checked_as_in_the_original() {
    let registry = Registry::new();
    let (mut script, control) = Script::new();
    let dialer = registry.register(control, DialerConfig::default());
    let dial = tokio::spawn({
        let dialer = dialer.clone();
        async move { dialer.dial().await }
    });
    let path = script.conn_ready().await;

    let ask = |head: String, tls: bool| {
        let registry = registry.clone();
        let (mut near, far) = pipe();
        async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer: Answer = answer_pickup(&registry, &request.into_parts().0, tls);
                async { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(serve_connection(
                far,
                service,
                ServeConfig::default(),
                CancellationToken::new(),
            ));
            near.write_all(
                format!("{head} HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n").as_bytes(),
            )
            .await
            .unwrap();
            near
        }
    };
    let plain = "content-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff\r\n";
    for (head, tls, status, fields, body) in [
        (
            format!("GET {path}"),
            false,
            "500 Internal Server Error",
            plain,
            "handler requires TLS\n",
        ),
        (
            format!("POST {path}"),
            true,
            "405 Method Not Allowed",
            "allow: GET\r\n",
            "expected GET request to revdial conn handler\n",
        ),
        (
            format!("HEAD {path}"),
            true,
            "405 Method Not Allowed",
            "allow: GET\r\n",
            "",
        ),
        (
            "GET /revdial".to_owned(),
            true,
            "400 Bad Request",
            plain,
            "unknown dialer\n",
        ),
        (
            "GET /revdial?revdial.dialer=00112233445566778899aabbccddeeff".to_owned(),
            true,
            "400 Bad Request",
            plain,
            "unknown dialer\n",
        ),
    ] {
        let answer = read_rest(ask(head, tls).await).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(answer.contains(fields), "{answer}");
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, body);
    }
    let mut far = ask(format!("GET {path}"), true).await;
    read_until(&mut far, "\r\n\r\n").await;
    let mut near = dial.await.unwrap().unwrap();
    near.write_all(b"hi").await.unwrap();
    assert_eq!(read_until(&mut far, "hi").await, "hi");
    // Too late: switched and closed, because a Go listener would misreport a refusal.
    let mut late = ask(format!("GET {path}"), true).await;
    assert!(
        read_until(&mut late, "\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 101 ")
    );
    assert_eq!(read_rest(late).await, "");
}

#[test]
fn errors_look_like_those_of_go() {
    let response: Response<String> =
        error_response(StatusCode::BAD_REQUEST, "unknown revdial version");
    assert_eq!(response.body(), "unknown revdial version\n");
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_in_is_given_a_minute_for_each_kib() {
    for head in [
        "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
        "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n",
    ] {
        let (mut stream, served, _) = serve();
        stream.write_all(head.as_bytes()).await.unwrap();
        let begin = Instant::now();
        // 1 KiB in 50 s is slow, but a modem may be.
        for _ in 0..20 {
            sleep(secs(50)).await;
            stream.write_all(&[b'x'; 1024]).await.unwrap();
        }
        // A byte now and then is no progress.
        let drip = async {
            while stream.write_all(b"x").await.is_ok() {
                sleep(secs(7)).await;
            }
        };
        drip.await;
        let error = served.await.unwrap().unwrap_err();
        assert!(
            matches!(error, ServeError::SlowBody(limit) if limit == secs(60)),
            "{error}"
        );
        let elapsed = begin.elapsed();
        assert!(
            elapsed >= secs(1060) && elapsed <= secs(1080),
            "{elapsed:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_not_the_peer_s_fault() {
    let (mut stream, served, _) = serve();
    // The body is there; the handler takes its time.
    for _ in 0..3 {
        stream
            .write_all(b"POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            .await
            .unwrap();
        assert!(read_until(&mut stream, "at last").await.contains("200 OK"));
    }
    drop(stream);
    served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_is_given_up_and_a_slow_reader_is_not() {
    // Not read at all.
    let (mut stream, served, _) = serve();
    stream
        .write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let begin = Instant::now();
    let error = served.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ServeError::SlowReader(limit) if limit == secs(300)),
        "{error}"
    );
    assert_eq!(begin.elapsed(), secs(300));

    // Read slowly, for longer than a connection may idle.
    let (mut stream, served, _) = serve();
    stream
        .write_all(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let (mut space, mut len) = (vec![0; 64 * 1024], 0);
    loop {
        sleep(secs(200)).await;
        match stream.read(&mut space).await.unwrap() {
            0 => break,
            n => len += n,
        }
    }
    assert!(len > 1_000_000, "{len}");
    served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_taken_over_has_no_bounds() {
    let (mut stream, served, _) = serve();
    stream.write_all(GO_REQUEST.as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    sleep(secs(100_000)).await;
    stream.write_all(b"still here").await.unwrap();
    assert_eq!(read_until(&mut stream, "still here").await, "still here");
    drop(stream);
    served.await.unwrap().unwrap();
}
