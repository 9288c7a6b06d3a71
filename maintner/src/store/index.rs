use std::{fmt, io};

use bytes::Bytes;
use triomphe::Arc;

use super::{Opener, Paged, Saved, Saver, Unusable};

/// Finds row numbers by a hash of what is in the rows. Holds no keys: they are where the rows are.
///
/// Clones share what has not changed since. Nothing is ever taken out.
///
/// ```
/// use maintner::store::{Hasher, Index};
///
/// let names = ["one", "two"];
/// let hasher = Hasher::random();
/// let mut index = Index::new();
/// for (row, name) in (0..).zip(names) {
///     index.insert(hasher.hash_one(name), row);
/// }
/// let find = |name| index.find(hasher.hash_one(name), |row| names[row as usize] == name);
/// assert_eq!((find("two"), find("three")), (Some(1), None));
/// ```
#[derive(Clone, Default)]
pub struct Index {
    /// Most rows, in one piece: a look is one miss of the cache. Grows as long as no clone has it.
    most: Most,
    /// Those that came since a clone has: in pages, so that adding one copies little.
    recent: Paged<Slot>,
    recent_len: usize,
    len: usize,
}

/// The upper half of a hash in the upper half, one more than the number of the row in the lower; 0
/// if free.
type Slot = u64;

#[derive(Clone)]
enum Most {
    Memory(Arc<Vec<Slot>>),
    /// Little-endian.
    File(Bytes),
}

impl Default for Most {
    fn default() -> Self {
        Self::Memory(Arc::default())
    }
}

/// What is recent is added to the rest when that is no more than so many times as large.
const MOST_TO_RECENT: usize = 16;

impl Index {
    /// An index without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The row with this `hash` for which `is_it` is true.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let found = match &self.most {
            Most::Memory(slots) => find(slots.as_slice(), hash, &mut is_it),
            Most::File(slots) => find(slots, hash, &mut is_it),
        };
        if found.is_some() || self.recent_len == 0 {
            return found;
        }
        find(&self.recent, hash, is_it)
    }

    /// What stands where a search for `hash` begins. For those who will search for many: looking at
    /// all of those places first, one does not wait for each.
    #[inline]
    pub(crate) fn look(&self, hash: u64) -> u64 {
        match &self.most {
            Most::Memory(slots) => slots.slot(first(hash, slots.len())),
            Most::File(slots) => slots.slot(first(hash, slots.places())),
        }
    }

    /// Adds a row that is not in it yet. Its number is less than `u32::MAX`.
    #[inline]
    pub fn insert(&mut self, hash: u64, row: u32) {
        let slot = hash >> 32 << 32 | u64::from(row.saturating_add(1));
        self.len += 1;
        if self.recent_len == 0
            && let Most::Memory(slots) = &mut self.most
            && let Some(slots) = Arc::get_mut(slots)
        {
            if is_full(slots.len(), self.len) {
                *slots = grown(slots.as_slice(), twice(slots.len()));
            }
            let at = free(slots.as_slice(), slot);
            if let Some(place) = slots.get_mut(at) {
                *place = slot;
            }
            return;
        }
        self.insert_recent(slot);
    }

    fn insert_recent(&mut self, slot: Slot) {
        self.recent_len += 1;
        if is_full(self.recent.len(), self.recent_len) {
            let slots = grown(&self.recent, twice(self.recent.len()));
            self.recent = slots.into_iter().collect();
        }
        let at = free(&self.recent, slot);
        if let Some(place) = self.recent.get_mut(at) {
            *place = slot;
        }
        if self.recent_len * MOST_TO_RECENT > self.most.places() {
            self.most = Most::Memory(Arc::new(self.all()));
            (self.recent, self.recent_len) = (Paged::new(), 0);
        }
    }

    /// All rows in one piece.
    fn all(&self) -> Vec<Slot> {
        let mut places = self.most.places();
        while is_full(places, self.len) {
            places = twice(places);
        }
        let mut all = match &self.most {
            Most::Memory(slots) => grown(slots.as_slice(), places),
            Most::File(slots) => grown(slots, places),
        };
        put_all(&self.recent, &mut all);
        all
    }
}

impl Most {
    fn places(&self) -> usize {
        match self {
            Self::Memory(slots) => slots.len(),
            Self::File(slots) => slots.places(),
        }
    }
}

/// A power of two of places, or none. A row stands at the place that the highest bits of its hash
/// tell, or in the next place that was free.
trait Slots {
    fn places(&self) -> usize;

    /// What is at a place; free if there is no such place.
    fn slot(&self, at: usize) -> Slot;
}

impl Slots for [Slot] {
    fn places(&self) -> usize {
        self.len()
    }

    #[inline]
    fn slot(&self, at: usize) -> Slot {
        self.get(at).copied().unwrap_or(0)
    }
}

impl Slots for Paged<Slot> {
    fn places(&self) -> usize {
        self.len()
    }

    #[inline]
    fn slot(&self, at: usize) -> Slot {
        self.get(at).copied().unwrap_or(0)
    }
}

impl Slots for Bytes {
    fn places(&self) -> usize {
        self.len() / size_of::<Slot>()
    }

    #[inline]
    fn slot(&self, at: usize) -> Slot {
        let bytes = self.get(at * size_of::<Slot>()..);
        let slot = bytes.and_then(|bytes| bytes.first_chunk());
        slot.map_or(0, |&slot| Slot::from_le_bytes(slot))
    }
}

/// Whether so many rows are too many: an index is at most 2/3 full.
fn is_full(places: usize, rows: usize) -> bool {
    rows * 3 > places * 2
}

/// How many places come next.
fn twice(places: usize) -> usize {
    (places * 2).max(4)
}

/// The first place to look at.
#[inline]
fn first(hash: u64, places: usize) -> usize {
    ((hash >> 32).wrapping_mul(places as u64) >> 32) as usize
}

/// The place that follows.
#[inline]
fn next(at: usize, places: usize) -> usize {
    (at + 1) & (places - 1)
}

#[inline]
fn find<S: Slots + ?Sized>(
    slots: &S,
    hash: u64,
    mut is_it: impl FnMut(u32) -> bool,
) -> Option<u32> {
    let places = slots.places();
    let mut at = first(hash, places);
    for _ in 0..places {
        let slot = slots.slot(at);
        let row = (slot as u32).checked_sub(1)?;
        if slot >> 32 == hash >> 32 && is_it(row) {
            return Some(row);
        }
        at = next(at, places);
    }
    None
}

/// The place for a row that is not there yet.
#[inline]
fn free<S: Slots + ?Sized>(slots: &S, slot: Slot) -> usize {
    let places = slots.places();
    let mut at = first(slot, places);
    for _ in 0..places {
        if slots.slot(at) == 0 {
            break;
        }
        at = next(at, places);
    }
    at
}

/// The same rows, in so many places.
#[cold]
fn grown<S: Slots + ?Sized>(slots: &S, places: usize) -> Vec<Slot> {
    if places == slots.places() {
        return (0..places).map(|at| slots.slot(at)).collect();
    }
    let mut grown = vec![0; places];
    put_all(slots, &mut grown);
    grown
}

fn put_all<S: Slots + ?Sized>(slots: &S, to: &mut [Slot]) {
    for slot in (0..slots.places()).map(|at| slots.slot(at)) {
        if slot != 0
            && let at = free(to, slot)
            && let Some(place) = to.get_mut(at)
        {
            *place = slot;
        }
    }
}

impl Saved for Index {
    fn save(&self, to: &mut Saver<'_>) -> io::Result<()> {
        let slots = match &self.most {
            Most::File(slots) if self.recent_len == 0 => Paged::from_bytes(slots.clone()),
            _ => self.all().into_iter().collect(),
        };
        slots.save(to)?;
        self.len.save(to)
    }

    fn open(from: &mut Opener) -> Result<Self, Unusable> {
        let slots = Paged::<Slot>::open(from)?.into_bytes();
        let len = usize::open(from)?;
        let places = slots.places();
        if !(places == 0 || places.is_power_of_two()) || is_full(places, len) {
            return Err(Unusable::Schema);
        }
        Ok(Self {
            most: Most::File(slots),
            len,
            ..Self::default()
        })
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Hasher, Segments};

    #[test]
    fn finds_what_was_inserted_in_each_version() {
        let hasher = Hasher::random();
        let hash_of = |row: u32| hasher.hash_one(row);
        let mut index = Index::new();
        assert_eq!(index.find(hash_of(0), |_| true), None);
        let mut versions = Vec::new();
        for row in 0..50_000_u32 {
            if row % 7_001 == 0 {
                versions.push((row, index.clone()));
            }
            index.insert(hash_of(row), row);
        }
        versions.push((50_000, index));
        for (len, index) in versions {
            assert_eq!(index.len(), len as usize);
            for row in 0..50_100_u32 {
                let found = index.find(hash_of(row), |other| other == row);
                assert_eq!(found, (row < len).then_some(row));
            }
        }
    }

    #[test]
    fn one_of_a_file_grows_like_any_other() {
        let hasher = Hasher::random();
        let hash_of = |row: u32| hasher.hash_one(row);
        let mut index = Index::new();
        let mut len = 0;
        for more in [0, 1, 2, 1000, 10, 3000, 0] {
            let mut file = Vec::new();
            let mut to = Saver::new(&mut file);
            index.save(&mut to).unwrap();
            let (columns, numbers, _) = to.finish();
            let mut from = Opener::new(file.into(), columns, numbers, Segments::new());
            index = Index::open(&mut from).unwrap();
            for row in len..len + more {
                index.insert(hash_of(row), row);
            }
            len += more;
            assert_eq!(index.len(), len as usize);
            for row in 0..len + 100 {
                let found = index.find(hash_of(row), |other| other == row);
                assert_eq!(found, (row < len).then_some(row));
            }
        }
    }

    #[test]
    fn equal_hashes_are_told_apart() {
        for hash in [42, u64::MAX] {
            let mut index = Index::new();
            for row in 0..3000 {
                index.insert(hash, row);
            }
            assert_eq!(index.find(hash, |row| row == 2321), Some(2321));
            assert_eq!(index.find(hash, |row| row == 3000), None);
        }
    }
}
