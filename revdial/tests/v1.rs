//! Version 1 over real transports: both roles against each other, and against a script.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::{future::Future, io, time::Duration};

use revdial::{
    CloseReason, DialError, Stream,
    v1::{Config, Dialer, Limits, Listener, Overflow, ProtocolError, SniffError, Sniffed, sniff},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufStream, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, timeout},
};

const MIB: usize = 1024 * 1024;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), what).await.expect("hangs")
}

fn pair(room: usize, config: &Config) -> (Dialer, Listener) {
    let (near, far) = duplex(room);
    (
        Dialer::new(Stream::new(near), config.clone()),
        Listener::new(Stream::new(far), config.clone()),
    )
}

async fn tcp() -> (TcpStream, TcpStream) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(socket.local_addr().unwrap());
    let (near, far) = tokio::join!(near, socket.accept());
    let (near, far) = (near.unwrap(), far.unwrap().0);
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

async fn tcp_pair(config: &Config) -> (Dialer, Listener) {
    let (near, far) = tcp().await;
    (
        Dialer::new(Stream::new(near), config.clone()),
        Listener::new(Stream::new(far), config.clone()),
    )
}

fn scripted_dialer() -> (Dialer, DuplexStream) {
    let (near, script) = duplex(1 << 20);
    (Dialer::new(Stream::new(near), Config::default()), script)
}

fn scripted_listener(config: Config) -> (Listener, DuplexStream) {
    let (near, script) = duplex(1 << 20);
    (Listener::new(Stream::new(near), config), script)
}

async fn expect(script: &mut DuplexStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    soon(script.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, bytes);
}

async fn read_all(stream: &mut Stream) -> Vec<u8> {
    let mut all = Vec::new();
    soon(stream.read_to_end(&mut all)).await.unwrap();
    all
}

/// Bytes that differ from their neighbours near and far.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect()
}

#[tokio::test]
async fn dialer_speaks_like_the_original() {
    let (dialer, mut script) = scripted_dialer();
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
    let (mut listener, mut script) = scripted_listener(Config::default());
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
    let (mut listener, mut script) = scripted_listener(Config::default());
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
async fn ten_streams_at_once_over_one_connection() {
    let (dialer, mut listener) = tcp_pair(&Config::default()).await;
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

#[tokio::test]
async fn the_peer_s_end_wakes_everyone_and_says_why() {
    let (dialer, script) = scripted_dialer();
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

#[tokio::test]
async fn cut_and_forbidden_frames_are_told_apart_from_a_clean_end() {
    for (bytes, reason) in [
        (b"N\0\0".as_slice(), ProtocolError::Cut),
        (b"W\0\0\0\x01\0\x05ab", ProtocolError::Cut),
        (
            b"N\0\0\0\x01\0\0N\0\0\0\x01\0\0",
            ProtocolError::DuplicateStream(1),
        ),
    ] {
        let (listener, mut script) = scripted_listener(Config::default());
        script.write_all(bytes).await.unwrap();
        drop(script);
        match soon(listener.closed()).await {
            CloseReason::Frames(error) => assert_eq!(error, reason),
            other => panic!("{other:?}"),
        }
    }
    let (dialer, mut script) = scripted_dialer();
    script.write_all(b"N\0\0\0\x01\0\0").await.unwrap();
    let reason = soon(dialer.closed()).await;
    assert!(matches!(
        reason,
        CloseReason::Frames(ProtocolError::NewFromListener(1))
    ));
}

#[tokio::test]
async fn half_close_in_both_orders() {
    let (dialer, mut listener) = pair(1000, &Config::default());
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
    while dialer.stream_count() + listener.stream_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn data_written_before_a_drop_arrives() {
    let (dialer, mut listener) = pair(100, &Config::default());
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

#[tokio::test]
async fn dropping_the_dialer_lets_streams_live_and_aborting_does_not() {
    let (dialer, mut listener) = pair(1000, &Config::default());
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

#[tokio::test]
async fn dropping_the_listener_closes_what_waits() {
    let (dialer, listener) = pair(1000, &Config::default());
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_mib_both_ways_at_once() {
    let (dialer, listener) = tcp_pair(&Config::default()).await;
    saturate(dialer, listener, 1, 200 * MIB).await;
}

#[tokio::test]
async fn saturation_through_a_narrow_pipe() {
    let (dialer, listener) = pair(777, &Config::default());
    saturate(dialer, listener, 8, MIB / 2).await;
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
    let (dialer, mut listener) = pair(1000, &config);
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
        let (dialer, mut listener) = tcp_pair(&config).await;
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
    let (mut listener, mut script) = scripted_listener(config);
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
    let (dialer, mut listener) = pair(100, &config);
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

#[tokio::test]
async fn a_hundred_thousand_streams_leave_nothing() {
    let (dialer, mut listener) = pair(64 * 1024, &Config::default());
    let server = tokio::spawn(async move {
        for n in 0..100_000_u32 {
            let mut far = listener.accept().await.unwrap();
            assert_eq!(far.read_u8().await.unwrap(), n as u8);
        }
        listener
    });
    for n in 0..100_000_u32 {
        let mut near = dialer.dial().await.unwrap();
        near.write_all(&[n as u8]).await.unwrap();
        if n % 64 == 0 {
            // Waits for the far end to close, or dials would outrun accepts.
            assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
        }
    }
    let listener = soon(server).await.unwrap();
    let emptied = async {
        while dialer.stream_count() + listener.stream_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(emptied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_close_in_every_order() {
    let (dialer, mut listener) = tcp_pair(&Config {
        limits: Limits {
            accept_backlog: 1000,
            ..Limits::default()
        },
        ..Config::default()
    })
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
            far.write_all(&all).await.unwrap();
        });
    }
    while let Some(done) = soon(tasks.join_next()).await {
        done.unwrap();
    }
    let emptied = async {
        while dialer.stream_count() + listener.stream_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(emptied).await;
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_only_with_a_peer_that_sends_keep_alives() {
    let (dialer, mut script) = scripted_dialer();
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
    expect(&mut script, b"K\0\0\x13\x88\0\0K\0\0\x13\x88\0\0").await;
}

#[tokio::test(start_paused = true)]
async fn two_ends_keep_an_idle_session_alive() {
    let (dialer, mut listener) = pair(100, &Config::default());
    let mut near = dialer.dial().await.unwrap();
    let mut far = soon(listener.accept()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    near.write_all(b"x").await.unwrap();
    assert_eq!(soon(far.read_u8()).await.unwrap(), b'x');
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_and_says_nothing_is_gone_after_a_minute() {
    let (near, script) = duplex(100);
    let dialer = Dialer::new(Stream::new(near), Config::default());
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
    let mut listener = Listener::new(stream, Config::default());
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

#[tokio::test]
async fn a_write_that_was_given_up_hurts_nobody() {
    let (dialer, mut listener) = pair(64, &Config::default());
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
#[tokio::test]
async fn transports_that_buffer_are_flushed() {
    let (near, far) = duplex(100);
    let dialer = Dialer::new(Stream::new(BufStream::new(near)), Config::default());
    let mut listener = Listener::new(Stream::new(BufStream::new(far)), Config::default());
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
