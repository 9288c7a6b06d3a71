//! A dead peer is known at both ends within 15 s; a slow, a silent and a starved one is not
//! taken for dead. Default configuration, all versions, in virtual time.
#![allow(clippy::unwrap_used, reason = "a test program")]

mod link_sim;

use std::time::Duration;

use link_sim::{Kind, Pair, Road, Way, Wire, echo, in_virtual_time};
use revdial::{CloseReason, Dialer, DialerConfig, Listener, ListenerConfig, Registry, Stream, mux};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::{Instant, sleep, timeout},
};

const S: Duration = Duration::from_secs(1);

/// Known dead within this: 15 s, and the way of the goodbye to the other end.
const LIMIT: Duration = Duration::from_millis(15_010);

#[derive(Debug, Clone, Copy)]
enum Fault {
    BothWays,
    ToDialer,
    ToListener,
    Reset,
    End,
}

impl Fault {
    const ALL: [Self; 5] = [
        Self::BothWays,
        Self::ToDialer,
        Self::ToListener,
        Self::Reset,
        Self::End,
    ];

    fn happen(self, wire: &Wire) {
        match self {
            Self::BothWays => {
                wire.blackhole(Way::ToDialer);
                wire.blackhole(Way::ToListener);
            }
            Self::ToDialer => wire.blackhole(Way::ToDialer),
            Self::ToListener => wire.blackhole(Way::ToListener),
            Self::Reset => wire.reset(),
            Self::End => wire.end(),
        }
    }
}

/// Writes and reads for ever, as fast as it goes.
async fn keep_busy(dialer: Dialer) {
    let Ok(stream) = dialer.dial().await else {
        return;
    };
    drop(dialer);
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::spawn(async move {
        let bytes = [7; 4 * 1024];
        while writer.write_all(&bytes).await.is_ok() {
            // A virtual clock needs a moment in which nothing is to be done.
            sleep(Duration::from_millis(100)).await;
        }
    });
    let mut bytes = [0; 16 * 1024];
    while let Ok(1..) = reader.read(&mut bytes).await {}
}

#[test]
fn a_dead_connection_is_known_at_both_ends_within_15_seconds() {
    for kind in Kind::ALL {
        for fault in Fault::ALL {
            for busy in [false, true] {
                // At any point between two signs of life.
                for offset in [0, 1700, 4990] {
                    in_virtual_time(is_known_dead(kind, fault, busy, offset));
                }
            }
        }
    }
}

async fn is_known_dead(kind: Kind, fault: Fault, busy: bool, offset: u64) {
    let what = format!("{kind} {fault:?} busy={busy} offset={offset}");
    let pair = Pair::new(kind, Road::GOOD, 1);
    let wire = pair.wire();
    let ends = (pair.dialer.closed(), pair.listener.closed());
    tokio::spawn(echo(pair.listener));
    if busy {
        tokio::spawn(keep_busy(pair.dialer.clone()));
    }
    sleep(20 * S + Duration::from_millis(offset)).await;
    assert!(!pair.dialer.is_closed(), "{what}: closed before");
    let cut = Instant::now();
    fault.happen(&wire);
    let known = timeout(60 * S, async {
        let mut at = (None, None);
        let (mut dialer, mut listener) = (Box::pin(ends.0), Box::pin(ends.1));
        while at.0.is_none() || at.1.is_none() {
            tokio::select! {
                _ = &mut dialer, if at.0.is_none() => at.0 = Some(cut.elapsed()),
                _ = &mut listener, if at.1.is_none() => at.1 = Some(cut.elapsed()),
            }
        }
        at
    });
    let known = known.await.unwrap_or_else(|_| panic!("{what}: not known"));
    let limit = match fault {
        Fault::Reset | Fault::End => 2 * S,
        _ => LIMIT,
    };
    assert!(known.0.unwrap() <= limit, "{what}: {known:?}");
    assert!(known.1.unwrap() <= limit, "{what}: {known:?}");
}

#[test]
fn slow_stalling_and_silent_connections_are_not_dead() {
    for kind in Kind::ALL {
        for (name, road) in [
            ("good", Road::GOOD),
            ("modem", Road::MODEM),
            ("stalling", Road::STALLING),
        ] {
            for busy in [false, true] {
                in_virtual_time(lives(kind, name, road, busy));
            }
        }
    }
}

async fn lives(kind: Kind, name: &str, road: Road, busy: bool) {
    let what = format!("{kind} {name} busy={busy}");
    let pair = Pair::new(kind, road, 2);
    let (dialer_ends, listener_ends) = (pair.dialer.closed(), pair.listener.closed());
    tokio::spawn(echo(pair.listener));
    if busy {
        tokio::spawn(keep_busy(pair.dialer.clone()));
    }
    let minutes = if busy { 2 } else { 20 };
    tokio::select! {
        why = dialer_ends => panic!("{what}: dialer: {why}"),
        why = listener_ends => panic!("{what}: listener: {why}"),
        () = sleep(minutes * 60 * S) => {}
    }
    // And it works.
    let mut stream = timeout(300 * S, pair.dialer.dial()).await.unwrap().unwrap();
    stream.write_all(b"?").await.unwrap();
    let answer = timeout(900 * S, stream.read_u8()).await;
    assert_eq!(answer.expect(&what).expect(&what), b'?', "{what}");
}

#[test]
fn a_freeze_of_nine_seconds_is_survived() {
    for kind in Kind::ALL {
        for busy in [false, true] {
            in_virtual_time(survives_freezes(kind, busy));
        }
    }
}

async fn survives_freezes(kind: Kind, busy: bool) {
    let what = format!("{kind} busy={busy}");
    let pair = Pair::new(kind, Road::GOOD, 3);
    let wire = pair.wire();
    let (dialer_ends, listener_ends) = (pair.dialer.closed(), pair.listener.closed());
    tokio::spawn(echo(pair.listener));
    if busy {
        tokio::spawn(keep_busy(pair.dialer.clone()));
    }
    let freezes = async {
        for offset in [0, 1, 2, 3, 4] {
            sleep(offset * S + 10 * S).await;
            wire.freeze(9 * S);
            sleep(9 * S).await;
        }
        sleep(60 * S).await;
    };
    tokio::select! {
        why = dialer_ends => panic!("{what}: dialer: {why}"),
        why = listener_ends => panic!("{what}: listener: {why}"),
        () = freezes => {}
    }
}

/// The clock goes on for `time` and nobody is polled meanwhile, as on a machine whose processors
/// are all taken, or that was suspended.
async fn starve(time: Duration) {
    tokio::time::advance(time).await;
}

#[test]
fn who_was_not_given_a_processor_does_not_blame_the_peer() {
    for kind in Kind::ALL {
        for busy in [false, true] {
            in_virtual_time(survives_starving(kind, busy));
        }
    }
}

async fn survives_starving(kind: Kind, busy: bool) {
    let what = format!("{kind} busy={busy}");
    let pair = Pair::new(kind, Road::GOOD, 4);
    let (dialer_ends, listener_ends) = (pair.dialer.closed(), pair.listener.closed());
    tokio::spawn(echo(pair.listener));
    if busy {
        tokio::spawn(keep_busy(pair.dialer.clone()));
    }
    let story = async {
        for time in [16, 30, 47, 300] {
            sleep(11 * S).await;
            starve(time * S).await;
        }
        sleep(60 * S).await;
    };
    tokio::select! {
        why = dialer_ends => panic!("{what}: dialer: {why}"),
        why = listener_ends => panic!("{what}: listener: {why}"),
        () = story => {}
    }
}

/// One end alone is starved; the other has spoken meanwhile, and its words wait to be read.
#[tokio::test(start_paused = true)]
async fn words_that_wait_to_be_read_count_as_spoken() {
    let (mut script, near) = duplex(64 * 1024);
    let dialer = Registry::new().register(Stream::new(near), DialerConfig::default());
    let alive = b"{\"command\":\"keep-alive\",\"every_ms\":5000}\n";
    script.write_all(alive).await.unwrap();
    sleep(S).await;
    for _ in 0..3 {
        script.write_all(alive).await.unwrap();
        starve(30 * S).await;
        sleep(S).await;
        assert!(!dialer.is_closed());
    }
    // And if it does not speak again, it is gone in time.
    let begin = Instant::now();
    let why = timeout(60 * S, dialer.closed()).await.unwrap();
    assert!(matches!(why, CloseReason::Idle(_)), "{why}");
    assert!(begin.elapsed() <= LIMIT, "{:?}", begin.elapsed());
}

/// Of a peer that never sends signs of life, silence says nothing: only the transport can tell
/// that it is dead.
#[tokio::test(start_paused = true)]
async fn old_peers_may_be_silent_for_ever() {
    // A v1 peer of 2018, either role.
    let (_script, near) = duplex(64 * 1024);
    let dialer = Dialer::v1(Stream::new(near), mux::Config::default());
    let (_script_2, near) = duplex(64 * 1024);
    let v1_listener = Listener::v1(Stream::new(near), mux::Config::default());
    // A Go v2 listener, which sends nothing but failures. It may not even read for a while.
    let (_script_3, near) = duplex(64 * 1024);
    let v2_dialer = Registry::new().register(Stream::new(near), DialerConfig::default());
    // A Go v2 dialer, which says something every 30 s, without announcing it.
    let (mut script_4, near) = duplex(64 * 1024);
    let connect = || std::future::pending::<std::io::Result<Stream>>();
    let v2_listener = Listener::new(Stream::new(near), connect, ListenerConfig::default());
    for _ in 0..60 {
        let line = b"{\"command\":\"keep-alive\"}\n";
        script_4.write_all(line).await.unwrap();
        sleep(40 * S).await;
    }
    assert!(!dialer.is_closed() && !v1_listener.is_closed());
    assert!(!v2_dialer.is_closed() && !v2_listener.is_closed());
    // It does pause for more than 40 s only when it is gone: 90 s are enough.
    let begin = Instant::now();
    let why = timeout(100 * S, v2_listener.closed()).await.unwrap();
    assert!(matches!(why, CloseReason::Idle(_)), "{why}");
    assert!(begin.elapsed() <= 90 * S);
}
