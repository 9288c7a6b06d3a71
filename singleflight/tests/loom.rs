//! All schedules of a few callers, up to a bound on forced switches, by `loom`: one execution at a time for each key, no caller
//! waits for ever, none gets a result that ended before it came, and a call that is being stopped is not joined.
//!
//! The crate's own sources, with loom's locks in the place of those of the standard library, and threads for tasks.
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
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use loom::future::block_on;
use loom::thread;

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
    use loom::sync::{Mutex, MutexGuard};

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

type Group = Flights<u8, usize>;

fn main() {
    explore("three callers, the third after the first", || {
        let world = World::new();
        let other = world.spawn(|world| world.call().unwrap());
        let first = world.call().unwrap();
        let second = world.call().unwrap();
        assert!(
            second > first,
            "a result that was seen before was given again"
        );
        other.join().unwrap();
        world.is_empty();
    });
    explore("two callers, two executions forgotten", || {
        let world = World::new();
        let other = world.spawn(|world| world.call().unwrap());
        let forgetting = world.spawn(|world| {
            world.group.forget(&0);
        });
        world.call().unwrap();
        other.join().unwrap();
        forgetting.join().unwrap();
        world.is_empty();
    });
    explore("the leader's work panics", || {
        let world = World::new();
        let other = world.spawn(|world| match world.group.join(0, true).unwrap() {
            // Unwinding drops the duty.
            Role::Leader(at) => drop(Duty::new(&world.group, at)),
            Role::Follower(at, seats) => {
                block_on(Waiter::new(&world.group, at, seats)).unwrap();
            }
        });
        match world.call() {
            Ok(_) | Err(Aborted::Cancelled) => {}
            Err(other) => panic!("{other}"),
        }
        other.join().unwrap();
        world.is_empty();
    });
    explore("a caller goes away while another comes", || {
        let world = World::new();
        let Role::Leader(at) = world.group.join(0, false).unwrap() else {
            panic!("nobody else is here");
        };
        // The work waits, and belongs to nobody any more.
        let seats = world.group.seats(at);
        let working = world.spawn(move |world| end(&world, at));
        let joining = world.spawn(|world| world.call().unwrap());
        let mut waiter = pin!(Some(Waiter::new(&world.group, at, seats)));
        let mut cx = Context::from_waker(Waker::noop());
        let polled = waiter.as_mut().as_pin_mut().unwrap().poll(&mut cx);
        drop(polled);
        waiter.set(None);
        working.join().unwrap();
        joining.join().unwrap();
        world.is_empty();
    });
}

/// What a task does when its work has ended: whoever waits is told, unless the call was stopped.
fn end(world: &World, at: At) {
    let seats = world.group.seats(at);
    let ended = world.group.end(at);
    seats.publish(Ok(0), ended.joined);
}

#[derive(Clone)]
struct World {
    group: Arc<Group>,
    executions: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        Self {
            group: Arc::new(Flights::new()),
            executions: Arc::default(),
        }
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let world = self.clone();
        thread::spawn(move || work(world))
    }

    /// A whole call; the value is the number of the execution, from 1.
    fn call(&self) -> Result<usize, Aborted> {
        let (value, _) = match self.group.join(0, true)? {
            Role::Leader(at) => {
                let duty = Duty::new(&self.group, at);
                let number = self.executions.fetch_add(1, Ordering::Relaxed) + 1;
                // The others may come here.
                thread::yield_now();
                duty.end(Ok(number))?
            }
            Role::Follower(at, seats) => {
                let (value, shared) = block_on(Waiter::new(&self.group, at, seats))?;
                assert!(shared);
                (value, shared)
            }
        };
        Ok(value)
    }

    fn is_empty(&self) {
        assert_eq!(self.group.in_flight(), 0);
    }
}

fn explore(name: &str, scenario: impl Fn() + Send + Sync + 'static) {
    let start = Instant::now();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    println!(
        "{name}: {} schedules in {:.1?}",
        count.load(Ordering::Relaxed),
        start.elapsed()
    );
}
