//! Version 1 over real transports: both roles against each other, and against a script.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod mux_support;

use std::{io, time::Duration};

use mux_support::{MIB, expect, read_all, soon};

use revdial::{
    CloseReason, Stream,
    v1::{
        Config, Dialect, Dialer, Limits, Listener, Overflow, ProtocolError, SniffError, Sniffed,
        sniff,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    task::JoinSet,
    time::Instant,
};

const V1: Dialect = Dialect::V1;

#[tokio::test]
async fn dialer_speaks_like_the_original() {
    let (dialer, mut script) = mux_support::scripted_dialer(V1, &Config::default());
    drop(dialer.dial().await.unwrap());
    let mut two = dialer.dial().await.unwrap();
    two.write_all(b"hello, world").await.unwrap();
    expect(
        &mut script,
        b"N\0\0\0\x01\0\0C\0\0\0\x01\0\0N\0\0\0\x02\0\0W\0\0\0\x02\0\x0chello, world",
    )
    .await;
    let input = b"W\0\0\0\x02\0\x01bW\0\0\0\x01\0\x04dataW\0\0\0\x02\0\x02ar";
    script.write_all(input).await.unwrap();
    let mut bar = [0; 3];
    soon(two.read_exact(&mut bar)).await.unwrap();
    assert_eq!(&bar, b"bar");
    assert_eq!(dialer.stream_count(), 1);
    two.write_all(&[7; 65_536]).await.unwrap();
    expect(&mut script, b"W\0\0\0\x02\xff\xff").await;
    expect(&mut script, &[7; 65_535]).await;
    expect(&mut script, b"W\0\0\0\x02\0\x01\x07").await;
}

#[tokio::test]
async fn listener_speaks_like_the_original() {
    let (mut listener, mut script) = mux_support::scripted_listener(V1, &Config::default());
    let input = b"N\0\0\0\x42\0\0W\0\0\0\x42\0\x03fooW\0\0\0\x42\0\x03barC\0\0\0\x42\0\0";
    script.write_all(input).await.unwrap();
    let mut stream = soon(listener.accept()).await.unwrap();
    assert_eq!(read_all(&mut stream).await, b"foobar");
    listener.close();
    assert!(soon(listener.accept()).await.is_err());
    assert!(listener.is_closed());
    stream.write_all(b"first write").await.unwrap();
    stream.write_all(b"second write").await.unwrap();
    drop(stream);
    expect(
        &mut script,
        b"W\0\0\0\x42\0\x0bfirst writeW\0\0\0\x42\0\x0csecond writeC\0\0\0\x42\0\0",
    )
    .await;
    assert_eq!(soon(script.read(&mut [0])).await.unwrap(), 0, "all is over");
}

#[tokio::test]
async fn queued_streams_survive_the_end_of_listening_and_later_ones_are_refused() {
    let (mut listener, mut script) = mux_support::scripted_listener(V1, &Config::default());
    script
        .write_all(b"N\0\0\0\x01\0\0N\0\0\0\x02\0\0")
        .await
        .unwrap();
    let first = soon(listener.accept()).await.unwrap();
    listener.close();
    script.write_all(b"N\0\0\0\x03\0\0").await.unwrap();
    expect(&mut script, b"C\0\0\0\x03\0\0").await;
    let second = soon(listener.accept()).await.unwrap();
    drop((first, second));
    expect(&mut script, b"C\0\0\0\x01\0\0C\0\0\0\x02\0\0").await;
}

#[tokio::test]
async fn cut_and_forbidden_frames_are_told_apart_from_a_clean_end() {
    for bytes in [b"N\0\0".as_slice(), b"W\0\0\0\x01\0\x05ab"] {
        let (listener, mut script) = mux_support::scripted_listener(V1, &Config::default());
        script.write_all(bytes).await.unwrap();
        drop(script);
        match soon(listener.closed()).await {
            CloseReason::Io(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
            other => panic!("{other:?}"),
        }
    }
    let (listener, mut script) = mux_support::scripted_listener(V1, &Config::default());
    script
        .write_all(b"N\0\0\0\x01\0\0N\0\0\0\x01\0\0")
        .await
        .unwrap();
    assert!(matches!(
        soon(listener.closed()).await,
        CloseReason::Frames(ProtocolError::DuplicateStream(1))
    ));
    let (dialer, mut script) = mux_support::scripted_dialer(V1, &Config::default());
    script.write_all(b"N\0\0\0\x01\0\0").await.unwrap();
    let reason = soon(dialer.closed()).await;
    assert!(matches!(
        reason,
        CloseReason::Frames(ProtocolError::NewFromListener(1))
    ));
}

/// Both ends write without reading, as an application with a bug of its own would; the streams
/// beside them must get on again.
#[tokio::test(start_paused = true)]
async fn a_standstill_is_broken_at_the_cost_of_the_fullest_stream() {
    let config = Config {
        limits: Limits {
            stream_limit: 10_000,
            session_limit: 50_000,
            stream_send_limit: 10_000,
            ..Limits::default()
        },
        ..Config::default()
    };
    let (dialer, mut listener) = mux_support::pair(V1, 1000, &config);
    let near = dialer.dial().await.unwrap();
    let far = soon(listener.accept()).await.unwrap();
    let mut other = dialer.dial().await.unwrap();
    let mut other_far = soon(listener.accept()).await.unwrap();
    let mut tasks = JoinSet::new();
    for mut stream in [near, far] {
        tasks.spawn(async move {
            stream
                .write_all(&[0; MIB])
                .await
                .map_err(|error| error.kind())
        });
    }
    let start = Instant::now();
    let done = tasks.join_next().await.unwrap().unwrap();
    assert_eq!(done, Err(io::ErrorKind::ConnectionReset));
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(30) && took < Duration::from_secs(40),
        "{took:?}"
    );
    other.write_all(b"free").await.unwrap();
    let mut text = [0; 4];
    soon(other_far.read_exact(&mut text)).await.unwrap();
    assert!(!dialer.is_closed() && !listener.is_closed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stream_unread_holds_a_bounded_amount_and_resetting_frees_the_others() {
    for overflow in [Overflow::PauseSession, Overflow::ResetStream] {
        let config = Config {
            limits: Limits {
                overflow,
                ..Limits::default()
            },
            ..Config::default()
        };
        let (dialer, mut listener) = mux_support::tcp_pair(V1, &config).await;
        let mut greedy = dialer.dial().await.unwrap();
        let mut unread = soon(listener.accept()).await.unwrap();
        let writer = tokio::spawn(async move {
            for _ in 0..64 {
                greedy.write_all(&[1; MIB]).await?;
            }
            Ok::<_, io::Error>(())
        });
        let mut near = dialer.dial().await.unwrap();
        let mut far = soon(listener.accept()).await.unwrap();
        near.write_all(b"hello").await.unwrap();
        let mut text = [0; 5];
        match overflow {
            Overflow::PauseSession => {
                let mut got = 0;
                let mut buf = vec![0; MIB];
                while got < 64 * MIB {
                    got += soon(unread.read(&mut buf)).await.unwrap();
                }
                soon(far.read_exact(&mut text)).await.unwrap();
            }
            _ => {
                // Not a byte of the other stream is read, and this one arrives.
                soon(far.read_exact(&mut text)).await.unwrap();
                let error = loop {
                    match soon(unread.read(&mut [0; 1000])).await {
                        Ok(n) => assert!(n > 0),
                        Err(error) => break error,
                    }
                };
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            }
        }
        soon(writer).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_stops_its_siblings_only_at_the_session_limit() {
    let config = Config {
        limits: Limits {
            stream_limit: 1000,
            session_limit: 100_000,
            ..Limits::default()
        },
        ..Config::default()
    };
    let (mut listener, mut script) = mux_support::scripted_listener(V1, &config);
    script
        .write_all(b"N\0\0\0\x01\0\0N\0\0\0\x02\0\0")
        .await
        .unwrap();
    let _unread = soon(listener.accept()).await.unwrap();
    let mut read = soon(listener.accept()).await.unwrap();
    for _ in 0..8 {
        script.write_all(b"W\0\0\0\x01\x27\x10").await.unwrap();
        script.write_all(&[0; 10_000]).await.unwrap();
        script.write_all(b"W\0\0\0\x02\0\x01x").await.unwrap();
        assert_eq!(soon(read.read_u8()).await.unwrap(), b'x');
    }
}

#[tokio::test]
async fn a_full_accept_queue_stops_nobody() {
    let config = Config {
        limits: Limits {
            accept_backlog: 8,
            ..Limits::default()
        },
        ..Config::default()
    };
    let (dialer, mut listener) = mux_support::pair(V1, 100, &config);
    let mut first = dialer.dial().await.unwrap();
    let mut first_far = soon(listener.accept()).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..12 {
        waiting.push(dialer.dial().await.unwrap());
    }
    for refused in &mut waiting[8..] {
        assert_eq!(read_all(refused).await, b"");
    }
    first.write_all(b"on").await.unwrap();
    let mut text = [0; 2];
    soon(first_far.read_exact(&mut text)).await.unwrap();
    for near in &mut waiting[..8] {
        near.write_all(b"hi").await.unwrap();
        let mut far = soon(listener.accept()).await.unwrap();
        soon(far.read_exact(&mut text)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_only_with_a_peer_that_sends_keep_alives() {
    let (dialer, mut script) = mux_support::scripted_dialer(V1, &Config::default());
    script.write_all(b"?\0\0\0\0\0\0").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!dialer.is_closed(), "an old peer may be silent for ever");
    script.write_all(b"K\0\0\x13\x88\0\0").await.unwrap();
    let start = Instant::now();
    assert!(matches!(dialer.closed().await, CloseReason::Idle(_)));
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(15) && took < Duration::from_secs(16),
        "{took:?}"
    );
    expect(&mut script, b"K\0\0\x0b\xb8\0\0K\0\0\x0b\xb8\0\0").await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_and_says_nothing_is_gone_after_a_minute() {
    let (near, script) = duplex(100);
    let dialer = Dialer::v1(Stream::new(near), Config::default());
    let mut stream = dialer.dial().await.unwrap();
    let start = Instant::now();
    let error = stream.write_all(&[0; MIB]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert!(error.to_string().contains("took nothing"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(70));
    drop(script);
}

#[tokio::test]
async fn the_first_byte_tells_the_version() {
    let limit = Duration::from_secs(10);
    let (near, mut script) = duplex(100);
    script
        .write_all(b"N\0\0\0\x07\0\0W\0\0\0\x07\0\x02hi")
        .await
        .unwrap();
    let Sniffed::V1(stream) = soon(sniff(Stream::new(near), limit)).await.unwrap() else {
        panic!("that was v1");
    };
    let mut listener = Listener::v1(stream, Config::default());
    let mut stream = soon(listener.accept()).await.unwrap();
    let mut text = [0; 2];
    soon(stream.read_exact(&mut text)).await.unwrap();
    assert_eq!(&text, b"hi");

    let (near, mut script) = duplex(100);
    script
        .write_all(b"{\"command\":\"keep-alive\"}\n")
        .await
        .unwrap();
    let Sniffed::V2(mut stream) = soon(sniff(Stream::new(near), limit)).await.unwrap() else {
        panic!("that was v2");
    };
    assert_eq!(
        soon(stream.read_u8()).await.unwrap(),
        b'{',
        "the byte is still there"
    );

    let (near, mut script) = duplex(100);
    script.write_all(b"HTTP").await.unwrap();
    let unknown = soon(sniff(Stream::new(near), limit)).await;
    assert!(matches!(unknown, Err(SniffError::Unknown(b'H'))));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let (near, _script) = duplex(100);
    let silent = sniff(Stream::new(near), Duration::from_secs(10)).await;
    assert!(matches!(silent, Err(SniffError::Timeout(_))));
    let (near, script) = duplex(100);
    drop(script);
    let gone = sniff(Stream::new(near), Duration::from_secs(10)).await;
    assert!(matches!(gone, Err(SniffError::Io(_))));
}
