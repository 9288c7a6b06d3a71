//! Who executes, who waits: the same for tasks and for threads, and without either.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use tokio::task::AbortHandle;

use crate::error::Aborted;
use crate::seats::Seats;
use crate::sync::Lock;
use crate::within::{self, Id};

/// Executions in progress, by key.
///
/// What is the user's (keys, results, wakers) is dropped when the table is not locked; hashes and comparisons run while it is,
/// before anything is changed.
pub(crate) struct Flights<K, V> {
    group: u64,
    hasher: RandomState,
    table: Lock<Table<K, V>>,
}

struct Table<K, V> {
    /// One of those that can be joined. Whoever is alone needs neither hashes nor what is below.
    lone: Lone<K, V>,
    /// The others that can be joined.
    flights: HashTable<(K, Flight<V>)>,
    /// In progress, but not to be joined.
    forgotten: Vec<Flight<V>>,
    /// Calls so far.
    calls: u64,
}

/// A place for one execution, which is changed where it lies: moving it to and fro takes longer than all else.
struct Lone<K, V> {
    /// Of the execution that is here, if any.
    key: Option<K>,
    /// Has neither seats nor a task while there is no key.
    flight: Flight<V>,
}

/// One execution.
struct Flight<V> {
    at: At,
    /// Callers that have not gone away.
    waiters: usize,
    /// Whether there was ever anybody but the leader.
    joined: bool,
    /// Whether it goes on without callers.
    detached: bool,
    /// Made when the first caller has to wait. Most executions that nobody shares end before.
    seats: Option<Arc<Seats<V>>>,
    stop: Option<AbortHandle>,
}

/// How a flight is found again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    hash: u64,
    call: u64,
}

/// What a caller has become.
pub(crate) enum Role<V> {
    /// It executes.
    Leader(At),
    /// It waits.
    Follower(At, Arc<Seats<V>>),
}

/// An execution that was taken out of the table. To be dropped when that is not locked and those who wait have been told: a
/// key may panic then.
pub(crate) struct Ended<K, V> {
    pub(crate) joined: bool,
    pub(crate) seats: Option<Arc<Seats<V>>>,
    _key: Option<K>,
    stop: Option<AbortHandle>,
}

impl<K, V> Flights<K, V> {
    pub(crate) fn new() -> Self {
        static GROUPS: AtomicU64 = AtomicU64::new(0);
        Self {
            group: GROUPS.fetch_add(1, Ordering::Relaxed),
            hasher: RandomState::default(),
            table: Lock::new(Table {
                lone: Lone {
                    key: None,
                    flight: Flight::new(At { hash: 0, call: 0 }, false),
                },
                flights: HashTable::new(),
                forgotten: Vec::new(),
                calls: 0,
            }),
        }
    }

    /// The name of an execution among all of the process.
    pub(crate) fn id(&self, at: At) -> Id {
        Id {
            group: self.group,
            call: at.call,
        }
    }

    /// Waits for the execution in progress, or leads a new one.
    #[inline(always)]
    pub(crate) fn join(&self, key: K, detached: bool) -> Result<Role<V>, Aborted>
    where
        K: Hash + Eq,
    {
        let mut table = self.table.lock();
        if table.lone.key.is_none() && table.flights.is_empty() {
            let at = table.call(0);
            table.lone.key = Some(key);
            let flight = &mut table.lone.flight;
            flight.at = at;
            flight.waiters = 1;
            flight.joined = false;
            flight.detached = detached;
            return Ok(Role::Leader(at));
        }
        let hash = self.hasher.hash_one(&key);
        match self.follow(&mut table, hash, &key, detached) {
            Some(role) => role,
            None => Ok(Role::Leader(table.lead(hash, key, detached))),
        }
    }

    /// Waits for the execution in progress, if there is one.
    #[inline(never)]
    fn follow(
        &self,
        table: &mut Table<K, V>,
        hash: u64,
        key: &K,
        detached: bool,
    ) -> Option<Result<Role<V>, Aborted>>
    where
        K: Eq,
    {
        let flight = table.under(hash, key)?;
        if within::works_for(self.id(flight.at)) {
            return Some(Err(Aborted::Reentrant));
        }
        flight.waiters += 1;
        flight.joined = true;
        flight.detached |= detached;
        Some(Ok(Role::Follower(flight.at, flight.seats())))
    }

    /// The leader has to wait as well.
    pub(crate) fn seats(&self, at: At) -> Arc<Seats<V>> {
        match self.table.lock().find(at) {
            Some(flight) => flight.seats(),
            // It was stopped meanwhile.
            None => Arc::new(Seats::new()),
        }
    }

    /// How to stop the execution, unless it has ended.
    pub(crate) fn stop_with(&self, at: At, stop: AbortHandle) {
        if let Some(flight) = self.table.lock().find(at) {
            flight.stop = Some(stop);
        }
    }

    /// The execution has ended. From now on nobody joins it; the result may be published.
    #[inline(always)]
    pub(crate) fn end(&self, at: At) -> Ended<K, V> {
        let mut table = self.table.lock();
        match table.lone.is(at) {
            true => table.lone.clear(),
            false => table.remove(at),
        }
    }

    /// A caller has gone away. If nobody is left, the execution is stopped.
    fn leave(&self, at: At) {
        let mut table = self.table.lock();
        let Some(flight) = table.find(at) else { return };
        flight.waiters -= 1;
        if flight.waiters > 0 || flight.detached {
            return;
        }
        // Under the same lock as the count: nobody joins an execution that is being stopped.
        let ended = table.remove(at);
        drop(table);
        if let Some(stop) = &ended.stop {
            stop.abort();
        }
    }

    /// Lets the next caller lead. Says whether there was an execution.
    pub(crate) fn forget<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q> + Hash + Eq,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let mut table = self.table.lock();
        if let Some(lone) = &table.lone.key
            && lone.borrow() == key
        {
            let unused = Flight::new(At { hash: 0, call: 0 }, false);
            let flight = mem::replace(&mut table.lone.flight, unused);
            table.forgotten.push(flight);
            let key = table.lone.key.take();
            drop(table);
            drop(key);
            return true;
        }
        let Ok(entry) = table
            .flights
            .find_entry(hash, |(other, _)| other.borrow() == key)
        else {
            return false;
        };
        let ((key, flight), _) = entry.remove();
        table.forgotten.push(flight);
        drop(table);
        drop(key);
        true
    }

    pub(crate) fn in_flight(&self) -> usize {
        let table = self.table.lock();
        table.joinable() + table.forgotten.len()
    }

    /// Stops all that can be stopped.
    pub(crate) fn stop(&mut self) {
        let table = self.table.get_mut();
        let flights = table.flights.iter_mut().map(|(_, flight)| flight);
        let others = table.forgotten.iter_mut().chain([&mut table.lone.flight]);
        for flight in flights.chain(others) {
            if let Some(stop) = flight.stop.take() {
                stop.abort();
            }
        }
    }
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table.lock();
        f.debug_struct("Group")
            .field("in_flight", &table.joinable())
            .field("forgotten", &table.forgotten.len())
            .finish()
    }
}

impl<K, V> Table<K, V> {
    fn joinable(&self) -> usize {
        self.flights.len() + usize::from(self.lone.key.is_some())
    }

    /// The name of the next execution.
    #[inline]
    fn call(&mut self, hash: u64) -> At {
        let call = self.calls;
        self.calls += 1;
        At { hash, call }
    }

    /// Adds an execution beside others.
    #[inline(never)]
    fn lead(&mut self, hash: u64, key: K, detached: bool) -> At {
        let at = self.call(hash);
        self.flights
            .insert_unique(hash, (key, Flight::new(at, detached)), |(_, flight)| {
                flight.at.hash
            });
        at
    }

    /// The execution to join for a key.
    fn under(&mut self, hash: u64, key: &K) -> Option<&mut Flight<V>>
    where
        K: Eq,
    {
        match &mut self.lone {
            lone if lone.key.as_ref() == Some(key) => Some(&mut lone.flight),
            _ => self
                .flights
                .find_mut(hash, |(other, _)| other == key)
                .map(|(_, flight)| flight),
        }
    }

    fn find(&mut self, at: At) -> Option<&mut Flight<V>> {
        let Self {
            lone,
            flights,
            forgotten,
            ..
        } = self;
        let is_it = |flight: &Flight<V>| flight.at.call == at.call;
        match lone {
            lone if lone.is(at) => Some(&mut lone.flight),
            _ => flights
                .find_mut(at.hash, |(_, flight)| is_it(flight))
                .map(|(_, flight)| flight)
                .or_else(|| forgotten.iter_mut().find(|flight| is_it(flight))),
        }
    }

    /// Removes this very execution, wherever it is; a successor under the same key stays.
    #[inline(never)]
    fn remove(&mut self, at: At) -> Ended<K, V> {
        if self.lone.is(at) {
            return self.lone.clear();
        }
        let is_it = |flight: &Flight<V>| flight.at.call == at.call;
        if let Ok(entry) = self
            .flights
            .find_entry(at.hash, |(_, flight)| is_it(flight))
        {
            let ((key, flight), _) = entry.remove();
            return flight.ended(Some(key));
        }
        match self.forgotten.iter().position(is_it) {
            Some(n) => self.forgotten.swap_remove(n).ended(None),
            // It was stopped.
            None => Flight::new(at, false).ended(None),
        }
    }
}

impl<K, V> Lone<K, V> {
    /// Whether it is this execution that is here.
    #[inline]
    fn is(&self, at: At) -> bool {
        self.key.is_some() && self.flight.at.call == at.call
    }

    #[inline]
    fn clear(&mut self) -> Ended<K, V> {
        Ended {
            joined: self.flight.joined,
            seats: self.flight.seats.take(),
            _key: self.key.take(),
            stop: self.flight.stop.take(),
        }
    }
}

impl<V> Flight<V> {
    /// Nobody but the leader waits.
    fn new(at: At, detached: bool) -> Self {
        Self {
            at,
            waiters: 1,
            joined: false,
            detached,
            seats: None,
            stop: None,
        }
    }

    fn ended<K>(self, key: Option<K>) -> Ended<K, V> {
        Ended {
            joined: self.joined,
            seats: self.seats,
            _key: key,
            stop: self.stop,
        }
    }

    fn seats(&mut self) -> Arc<Seats<V>> {
        self.seats
            .get_or_insert_with(|| Arc::new(Seats::new()))
            .clone()
    }
}

/// One caller that waits. Gone before the result, it gives up its seat, and maybe stops the work.
pub(crate) struct Waiter<'a, K, V> {
    flights: &'a Flights<K, V>,
    at: At,
    seats: Arc<Seats<V>>,
    seat: Option<usize>,
    done: bool,
}

impl<'a, K, V> Waiter<'a, K, V> {
    pub(crate) fn new(flights: &'a Flights<K, V>, at: At, seats: Arc<Seats<V>>) -> Self {
        Self {
            flights,
            at,
            seats,
            seat: None,
            done: false,
        }
    }
}

impl<K, V: Clone> Future for Waiter<'_, K, V> {
    type Output = Result<(V, bool), Aborted>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let polled = this.seats.poll(&mut this.seat, cx);
        this.done |= polled.is_ready();
        polled
    }
}

impl<K, V> Drop for Waiter<'_, K, V> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if let Some(seat) = self.seat {
            self.seats.release(seat);
        }
        self.flights.leave(self.at);
    }
}

/// The duty to end an execution, fulfilled as cancelled if it is dropped.
pub(crate) struct Duty<'a, K, V> {
    flights: &'a Flights<K, V>,
    at: At,
    done: bool,
}

impl<'a, K, V> Duty<'a, K, V> {
    pub(crate) fn new(flights: &'a Flights<K, V>, at: At) -> Self {
        Self {
            flights,
            at,
            done: false,
        }
    }

    /// Somebody else has it now.
    pub(crate) fn hand_over(mut self) {
        self.done = true;
    }

    /// Ends the execution; the result, and whether it was shared.
    #[inline(always)]
    pub(crate) fn end(mut self, result: Result<V, Aborted>) -> Result<(V, bool), Aborted>
    where
        V: Clone,
    {
        self.done = true;
        let ended = self.flights.end(self.at);
        match &ended.seats {
            None => result.map(|value| (value, ended.joined)),
            Some(seats) => share(seats, result, ended.joined),
        }
    }
}

impl<K, V> Drop for Duty<'_, K, V> {
    #[inline]
    fn drop(&mut self) {
        if !self.done {
            cancel(self.flights, self.at);
        }
    }
}

#[cold]
fn cancel<K, V>(flights: &Flights<K, V>, at: At) {
    let ended = flights.end(at);
    if let Some(seats) = &ended.seats {
        seats.publish(Err(Aborted::Cancelled), ended.joined);
    }
}

/// Tells the others.
#[inline(never)]
fn share<V: Clone>(
    seats: &Seats<V>,
    result: Result<V, Aborted>,
    joined: bool,
) -> Result<(V, bool), Aborted> {
    // Before it is copied, which may panic.
    seats.publish(result, joined);
    seats.result().map(|value| (value, joined))
}
