use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::time::{Duration, Instant};

use crate::cache::Cache;
use crate::core::{Core, Entry, Extra, Plain};
use crate::evicted::{Outbox, Reason};
use crate::hasher::DefaultHasher;
use crate::lru::Lru;

type Weigher<K, V> = Box<dyn Fn(&K, &V) -> u64 + Send + Sync>;
type Listener<K, V> = Box<dyn Fn(K, V, Reason) + Send + Sync>;
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// How a cache is to behave.
///
/// ```
/// use std::time::Duration;
///
/// let pages = buildfarm_lru::Builder::new()
///     .max_weight(1 << 20, |name: &String, page: &Vec<u8>| (name.len() + page.len()) as u64)
///     .ttl(Duration::from_secs(60))
///     .on_evict(|name, _, reason| println!("{name}: {reason}"))
///     .build();
/// pages.insert("index".to_owned(), vec![0; 5000]);
/// assert_eq!(pages.weight(), 5005);
/// ```
#[must_use = "a builder makes nothing until it is told to build"]
pub struct Builder<K, V, S = DefaultHasher> {
    capacity: usize,
    max_weight: u64,
    config: Config<K, V, S>,
}

impl<K, V> Builder<K, V> {
    /// A cache without any limit.
    pub fn new() -> Self {
        Self {
            capacity: 0,
            max_weight: 0,
            config: Config {
                hasher: DefaultHasher::default(),
                weigher: None,
                listener: None,
                ttl: None,
                clock: None,
                epoch: Instant::now(),
            },
        }
    }
}

impl<K, V> Default for Builder<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V, S> Builder<K, V, S> {
    /// At most so many entries; 0 means no limit.
    ///
    /// Memory is taken as the cache fills. In any case there are at most 1,342,177,280 entries.
    pub fn capacity(mut self, entries: usize) -> Self {
        self.capacity = entries;
        self
    }

    /// All entries together weigh at most so much; 0 means no limit. The weight of each is what `weigher` says when it is
    /// inserted, in units of your choice; without this each weighs 1.
    ///
    /// An entry that alone weighs more than everything may is not kept: nothing else is evicted for its sake, what
    /// was there under its key is removed, and it goes to [`on_evict`](Self::on_evict) as [`Reason::TooHeavy`].
    ///
    /// [`Cache`] calls the weigher outside its lock.
    pub fn max_weight(
        mut self,
        weight: u64,
        weigher: impl Fn(&K, &V) -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.max_weight = weight;
        self.config.weigher = Some(Box::new(weigher));
        self
    }

    /// Entries are gone that long after they were inserted or replaced; reading them does not prolong it.
    ///
    /// The time of a single entry: [`Cache::insert_with_ttl`], [`Lru::insert_with_ttl`].
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.config.ttl = Some(ttl);
        self
    }

    /// The clock to go by, such as one that tests move. Without this it is [`Instant::now`].
    ///
    /// It is asked only if an entry has a time limit; [`Cache`] asks it while it holds its lock, so it must not use that
    /// cache.
    pub fn clock(mut self, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        self.config.epoch = clock();
        self.config.clock = Some(Box::new(clock));
        self
    }

    /// Called with each entry that the cache parts with on its own account, and why. What was replaced, removed or cleared
    /// by a caller is not reported.
    ///
    /// [`Cache`] calls it outside its lock, on the thread whose operation it was and before that returns: it may use the
    /// cache. If it panics, the operation has been done all the same; further entries of the same operation are
    /// dropped unreported.
    pub fn on_evict(mut self, listener: impl Fn(K, V, Reason) + Send + Sync + 'static) -> Self {
        self.config.listener = Some(Box::new(listener));
        self
    }

    /// Another hasher.
    pub fn hasher<T>(self, hasher: T) -> Builder<K, V, T> {
        Builder {
            capacity: self.capacity,
            max_weight: self.max_weight,
            config: Config {
                hasher,
                weigher: self.config.weigher,
                listener: self.config.listener,
                ttl: self.config.ttl,
                clock: self.config.clock,
                epoch: self.config.epoch,
            },
        }
    }

    /// A cache that threads share.
    pub fn build(self) -> Cache<K, V, S> {
        Cache::from_parts(Core::new(self.capacity, self.max_weight), self.config)
    }

    /// A cache for one owner, without a lock.
    pub fn build_local(self) -> Lru<K, V, S> {
        Lru::from_parts(Core::new(self.capacity, self.max_weight), self.config)
    }
}

impl<K, V, S> fmt::Debug for Builder<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("capacity", &self.capacity)
            .field("max_weight", &self.max_weight)
            .field("ttl", &self.config.ttl)
            .finish_non_exhaustive()
    }
}

/// What the two kinds of cache have around their core.
pub(crate) struct Config<K, V, S> {
    hasher: S,
    weigher: Option<Weigher<K, V>>,
    listener: Option<Listener<K, V>>,
    ttl: Option<Duration>,
    clock: Option<Clock>,
    epoch: Instant,
}

impl<K, V, S> Config<K, V, S> {
    /// A number of which the upper bits are as good as the lower ones, even if those of the hasher are not.
    #[inline]
    pub(crate) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u32
    where
        S: BuildHasher,
    {
        (self
            .hasher
            .hash_one(key)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            >> 32) as u32
    }

    /// Nanoseconds since the cache was made; never the greatest `u64`, which means never.
    pub(crate) fn now(&self) -> u64 {
        let now = match &self.clock {
            Some(clock) => clock(),
            None => Instant::now(),
        };
        nanos(now.saturating_duration_since(self.epoch))
    }

    /// Weighs a new entry and finds its deadline.
    #[inline]
    pub(crate) fn entry(&self, key: K, value: V, ttl: Option<Duration>) -> Entry<K, V>
    where
        K: Hash,
        S: BuildHasher,
    {
        let weight = match &self.weigher {
            Some(weigher) => weigher(&key, &value),
            None => 1,
        };
        let deadline = match ttl.or(self.ttl) {
            Some(ttl) => self.now().saturating_add(nanos(ttl)),
            None => u64::MAX,
        };
        Entry {
            hash: self.hash(&key),
            key,
            value,
            extra: Extra { weight, deadline },
        }
    }

    /// Whether a new entry has neither a weight of its own nor a deadline, unless it is given one.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.weigher.is_none() && self.ttl.is_none()
    }

    /// What was replaced in a plain cache, for the caller; what was evicted is reported.
    #[inline]
    pub(crate) fn settle(&self, inserted: Plain<K, V>) -> Option<V> {
        match inserted {
            Plain::New => None,
            Plain::Replaced(key, old) => {
                drop(key);
                Some(old)
            }
            Plain::Evicted((key, value)) => {
                if let Some(listener) = &self.listener {
                    listener(key, value, Reason::Evicted);
                }
                None
            }
        }
    }

    /// Reports an entry whose time had come, or drops it.
    #[cold]
    pub(crate) fn report_expired(&self, (key, value): (K, V)) {
        if let Some(listener) = &self.listener {
            listener(key, value, Reason::Expired);
        }
    }

    /// Reports what left the cache, or drops it.
    #[inline]
    pub(crate) fn report(&self, out: Outbox<K, V>) {
        if let Some(listener) = &self.listener {
            for (key, value, reason) in out {
                listener(key, value, reason);
            }
        }
    }
}

/// As much as there is room for: after 584 years time stands still.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos())
        .unwrap_or(u64::MAX)
        .min(u64::MAX - 1)
}
