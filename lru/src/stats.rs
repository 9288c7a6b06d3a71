/// What a cache has done since it was made. The counters are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Lookups that found an entry.
    pub hits: u64,
    /// Lookups that found none, or one whose time had come.
    pub misses: u64,
    /// Entries that were stored, those that replaced another included.
    pub insertions: u64,
    /// Entries that went because room was needed.
    pub evictions: u64,
    /// Entries that went because their time had come.
    pub expirations: u64,
    /// Entries that were refused because they alone weighed too much.
    pub rejections: u64,
}

impl Stats {
    /// The share of lookups that found an entry, from 0 to 1; 0 before the first lookup.
    pub fn hit_rate(&self) -> f64 {
        match self.hits + self.misses {
            0 => 0.0,
            lookups => self.hits as f64 / lookups as f64,
        }
    }
}
