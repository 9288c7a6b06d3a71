//! Connections picked up ahead of need. A plain state machine; time is a parameter.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::link::after;
use crate::Stream;

/// The pause after a spare could not be had, doubled with every further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The pause after a spare was taken. Whoever took it is about to use it, and making the next one
/// at the same time would only take the processor from that.
const BREATH: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct Spares {
    want: usize,
    lifetime: Duration,
    patience: Duration,
    /// Oldest first.
    ready: VecDeque<(Instant, Stream)>,
    /// Dial number and time of order.
    ordered: BTreeMap<u64, Instant>,
    failures: u32,
    not_before: Option<Instant>,
    /// The end of the pause after one was taken.
    breath: Option<Instant>,
}

impl Spares {
    pub(crate) fn new(want: usize, lifetime: Duration, patience: Duration) -> Self {
        Self {
            want,
            lifetime,
            patience,
            ready: VecDeque::new(),
            ordered: BTreeMap::new(),
            failures: 0,
            not_before: None,
            breath: None,
        }
    }

    pub(crate) fn is_ordered(&self, dial: u64) -> bool {
        self.ordered.contains_key(&dial)
    }

    pub(crate) fn ordered(&self) -> impl Iterator<Item = u64> {
        self.ordered.keys().copied()
    }

    pub(crate) fn arrived(&mut self, dial: u64, stream: Stream, now: Instant) {
        if self.ordered.remove(&dial).is_some() && self.ready.len() < self.want {
            self.failures = 0;
            self.not_before = None;
            self.ready.push_back((now, stream));
        }
    }

    pub(crate) fn failed(&mut self, dial: u64, now: Instant) {
        if self.ordered.remove(&dial).is_some() {
            self.pause(now);
        }
    }

    fn pause(&mut self, now: Instant) {
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + pause);
    }

    /// The newest ready one that has not expired.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Stream> {
        self.expire(now);
        let (_, stream) = self.ready.pop_back()?;
        // From the first of a row, or a steady stream of dials would never see another spare.
        self.breath.get_or_insert(now + BREATH);
        Some(stream)
    }

    /// The connection that was ordered as spare `dial` serves a dial that waits; what was ordered
    /// for that, `instead`, becomes a spare.
    pub(crate) fn exchange(&mut self, dial: u64, instead: u64) {
        if let Some(since) = self.ordered.remove(&dial) {
            self.ordered.insert(instead, since);
        }
    }

    fn expire(&mut self, now: Instant) {
        while self
            .ready
            .front()
            .is_some_and(|(since, _)| now >= after(*since, self.lifetime))
        {
            self.ready.pop_front();
        }
    }

    /// Drops what has expired, orders what is missing (`order` gives the number), and tells when
    /// to look again.
    pub(crate) fn tend(&mut self, now: Instant, mut order: impl FnMut() -> u64) -> Option<Instant> {
        self.expire(now);
        let before = self.ordered.len();
        self.ordered
            .retain(|_, since| now < after(*since, self.patience));
        if self.ordered.len() < before {
            self.pause(now);
        }
        if self.breath.is_some_and(|at| now >= at) {
            self.breath = None;
        }
        if self.breath.is_none() && self.not_before.is_none_or(|at| now >= at) {
            self.not_before = None;
            while self.ready.len() + self.ordered.len() < self.want {
                self.ordered.insert(order(), now);
            }
        }
        let expiry = self
            .ready
            .front()
            .map(|(since, _)| after(*since, self.lifetime));
        let overdue = self
            .ordered
            .values()
            .min()
            .map(|since| after(*since, self.patience));
        [expiry, overdue, self.not_before, self.breath]
            .into_iter()
            .flatten()
            .min()
    }

    /// Gives everything up; the connections are returned to be dropped outside any lock.
    pub(crate) fn clear(&mut self) -> VecDeque<(Instant, Stream)> {
        self.want = 0;
        self.ordered.clear();
        std::mem::take(&mut self.ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream::new(tokio::io::duplex(8).0)
    }

    struct Orders(u64);

    impl Orders {
        fn tend(&mut self, spares: &mut Spares, now: Instant) -> Option<Instant> {
            spares.tend(now, || {
                self.0 += 1;
                self.0
            })
        }
    }

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_taken_or_expires_is_ordered_again() {
        let start = Instant::now();
        let (mut spares, mut orders) = (Spares::new(2, 60 * S, 45 * S), Orders(0));
        assert_eq!(orders.tend(&mut spares, start), Some(start + 45 * S));
        assert_eq!(spares.ordered().collect::<Vec<_>>(), [1, 2]);
        spares.arrived(1, stream(), start + S);
        spares.arrived(2, stream(), start + 2 * S);
        assert_eq!(
            orders.tend(&mut spares, start + 2 * S),
            Some(start + 61 * S)
        );
        assert!(spares.take(start + 3 * S).is_some());
        let breath = start + 3 * S + BREATH;
        assert_eq!(orders.tend(&mut spares, start + 3 * S), Some(breath));
        assert_eq!(
            spares.ordered().count(),
            0,
            "not while the first is put to use"
        );
        orders.tend(&mut spares, breath);
        assert_eq!(spares.ordered().collect::<Vec<_>>(), [3]);
        assert!(
            spares.take(start + 61 * S).is_none(),
            "expired to the second"
        );
    }

    #[test]
    fn failures_are_not_hammered() {
        let mut now = Instant::now();
        let (mut spares, mut orders) = (Spares::new(1, 60 * S, 45 * S), Orders(0));
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            orders.tend(&mut spares, now);
            spares.failed(orders.0, now);
            let ordered = orders.0;
            assert_eq!(orders.tend(&mut spares, now), Some(now + pause * S));
            assert_eq!(orders.0, ordered);
            now += pause * S;
        }
        // Silence counts as a failure too.
        orders.tend(&mut spares, now);
        now += 45 * S;
        assert_eq!(orders.tend(&mut spares, now), Some(now + 60 * S));
        // An unordered one is not kept.
        spares.arrived(99, stream(), now);
        assert!(spares.take(now).is_none());
    }
}
