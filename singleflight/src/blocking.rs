//! The same for threads without an async runtime: see [`Group`].

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::error::Aborted;
use crate::flights::{Duty, Flights, Role, Waiter};
use crate::shared::Shared;
use crate::within;

/// Calls in progress, by key, made by threads. Clones are the same group.
///
/// The first caller's thread does the work, the others sleep until it is done.
///
/// ```
/// use buildfarm_singleflight::blocking::Group;
///
/// let group = Group::new();
/// let got = group.run("key", || "value").unwrap();
/// assert_eq!(got.value, "value");
/// ```
pub struct Group<K, V> {
    flights: Arc<Flights<K, V>>,
}

impl<K: Hash + Eq, V: Clone> Group<K, V> {
    /// A group without calls.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`: of the execution in progress if there is one, else of `work`, which is called now.
    ///
    /// # Errors
    ///
    /// See [`Aborted`]: a panic in the work is an error for all callers, the one whose work it was included.
    pub fn run(&self, key: K, work: impl FnOnce() -> V) -> Result<Shared<V>, Aborted> {
        let leader;
        let (value, shared) = match self.flights.join(key, true)? {
            Role::Leader(at) => {
                leader = true;
                let duty = Duty::new(&self.flights, at);
                let guard = within::enter(self.flights.id(at));
                let result = catch_unwind(AssertUnwindSafe(work));
                drop(guard);
                duty.end(result.map_err(|payload| Aborted::panicked(&*payload)))?
            }
            Role::Follower(at, seats) => {
                leader = false;
                block_on(Waiter::new(&self.flights, at, seats))?
            }
        };
        Ok(Shared {
            value,
            shared,
            leader,
        })
    }

    /// Makes the next call for `key` start anew. The execution in progress, if any, goes on for those who wait for it.
    ///
    /// Says whether there was one.
    pub fn forget<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.flights.forget(key)
    }
}

impl<K, V> Group<K, V> {
    /// Executions in progress, forgotten ones included.
    pub fn in_flight(&self) -> usize {
        self.flights.in_flight()
    }
}

impl<K, V> Clone for Group<K, V> {
    fn clone(&self) -> Self {
        Self {
            flights: self.flights.clone(),
        }
    }
}

impl<K, V> Default for Group<K, V> {
    fn default() -> Self {
        Self {
            flights: Arc::new(Flights::new()),
        }
    }
}

impl<K, V> fmt::Debug for Group<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.flights.fmt(f)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
