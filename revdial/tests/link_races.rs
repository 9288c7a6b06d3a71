//! Every order in which dials, their cancellation, late connections, failures and the end of the
//! session can meet, with and without the session's task having its turn in between: a connection
//! reaches the dial that asked for it or is closed, and nothing is left.
#![allow(clippy::unwrap_used, reason = "a test program")]

mod link_sim;

use std::{future::Future, pin::Pin, task::Context, time::Duration};

use link_sim::{in_virtual_time, only_tasks_left};
use revdial::{DialError, Dialer, DialerConfig, Pickup, Registry, Stream};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex},
    time::timeout,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Dial number n begins. Numbers are those of the session: 2 and 3, after the one that told
    /// the path.
    Dial(u64),
    /// It is dropped.
    Cancel(u64),
    /// The listener asks with its path.
    PickUp(u64),
    /// The connection is handed over.
    Deliver(u64),
    /// The listener reports that it could not.
    Fail(u64),
    Close,
}

use Step::{Cancel, Close, Deliver, Dial, Fail, PickUp};

/// What must have happened before.
fn after(step: Step) -> Option<Step> {
    match step {
        Cancel(n) | PickUp(n) | Fail(n) => Some(Dial(n)),
        Deliver(n) => Some(PickUp(n)),
        Dial(3) => Some(Dial(2)),
        Dial(_) | Close => None,
    }
}

/// Calls `f` with every order of `steps`.
fn orders(steps: &[Step], done: &mut Vec<Step>, f: &mut impl FnMut(&[Step])) {
    if done.len() == steps.len() {
        return f(done);
    }
    for &step in steps {
        if done.contains(&step) || after(step).is_some_and(|first| !done.contains(&first)) {
            continue;
        }
        done.push(step);
        orders(steps, done, f);
        done.pop();
    }
}

type Dialling = Pin<Box<dyn Future<Output = Result<Stream, DialError>>>>;

struct Case {
    registry: Registry,
    dialer: Dialer,
    control: BufReader<DuplexStream>,
    /// The path up to the number.
    path: String,
    dialling: Vec<(u64, Dialling)>,
    results: Vec<(u64, Result<Stream, DialError>)>,
    pickups: Vec<(u64, Pickup)>,
    far: Vec<(u64, DuplexStream)>,
}

impl Case {
    async fn start() -> Self {
        let registry = Registry::new();
        let (near, far) = duplex(64 * 1024);
        let dialer = registry.register(Stream::new(near), DialerConfig::default());
        let mut control = BufReader::new(far);
        // The first dial tells the path.
        let first = timeout(Duration::from_millis(1), dialer.dial()).await;
        assert!(first.is_err());
        let mut line = String::new();
        let path = loop {
            line.clear();
            control.read_line(&mut line).await.unwrap();
            if let Some(at) = line.find("/revdial?") {
                let path = line[at..].replace("\\u0026", "&");
                break path.split("revdial.dial=").next().unwrap().to_owned();
            }
        };
        Self {
            registry,
            dialer,
            control,
            path: path + "revdial.dial=",
            dialling: Vec::new(),
            results: Vec::new(),
            pickups: Vec::new(),
            far: Vec::new(),
        }
    }

    fn poll_dials(&mut self) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let results = &mut self.results;
        self.dialling.retain_mut(|(n, dialling)| {
            let polled = dialling.as_mut().poll(&mut cx);
            match polled {
                std::task::Poll::Ready(result) => {
                    results.push((*n, result));
                    false
                }
                std::task::Poll::Pending => true,
            }
        });
    }

    async fn step(&mut self, step: Step) {
        match step {
            Dial(n) => {
                let dialer = self.dialer.clone();
                self.dialling
                    .push((n, Box::pin(async move { dialer.dial().await })));
                self.poll_dials();
            }
            Cancel(n) => self.dialling.retain(|(number, _)| *number != n),
            PickUp(n) => {
                // Fails once the session is closed.
                if let Ok(pickup) = self.registry.pickup(&format!("{}{n}", self.path)) {
                    self.pickups.push((n, pickup));
                }
            }
            Deliver(n) => {
                if let Some(at) = self.pickups.iter().position(|(number, _)| *number == n) {
                    let (near, mut far) = duplex(64);
                    far.write_all(&[n as u8]).await.unwrap();
                    self.pickups.remove(at).1.deliver(Stream::new(near));
                    self.far.push((n, far));
                }
            }
            Fail(n) => {
                let path = format!("{}{n}", self.path);
                let line = format!(
                    "{{\"command\":\"pickup-failed\",\"connPath\":\"{path}\",\"err\":\"no {n}\"}}\n"
                );
                // Nobody may be there to read it.
                let _ = self.control.get_mut().write_all(line.as_bytes()).await;
            }
            Close => self.dialer.close(),
        }
    }

    /// Everything that can still happen has happened.
    async fn finish(mut self, cancelled: &[u64], closed: bool) {
        if !closed {
            self.dialer.close();
        }
        self.poll_dials();
        assert!(self.dialling.is_empty(), "a dial hangs on a closed dialer");
        drop(self.pickups);
        let mut reached = Vec::new();
        for (n, result) in self.results {
            match result {
                Ok(mut stream) => {
                    assert_eq!(
                        u64::from(stream.read_u8().await.unwrap()),
                        n,
                        "wrong connection"
                    );
                    reached.push((n, stream));
                }
                Err(DialError::PickupFailed(why)) => {
                    let said = why == format!("no {n}");
                    assert!(said || why.contains("lost during pickup"), "{n}: {why}");
                }
                Err(DialError::Closed(_)) => {}
                Err(error) => panic!("{n}: {error}"),
            }
        }
        for (n, mut far) in self.far {
            if reached.iter().any(|(number, _)| *number == n) {
                assert!(!cancelled.contains(&n));
            } else {
                let mut rest = Vec::new();
                let end = timeout(Duration::from_secs(1), far.read_to_end(&mut rest)).await;
                assert_eq!(end.expect("closed").unwrap(), 0);
            }
        }
        drop((self.dialer, self.control));
        assert!(self.registry.is_empty());
        assert!(
            only_tasks_left(0, Duration::from_secs(10)).await,
            "a task is left"
        );
    }
}

fn all_orders_of(steps: &[Step]) {
    let mut count = 0;
    orders(steps, &mut Vec::new(), &mut |order| {
        // In between: nobody has a turn, or the session's task has, or the dials too.
        for turns in 0..3 {
            count += 1;
            in_virtual_time(async {
                let mut case = Case::start().await;
                let mut cancelled = Vec::new();
                for &step in order {
                    if let Cancel(n) = step
                        && case.dialling.iter().any(|(number, _)| *number == n)
                    {
                        cancelled.push(n);
                    }
                    case.step(step).await;
                    if turns > 0 {
                        for _ in 0..4 {
                            tokio::task::yield_now().await;
                        }
                    }
                    if turns > 1 {
                        case.poll_dials();
                    }
                }
                case.finish(&cancelled, order.contains(&Close)).await;
            });
        }
    });
    println!("{count} orders of {steps:?}");
}

#[test]
fn a_cancelled_dial_its_late_connection_and_the_next_dial() {
    all_orders_of(&[
        Dial(2),
        Cancel(2),
        PickUp(2),
        Deliver(2),
        Dial(3),
        PickUp(3),
        Deliver(3),
    ]);
}

#[test]
fn the_end_of_the_session_during_pickups() {
    all_orders_of(&[Dial(2), PickUp(2), Deliver(2), Dial(3), PickUp(3), Close]);
}

#[test]
fn a_failure_beside_a_connection() {
    all_orders_of(&[
        Dial(2),
        PickUp(2),
        Deliver(2),
        Fail(2),
        Dial(3),
        Cancel(3),
        Fail(3),
    ]);
}
