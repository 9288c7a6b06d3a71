use std::{cmp::Ordering, io, sync::Arc};

use super::{Opener, Paged, Row, Saved, Saver, Unusable, row};

row! {
    /// A list in [`Lists`]: 8 bytes, for a row to hold.
    #[derive(Debug, Default, PartialEq, Eq)]
    pub struct List {
        start: u32,
        len: u32,
    }
}

impl List {
    /// The list without items.
    pub const EMPTY: Self = Self { start: 0, len: 0 };

    /// Items in it.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it has no items.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Where the rows of its run are.
    fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

/// There is room for 2^32 - 1 rows of a kind, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("corpus is full")]
pub struct Full;

/// Items in one run, at most.
const LONGEST_RUN: u32 = 256;

/// Many lists that grow, in pages that versions share.
///
/// A list is what a row holds of it, a [`List`]; it belongs to the `Lists` that it was made with,
/// and an old copy of it to the version of that time. Adding at the end takes constant time, adding
/// or taking away elsewhere moves at most a few hundred items and, in a long list, the places of as
/// many runs as make it up, every hundred times or so.
///
/// ```
/// use maintner::store::{List, Lists};
///
/// let mut lists: Lists<u32> = Lists::new();
/// let (mut even, mut odd) = (List::EMPTY, List::EMPTY);
/// for n in 0..10 {
///     lists.push(if n % 2 == 0 { &mut even } else { &mut odd }, n)?;
/// }
/// lists.insert_by(&mut odd, 6, |item| item.cmp(&6))?;
/// lists.remove_by(&mut odd, |item| item.cmp(&3));
/// assert!(lists.iter(odd).eq(&[1, 5, 6, 7, 9]));
/// assert_eq!((even.len(), lists.find_by(even, |item| item.cmp(&7))), (5, None));
/// # Ok::<(), maintner::store::Full>(())
/// ```
#[derive(Debug, Clone)]
pub struct Lists<T: Row> {
    items: Runs<T>,
    /// The runs of each list that is longer than a run may be.
    directories: Runs<List>,
    /// Where its directory is: such a list starts here.
    long: Runs<List>,
}

/// A place in a list: the number of a run, and that of an item in it.
#[derive(Clone, Copy)]
struct Place {
    run: usize,
    at: usize,
}

impl<T: Row> Lists<T> {
    /// No lists.
    pub fn new() -> Self {
        Self {
            items: Runs::new(),
            directories: Runs::new(),
            long: Runs::new(),
        }
    }

    /// The items of a list, in order.
    pub fn iter(&self, list: List) -> impl DoubleEndedIterator<Item = &T> + Clone {
        let (short, runs) = match self.directory(list) {
            None => (Some(list), 0..0),
            Some(directory) => (None, directory.range()),
        };
        let runs = self.directories.rows.range(runs).copied();
        let runs = short.into_iter().chain(runs);
        runs.flat_map(|run| self.items.rows.range(run.range()))
    }

    /// The first item.
    pub fn first(&self, list: List) -> Option<&T> {
        self.at(list, Place { run: 0, at: 0 })
    }

    /// The last item.
    pub fn last(&self, list: List) -> Option<&T> {
        if list.len <= LONGEST_RUN {
            let last = list.range().next_back()?;
            return self.items.rows.get(last);
        }
        let run = self.runs(list).checked_sub(1)?;
        let at = self.run(list, run).len().checked_sub(1)?;
        self.at(list, Place { run, at })
    }

    /// The first item that `by` says is equal to what is looked for. The list has to be sorted:
    /// first those that are less, then those that are equal, then those that are greater.
    pub fn find_by(&self, list: List, mut by: impl FnMut(&T) -> Ordering) -> Option<&T> {
        let place = self.first_not_less(list, &mut by);
        self.at(list, place).filter(|item| by(item).is_eq())
    }

    /// As [`find_by`](Self::find_by), to be changed.
    pub fn find_mut_by(
        &mut self,
        list: List,
        mut by: impl FnMut(&T) -> Ordering,
    ) -> Option<&mut T> {
        let place = self.first_not_less(list, &mut by);
        let run = self.run(list, place.run);
        let item = self.items.rows.get_mut(run.range().start + place.at);
        item.filter(|item| place.at < run.len() && by(item).is_eq())
    }

    /// Adds an item at the end.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, if there are too many.
    #[inline]
    pub fn push(&mut self, list: &mut List, item: T) -> Result<(), Full> {
        if list.len < LONGEST_RUN {
            return self.items.insert(list, list.len(), item);
        }
        let run = self.runs(*list) - 1;
        let at = self.run(*list, run).len();
        self.insert(list, Place { run, at }, item)
    }

    /// Adds an item to a sorted list ([`find_by`](Self::find_by)), behind those that `by` says are
    /// less or equal.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, if there are too many.
    pub fn insert_by(
        &mut self,
        list: &mut List,
        item: T,
        mut by: impl FnMut(&T) -> Ordering,
    ) -> Result<(), Full> {
        // Most come in order.
        if self.last(*list).is_none_or(|last| by(last).is_le()) {
            return self.push(list, item);
        }
        let place = self.locate(*list, |item| by(item).is_le());
        self.insert(list, place, item)
    }

    /// Takes the first item that `by` says is equal out of a sorted list
    /// ([`find_by`](Self::find_by)).
    pub fn remove_by(&mut self, list: &mut List, mut by: impl FnMut(&T) -> Ordering) -> Option<T> {
        let place = self.first_not_less(*list, &mut by);
        let item = *self.at(*list, place)?;
        if by(&item).is_ne() {
            return None;
        }
        self.remove(list, place);
        Some(item)
    }

    /// Takes all items away.
    pub fn clear(&mut self, list: &mut List) {
        if let Some(mut directory) = self.directory(*list) {
            for run in 0..directory.len() {
                let run = self.run(*list, run);
                self.items.release(run);
            }
            self.directories.release(directory);
            directory = List {
                start: list.start,
                len: 1,
            };
            self.long.release(directory);
        } else {
            self.items.release(*list);
        }
        *list = List::EMPTY;
    }

    /// The directory of a list that is too long for one run.
    #[inline]
    fn directory(&self, list: List) -> Option<List> {
        if list.len <= LONGEST_RUN {
            return None;
        }
        let directory = self.long.rows.get(list.start as usize);
        Some(directory.copied().unwrap_or_default())
    }

    fn runs(&self, list: List) -> usize {
        self.directory(list).map_or(1, List::len)
    }

    /// A run of a list; empty if it has no such run.
    fn run(&self, list: List, number: usize) -> List {
        let run = match self.directory(list) {
            None => (number == 0).then_some(&list),
            Some(directory) if number >= directory.len() => None,
            Some(directory) => {
                let first = directory.start as usize;
                self.directories.rows.get(first + number)
            }
        };
        run.copied().unwrap_or_default()
    }

    fn at(&self, list: List, place: Place) -> Option<&T> {
        let run = self.run(list, place.run);
        if place.at >= run.len() {
            return None;
        }
        self.items.rows.get(run.start as usize + place.at)
    }

    /// The place of the first item that is not less.
    fn first_not_less(&self, list: List, by: &mut impl FnMut(&T) -> Ordering) -> Place {
        let place = self.locate(list, |item| by(item).is_lt());
        if place.at < self.run(list, place.run).len() {
            return place;
        }
        let run = place.run + 1;
        Place { run, at: 0 }
    }

    /// Where to put an item behind those for which `is_before` is true; it is for the first ones.
    fn locate(&self, list: List, mut is_before: impl FnMut(&T) -> bool) -> Place {
        // The last run whose first item is before the place, or the first.
        let (mut run, mut end) = (0, self.runs(list));
        while end - run > 1 {
            let middle = run + (end - run) / 2;
            let first = self.at(list, Place { run: middle, at: 0 });
            if first.is_some_and(&mut is_before) {
                run = middle;
            } else {
                end = middle;
            }
        }
        let (mut at, mut end) = (0, self.run(list, run).len());
        while at < end {
            let middle = at + (end - at) / 2;
            if self
                .at(list, Place { run, at: middle })
                .is_some_and(&mut is_before)
            {
                at = middle + 1;
            } else {
                end = middle;
            }
        }
        Place { run, at }
    }

    fn insert(&mut self, list: &mut List, mut place: Place, item: T) -> Result<(), Full> {
        if list.len < LONGEST_RUN {
            return self.items.insert(list, place.at, item);
        }
        let len = list.len.checked_add(1).ok_or(Full)?;
        if list.len == LONGEST_RUN {
            let mut directory = List::EMPTY;
            self.directories.insert(&mut directory, 0, *list)?;
            let mut long = List::EMPTY;
            self.long.insert(&mut long, 0, directory)?;
            // Nobody sees the list as a long one before it has one item more.
            *list = List {
                start: long.start,
                len,
            };
            let added = self.insert_long(*list, &mut place, item);
            if added.is_err() {
                *list = self.run(*list, 0);
            }
            return added;
        }
        self.insert_long(*list, &mut place, item)?;
        list.len = len;
        Ok(())
    }

    /// Puts an item into a run of a long list; divides the run if it is full.
    fn insert_long(&mut self, list: List, place: &mut Place, item: T) -> Result<(), Full> {
        let mut run = self.run(list, place.run);
        if run.len == LONGEST_RUN {
            // At the end nothing is divided, so that what comes in order fills its runs.
            let kept = if place.at == run.len() {
                run.len
            } else {
                run.len / 2
            };
            let upper = List {
                start: run.start + kept,
                len: run.len - kept,
            };
            let lower = List { len: kept, ..run };
            let mut directory = self.directory(list).unwrap_or_default();
            self.directories
                .insert(&mut directory, place.run + 1, upper)?;
            if let Some(place) = self.long.rows.get_mut(list.start as usize) {
                *place = directory;
            }
            self.set_run(list, place.run, lower);
            run = lower;
            if place.at > lower.len() || lower.len == LONGEST_RUN {
                place.at -= lower.len();
                place.run += 1;
                run = upper;
            }
        }
        self.items.insert(&mut run, place.at, item)?;
        self.set_run(list, place.run, run);
        Ok(())
    }

    fn set_run(&mut self, list: List, number: usize, run: List) {
        let directory = self.directory(list).unwrap_or_default();
        let at = directory.start as usize + number;
        if let Some(place) = self.directories.rows.get_mut(at) {
            *place = run;
        }
    }

    fn remove(&mut self, list: &mut List, place: Place) {
        let Some(mut directory) = self.directory(*list) else {
            self.items.remove(list, place.at);
            return;
        };
        let mut run = self.run(*list, place.run);
        self.items.remove(&mut run, place.at);
        self.set_run(*list, place.run, run);
        if run.is_empty() {
            self.directories.remove(&mut directory, place.run);
            if let Some(place) = self.long.rows.get_mut(list.start as usize) {
                *place = directory;
            }
        }
        if list.len - 1 > LONGEST_RUN {
            list.len -= 1;
            return;
        }
        // So few that one run holds them.
        let items: Vec<T> = self.iter(*list).copied().collect();
        self.clear(list);
        for item in items {
            // There is room: more than that was just released.
            let _ = self.items.insert(list, list.len(), item);
        }
    }
}

impl<T: Row> Default for Lists<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Row> Saved for Lists<T> {
    fn save(&self, to: &mut Saver<'_>) -> io::Result<()> {
        self.items.save(to)?;
        self.directories.save(to)?;
        self.long.save(to)
    }

    fn open(from: &mut Opener) -> Result<Self, Unusable> {
        Ok(Self {
            items: Runs::open(from)?,
            directories: Runs::open(from)?,
            long: Runs::open(from)?,
        })
    }
}

/// Runs of rows one after the other, each with room for the power of two that its length is at
/// most, beginning at a multiple of that.
#[derive(Debug, Clone)]
struct Runs<T: Row> {
    rows: Paged<T>,
    /// Where those begin that nobody has any more, by the base-2 logarithm of their room.
    free: Arc<[Paged<u32>; 32]>,
}

/// The base-2 logarithm of the room of a run.
fn class(len: u32) -> u32 {
    len.next_power_of_two().ilog2()
}

impl<T: Row> Runs<T> {
    fn new() -> Self {
        Self {
            rows: Paged::new(),
            free: Arc::default(),
        }
    }

    /// Room for `1 << class` rows. What is in it does not matter.
    fn allocate(&mut self, class: u32, filler: T) -> Result<u32, Full> {
        let free = self.free.get(class as usize).ok_or(Full)?;
        if !free.is_empty() {
            let start = Arc::make_mut(&mut self.free)[class as usize].pop();
            return start.ok_or(Full);
        }
        let room = 1_usize << class;
        let start = self.rows.len().next_multiple_of(room);
        if start + room > u32::MAX as usize {
            return Err(Full);
        }
        // What is left out on the way is for shorter ones.
        while self.rows.len() < start {
            let at = self.rows.len();
            let gap = at.trailing_zeros();
            self.rows.resize_with(at + (1 << gap), || filler);
            self.free(at as u32, gap);
        }
        self.rows.resize_with(start + room, || filler);
        Ok(start as u32)
    }

    fn free(&mut self, start: u32, class: u32) {
        if let Some(free) = Arc::make_mut(&mut self.free).get_mut(class as usize) {
            free.push(start);
        }
    }

    fn release(&mut self, run: List) {
        if !run.is_empty() {
            self.free(run.start, class(run.len));
        }
    }

    #[inline]
    fn insert(&mut self, run: &mut List, at: usize, row: T) -> Result<(), Full> {
        if run.is_empty() {
            run.start = self.allocate(0, row)?;
        } else if run.len.is_power_of_two() {
            // No room left.
            let start = self.allocate(class(run.len) + 1, row)?;
            self.copy(run.range(), start as usize);
            self.release(*run);
            run.start = start;
        }
        run.len += 1;
        let place = run.start as usize + at;
        let end = run.range().end;
        if place + 1 < end {
            self.copy(place..end - 1, place + 1);
        }
        if let Some(place) = self.rows.get_mut(place) {
            *place = row;
        }
        Ok(())
    }

    fn remove(&mut self, run: &mut List, at: usize) {
        let place = run.start as usize + at;
        self.copy(place + 1..run.range().end, place);
        let room = class(run.len);
        run.len -= 1;
        if run.is_empty() {
            self.free(run.start, room);
        } else if class(run.len) < room {
            self.free(run.start + (1 << (room - 1)), room - 1);
        }
    }

    /// Copies the rows of `from` to where `to` is the first; both may overlap.
    fn copy(&mut self, from: std::ops::Range<usize>, to: usize) {
        if from.is_empty() {
            return;
        }
        let all = from.start.min(to)..from.end.max(to + from.len());
        let (start, at, len) = (all.start, to.saturating_sub(from.start), from.len());
        // Most are in one page.
        if all.len() <= 2 * LONGEST_RUN as usize
            && let Some(rows) = self.rows.slice_mut(all)
        {
            let first = from.start - start;
            rows.copy_within(first..first + len, to - start);
            return;
        }
        let mut copy = |at: usize| {
            if let Some(&row) = self.rows.get(from.start + at)
                && let Some(place) = self.rows.get_mut(to + at)
            {
                *place = row;
            }
        };
        if at > 0 {
            (0..len).rev().for_each(&mut copy);
        } else {
            (0..len).for_each(&mut copy);
        }
    }
}

impl<T: Row> Saved for Runs<T> {
    fn save(&self, to: &mut Saver<'_>) -> io::Result<()> {
        self.rows.save(to)?;
        self.free.save(to)
    }

    fn open(from: &mut Opener) -> Result<Self, Unusable> {
        let rows = Paged::open(from)?;
        let free = Arc::new(Saved::open(from)?);
        Ok(Self { rows, free })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Push(usize, u32),
        Insert(usize, u32),
        /// Several with numbers near each other.
        Crowd(usize, u32, u16),
        Remove(usize, u32),
        Thin(usize, u16),
        Clear(usize),
        Version,
    }

    fn op() -> impl Strategy<Value = Op> {
        let list = || 0..4_usize;
        let item = || 0..2000_u32;
        prop_oneof![
            4 => (list(), item()).prop_map(|(list, item)| Op::Push(list, item)),
            8 => (list(), item()).prop_map(|(list, item)| Op::Insert(list, item)),
            3 => (list(), item(), 0..700_u16).prop_map(|(list, item, many)| Op::Crowd(list, item, many)),
            4 => (list(), item()).prop_map(|(list, item)| Op::Remove(list, item)),
            2 => (list(), 0..900_u16).prop_map(|(list, many)| Op::Thin(list, many)),
            1 => list().prop_map(Op::Clear),
            1 => Just(Op::Version),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn lists_are_sorted_vectors(ops in prop::collection::vec(op(), 0..100)) {
            let mut lists = Lists::new();
            let mut heads = [List::EMPTY; 4];
            let mut model: [Vec<u32>; 4] = Default::default();
            let mut versions = Vec::new();
            let insert = |lists: &mut Lists<u32>, head: &mut List, model: &mut Vec<u32>, item: u32| {
                lists.insert_by(head, item, |other| other.cmp(&item)).unwrap();
                model.insert(model.partition_point(|&other| other <= item), item);
            };
            for op in ops {
                match op {
                    Op::Push(list, item) => {
                        // To the end, and in order: not less than the last.
                        let item = item.max(model[list].last().copied().unwrap_or(0));
                        lists.push(&mut heads[list], item).unwrap();
                        model[list].push(item);
                    }
                    Op::Insert(list, item) => insert(&mut lists, &mut heads[list], &mut model[list], item),
                    Op::Crowd(list, item, many) => {
                        for n in 0..u32::from(many) {
                            insert(&mut lists, &mut heads[list], &mut model[list], item + n % 5);
                        }
                    }
                    Op::Remove(list, item) => {
                        let at = model[list].iter().position(|&other| other == item);
                        let expected = at.map(|at| model[list].remove(at));
                        let removed = lists.remove_by(&mut heads[list], |other| other.cmp(&item));
                        prop_assert_eq!(removed, expected);
                    }
                    Op::Thin(list, many) => {
                        for _ in 0..many {
                            let middle = model[list].len() / 2;
                            let Some(&item) = model[list].get(middle) else { break };
                            let at = model[list].iter().position(|&other| other == item).unwrap();
                            model[list].remove(at);
                            let removed = lists.remove_by(&mut heads[list], |other| other.cmp(&item));
                            prop_assert_eq!(removed, Some(item));
                        }
                    }
                    Op::Clear(list) => {
                        lists.clear(&mut heads[list]);
                        model[list].clear();
                    }
                    Op::Version => versions.push((lists.clone(), heads, model.clone())),
                }
            }
            versions.push((lists, heads, model));
            for (lists, heads, model) in versions {
                for (&head, model) in heads.iter().zip(&model) {
                    prop_assert_eq!(head.len(), model.len());
                    prop_assert!(lists.iter(head).eq(model));
                    prop_assert!(lists.iter(head).rev().eq(model.iter().rev()));
                    prop_assert_eq!(lists.first(head), model.first());
                    prop_assert_eq!(lists.last(head), model.last());
                    for item in (0..2000).step_by(17) {
                        let found = lists.find_by(head, |other| other.cmp(&item));
                        prop_assert_eq!(found.copied(), model.binary_search(&item).ok().map(|at| model[at]));
                    }
                }
            }
        }
    }

    #[test]
    fn a_million_items_are_added_at_either_end() {
        let mut lists = Lists::new();
        let (mut front, mut back) = (List::EMPTY, List::EMPTY);
        for n in 0..1_000_000_u32 {
            lists.push(&mut back, n).unwrap();
        }
        for n in (0..200_000_u32).rev() {
            lists
                .insert_by(&mut front, n, |other| other.cmp(&n))
                .unwrap();
        }
        assert!(lists.iter(back).copied().eq(0..1_000_000));
        assert!(lists.iter(front).copied().eq(0..200_000));
        let room = lists.items.rows.len();
        assert!(room < 1_000_000 + 600_000, "{room} places");
        let found = lists
            .find_mut_by(back, |other| other.cmp(&500_000))
            .unwrap();
        *found += 1;
        assert_eq!(lists.iter(back).nth(500_000), Some(&500_001));
        assert_eq!(lists.find_mut_by(back, |other| other.cmp(&2_000_000)), None);
    }

    #[test]
    fn what_is_released_is_used_again() {
        let mut lists = Lists::new();
        let mut most = 0;
        for round in 0..50 {
            let mut heads = [List::EMPTY; 8];
            for n in 0..3000_u32 {
                lists.push(&mut heads[n as usize % 8], n).unwrap();
            }
            for head in &mut heads {
                lists.clear(head);
                assert!(head.is_empty());
            }
            let room = lists.items.rows.len();
            assert!(round == 0 || room == most, "grew in round {round}");
            most = room;
        }
    }
}
