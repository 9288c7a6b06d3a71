use std::mem;
use std::task::Waker;

/// The wakers of the readers that have read everything.
///
/// Waking empties the whole table and starts a new *round*; a place in the table is only good for its own round. A
/// reader occupies at most one place, so a reader that is polled and cancelled over and over does not make it grow.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    round: u64,
    places: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// A reader's place among the [`Waiters`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    round: u64,
    place: usize,
}

impl Waiters {
    /// Makes sure that the next [`take`](Self::take) includes `waker`.
    ///
    /// A waker that it replaces is returned, to be dropped outside of any lock: dropping it may drop a task, and with
    /// it a reader, which would come back for the lock.
    pub(crate) fn register(&mut self, ticket: &mut Option<Ticket>, waker: &Waker) -> Option<Waker> {
        if let Some(Ticket { round, place }) = *ticket
            && round == self.round
        {
            return match &mut self.places[place] {
                Some(known) if known.will_wake(waker) => None,
                known => known.replace(waker.clone()),
            };
        }
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place] = Some(waker.clone());
                place
            }
            None => {
                self.places.push(Some(waker.clone()));
                self.places.len() - 1
            }
        };
        *ticket = Some(Ticket {
            round: self.round,
            place,
        });
        None
    }

    /// Gives a place up; the waker is returned for the reason given at [`register`](Self::register).
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Option<Waker> {
        if ticket.round != self.round {
            return None;
        }
        self.free.push(ticket.place);
        self.places[ticket.place].take()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Moves all wakers into `into`, which must be empty and whose allocation is kept for the next round.
    pub(crate) fn take(&mut self, into: &mut Vec<Option<Waker>>) {
        if self.places.is_empty() {
            return;
        }
        mem::swap(&mut self.places, into);
        self.free.clear();
        self.round += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    struct Sleeper;

    impl Wake for Sleeper {
        fn wake(self: Arc<Self>) {}
    }

    fn waker() -> Waker {
        Arc::new(Sleeper).into()
    }

    fn woken(waiters: &mut Waiters) -> usize {
        let mut taken = Vec::new();
        waiters.take(&mut taken);
        taken.into_iter().flatten().count()
    }

    #[test]
    fn one_place_for_a_reader_however_often_it_waits() {
        let mut waiters = Waiters::default();
        let mut ticket = None;
        for _ in 0..100 {
            waiters.register(&mut ticket, &waker());
        }
        assert_eq!(waiters.places.len(), 1);
        assert_eq!(woken(&mut waiters), 1);
        assert_eq!(woken(&mut waiters), 0);
        // An old ticket is worth nothing.
        waiters.register(&mut ticket, &waker());
        assert_eq!(woken(&mut waiters), 1);
    }

    #[test]
    fn places_are_used_again() {
        let mut waiters = Waiters::default();
        let mut old = None;
        waiters.register(&mut old, &waker());
        for _ in 0..100 {
            let mut ticket = None;
            waiters.register(&mut ticket, &waker());
            assert!(waiters.cancel(ticket.unwrap()).is_some());
        }
        assert_eq!((waiters.places.len(), waiters.waiting()), (2, 1));
        assert_eq!(woken(&mut waiters), 1);
        // Cancelling in a later round does not touch others.
        let mut new = None;
        waiters.register(&mut new, &waker());
        assert!(waiters.cancel(old.unwrap()).is_none());
        assert_eq!(woken(&mut waiters), 1);
    }

    #[test]
    fn the_newest_waker_counts() {
        let mut waiters = Waiters::default();
        let mut ticket = None;
        let (first, second) = (waker(), waker());
        assert!(waiters.register(&mut ticket, &first).is_none());
        assert!(waiters.register(&mut ticket, &first).is_none());
        assert!(
            waiters
                .register(&mut ticket, &second)
                .is_some_and(|old| old.will_wake(&first))
        );
        let mut taken = Vec::new();
        waiters.take(&mut taken);
        assert!(taken[0].as_ref().unwrap().will_wake(&second));
    }
}
