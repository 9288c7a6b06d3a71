//! The mux over real transports and against a script.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod mux_support;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use mux_support::{MIB, emptied, expect, pattern, read_all, soon};
use revdial::{
    AcceptError, CloseReason, DialError, Stream,
    mux::{Config, Dialect, Dialer, INITIAL_WINDOW, Limits, Listener, ProtocolError},
    v1::{SniffError, sniff},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::{Instant, timeout},
};

fn pair(room: usize) -> (Dialer, Listener) {
    mux_support::pair(Dialect::Mux, room, &Config::default())
}

/// Without pings, whose time is not fixed.
fn quiet() -> Config {
    Config {
        keep_alive: None,
        ..Config::default()
    }
}

/// How every mux begins.
const FIRST_PING: &[u8] = b"P\0\0\0\0\0\x08\0\0\0\0\0\0\0\0";

async fn scripted_dialer() -> (Dialer, DuplexStream) {
    let (dialer, mut script) = mux_support::scripted_dialer(Dialect::Mux, &quiet());
    expect(&mut script, FIRST_PING).await;
    (dialer, script)
}

async fn scripted_listener() -> (Listener, DuplexStream) {
    let (listener, mut script) = mux_support::scripted_listener(Dialect::Mux, &quiet());
    expect(&mut script, FIRST_PING).await;
    (listener, script)
}

async fn eventually(what: impl Fn() -> bool) {
    let done = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    soon(done).await;
}

#[tokio::test]
async fn frames_without_data_travel_in_company() {
    let (dialer, mut script) = scripted_dialer().await;
    let mut one = dialer.dial().await.unwrap();
    one.write_all(b"hi").await.unwrap();
    drop(one);
    let mut two = dialer.dial().await.unwrap();
    two.write_all(b"ho").await.unwrap();
    let mut got = [0; 100];
    let n = soon(script.read(&mut got)).await.unwrap();
    let all =
        b"N\0\0\0\x01\0\0W\0\0\0\x01\0\x02hiC\0\0\0\x01\0\0N\0\0\0\x02\0\0W\0\0\0\x02\0\x02ho";
    assert_eq!(got[..n], *all);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_a_window_and_stops_nobody() {
    let (dialer, mut listener) = mux_support::tcp_pair(Dialect::Mux, &Config::default()).await;
    let mut stalled = dialer.dial().await.unwrap();
    stalled.write_all(b"!").await.unwrap();
    let mut unread = soon(listener.accept()).await.unwrap();
    let writer = tokio::spawn(async move {
        stalled.write_all(&pattern(4 * MIB)).await.unwrap();
        stalled.shutdown().await.unwrap();
    });
    // Far more than everything holds, in both directions, beside it.
    let mut near = dialer.dial().await.unwrap();
    near.write_all(b"!").await.unwrap();
    let mut far = soon(listener.accept()).await.unwrap();
    let sender = tokio::spawn(async move {
        near.write_all(&pattern(64 * MIB)).await.unwrap();
        near.shutdown().await.unwrap();
        assert_eq!(read_all(&mut near).await.len(), 64 * MIB);
    });
    assert!(soon(far.read_u8()).await.unwrap() == b'!');
    assert!(read_all(&mut far).await == pattern(64 * MIB));
    far.write_all(&pattern(64 * MIB)).await.unwrap();
    drop(far);
    soon(sender).await.unwrap();
    assert!(!writer.is_finished());
    assert_eq!(soon(unread.read_u8()).await.unwrap(), b'!');
    assert!(read_all(&mut unread).await == pattern(4 * MIB));
    soon(writer).await.unwrap();
    drop(unread);
    emptied(&dialer, &listener).await;
}

/// Reliability figure: a gibibyte for somebody who never reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_for_nobody_costs_one_window_and_hurts_nobody() {
    let (dialer, mut listener) = mux_support::tcp_pair(Dialect::Mux, &Config::default()).await;
    let mut stalled = dialer.dial().await.unwrap();
    stalled.write_all(b"!").await.unwrap();
    let unread = soon(listener.accept()).await.unwrap();
    let taken = Arc::new(AtomicUsize::new(1));
    let counted = Arc::clone(&taken);
    let writer = tokio::spawn(async move {
        let part = vec![7; 64 * 1024];
        while counted.load(Relaxed) < 1024 * MIB {
            counted.fetch_add(stalled.write(&part).await?, Relaxed);
        }
        io::Result::Ok(())
    });
    for n in 0..20_u8 {
        let mut near = dialer.dial().await.unwrap();
        near.write_all(&[n]).await.unwrap();
        let mut far = soon(listener.accept()).await.unwrap();
        let sender = tokio::spawn(async move {
            near.write_all(&pattern(MIB)).await.unwrap();
            near.shutdown().await.unwrap();
        });
        assert_eq!(read_all(&mut far).await.len(), 1 + MIB);
        soon(sender).await.unwrap();
    }
    eventually(|| taken.load(Relaxed) == INITIAL_WINDOW).await;
    assert!(!writer.is_finished());
    drop(unread);
    let error = soon(writer).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    emptied(&dialer, &listener).await;
}

/// A stream over a pipe of 32 bytes, with 100 written, of which nobody has read any.
async fn stuck() -> (Dialer, Stream, DuplexStream) {
    let (near, script) = duplex(32);
    let dialer = Dialer::new(Stream::new(near), quiet());
    let mut stream = dialer.dial().await.unwrap();
    stream.write_all(&[7; 100]).await.unwrap();
    (dialer, stream, script)
}

#[tokio::test(start_paused = true)]
async fn flushing_waits_until_everything_has_left() {
    let (dialer, mut stream, mut script) = stuck().await;
    let mut other = dialer.dial().await.unwrap();
    let busy = tokio::spawn(async move { while other.write_all(&[8; 50]).await.is_ok() {} });
    let mut all = Vec::new();
    while timeout(Duration::from_secs(1), stream.flush())
        .await
        .is_err()
    {
        let mut got = [0; 8];
        let n = soon(script.read(&mut got)).await.unwrap();
        all.extend_from_slice(&got[..n]);
        assert!(all.len() < 500, "others keep it from leaving");
    }
    // The pipe has the rest.
    let read = all.iter().filter(|&&byte| byte == 7).count();
    assert!(read >= 100 - 32, "{read}");
    busy.abort();
}

#[tokio::test(start_paused = true)]
async fn shutting_down_waits_until_the_end_has_left() {
    let (_dialer, mut stream, mut script) = stuck().await;
    let second = Duration::from_secs(1);
    assert!(timeout(second, stream.shutdown()).await.is_err());
    let mut all = Vec::new();
    let mut got = [0; 32];
    while timeout(second, stream.shutdown()).await.is_err() {
        let n = soon(script.read(&mut got)).await.unwrap();
        all.extend_from_slice(&got[..n]);
    }
    // Nothing has to run any more for the rest to be there.
    let n = timeout(Duration::ZERO, script.read(&mut got)).await;
    all.extend_from_slice(&got[..n.unwrap().unwrap()]);
    assert!(all.ends_with(b"\x07\x07E\0\0\0\x01\0\0"), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_flush_learns_of_the_end() {
    let (dialer, mut stream, script) = stuck().await;
    let flush = tokio::spawn(async move { stream.flush().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(script);
    let error = soon(flush).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert!(dialer.is_closed());
}

#[tokio::test]
async fn a_writer_beyond_the_window_waits_for_exactly_that() {
    let (dialer, mut script) = scripted_dialer().await;
    let mut stream = dialer.dial().await.unwrap();
    let writer = tokio::spawn(async move {
        stream.write_all(&[7; INITIAL_WINDOW + 1]).await.unwrap();
        stream
    });
    expect(&mut script, b"N\0\0\0\x01\0\0").await;
    let mut got = 0;
    loop {
        let mut head = [0; 7];
        soon(script.read_exact(&mut head)).await.unwrap();
        if head[0] == b'B' {
            break;
        }
        let len = usize::from(u16::from_be_bytes([head[5], head[6]]));
        soon(script.read_exact(&mut vec![0; len])).await.unwrap();
        got += len;
    }
    assert_eq!(got, INITIAL_WINDOW);
    script
        .write_all(b"A\0\0\0\x01\0\x04\0\0\0\x05")
        .await
        .unwrap();
    expect(&mut script, b"W\0\0\0\x01\0\x01\x07").await;
    drop(soon(writer).await.unwrap());
    expect(&mut script, b"C\0\0\0\x01\0\0").await;
}

#[tokio::test]
async fn a_dropped_reader_frees_a_writer_that_waits_for_it() {
    let (dialer, mut listener) = pair(1000);
    let mut near = dialer.dial().await.unwrap();
    let writer = tokio::spawn(async move { near.write_all(&[0; 4 * MIB]).await });
    let mut far = soon(listener.accept()).await.unwrap();
    soon(far.read_u8()).await.unwrap();
    drop(far);
    let error = soon(writer).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    emptied(&dialer, &listener).await;
}

#[tokio::test]
async fn a_refused_stream_says_why() {
    let config = Config {
        limits: Limits {
            accept_backlog: 1,
            ..Limits::default()
        },
        ..Config::default()
    };
    let (dialer, mut listener) = mux_support::pair(Dialect::Mux, 1000, &config);
    let _first = dialer.dial().await.unwrap();
    let mut second = dialer.dial().await.unwrap();
    let error = soon(second.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains("wait to be accepted"), "{error}");
    let error = second.write(b"x").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    soon(listener.accept()).await.unwrap();
    dialer.dial().await.unwrap().write_all(b"x").await.unwrap();
    soon(listener.accept()).await.unwrap();
}

#[tokio::test]
async fn a_listener_that_leaves_says_why_and_lets_streams_end() {
    let (dialer, mut listener) = pair(1000);
    let mut near = dialer.dial().await.unwrap();
    near.write_all(b"ask").await.unwrap();
    let mut far = soon(listener.accept()).await.unwrap();
    listener.close_because("restarts at noon");
    assert!(matches!(
        soon(listener.accept()).await,
        Err(AcceptError::Closed(CloseReason::LocalBecause(_)))
    ));
    let reason = soon(dialer.closed()).await;
    assert!(
        matches!(&reason, CloseReason::Peer(Some(why)) if why == "restarts at noon"),
        "{reason:?}"
    );
    assert!(matches!(
        dialer.dial().await,
        Err(DialError::Closed(CloseReason::Peer(Some(_))))
    ));
    near.shutdown().await.unwrap();
    assert_eq!(read_all(&mut far).await, b"ask");
    let answer = tokio::spawn(async move {
        far.write_all(&pattern(2 * MIB)).await.unwrap();
        far.write_all(b"done").await.unwrap();
        far
    });
    let got = read_some(&mut near, 2 * MIB + 4).await;
    assert!(got.ends_with(b"done"));
    drop(soon(answer).await.unwrap());
    drop(near);
    emptied(&dialer, &listener).await;
}

async fn read_some(stream: &mut Stream, len: usize) -> Vec<u8> {
    let mut all = vec![0; len];
    soon(stream.read_exact(&mut all)).await.unwrap();
    all
}

#[tokio::test]
async fn a_dialer_that_leaves_says_why_and_what_waits_is_still_accepted() {
    let (dialer, mut listener) = pair(1000);
    let mut near = dialer.dial().await.unwrap();
    near.write_all(b"last").await.unwrap();
    dialer.close_because("done for today");
    drop(dialer);
    let reason = soon(listener.closed()).await;
    assert!(matches!(&reason, CloseReason::Peer(Some(why)) if why == "done for today"));
    let mut far = soon(listener.accept()).await.unwrap();
    assert!(soon(listener.accept()).await.is_err());
    drop(near);
    assert_eq!(read_all(&mut far).await, b"last");
}

#[tokio::test]
async fn an_abort_ends_all_and_the_peer_knows_that_nothing_was_wrong() {
    let (dialer, mut listener) = pair(1000);
    let mut near = dialer.dial().await.unwrap();
    near.write_all(b"x").await.unwrap();
    let mut far = soon(listener.accept()).await.unwrap();
    dialer.abort();
    let reason = soon(listener.closed()).await;
    assert!(matches!(reason, CloseReason::Peer(None)), "{reason:?}");
    assert_eq!(soon(far.read_u8()).await.unwrap(), b'x');
    let error = soon(far.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert!(near.read_u8().await.is_err());
}

#[tokio::test]
async fn a_violation_ends_the_session_and_the_peer_is_told_which() {
    let (listener, mut script) = scripted_listener().await;
    script.write_all(b"W\0\0\0\x05\0\x01x").await.unwrap();
    let reason = soon(listener.closed()).await;
    assert!(matches!(
        reason,
        CloseReason::Frames(ProtocolError::UnknownStream(5))
    ));
    let mut all = Vec::new();
    soon(script.read_to_end(&mut all)).await.unwrap();
    assert_eq!((all[0], all[7]), (b'G', 2));
    let text = String::from_utf8_lossy(&all[8..]);
    assert!(
        text.ends_with("frame for stream 5, which was never opened"),
        "{text}"
    );
}

/// Whoever was not told that this is a mux must not take it for version 1, even if a stream is opened
/// before anything else happens.
#[tokio::test]
async fn nobody_takes_the_beginning_for_version_1() {
    let (dialer, script) = mux_support::scripted_dialer(Dialect::Mux, &quiet());
    let mut stream = dialer.dial().await.unwrap();
    stream.write_all(b"hi").await.unwrap();
    let sniffed = soon(sniff(Stream::new(script), Duration::MAX)).await;
    assert!(matches!(sniffed, Err(SniffError::Unknown(b'P'))));
}

#[tokio::test]
async fn a_connection_that_ends_within_a_frame_is_no_violation() {
    let (listener, mut script) = scripted_listener().await;
    script.write_all(b"N\0\0\0\x01\0\0W\0\0").await.unwrap();
    drop(script);
    match soon(listener.closed()).await {
        CloseReason::Io(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_round_trip_time_is_known_at_both_ends() {
    let (dialer, listener) = pair(1000);
    eventually(|| dialer.rtt().is_some() && listener.rtt().is_some()).await;
    assert!(dialer.rtt().unwrap() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_is_gone_within_fifteen_seconds() {
    let config = Config::default();
    let (dialer, mut script) = mux_support::scripted_dialer(Dialect::Mux, &config);
    let mut stream = dialer.dial().await.unwrap();
    script
        .write_all(b"P\0\0\0\0\0\x08\0\0\0\0\0\0\0\0")
        .await
        .unwrap();
    let start = Instant::now();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert!(matches!(dialer.closed().await, CloseReason::Idle(_)));
    let took = start.elapsed();
    assert!(
        took > Duration::from_secs(14) && took < Duration::from_secs(15),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_alive_as_long_as_anything_comes() {
    let config = Config::default();
    let (mut listener, mut script) = mux_support::scripted_listener(Dialect::Mux, &config);
    // One frame, a byte every ten seconds, and not a single pong.
    script
        .write_all(b"N\0\0\0\x01\0\0W\0\0\0\x01\0\x64")
        .await
        .unwrap();
    let mut stream = listener.accept().await.unwrap();
    for n in 0..100 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        script.write_u8(n).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), n);
    }
    assert!(!listener.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_freeze_of_nine_seconds_kills_nobody() {
    let (near, mut near_wire) = duplex(1 << 16);
    let (far, mut far_wire) = duplex(1 << 16);
    let dialer = Dialer::new(Stream::new(near), Config::default());
    let listener = Listener::new(Stream::new(far), Config::default());
    let wire = tokio::spawn(async move {
        let mut space = ([0; 1000], [0; 1000]);
        let mut frozen = Instant::now() + Duration::from_millis(3001);
        loop {
            tokio::select! {
                n = near_wire.read(&mut space.0) => {
                    let n = n.unwrap();
                    far_wire.write_all(&space.0[..n]).await.unwrap();
                }
                n = far_wire.read(&mut space.1) => {
                    let n = n.unwrap();
                    near_wire.write_all(&space.1[..n]).await.unwrap();
                }
                () = tokio::time::sleep_until(frozen) => {
                    tokio::time::sleep(Duration::from_secs(9)).await;
                    frozen = Instant::now() + Duration::from_millis(3500);
                }
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!dialer.is_closed() && !listener.is_closed());
    wire.abort();
}

/// The whole process stands still for longer than any silence that is allowed, as in a suspended
/// machine: neither end may blame the other one.
#[tokio::test(start_paused = true)]
async fn time_in_which_nothing_ran_does_not_count() {
    let (dialer, listener) = pair(1000);
    for pause in [20, 60, 3600] {
        tokio::time::sleep(Duration::from_secs(30)).await;
        tokio::time::advance(Duration::from_secs(pause)).await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!dialer.is_closed() && !listener.is_closed());
    // And a peer that is really gone is still found out.
    let (dialer, mut script) = mux_support::scripted_dialer(Dialect::Mux, &Config::default());
    script
        .write_all(b"P\0\0\0\0\0\x08\0\0\0\0\0\0\0\0")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    tokio::time::advance(Duration::from_secs(100)).await;
    let start = Instant::now();
    assert!(matches!(dialer.closed().await, CloseReason::Idle(_)));
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn dropped_ends_close_the_connection_once_all_is_delivered() {
    let (near, far) = mux_support::tcp().await;
    let dialer = Dialer::new(Stream::new(near), Config::default());
    let mut listener = Listener::new(Stream::new(far), Config::default());
    let mut near = dialer.dial().await.unwrap();
    near.write_all(&pattern(100_000)).await.unwrap();
    drop((near, dialer));
    let mut far = soon(listener.accept()).await.unwrap();
    assert!(read_all(&mut far).await == pattern(100_000));
    drop(far);
    assert!(matches!(
        soon(listener.closed()).await,
        CloseReason::Peer(None)
    ));
}

#[tokio::test(start_paused = true)]
async fn the_largest_and_the_smallest_times_are_times() {
    let with = |set: fn(&mut Config, Duration)| {
        [Duration::ZERO, Duration::MAX].map(|time| {
            let mut config = Config::default();
            set(&mut config, time);
            config
        })
    };
    let configs = [
        with(|config, time| config.keep_alive = Some(time)),
        with(|config, time| config.idle_timeout = time.max(Duration::from_secs(1))),
        with(|config, time| config.write_timeout = time.max(Duration::from_secs(1))),
        with(|config, time| config.deadlock_break_after = time),
    ];
    for config in configs.concat() {
        let (near, far) = duplex(100);
        let dialer = Dialer::new(Stream::new(near), config.clone());
        let mut listener = Listener::new(Stream::new(far), config);
        let mut near = dialer.dial().await.unwrap();
        let mut far = listener.accept().await.unwrap();
        near.write_all(&[7; 4096]).await.unwrap();
        far.read_exact(&mut [0; 4096]).await.unwrap();
        assert!(!dialer.is_closed() && !listener.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_opened_before_the_close_arrives_however_the_bytes_are_cut() {
    let (dialer, mut listener) = pair(8);
    let mut near = dialer.dial().await.unwrap();
    dialer.close();
    near.write_all(b"hello").await.unwrap();
    let mut far = listener.accept().await.unwrap();
    near.shutdown().await.unwrap();
    let mut all = String::new();
    far.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "hello");
}
