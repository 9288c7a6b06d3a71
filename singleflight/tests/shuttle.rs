//! Random schedules of callers that share, forget, panic and go away, by `shuttle`: 1,000 of each scenario, or as many as
//! `SINGLEFLIGHT_SCHEDULES` says
//! (`SINGLEFLIGHT_SCHEDULES=100000 cargo test --release -p buildfarm-singleflight --test shuttle`).
//!
//! More callers than `tests/loom.rs` has. The crate's own sources, with shuttle's locks in the place of those of the standard
//! library, and threads for tasks.
#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "these are the crate's private modules"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use shuttle::future::block_on;
use shuttle::scheduler::RandomScheduler;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;

use crate::error::Aborted;
use crate::flights::{At, Duty, Flights, Role, Waiter};

#[path = "../src/error.rs"]
mod error;
#[path = "../src/flights.rs"]
mod flights;
#[path = "../src/seats.rs"]
mod seats;
#[path = "../src/within.rs"]
mod within;

mod sync {
    use shuttle::sync::{Mutex, MutexGuard};

    #[derive(Debug)]
    pub(crate) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap()
        }
    }
}

fn main() {
    explore("four threads, three calls each", || {
        let world = World::new();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                world.spawn(|world| {
                    let mut last = 0;
                    for _ in 0..3 {
                        let number = world.call().unwrap();
                        assert!(number > last, "a result that was seen before");
                        last = number;
                    }
                })
            })
            .collect();
        join(threads);
        world.is_empty();
    });
    explore("three threads, one that makes them start anew", || {
        let world = World::new();
        let mut threads: Vec<_> = (0..3)
            .map(|_| {
                world.spawn(|world| {
                    for _ in 0..2 {
                        world.call().unwrap();
                    }
                })
            })
            .collect();
        threads.push(world.spawn(|world| {
            for _ in 0..3 {
                world.group.forget(&0);
            }
        }));
        join(threads);
        world.is_empty();
    });
    explore("work that panics", || {
        let world = World::new();
        let mut threads: Vec<_> = (0..2)
            .map(|_| {
                world.spawn(|world| match world.group.join(0, true).unwrap() {
                    // Unwinding drops the duty.
                    Role::Leader(at) => drop(Duty::new(&world.group, at)),
                    Role::Follower(at, seats) => {
                        let _ = block_on(Waiter::new(&world.group, at, seats));
                    }
                })
            })
            .collect();
        threads.extend((0..2).map(|_| {
            world.spawn(|world| match world.call() {
                Ok(_) | Err(Aborted::Cancelled) => {}
                Err(other) => panic!("{other}"),
            })
        }));
        join(threads);
        world.is_empty();
    });
    explore("callers that go away while others come", || {
        let world = World::new();
        let Role::Leader(at) = world.group.join(0, false).unwrap() else {
            panic!("nobody else is here");
        };
        let seats = world.group.seats(at);
        let mut threads = vec![
            world.spawn(move |world| end(&world, at)),
            world.spawn(|world| assert!(world.call().is_ok())),
        ];
        threads.extend((0..2).map(|_| {
            world.spawn(|world| match world.group.join(0, false).unwrap() {
                Role::Leader(at) => end(&world, at),
                Role::Follower(at, seats) => give_up(Waiter::new(&world.group, at, seats)),
            })
        }));
        give_up(Waiter::new(&world.group, at, seats));
        join(threads);
        world.is_empty();
    });
}

/// Waits for one step, and goes away.
fn give_up(waiter: Waiter<'_, u8, usize>) {
    let mut waiter = pin!(waiter);
    let polled = waiter
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    thread::yield_now();
    drop(polled);
}

/// What a task does when its work has ended: whoever waits is told, unless the call was stopped.
fn end(world: &World, at: At) {
    let seats = world.group.seats(at);
    let ended = world.group.end(at);
    seats.publish(Ok(0), ended.joined);
}

#[derive(Clone)]
struct World {
    group: Arc<Flights<u8, usize>>,
    executions: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        Self {
            group: Arc::new(Flights::new()),
            executions: Arc::new(AtomicUsize::new(0)),
        }
    }

    fn spawn(&self, work: impl FnOnce(Self) + Send + 'static) -> thread::JoinHandle<()> {
        let world = self.clone();
        thread::spawn(move || work(world))
    }

    /// A whole call; the value is the number of the execution, from 1.
    fn call(&self) -> Result<usize, Aborted> {
        match self.group.join(0, true)? {
            Role::Leader(at) => {
                let duty = Duty::new(&self.group, at);
                let number = self.executions.fetch_add(1, Ordering::SeqCst) + 1;
                // The others may come here.
                thread::yield_now();
                Ok(duty.end(Ok(number))?.0)
            }
            Role::Follower(at, seats) => {
                let (value, shared) = block_on(Waiter::new(&self.group, at, seats))?;
                assert!(shared);
                Ok(value)
            }
        }
    }

    fn is_empty(&self) {
        assert_eq!(self.group.in_flight(), 0);
    }
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

fn explore(name: &str, scenario: impl Fn() + Send + Sync + 'static) {
    let schedules = std::env::var("SINGLEFLIGHT_SCHEDULES")
        .map_or(1000, |text| text.parse().expect("a number of schedules"));
    let start = Instant::now();
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::Print;
    let runner = shuttle::Runner::new(RandomScheduler::new(schedules), config);
    let count = runner.run(scenario);
    println!("{name}: {count} schedules in {:.1?}", start.elapsed());
}
