//! What holds for every session whose streams share a connection, tried in both dialects.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod mux_support;

use std::{future::poll_fn, io, pin::Pin, task::Poll, time::Duration};

use mux_support::*;
use revdial::{
    CloseReason, DialError, Stream,
    mux::{Config, Dialect, Dialer, Limits, Listener},
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, duplex},
    task::JoinSet,
    time::{Instant, timeout},
};

/// Makes a test per dialect of each function.
macro_rules! both {
    ($(#[$test:meta] $($name:ident)+;)+) => {
        mod v1 {
            $($(#[$test] async fn $name() { super::$name(super::Dialect::V1).await })+)+
        }
        mod mux {
            $($(#[$test] async fn $name() { super::$name(super::Dialect::Mux).await })+)+
        }
    };
}

both! {
    #[tokio::test]
    ten_streams_at_once_over_one_connection
    the_peer_s_end_wakes_everyone_and_says_why
    half_close_in_both_orders
    data_written_before_a_drop_arrives
    dropping_the_dialer_lets_streams_live_and_aborting_does_not
    dropping_the_listener_closes_what_waits
    saturation_through_a_narrow_pipe
    two_thousand_streams_leave_nothing
    a_write_that_was_given_up_hurts_nobody
    transports_that_buffer_are_flushed;
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    fifty_mib_both_ways_at_once
    a_thousand_streams_close_in_every_order;
    #[tokio::test(start_paused = true)]
    a_large_write_that_is_given_up_holds_nobody_up
    two_ends_keep_an_idle_session_alive;
}

async fn ten_streams_at_once_over_one_connection(dialect: Dialect) {
    let (dialer, mut listener) = tcp_pair(dialect, &Config::default()).await;
    let mut tasks = JoinSet::new();
    for n in 0..10_u8 {
        let dialer = dialer.clone();
        tasks.spawn(async move {
            let mut stream = dialer.dial().await.unwrap();
            stream.write_all(&[n; 1000]).await.unwrap();
            stream.shutdown().await.unwrap();
            assert_eq!(read_all(&mut stream).await, [n + 100; 1000]);
        });
        let mut stream = soon(listener.accept()).await.unwrap();
        tasks.spawn(async move {
            let got = read_all(&mut stream).await;
            let answer: Vec<u8> = got.iter().map(|b| b + 100).collect();
            stream.write_all(&answer).await.unwrap();
        });
    }
    while let Some(done) = soon(tasks.join_next()).await {
        done.unwrap();
    }
}

async fn the_peer_s_end_wakes_everyone_and_says_why(dialect: Dialect) {
    let (dialer, script) = scripted_dialer(dialect, &Config::default());
    let mut stream = dialer.dial().await.unwrap();
    let reader = tokio::spawn(async move {
        let error = stream.read(&mut [0; 8]).await.unwrap_err();
        let write = stream.write(b"x").await.unwrap_err();
        (error.kind(), write.kind())
    });
    drop(script);
    let aborted = io::ErrorKind::ConnectionAborted;
    assert_eq!(soon(reader).await.unwrap(), (aborted, aborted));
    assert!(matches!(
        soon(dialer.closed()).await,
        CloseReason::Peer(None)
    ));
    assert!(matches!(
        dialer.dial().await,
        Err(DialError::Closed(CloseReason::Peer(None)))
    ));
}

async fn half_close_in_both_orders(dialect: Dialect) {
    let (dialer, mut listener) = pair(dialect, 1000, &Config::default());
    let mut near = dialer.dial().await.unwrap();
    let mut far = soon(listener.accept()).await.unwrap();
    near.write_all(b"ask").await.unwrap();
    near.shutdown().await.unwrap();
    near.shutdown().await.unwrap();
    let error = near.write(b"x").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(read_all(&mut far).await, b"ask");
    // Far more than both ends buffer, long after the other direction is closed.
    let answer = pattern(MIB);
    let sent = answer.clone();
    let writer = tokio::spawn(async move { far.write_all(&sent).await });
    assert!(read_all(&mut near).await == answer);
    soon(writer).await.unwrap().unwrap();
    drop(near);
    emptied(&dialer, &listener).await;
}

async fn data_written_before_a_drop_arrives(dialect: Dialect) {
    let (dialer, mut listener) = pair(dialect, 100, &Config::default());
    let mut near = dialer.dial().await.unwrap();
    near.write_all(&pattern(100_000)).await.unwrap();
    drop(near);
    drop(dialer);
    let mut far = soon(listener.accept()).await.unwrap();
    assert!(read_all(&mut far).await == pattern(100_000));
    assert!(matches!(
        soon(listener.closed()).await,
        CloseReason::Peer(None)
    ));
}

async fn dropping_the_dialer_lets_streams_live_and_aborting_does_not(dialect: Dialect) {
    let (dialer, mut listener) = pair(dialect, 1000, &Config::default());
    let mut near = dialer.dial().await.unwrap();
    let mut far = soon(listener.accept()).await.unwrap();
    let closed = dialer.closed();
    drop(dialer);
    assert!(matches!(soon(closed).await, CloseReason::Local));
    near.write_all(b"still here").await.unwrap();
    let mut text = [0; 10];
    soon(far.read_exact(&mut text)).await.unwrap();
    listener.abort();
    assert!(far.read(&mut text).await.is_err());
    assert!(soon(near.read(&mut text)).await.is_err());
}

async fn dropping_the_listener_closes_what_waits(dialect: Dialect) {
    let (dialer, listener) = pair(dialect, 1000, &Config::default());
    let mut near = dialer.dial().await.unwrap();
    while listener.stream_count() == 0 {
        tokio::task::yield_now().await;
    }
    drop(listener);
    assert_eq!(read_all(&mut near).await, b"");
    soon(dialer.closed()).await;
}

/// Both directions, far more than all buffers hold, on many streams: two Go peers stop for ever.
async fn saturate(dialer: Dialer, mut listener: Listener, streams: usize, each: usize) {
    let mut tasks = JoinSet::new();
    for _ in 0..streams {
        let near = dialer.dial().await.unwrap();
        let far = soon(listener.accept()).await.unwrap();
        for stream in [near, far] {
            let (mut reader, mut writer) = tokio::io::split(stream);
            tasks.spawn(async move {
                let block = pattern(64 * 1024);
                for _ in 0..each / block.len() {
                    writer.write_all(&block).await.unwrap();
                }
                writer.shutdown().await.unwrap();
            });
            tasks.spawn(async move {
                let (block, mut buf) = (pattern(64 * 1024), vec![0; 64 * 1024]);
                for _ in 0..each / block.len() {
                    reader.read_exact(&mut buf).await.unwrap();
                    assert!(buf == block);
                }
                assert_eq!(reader.read(&mut buf).await.unwrap(), 0);
            });
        }
    }
    while let Some(done) = soon(tasks.join_next()).await {
        done.unwrap();
    }
}

async fn fifty_mib_both_ways_at_once(dialect: Dialect) {
    let (dialer, listener) = tcp_pair(dialect, &Config::default()).await;
    saturate(dialer, listener, 1, 50 * MIB).await;
}

async fn saturation_through_a_narrow_pipe(dialect: Dialect) {
    let (dialer, listener) = pair(dialect, 777, &Config::default());
    saturate(dialer, listener, 8, MIB / 2).await;
}

async fn two_thousand_streams_leave_nothing(dialect: Dialect) {
    let (dialer, mut listener) = pair(dialect, 64 * 1024, &Config::default());
    let server = tokio::spawn(async move {
        for n in 0..2_000_u32 {
            let mut far = listener.accept().await.unwrap();
            assert_eq!(far.read_u8().await.unwrap(), n as u8);
        }
        listener
    });
    for n in 0..2_000_u32 {
        let mut near = dialer.dial().await.unwrap();
        near.write_all(&[n as u8]).await.unwrap();
        if n % 64 == 0 {
            // Waits for the far end to close, or dials would outrun accepts.
            assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
        }
    }
    let listener = soon(server).await.unwrap();
    emptied(&dialer, &listener).await;
}

async fn a_thousand_streams_close_in_every_order(dialect: Dialect) {
    let (dialer, mut listener) = tcp_pair(
        dialect,
        &Config {
            limits: Limits {
                accept_backlog: 1000,
                ..Limits::default()
            },
            ..Config::default()
        },
    )
    .await;
    let mut tasks = JoinSet::new();
    for n in 0..1000_usize {
        let mut near = dialer.dial().await.unwrap();
        tasks.spawn(async move {
            let bytes = pattern(n * 65_535 / 999);
            match n % 4 {
                0 => drop(near),
                1 => {
                    near.shutdown().await.unwrap();
                    near.read_to_end(&mut Vec::new()).await.unwrap();
                }
                2 => near.write_all(&bytes).await.unwrap(),
                _ => {
                    near.write_all(&bytes).await.unwrap();
                    near.shutdown().await.unwrap();
                    let mut back = Vec::new();
                    near.read_to_end(&mut back).await.unwrap();
                    assert!(back == bytes);
                }
            }
        });
    }
    for _ in 0..1000 {
        let mut far = soon(listener.accept()).await.unwrap();
        tasks.spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            // Fails at times, if the other end is dropped and says so.
            let echoed = far.write_all(&all).await;
            assert!(echoed.is_ok() || dialect == Dialect::Mux);
        });
    }
    while let Some(done) = soon(tasks.join_next()).await {
        done.unwrap();
    }
    emptied(&dialer, &listener).await;
}

async fn two_ends_keep_an_idle_session_alive(dialect: Dialect) {
    let (dialer, mut listener) = pair(dialect, 100, &Config::default());
    let mut near = dialer.dial().await.unwrap();
    let mut far = soon(listener.accept()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    near.write_all(b"x").await.unwrap();
    assert_eq!(soon(far.read_u8()).await.unwrap(), b'x');
}

async fn a_write_that_was_given_up_hurts_nobody(dialect: Dialect) {
    let (dialer, mut listener) = pair(dialect, 64, &Config::default());
    let mut near = dialer.dial().await.unwrap();
    let mut far = soon(listener.accept()).await.unwrap();
    // Fills every buffer, waits, and is dropped while waiting.
    let all = pattern(20 * MIB);
    let mut written = 0;
    while let Ok(n) = timeout(Duration::from_millis(100), near.write(&all[written..])).await {
        written += n.unwrap();
    }
    let reader = tokio::spawn(async move { read_all(&mut far).await });
    soon(near.write_all(b"end")).await.unwrap();
    near.shutdown().await.unwrap();
    let got = soon(reader).await.unwrap();
    assert_eq!(got.len(), written + 3);
    assert!(got[..written] == all[..written] && got.ends_with(b"end"));
}

/// TLS and the like take bytes and hold them back until they are flushed.
async fn transports_that_buffer_are_flushed(dialect: Dialect) {
    let (near, far) = duplex(100);
    let dialer = dialer(
        dialect,
        Stream::new(BufStream::new(near)),
        &Config::default(),
    );
    let mut listener = listener(
        dialect,
        Stream::new(BufStream::new(far)),
        &Config::default(),
    );
    let mut near = dialer.dial().await.unwrap();
    let mut far = soon(listener.accept()).await.unwrap();
    for len in [1, 100, 5000, 100_000] {
        let bytes = pattern(len);
        let sent = bytes.clone();
        let writer = tokio::spawn(async move {
            near.write_all(&sent).await.unwrap();
            near
        });
        let mut got = vec![0; len];
        soon(far.read_exact(&mut got)).await.unwrap();
        assert!(got == bytes);
        near = soon(writer).await.unwrap();
    }
    drop(near);
    assert_eq!(read_all(&mut far).await, b"");
}

/// Large writes wait for each other, and one that was given up must not be waited for for long.
async fn a_large_write_that_is_given_up_holds_nobody_up(dialect: Dialect) {
    let (dialer, mut listener) = pair(dialect, 1024, &Config::default());
    let data = pattern(64 * 1024);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = dialer.dial().await.unwrap();
        stream.write_all(b"first").await.unwrap();
        stream.flush().await.unwrap();
        streams.push(stream);
    }
    let [mut one, mut given_up, three] = <[Stream; 3]>::try_from(streams).unwrap();
    let far = tokio::spawn(async move {
        let mut all = Vec::new();
        for _ in 0..3 {
            let mut stream = listener.accept().await.unwrap();
            all.push(tokio::spawn(
                async move { read_all(&mut stream).await.len() },
            ));
        }
        let mut lens = Vec::new();
        for task in all {
            lens.push(task.await.unwrap());
        }
        lens
    });
    // Fills the transport.
    let begun = one.write(&data).await.unwrap();
    let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut given_up).poll_write(cx, &data)));
    assert!(polled.await.is_pending());

    let begin = Instant::now();
    let others =
        [(one, data[begun..].to_vec()), (three, data.clone())].map(|(mut stream, data)| {
            tokio::spawn(async move {
                stream.write_all(&data).await.unwrap();
                stream.shutdown().await.unwrap();
                stream
            })
        });
    for task in others {
        drop(soon(task).await.unwrap());
    }
    assert!(begin.elapsed() < Duration::from_secs(1));
    drop(given_up);
    let all = 5 + data.len();
    assert_eq!(soon(far).await.unwrap(), [all, 5, all]);
}
