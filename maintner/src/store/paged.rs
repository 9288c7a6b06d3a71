use std::{fmt, ops::Range, sync::Arc};

/// Bytes of rows in a page, about: what is copied when one of its rows changes.
const PAGE_BYTES: usize = 32 * 1024;

/// A growing array whose clones share what has not changed since.
///
/// Cloning takes constant time. Changing a row, or appending one, copies its page if a clone still
/// has it.
pub struct Paged<T> {
    pages: Arc<Vec<Arc<Vec<T>>>>,
    len: usize,
}

impl<T> Paged<T> {
    /// The base-2 logarithm of the rows in a page.
    const SHIFT: u32 = {
        let row = if size_of::<T>() == 0 {
            1
        } else {
            size_of::<T>()
        };
        let rows = PAGE_BYTES / row;
        if rows < 16 { 4 } else { rows.ilog2() }
    };

    const ROWS: usize = 1 << Self::SHIFT;

    /// An array without rows.
    pub fn new() -> Self {
        Self {
            pages: Arc::default(),
            len: 0,
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
        self.pages
            .get(at >> Self::SHIFT)?
            .get(at & (Self::ROWS - 1))
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + Clone {
        self.pages.iter().flat_map(|page| page.iter())
    }

    /// The rows of `range`, as far as they exist.
    pub fn range(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = &T> + Clone {
        let end = range.end.min(self.len);
        let start = range.start.min(end);
        let pages = start >> Self::SHIFT..end.div_ceil(Self::ROWS);
        pages.flat_map(move |number| {
            let first = number << Self::SHIFT;
            let rows = self.pages.get(number).map_or(&[][..], |page| page);
            let from = start.saturating_sub(first).min(rows.len());
            let to = (end - first).min(rows.len());
            &rows[from..to.max(from)]
        })
    }
}

impl<T: Clone> Paged<T> {
    /// Appends a row; gives its number.
    #[inline]
    pub fn push(&mut self, row: T) -> usize {
        let at = self.len;
        let pages = Arc::make_mut(&mut self.pages);
        match pages.last_mut().filter(|page| page.len() < Self::ROWS) {
            Some(page) => Arc::make_mut(page).push(row),
            None => {
                // Whole pages from the second on; the first grows from nothing.
                let rows = if pages.is_empty() { 0 } else { Self::ROWS };
                let mut page = Vec::with_capacity(rows);
                page.push(row);
                pages.push(Arc::new(page));
            }
        }
        self.len += 1;
        at
    }

    /// Row number `at`, to be changed.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        if at >= self.len {
            return None;
        }
        let page = Arc::make_mut(&mut self.pages).get_mut(at >> Self::SHIFT)?;
        Arc::make_mut(page).get_mut(at & (Self::ROWS - 1))
    }

    /// Appends rows until there are `len`.
    pub fn resize_with(&mut self, len: usize, mut row: impl FnMut() -> T) {
        while self.len < len {
            self.push(row());
        }
    }
}

impl<T: Clone> Extend<T> for Paged<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, rows: I) {
        for row in rows {
            self.push(row);
        }
    }
}

impl<T: Clone> FromIterator<T> for Paged<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        let mut paged = Self::new();
        paged.extend(rows);
        paged
    }
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Paged<T> {
    fn clone(&self) -> Self {
        Self {
            pages: Arc::clone(&self.pages),
            len: self.len,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Paged<T> {
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
        Set(usize, u32),
        Version,
        Drop(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => any::<u32>().prop_map(Op::Push),
            4 => (any::<usize>(), any::<u32>()).prop_map(|(at, row)| Op::Set(at, row)),
            1 => Just(Op::Version),
            1 => any::<usize>().prop_map(Op::Drop),
        ]
    }

    /// Rows so wide that a page has 16 of them.
    #[derive(Debug, Clone, PartialEq)]
    struct Wide(u32, [u64; 512]);

    proptest! {
        #[test]
        fn versions_are_what_they_were(ops in prop::collection::vec(op(), 0..200)) {
            let mut paged = Paged::new();
            let mut model: Vec<Wide> = Vec::new();
            let mut versions: Vec<(Paged<Wide>, Vec<Wide>)> = Vec::new();
            for op in ops {
                match op {
                    Op::Push(row) => {
                        let row = Wide(row, [0; 512]);
                        prop_assert_eq!(paged.push(row.clone()), model.len());
                        model.push(row);
                    }
                    Op::Set(_, row) if model.is_empty() => prop_assert!(paged.get_mut(row as usize).is_none()),
                    Op::Set(at, row) => {
                        let at = at % model.len();
                        paged.get_mut(at).unwrap().0 = row;
                        model[at].0 = row;
                    }
                    Op::Version => versions.push((paged.clone(), model.clone())),
                    Op::Drop(_) if versions.is_empty() => {}
                    Op::Drop(at) => drop(versions.swap_remove(at % versions.len())),
                }
            }
            versions.push((paged, model));
            for (paged, model) in versions {
                prop_assert_eq!(paged.len(), model.len());
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

    #[test]
    fn a_version_costs_one_page_when_a_row_changes() {
        let mut paged: Paged<u64> = (0..100_000).collect();
        let version = paged.clone();
        *paged.get_mut(50_000).unwrap() = 1;
        let shared = |number: usize| Arc::ptr_eq(&paged.pages[number], &version.pages[number]);
        let pages = paged.pages.len();
        assert_eq!((0..pages).filter(|&number| !shared(number)).count(), 1);
        assert_eq!(version.get(50_000), Some(&50_000));
    }
}
