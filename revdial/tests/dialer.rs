//! The dialer against a scripted listener.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use revdial::{CloseReason, DialError, Dialer, DialerConfig, PickupError, Registry, Stream};
use support::{Script, pipe, secs};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

const ALIVE: &str = "{\"command\":\"keep-alive\",\"every_ms\":5000}\n";

struct Case {
    registry: Registry,
    dialer: Dialer,
    script: Script,
}

fn start() -> Case {
    start_with(DialerConfig::default())
}

fn start_with(config: DialerConfig) -> Case {
    let registry = Registry::new();
    let (script, control) = Script::new();
    let dialer = registry.register(control, config);
    Case {
        registry,
        dialer,
        script,
    }
}

impl Case {
    fn dial(&self) -> JoinHandle<Result<Stream, DialError>> {
        let dialer = self.dialer.clone();
        tokio::spawn(async move { dialer.dial().await })
    }

    /// Connects back for `path`; gives the listener's end.
    fn pick_up(&self, path: &str) -> Stream {
        let (near, far) = pipe();
        self.registry.pickup(path).unwrap().deliver(near);
        far
    }

    async fn fails(&mut self, line: &str) -> CloseReason {
        self.script.send(line).await;
        timeout(secs(1), self.dialer.closed())
            .await
            .expect("dialer must notice")
    }
}

async fn is_closed(mut stream: Stream) -> bool {
    let read = timeout(secs(3600), stream.read(&mut [0; 8])).await;
    matches!(read, Ok(Ok(0)))
}

async fn are_connected(mut a: Stream, mut b: Stream) -> bool {
    a.write_all(b"hello").await.unwrap();
    let mut got = [0; 5];
    let read = timeout(secs(3600), b.read_exact(&mut got)).await;
    matches!(read, Ok(Ok(_))) && &got == b"hello"
}

fn redacted(path: &str) -> String {
    revdial::redact(path)
}

#[tokio::test(start_paused = true)]
async fn what_a_go_listener_sees() {
    let mut case = start();
    assert_eq!(case.script.line().await, ALIVE, "one at once");
    let dial = case.dial();
    let line = case.script.line().await;
    let id = line.split_once("revdial.dialer=").unwrap().1[..32].to_owned();
    assert!(
        id.bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    );
    assert_eq!(
        line,
        format!(
            "{{\"command\":\"conn-ready\",\"connPath\":\"/revdial?revdial.dialer={id}\\u0026revdial.dial=1\"}}\n"
        )
    );
    assert_eq!(
        case.script.line().await,
        ALIVE,
        "directly after every conn-ready"
    );
    let far = case.pick_up(&format!("/revdial?revdial.dialer={id}&revdial.dial=1"));
    assert!(are_connected(dial.await.unwrap().unwrap(), far).await);
    case.dialer.close();
    assert_eq!(case.script.end().await, "{\"command\":\"close\"}\n");
    assert!(!format!("{:?} {:?}", case.dialer, case.registry).contains(&id[8..]));
}

#[tokio::test(start_paused = true)]
async fn keep_alives_keep_their_pace() {
    let mut case = start();
    let begin = Instant::now();
    for n in 0..20 {
        assert_eq!(case.script.line().await, ALIVE);
        assert_eq!(begin.elapsed(), secs(5 * n));
    }
    // A listener that never says a word, as Go's, is not held against it.
    assert!(!case.dialer.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_base_path_of_ones_own() {
    let config = DialerConfig {
        base_path: "/farm/i7?a=b".to_owned(),
        ..DialerConfig::default()
    };
    let mut case = start_with(config);
    let _dial = case.dial();
    let path = case.script.conn_ready().await;
    assert_eq!(
        redacted(&path),
        "/farm/i7?a=b&revdial.dialer=redacted&revdial.dial=1"
    );
    for bad in [
        "revdial",
        "",
        "/a b",
        "/\n",
        &format!("/{}", "x".repeat(2040)),
        &format!("/{}", "<".repeat(1000)),
    ] {
        let case = start_with(DialerConfig {
            base_path: bad.to_owned(),
            ..DialerConfig::default()
        });
        assert!(
            matches!(case.dialer.closed().await, CloseReason::Setup(_)),
            "{bad:?}"
        );
        assert!(matches!(
            case.dialer.dial().await,
            Err(DialError::Closed(CloseReason::Setup(_)))
        ));
        assert!(case.registry.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_dials_get_their_own_connections() {
    let mut case = start();
    let first = case.dial();
    let path_1 = case.script.conn_ready().await;
    let second = case.dial();
    let path_2 = case.script.conn_ready().await;
    let far_2 = case.pick_up(&path_2);
    let far_1 = case.pick_up(&path_1);
    assert!(are_connected(second.await.unwrap().unwrap(), far_2).await);
    assert!(are_connected(first.await.unwrap().unwrap(), far_1).await);
}

#[tokio::test(start_paused = true)]
async fn a_late_connection_never_reaches_the_next_dial() {
    let mut case = start();
    let begin = Instant::now();
    let dial = case.dial();
    let late = case.script.conn_ready().await;
    assert!(matches!(dial.await.unwrap(), Err(DialError::Timeout(limit)) if limit == secs(45)));
    assert_eq!(begin.elapsed(), secs(45));

    let cancelled = case.dial();
    let later = case.script.conn_ready().await;
    cancelled.abort();
    assert!(cancelled.await.unwrap_err().is_cancelled());

    let next = case.dial();
    let path = case.script.conn_ready().await;
    assert!(is_closed(case.pick_up(&late)).await);
    assert!(is_closed(case.pick_up(&later)).await);
    let far = case.pick_up(&path);
    assert!(
        is_closed(case.pick_up(&path)).await,
        "one connection per dial"
    );
    assert!(are_connected(next.await.unwrap().unwrap(), far).await);
}

#[tokio::test(start_paused = true)]
async fn a_dial_cancelled_before_its_order_is_written_orders_nothing() {
    let mut case = start();
    // Polled once, so that it is on the list, then dropped.
    assert!(timeout(secs(0), case.dialer.dial()).await.is_err());
    let _next = case.dial();
    assert!(case.script.conn_ready().await.ends_with("revdial.dial=2"));
}

#[tokio::test(start_paused = true)]
async fn pickups_without_a_number_go_to_the_oldest_dial() {
    let mut case = start();
    let first = case.dial();
    let path = case.script.conn_ready().await;
    let second = case.dial();
    case.script.conn_ready().await;
    let plain = path.split_once('&').unwrap().0;
    let far_1 = case.pick_up(&plain.replace("/revdial", "/elsewhere"));
    let far_2 = case.pick_up(plain);
    assert!(
        is_closed(case.pick_up(plain)).await,
        "nobody waits: not parked for later"
    );
    assert!(are_connected(first.await.unwrap().unwrap(), far_1).await);
    assert!(are_connected(second.await.unwrap().unwrap(), far_2).await);
}

#[tokio::test(start_paused = true)]
async fn failures_meet_the_dial_they_belong_to() {
    let mut case = start();
    let first = case.dial();
    let path_1 = case.script.conn_ready().await;
    let second = case.dial();
    let path_2 = case.script.conn_ready().await;
    // Nameless while two wait: it could be either, so neither fails.
    case.script
        .send("{\"command\":\"pickup-failed\",\"err\":\"whose?\"}\n")
        .await;
    let named = path_2.replace('&', "\\u0026");
    case.script
        .send(&format!(
            "{{\"command\":\"pickup-failed\",\"connPath\":\"{named}\",\"err\":\"no\\n\\troute\"}}\n"
        ))
        .await;
    let error = second.await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "revdial listener failed to pick up connection: no route"
    );
    assert!(!first.is_finished());
    // Nameless while one waits.
    case.script
        .send("{\"command\":\"pickup-failed\",\"err\":\"mine\"}\n")
        .await;
    assert!(matches!(first.await.unwrap(), Err(DialError::PickupFailed(why)) if why == "mine"));
    assert!(is_closed(case.pick_up(&path_1)).await);
}

#[tokio::test(start_paused = true)]
async fn failures_nobody_waits_for_do_not_park_the_reader() {
    let mut case = start();
    for _ in 0..100 {
        case.script
            .send("{\"command\":\"pickup-failed\",\"err\":\"stray\"}\n")
            .await;
        case.script.send("{\"command\":\"pickup-failed\",\"connPath\":\"/redirected\",\"err\":\"too many redirects\"}\n").await;
    }
    let dial = case.dial();
    let path = case.script.conn_ready().await;
    let far = case.pick_up(&path);
    assert!(
        are_connected(dial.await.unwrap().unwrap(), far).await,
        "old failures do not meet new dials"
    );
    drop(case.script);
    assert!(matches!(
        timeout(secs(1), case.dialer.closed()).await,
        Ok(CloseReason::Peer(None))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_pickup_that_breaks_off_fails_its_dial_at_once() {
    let mut case = start();
    let dial = case.dial();
    let path = case.script.conn_ready().await;
    drop(case.registry.pickup(&path).unwrap());
    assert!(matches!(
        dial.await.unwrap(),
        Err(DialError::PickupFailed(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn closing_frees_everything() {
    for way in 0..4 {
        let mut case = start();
        assert_eq!(case.registry.len(), 1);
        let (first, second) = (case.dial(), case.dial());
        let path = case.script.conn_ready().await;
        case.script.conn_ready().await;
        let far = case.pick_up(&path);
        let open = first.await.unwrap().unwrap();
        let unfinished = case.registry.pickup(&path).unwrap();
        let closed = case.dialer.closed();
        match way {
            0 => case.dialer.close(),
            1 => {
                second.abort();
                drop(case.dialer);
            }
            2 => {
                case.script
                    .send("{\"command\":\"close\",\"err\":\"going\\u001b home\"}\n")
                    .await
            }
            _ => drop(case.script),
        }
        let reason = timeout(secs(1), closed).await.unwrap();
        let expected = match way {
            0 | 1 => matches!(reason, CloseReason::Local),
            2 => matches!(&reason, CloseReason::Peer(Some(why)) if why == "going home"),
            _ => matches!(reason, CloseReason::Peer(None)),
        };
        assert!(expected, "{way}: {reason}");
        assert!(case.registry.is_empty());
        assert_eq!(
            case.registry.pickup(&path).unwrap_err(),
            PickupError::UnknownDialer
        );
        if way != 1 {
            let error = second.await.unwrap().unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("revdial.Dialer closed: closed by"),
                "{error}"
            );
        }
        // A pickup that was under way is not kept either.
        let (near, end) = pipe();
        unfinished.deliver(near);
        assert!(is_closed(end).await);
        // What was open stays open.
        assert!(are_connected(open, far).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_control_line_ends_the_session() {
    for (line, expected) in [
        (
            "hello\n",
            "peer broke the protocol: malformed control line: ",
        ),
        (
            "{\"command\":7}\n",
            "peer broke the protocol: malformed control line: ",
        ),
        (
            &"x".repeat(4096),
            "peer broke the protocol: control line is longer than 4096 bytes",
        ),
    ] {
        let reason = start().fails(line).await;
        assert!(matches!(reason, CloseReason::Protocol(_)));
        assert!(reason.to_string().starts_with(expected), "{reason}");
    }
    let mut case = start();
    case.script
        .send("\n{\"command\":\"later\"}\r\n{\"command\":\"conn-ready\",\"connPath\":\"/\"}\n")
        .await;
    assert!(timeout(secs(60), case.dialer.closed()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_is_noticed_in_15_seconds() {
    for (line, patience) in [
        (ALIVE.to_owned(), 15),
        (ALIVE.replace("5000", "1"), 15),
        (ALIVE.replace("5000", "20000"), 60),
        (ALIVE.replace("5000", "99999999999"), 90),
        // One that does not tell its period may have the longest known.
        ("{\"command\":\"keep-alive\"}\n".to_owned(), 90),
    ] {
        let mut case = start();
        sleep(secs(100)).await;
        assert!(
            !case.dialer.is_closed(),
            "no keep-alive seen, none demanded"
        );
        case.script.send(&line).await;
        sleep(secs(14)).await;
        case.script.send(&line).await;
        let begin = Instant::now();
        // A drip without an end of line is no sign of life.
        let drip = async {
            loop {
                sleep(secs(1)).await;
                case.script.send(" ").await;
            }
        };
        let reason = tokio::select! {
            reason = case.dialer.closed() => reason,
            () = drip => unreachable!(),
            () = sleep(secs(600)) => panic!("not noticed in ten minutes"),
        };
        assert_eq!(begin.elapsed(), secs(patience));
        assert!(
            matches!(reason, CloseReason::Idle(limit) if limit == secs(patience)),
            "{reason}"
        );
        assert_eq!(
            case.script.end().await,
            format!("{{\"command\":\"close\",\"err\":\"heard nothing for {patience}s\"}}\n")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_bytes_is_noticed() {
    let registry = Registry::new();
    let (near, far) = tokio::io::duplex(16);
    let dialer = registry.register(Stream::new(near), DialerConfig::default());
    let begin = Instant::now();
    assert!(matches!(dialer.closed().await, CloseReason::WriteTimeout(limit) if limit == secs(10)));
    assert_eq!(begin.elapsed(), secs(10));
    assert!(registry.is_empty());
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn waiting_dials_are_bounded() {
    let case = start_with(DialerConfig {
        max_pending: 2,
        ..DialerConfig::default()
    });
    let _waiting = (case.dial(), case.dial());
    tokio::task::yield_now().await;
    assert!(matches!(
        case.dialer.dial().await,
        Err(DialError::TooManyPending(2))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_dials_waits_for_a_slow_control_connection() {
    let registry = Registry::new();
    let (near, far) = tokio::io::duplex(256);
    let dialer = registry.register(Stream::new(near), DialerConfig::default());
    let begin = Instant::now();
    let dials: Vec<_> = (0..500)
        .map(|_| {
            tokio::spawn({
                let dialer = dialer.clone();
                async move { dialer.dial().await }
            })
        })
        .collect();
    for dial in dials {
        assert!(matches!(
            dial.await.unwrap(),
            Err(DialError::Closed(CloseReason::WriteTimeout(_)))
        ));
    }
    assert_eq!(begin.elapsed(), secs(10));
    drop(far);
}

fn with_spares(spares: usize) -> Case {
    start_with(DialerConfig {
        spares,
        ..DialerConfig::default()
    })
}

#[tokio::test(start_paused = true)]
async fn spares_make_a_dial_immediate_and_are_replaced() {
    let mut case = with_spares(2);
    let (path_1, path_2) = (
        case.script.conn_ready().await,
        case.script.conn_ready().await,
    );
    let (far_1, far_2) = (case.pick_up(&path_1), case.pick_up(&path_2));
    // The newest first; it is the least likely to have died.
    assert!(are_connected(case.dialer.dial().await.unwrap(), far_2).await);
    assert!(are_connected(case.dialer.dial().await.unwrap(), far_1).await);
    assert!(case.script.conn_ready().await.ends_with("=3"));
    assert!(case.script.conn_ready().await.ends_with("=4"));
    // None there: an ordinary dial.
    let dial = case.dial();
    let path = case.script.conn_ready().await;
    assert!(path.ends_with("=5"));
    let far = case.pick_up(&path);
    assert!(are_connected(dial.await.unwrap().unwrap(), far).await);
    // A connection without a number serves dials only.
    assert!(is_closed(case.pick_up(path.split_once('&').unwrap().0)).await);
}

#[tokio::test(start_paused = true)]
async fn spares_that_died_or_grew_old_are_not_given_out() {
    let mut case = with_spares(1);
    let path = case.script.conn_ready().await;
    drop(case.pick_up(&path));
    let dial = case.dial();
    let (path_2, path_3) = (
        case.script.conn_ready().await,
        case.script.conn_ready().await,
    );
    let (a, b) = (case.pick_up(&path_2), case.pick_up(&path_3));
    let (dialled, spare) = if path_2.ends_with("=2") {
        (a, b)
    } else {
        (b, a)
    };
    let stream = dial.await.unwrap().unwrap();
    drop((dialled, stream));
    let begin = Instant::now();
    assert!(is_closed(spare).await, "expires");
    assert_eq!(begin.elapsed(), secs(60));
    // Refused twice: with growing pauses, not in a loop.
    for pause in [1, 2] {
        let path = case.script.conn_ready().await;
        let refused = Instant::now();
        let named = path.replace('&', "\\u0026");
        case.script
            .send(&format!(
                "{{\"command\":\"pickup-failed\",\"connPath\":\"{named}\",\"err\":\"busy\"}}\n"
            ))
            .await;
        if pause == 2 {
            case.script.conn_ready().await;
            assert_eq!(refused.elapsed(), secs(2));
        }
    }
    case.dialer.close();
    assert!(case.registry.is_empty());
}
