//! Which build goes to which worker, as a state machine without I/O or clock.
//!
//! The newest commit goes first, because its result is what people wait for; every fourth grant goes to the oldest waiting
//! commit, so that history fills up behind and nothing waits for ever. A build that was lost with its worker keeps its place and
//! goes to another machine if one comes free within [`AVOID_FOR`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use crate::pool::Offer;

/// Every so many grants of a host type, the oldest waiting build gets one.
pub const BACKFILL_EVERY: u64 = 4;
/// How long a retried build holds out for another machine than the one that failed it.
pub const AVOID_FOR: Duration = Duration::from_secs(10);

/// A build that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The build.
    pub build: i64,
    /// Host type it needs.
    pub host_type: String,
    /// Age rank of its commit: higher is newer.
    pub seq: i64,
    /// Not before this time.
    pub not_before: Option<Timestamp>,
    /// Machine to avoid if there is another.
    pub avoid: Option<String>,
}

/// A grant: this build on this worker, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The build.
    pub build: i64,
    /// The worker.
    pub offer: Offer,
}

/// The queue of the farm.
#[derive(Debug, Default)]
pub struct Scheduler {
    items: HashMap<i64, Item>,
    queues: HashMap<String, Queue>,
    delayed: BTreeSet<(Timestamp, i64)>,
}

/// Builds of one host type that could start now: newest commit first, and within a commit in the order they were queued.
#[derive(Debug, Default)]
struct Queue {
    ready: BTreeSet<(Reverse<i64>, i64)>,
    grants: u64,
}

impl Scheduler {
    /// Adds a waiting build. One that is there already is replaced.
    pub fn add(&mut self, item: Item, now: Timestamp) {
        self.remove(item.build);
        match item.not_before {
            Some(time) if time > now => {
                self.delayed.insert((time, item.build));
            }
            _ => self.make_ready(&item),
        }
        self.items.insert(item.build, item);
    }

    /// Forgets a build. `false` if it did not wait.
    pub fn remove(&mut self, build: i64) -> bool {
        let Some(item) = self.items.remove(&build) else {
            return false;
        };
        if let Some(queue) = self.queues.get_mut(&item.host_type) {
            queue.ready.remove(&(Reverse(item.seq), build));
        }
        if let Some(time) = item.not_before {
            self.delayed.remove(&(time, build));
        }
        true
    }

    /// Number of waiting builds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Hands out builds to the workers on offer, at most one each. Granted builds wait no longer.
    pub fn assign(&mut self, offers: &[Offer], now: Timestamp) -> Vec<Assignment> {
        while let Some(&(time, build)) = self.delayed.first()
            && time <= now
        {
            self.delayed.pop_first();
            if let Some(item) = self.items.get(&build).cloned() {
                self.make_ready(&item);
            }
        }
        let mut by_host = BTreeMap::<&str, Vec<&Offer>>::new();
        for offer in offers {
            by_host.entry(&offer.host_type).or_default().push(offer);
        }
        let mut assignments = Vec::new();
        for (host_type, offers) in by_host {
            let Some(queue) = self.queues.get_mut(host_type) else {
                continue;
            };
            let alone = offers.len() == 1;
            for offer in offers {
                let fits = |&&(_, build): &&(Reverse<i64>, i64)| {
                    self.items.get(&build).is_some_and(|item| {
                        let avoided = item.avoid.as_ref() == Some(&offer.worker);
                        !avoided
                            || (alone && item.not_before.is_none_or(|t| now >= after(t, AVOID_FOR)))
                    })
                };
                let backfill = queue.grants % BACKFILL_EVERY == BACKFILL_EVERY - 1;
                let chosen = if backfill {
                    queue.ready.iter().rev().find(fits)
                } else {
                    queue.ready.iter().find(fits)
                }
                .copied();
                if let Some(key @ (_, build)) = chosen {
                    queue.ready.remove(&key);
                    queue.grants += 1;
                    self.items.remove(&build);
                    assignments.push(Assignment {
                        build,
                        offer: (*offer).clone(),
                    });
                }
            }
        }
        assignments
    }

    /// When [`Scheduler::assign`] may have something to do though neither builds nor workers changed.
    #[must_use]
    pub fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        let delayed = self.delayed.first().map(|&(time, _)| time);
        let avoiding = self
            .items
            .values()
            .filter(|item| item.avoid.is_some())
            .filter_map(|item| item.not_before.map(|time| after(time, AVOID_FOR)))
            .filter(|&time| time > now)
            .min();
        delayed.into_iter().chain(avoiding).min()
    }

    fn make_ready(&mut self, item: &Item) {
        self.queues
            .entry(item.host_type.clone())
            .or_default()
            .ready
            .insert((Reverse(item.seq), item.build));
    }
}

fn after(time: Timestamp, pause: Duration) -> Timestamp {
    time.checked_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn item(build: i64, seq: i64) -> Item {
        Item {
            build,
            host_type: "linux".into(),
            seq,
            not_before: None,
            avoid: None,
        }
    }

    fn offer(worker: &str) -> Offer {
        Offer {
            worker: worker.into(),
            host_type: "linux".into(),
        }
    }

    fn granted(scheduler: &mut Scheduler, worker: &str, now: i64) -> Option<i64> {
        scheduler
            .assign(&[offer(worker)], at(now))
            .pop()
            .map(|a| a.build)
    }

    #[test]
    fn newest_commit_first_and_every_fourth_grant_to_the_oldest() {
        let mut scheduler = Scheduler::default();
        for build in 1..=8 {
            scheduler.add(item(build, build), at(0));
        }
        let order: Vec<_> = (0..8)
            .filter_map(|_| granted(&mut scheduler, "w", 0))
            .collect();
        assert_eq!(order, [8, 7, 6, 1, 5, 4, 3, 2]);
        assert!(scheduler.is_empty());
    }

    #[test]
    fn builders_of_one_commit_keep_the_order_of_the_configuration() {
        let mut scheduler = Scheduler::default();
        for build in [11, 12, 13] {
            scheduler.add(item(build, 5), at(0));
        }
        assert_eq!(granted(&mut scheduler, "w", 0), Some(11));
        assert_eq!(granted(&mut scheduler, "w", 0), Some(12));
    }

    #[test]
    fn a_worker_gets_only_what_its_host_type_can_run() {
        let mut scheduler = Scheduler::default();
        scheduler.add(
            Item {
                host_type: "plan9".into(),
                ..item(1, 1)
            },
            at(0),
        );
        assert_eq!(granted(&mut scheduler, "w", 0), None);
        assert_eq!(scheduler.len(), 1);
    }

    #[test]
    fn a_delayed_build_waits_and_names_its_time() {
        let mut scheduler = Scheduler::default();
        scheduler.add(
            Item {
                not_before: Some(at(9)),
                ..item(1, 1)
            },
            at(0),
        );
        assert_eq!(scheduler.wake(at(0)), Some(at(9)));
        assert_eq!(granted(&mut scheduler, "w", 8), None);
        assert_eq!(granted(&mut scheduler, "w", 9), Some(1));
    }

    #[test]
    fn a_retry_goes_to_another_machine_but_does_not_wait_for_one_for_ever() {
        let mut scheduler = Scheduler::default();
        let retry = Item {
            not_before: Some(at(1)),
            avoid: Some("bad".into()),
            ..item(1, 1)
        };
        scheduler.add(retry.clone(), at(0));
        assert_eq!(granted(&mut scheduler, "bad", 2), None);
        assert_eq!(scheduler.wake(at(2)), Some(at(11)));
        let both = scheduler.assign(&[offer("bad"), offer("good")], at(2));
        assert_eq!(both[0].offer.worker, "good");

        scheduler.add(retry, at(0));
        assert_eq!(granted(&mut scheduler, "bad", 11), Some(1));
    }

    #[test]
    fn a_removed_build_is_never_granted() {
        let mut scheduler = Scheduler::default();
        scheduler.add(item(1, 1), at(0));
        scheduler.add(
            Item {
                not_before: Some(at(5)),
                ..item(2, 1)
            },
            at(0),
        );
        assert!(scheduler.remove(1) && scheduler.remove(2));
        assert!(!scheduler.remove(1));
        assert_eq!(granted(&mut scheduler, "w", 99), None);
    }

    proptest! {
        /// No build is granted twice or lost, a worker gets at most one, and no worker idles while a build that fits is ready.
        #[test]
        fn work_conserving_and_exactly_once(
            builds in proptest::collection::vec((0_i64..20, 0..3_usize, proptest::option::of(0_i64..50)), 1..80),
            workers in 1..6_usize,
        ) {
            let hosts = ["a", "b", "c"];
            let mut scheduler = Scheduler::default();
            for (build, (seq, host, not_before)) in builds.iter().enumerate() {
                scheduler.add(Item {
                    build: build as i64,
                    host_type: hosts[*host].into(),
                    seq: *seq,
                    not_before: not_before.map(at),
                    avoid: None,
                }, at(0));
            }
            let offers: Vec<_> =
                (0..workers).map(|w| Offer { worker: format!("w{w}"), host_type: hosts[w % 3].into() }).collect();
            let mut seen = HashSet::new();
            for now in 0..200 {
                let before = scheduler.len();
                let grants = scheduler.assign(&offers, at(now));
                let busy: HashSet<_> = grants.iter().map(|g| g.offer.worker.clone()).collect();
                prop_assert_eq!(busy.len(), grants.len());
                for grant in &grants {
                    prop_assert!(seen.insert(grant.build));
                    prop_assert_eq!(hosts[builds[grant.build as usize].1], grant.offer.host_type.as_str());
                }
                prop_assert_eq!(scheduler.len(), before - grants.len());
                for idle in offers.iter().filter(|o| !busy.contains(&o.worker)) {
                    let waits = builds.iter().enumerate().any(|(build, (_, host, not_before))| {
                        !seen.contains(&(build as i64)) && hosts[*host] == idle.host_type && not_before.is_none_or(|t| t <= now)
                    });
                    prop_assert!(!waits, "{} idles while work waits", idle.worker);
                }
            }
            let served = builds.iter().filter(|(_, host, _)| *host < workers).count();
            prop_assert_eq!(seen.len(), served);
        }
    }
}
