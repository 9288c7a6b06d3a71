use std::fmt;

/// Why the cache parted with an entry on its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It was the least recently used one, and its room was needed or taken away.
    Evicted,
    /// Its time had come.
    Expired,
    /// It alone weighed more than the whole cache may, and was never kept.
    TooHeavy,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Evicted => "evicted",
            Self::Expired => "expired",
            Self::TooHeavy => "too heavy",
        })
    }
}

/// What left the cache during one operation, to be reported and dropped after it. One at most is the usual case, and
/// needs no allocation.
pub(crate) struct Outbox<K, V> {
    first: Option<(K, V, Reason)>,
    others: Vec<(K, V, Reason)>,
}

impl<K, V> Outbox<K, V> {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self {
            first: None,
            others: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, key: K, value: V, reason: Reason) {
        if self.first.is_none() {
            self.first = Some((key, value, reason));
        } else {
            self.others.push((key, value, reason));
        }
    }
}

impl<K, V> IntoIterator for Outbox<K, V> {
    type Item = (K, V, Reason);
    type IntoIter =
        std::iter::Chain<std::option::IntoIter<Self::Item>, std::vec::IntoIter<Self::Item>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}
