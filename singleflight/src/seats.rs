use std::mem;
use std::task::{Context, Poll, Waker};

use crate::error::Aborted;
use crate::sync::Lock;

/// Where the callers of one execution wait for its result.
#[derive(Debug)]
pub(crate) struct Seats<V> {
    state: Lock<State<V>>,
}

#[derive(Debug)]
struct State<V> {
    result: Option<Result<V, Aborted>>,
    /// Whether anybody but the leader was ever among the callers.
    shared: bool,
    seats: Vec<Seat>,
    /// The first of the vacant seats.
    vacant: Option<usize>,
}

#[derive(Debug)]
enum Seat {
    Taken(Waker),
    /// With the next one that is vacant.
    Vacant(Option<usize>),
}

impl<V> Seats<V> {
    pub(crate) fn new() -> Self {
        Self {
            state: Lock::new(State {
                result: None,
                shared: false,
                seats: Vec::new(),
                vacant: None,
            }),
        }
    }

    /// The result and whether it was shared, or a seat whose waker is woken when there is one.
    pub(crate) fn poll(
        &self,
        seat: &mut Option<usize>,
        cx: &Context<'_>,
    ) -> Poll<Result<(V, bool), Aborted>>
    where
        V: Clone,
    {
        let mut state = self.state.lock();
        if let Some(result) = &state.result {
            return Poll::Ready(result.clone().map(|value| (value, state.shared)));
        }
        // A waker may be the last that holds a task, and with it another caller of ours: it goes after the lock.
        let old = match *seat {
            Some(at) => match &mut state.seats[at] {
                Seat::Taken(waker) if waker.will_wake(cx.waker()) => None,
                taken => Some(mem::replace(taken, Seat::Taken(cx.waker().clone()))),
            },
            None => {
                *seat = Some(state.sit(cx.waker().clone()));
                None
            }
        };
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// The result that was published.
    pub(crate) fn result(&self) -> Result<V, Aborted>
    where
        V: Clone,
    {
        let state = self.state.lock();
        state.result.clone().unwrap_or(Err(Aborted::Cancelled))
    }

    /// Gives a seat up.
    pub(crate) fn release(&self, seat: usize) {
        let mut state = self.state.lock();
        let vacant = state.vacant;
        // They are all gone once there is a result.
        let Some(taken) = state.seats.get_mut(seat) else {
            return;
        };
        let old = mem::replace(taken, Seat::Vacant(vacant));
        state.vacant = Some(seat);
        drop(state);
        drop(old);
    }

    /// Gives everybody the result. The first one counts.
    pub(crate) fn publish(&self, result: Result<V, Aborted>, shared: bool) {
        let mut state = self.state.lock();
        if state.result.is_some() {
            return;
        }
        state.result = Some(result);
        state.shared = shared;
        let seats = mem::take(&mut state.seats);
        drop(state);
        for seat in seats {
            if let Seat::Taken(waker) = seat {
                waker.wake();
            }
        }
    }
}

impl<V> State<V> {
    fn sit(&mut self, waker: Waker) -> usize {
        match self.vacant {
            Some(at) => {
                if let Seat::Vacant(next) = self.seats[at] {
                    self.vacant = next;
                }
                self.seats[at] = Seat::Taken(waker);
                at
            }
            None => {
                self.seats.push(Seat::Taken(waker));
                self.seats.len() - 1
            }
        }
    }
}
