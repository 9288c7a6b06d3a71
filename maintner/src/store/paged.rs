use std::{fmt, ops::Range, sync::OnceLock};

use bytes::Bytes;
// Without weak references: whether somebody else has a page is told by a look, not an exchange.
use triomphe::Arc;

use super::Row;

/// Bytes of rows in a page, about: what is copied when one of its rows changes.
const PAGE_BYTES: usize = 8 * 1024;

/// Pages in a table, which is copied when one of its pages is.
const TABLE_PAGES: usize = 64;

/// A growing array whose clones share what has not changed since.
///
/// Cloning takes constant time. Changing a row, or appending one, copies its page if a clone still
/// has it.
///
/// Rows may come from a file: a page of it is decoded when it is first looked at.
///
/// ```
/// use maintner::store::Paged;
///
/// let mut squares: Paged<u64> = (0..1000).map(|n| n * n).collect();
/// let version = squares.clone();
/// *squares.get_mut(3).unwrap() = 0;
/// assert_eq!(squares.push(1_000_000), 1000);
/// assert_eq!((version.len(), version.get(3)), (1000, Some(&9)));
/// ```
pub struct Paged<T> {
    tables: Arc<[Arc<Table<T>>]>,
    len: usize,
    /// The rows of a file: those of the pages that have not been decoded.
    saved: Bytes,
}

/// A page that is not there stands in the file, or is beyond the end. It may have room for more rows
/// than there are.
type Page<T> = OnceLock<Arc<[T]>>;

struct Table<T>([Page<T>; TABLE_PAGES]);

impl<T> Table<T> {
    fn new() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Row> Paged<T> {
    /// The base-2 logarithm of the rows in a page.
    const SHIFT: u32 = {
        let row = if T::SIZE == 0 { 1 } else { T::SIZE };
        let rows = PAGE_BYTES / row;
        if rows < 16 { 4 } else { rows.ilog2() }
    };

    const ROWS: usize = 1 << Self::SHIFT;

    /// An array without rows.
    pub fn new() -> Self {
        Self {
            tables: std::iter::empty().collect(),
            len: 0,
            saved: Bytes::new(),
        }
    }

    /// Rows in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Row number `at`.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&T> {
        if at >= self.len {
            return None;
        }
        self.page(at >> Self::SHIFT).get(at & (Self::ROWS - 1))
    }

    /// The last row.
    #[inline]
    pub fn last(&self) -> Option<&T> {
        self.get(self.len.wrapping_sub(1))
    }

    /// The rows of a page, and perhaps some that are not.
    #[inline]
    fn page(&self, number: usize) -> &[T] {
        let Some(table) = self.tables.get(number / TABLE_PAGES) else {
            return &[];
        };
        let page = &table.0[number % TABLE_PAGES];
        match page.get() {
            Some(rows) => rows,
            None => Self::load(&self.saved, page, number),
        }
    }

    #[cold]
    #[inline(never)]
    fn load<'a>(saved: &[u8], page: &'a Page<T>, number: usize) -> &'a [T] {
        page.get_or_init(|| Self::decode(saved, number))
    }

    /// The rows of a page, from the file.
    fn decode(saved: &[u8], number: usize) -> Arc<[T]> {
        let rows = Self::encoded(saved, number).chunks_exact(T::SIZE.max(1));
        rows.map(T::read).collect()
    }

    fn encoded(saved: &[u8], number: usize) -> &[u8] {
        let size = Self::ROWS * T::SIZE;
        let start = number.saturating_mul(size).min(saved.len());
        let end = start.saturating_add(size).min(saved.len());
        &saved[start..end]
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + Clone {
        self.range(0..self.len)
    }

    /// The rows of `range`, as far as they exist.
    pub fn range(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = &T> + Clone {
        let end = range.end.min(self.len);
        let start = range.start.min(end);
        let pages = start >> Self::SHIFT..end.div_ceil(Self::ROWS);
        pages.flat_map(move |number| {
            let first = number << Self::SHIFT;
            let rows = self.page(number);
            let from = start.saturating_sub(first).min(rows.len());
            let to = (end - first).min(rows.len());
            &rows[from..to.max(from)]
        })
    }

    /// Appends a row; gives its number.
    #[inline]
    pub fn push(&mut self, row: T) -> usize {
        let at = self.len;
        let within = at & (Self::ROWS - 1);
        if within == 0 {
            self.push_page(row);
        } else {
            if let Some(page) = self.page_mut(at >> Self::SHIFT) {
                if page.len() <= within {
                    *page = grown(page, (within * 2).min(Self::ROWS), row);
                }
                if let Some(place) = alone(page).get_mut(within) {
                    *place = row;
                }
            }
        }
        self.len += 1;
        at
    }

    /// Takes the last row away.
    pub fn pop(&mut self) -> Option<T> {
        let row = self.last().copied()?;
        self.len -= 1;
        Some(row)
    }

    /// A page whose first row is `row`.
    fn push_page(&mut self, row: T) {
        let number = self.len >> Self::SHIFT;
        if number / TABLE_PAGES >= self.tables.len() {
            let tables = self.tables.iter().cloned();
            self.tables = tables.chain([Arc::new(Table::new())]).collect();
        }
        // Whole pages from the second on; the first grows from little.
        let rows = if number == 0 { 1 } else { Self::ROWS };
        if let Some(table) = alone(&mut self.tables).get_mut(number / TABLE_PAGES) {
            let page: Arc<[T]> = std::iter::repeat_n(row, rows).collect();
            Arc::make_mut(table).0[number % TABLE_PAGES] = OnceLock::from(page);
        }
    }

    /// A page that is there, to be changed.
    #[inline]
    fn page_mut(&mut self, number: usize) -> Option<&mut Arc<[T]>> {
        let tables = alone(&mut self.tables);
        let table = tables.get_mut(number / TABLE_PAGES)?;
        if !table.is_unique() {
            unshare_table(table);
        }
        let page = &mut Arc::get_mut(table)?.0[number % TABLE_PAGES];
        if page.get().is_none() {
            Self::load(&self.saved, page, number);
        }
        page.get_mut()
    }

    /// Row number `at`, to be changed.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        if at >= self.len {
            return None;
        }
        let page = self.page_mut(at >> Self::SHIFT)?;
        alone(page).get_mut(at & (Self::ROWS - 1))
    }

    /// The rows of `range`, to be changed; none if they do not exist, or stand in two pages.
    pub(super) fn slice_mut(&mut self, range: Range<usize>) -> Option<&mut [T]> {
        if range.end > self.len {
            return None;
        }
        let number = range.start >> Self::SHIFT;
        let first = number << Self::SHIFT;
        let page = self.page_mut(number)?;
        alone(page).get_mut(range.start - first..range.end - first)
    }

    /// Appends rows until there are `len`.
    pub fn resize_with(&mut self, len: usize, mut row: impl FnMut() -> T) {
        while self.len < len {
            self.push(row());
        }
    }

    /// Gives the rows, as [`from_bytes`](Self::from_bytes) reads them, a page at a time.
    pub(super) fn pages<E>(&self, mut give: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut bytes = Vec::with_capacity(Self::ROWS * T::SIZE);
        let mut left = self.len;
        let slots = self.tables.iter().flat_map(|table| table.0.iter());
        for (number, page) in slots.take(self.len.div_ceil(Self::ROWS)).enumerate() {
            let rows = left.min(Self::ROWS);
            left -= rows;
            let Some(page) = page.get() else {
                // As the file has it.
                let saved = Self::encoded(&self.saved, number);
                give(&saved[..(rows * T::SIZE).min(saved.len())])?;
                continue;
            };
            bytes.resize(rows * T::SIZE, 0);
            for (row, bytes) in page.iter().zip(bytes.chunks_exact_mut(T::SIZE.max(1))) {
                row.write(bytes);
            }
            give(&bytes)?;
        }
        Ok(())
    }

    /// The rows that `bytes` are, which [`Saver`](super::Saver) wrote. They
    /// are kept, and each page is decoded when somebody looks at it.
    pub(super) fn from_bytes(bytes: Bytes) -> Self {
        let len = bytes.len() / T::SIZE.max(1);
        let tables = len.div_ceil(Self::ROWS).div_ceil(TABLE_PAGES);
        Self {
            tables: (0..tables).map(|_| Arc::new(Table::new())).collect(),
            len,
            saved: bytes,
        }
    }

    /// The bytes that [`from_bytes`](Self::from_bytes) was given.
    pub(super) fn into_bytes(self) -> Bytes {
        self.saved
    }
}

/// What nobody else has, a copy if somebody does.
#[inline]
fn alone<T: Clone>(shared: &mut Arc<[T]>) -> &mut [T] {
    if !shared.is_unique() {
        unshare(shared);
    }
    Arc::get_mut(shared).unwrap_or_default()
}

// Out of the way, so that the usual case is short enough to stand where it is used.
#[cold]
#[inline(never)]
fn unshare<T: Clone>(shared: &mut Arc<[T]>) {
    *shared = shared.iter().cloned().collect();
}

#[cold]
#[inline(never)]
fn unshare_table<T>(table: &mut Arc<Table<T>>) {
    *table = Arc::new(Table::clone(table));
}

/// The rows of a page, and room for as many as there are to be.
#[cold]
fn grown<T: Row>(page: &[T], rows: usize, filler: T) -> Arc<[T]> {
    let more = std::iter::repeat_n(filler, rows.saturating_sub(page.len()));
    page.iter().copied().chain(more).collect()
}

impl<T: Row> Extend<T> for Paged<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, rows: I) {
        for row in rows {
            self.push(row);
        }
    }
}

impl<T: Row> FromIterator<T> for Paged<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        let mut paged = Self::new();
        paged.extend(rows);
        paged
    }
}

impl<T: Row> Default for Paged<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Paged<T> {
    fn clone(&self) -> Self {
        Self {
            tables: Arc::clone(&self.tables),
            len: self.len,
            saved: self.saved.clone(),
        }
    }
}

impl<T: Row + fmt::Debug> fmt::Debug for Paged<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Push(u32),
        Pop,
        Set(usize, u32),
        Version,
        Drop(usize),
        Reopen,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => any::<u32>().prop_map(Op::Push),
            1 => Just(Op::Pop),
            4 => (any::<usize>(), any::<u32>()).prop_map(|(at, row)| Op::Set(at, row)),
            1 => Just(Op::Version),
            1 => any::<usize>().prop_map(Op::Drop),
            1 => Just(Op::Reopen),
        ]
    }

    fn bytes_of<T: Row>(paged: &Paged<T>) -> Bytes {
        let mut bytes = Vec::new();
        let add = |page: &[u8]| {
            bytes.extend_from_slice(page);
            Ok::<_, std::convert::Infallible>(())
        };
        let Ok(()) = paged.pages(add);
        bytes.into()
    }

    /// Rows so wide that a page has 16 of them.
    type Wide = (u32, [u64; 128]);

    proptest! {
        #[test]
        fn versions_are_what_they_were(ops in prop::collection::vec(op(), 0..200)) {
            let mut paged = Paged::new();
            let mut model: Vec<Wide> = Vec::new();
            let mut versions: Vec<(Paged<Wide>, Vec<Wide>)> = Vec::new();
            for op in ops {
                match op {
                    Op::Push(row) => {
                        let row = (row, [0; 128]);
                        prop_assert_eq!(paged.push(row), model.len());
                        model.push(row);
                    }
                    Op::Pop => prop_assert_eq!(paged.pop(), model.pop()),
                    Op::Set(_, row) if model.is_empty() => prop_assert!(paged.get_mut(row as usize).is_none()),
                    Op::Set(at, row) => {
                        let at = at % model.len();
                        paged.get_mut(at).unwrap().0 = row;
                        model[at].0 = row;
                    }
                    Op::Version => versions.push((paged.clone(), model.clone())),
                    Op::Drop(_) if versions.is_empty() => {}
                    Op::Drop(at) => drop(versions.swap_remove(at % versions.len())),
                    Op::Reopen => {
                        paged = Paged::from_bytes(bytes_of(&paged));
                    }
                }
            }
            versions.push((paged, model));
            for (paged, model) in versions {
                prop_assert_eq!(paged.len(), model.len());
                prop_assert_eq!(paged.last(), model.last());
                prop_assert!(paged.iter().eq(model.iter()));
                prop_assert!(paged.iter().rev().eq(model.iter().rev()));
                prop_assert!(paged.get(model.len()).is_none());
                for start in [0, 1, 15, 16, 17, 40] {
                    for len in [0, 1, 16, 33, usize::MAX / 2] {
                        let end = (start + len).min(model.len());
                        let expected = &model[start.min(end)..end];
                        prop_assert!(paged.range(start..start + len).eq(expected));
                    }
                }
            }
        }
    }

    fn pages<T: Row>(paged: &Paged<T>) -> Vec<Option<&Arc<[T]>>> {
        let pages = paged.tables.iter().flat_map(|table| table.0.iter());
        let count = paged.len.div_ceil(Paged::<T>::ROWS);
        pages.take(count).map(OnceLock::get).collect()
    }

    #[test]
    fn a_version_costs_one_page_when_a_row_changes() {
        let mut paged: Paged<u64> = (0..100_000).collect();
        let version = paged.clone();
        *paged.get_mut(50_000).unwrap() = 1;
        let both = pages(&paged).into_iter().zip(pages(&version));
        let copied = both.filter(|(a, b)| !Arc::ptr_eq(a.unwrap(), b.unwrap()));
        assert_eq!(copied.count(), 1);
        assert_eq!(version.get(50_000), Some(&50_000));
    }

    #[test]
    fn of_a_file_only_what_is_looked_at_is_read() {
        let bytes = bytes_of(&(0..100_000_u64).collect());
        let mut paged = Paged::<u64>::from_bytes(bytes);
        assert_eq!(paged.get(70_000), Some(&70_000));
        assert_eq!(paged.push(7), 100_000);
        let read = pages(&paged).into_iter().flatten().count();
        assert_eq!(read, 2, "that of the row, and the last one");
        assert_eq!(paged.get(99_999), Some(&99_999));
        assert_eq!(paged.iter().sum::<u64>(), 99_999 * 50_000 + 7);
    }
}
