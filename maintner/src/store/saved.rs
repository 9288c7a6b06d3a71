//! What is kept of versions in a file, and how they come back.
//!
//! A version is a list of numbers and a list of columns, the rows of each [`Paged`] one after the
//! other. What saves them, and in which order, is the schema: its hash goes into the file, and a
//! file of another one is not read.

use std::io::{self, Write};

use bytes::Bytes;

use super::{Paged, Row, Segments, row};

/// Something that can be kept in a file. `saved!` makes a struct such a
/// thing.
pub trait Saved: Sized {
    /// Writes it. What kinds of things it writes, and in which order, must not depend on its value.
    ///
    /// # Errors
    ///
    /// Fails if writing does.
    fn save(&self, to: &mut Saver<'_>) -> io::Result<()>;

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    ///
    /// Fails if that was something else.
    fn open(from: &mut Opener) -> Result<Self, Unusable>;
}

/// Why something that was saved cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Other columns, or rows with other fields.
    #[error("it was saved by a version of this program whose data look different")]
    Schema,
    /// Values have other hashes now, so that the indices are of no use.
    #[error("it was saved by a program that hashes differently")]
    Hashes,
}

row! {
    /// Where the rows of a column are: behind those of the column before.
    #[derive(Debug, PartialEq, Eq)]
    pub struct Column {
        /// [`Row::LAYOUT`].
        pub layout: u64,
        /// How many bytes they take.
        pub bytes: u64,
        /// Their CRC-32.
        pub crc: u32,
    }
}

/// Writes columns, and remembers numbers.
pub struct Saver<'a> {
    to: &'a mut dyn Write,
    columns: Vec<Column>,
    numbers: Vec<u64>,
    schema: u64,
}

impl<'a> Saver<'a> {
    /// Writes columns to `to`.
    pub fn new(to: &'a mut dyn Write) -> Self {
        Self {
            to,
            columns: Vec::new(),
            numbers: Vec::new(),
            schema: row::LAYOUT,
        }
    }

    /// What stands where, the numbers, and the hash of the schema.
    pub fn finish(self) -> (Vec<Column>, Vec<u64>, u64) {
        (self.columns, self.numbers, self.schema)
    }

    fn number(&mut self, number: u64) {
        self.schema = row::layout_of_name(self.schema, "number");
        self.numbers.push(number);
    }

    fn column<T: Row>(&mut self, rows: &Paged<T>) -> io::Result<()> {
        self.schema = row::layout_of(self.schema, T::LAYOUT);
        let mut column = Column {
            layout: T::LAYOUT,
            bytes: 0,
            crc: 0,
        };
        let mut crc = crc32fast::Hasher::new();
        rows.pages(|bytes| {
            crc.update(bytes);
            column.bytes += bytes.len() as u64;
            self.to.write_all(bytes)
        })?;
        column.crc = crc.finalize();
        self.columns.push(column);
        Ok(())
    }
}

/// Reads columns and numbers, in the order in which they were saved.
pub struct Opener {
    rest: Bytes,
    columns: std::vec::IntoIter<Column>,
    numbers: std::vec::IntoIter<u64>,
    segments: Segments,
}

impl Opener {
    /// Reads from `bytes`, which the columns are, one after the other, and which are known to be
    /// undamaged. What was saved has spans into `segments`.
    pub fn new(bytes: Bytes, columns: Vec<Column>, numbers: Vec<u64>, segments: Segments) -> Self {
        Self {
            rest: bytes,
            columns: columns.into_iter(),
            numbers: numbers.into_iter(),
            segments,
        }
    }

    /// The text that the spans point into.
    pub(super) fn segments(&self) -> Segments {
        self.segments.clone()
    }

    /// # Errors
    ///
    /// Fails if there is more.
    pub fn finish(mut self) -> Result<(), Unusable> {
        match (self.columns.next(), self.numbers.next()) {
            (None, None) => Ok(()),
            _ => Err(Unusable::Schema),
        }
    }

    fn number(&mut self) -> Result<u64, Unusable> {
        self.numbers.next().ok_or(Unusable::Schema)
    }

    fn column<T: Row>(&mut self) -> Result<Paged<T>, Unusable> {
        let column = self.columns.next().ok_or(Unusable::Schema)?;
        let len = usize::try_from(column.bytes).map_err(|_| Unusable::Schema)?;
        let is_whole = len.is_multiple_of(T::SIZE.max(1)) && len <= self.rest.len();
        if column.layout != T::LAYOUT || !is_whole {
            return Err(Unusable::Schema);
        }
        Ok(Paged::from_bytes(self.rest.split_to(len)))
    }
}

impl std::fmt::Debug for Saver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.columns.len();
        f.debug_struct("Saver").field("columns", &columns).finish()
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.columns.len();
        f.debug_struct("Opener").field("columns", &columns).finish()
    }
}

impl<T: Row> Saved for Paged<T> {
    fn save(&self, to: &mut Saver<'_>) -> io::Result<()> {
        to.column(self)
    }

    fn open(from: &mut Opener) -> Result<Self, Unusable> {
        from.column()
    }
}

impl<T: Saved + Default, const N: usize> Saved for [T; N] {
    fn save(&self, to: &mut Saver<'_>) -> io::Result<()> {
        self.iter().try_for_each(|item| item.save(to))
    }

    fn open(from: &mut Opener) -> Result<Self, Unusable> {
        let mut items = std::array::from_fn(|_| T::default());
        for item in &mut items {
            *item = T::open(from)?;
        }
        Ok(items)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Saved for $number {
            fn save(&self, to: &mut Saver<'_>) -> io::Result<()> {
                to.number((*self).into());
                Ok(())
            }

            fn open(from: &mut Opener) -> Result<Self, Unusable> {
                Self::try_from(from.number()?).map_err(|_| Unusable::Schema)
            }
        }
    )*};
}

numbers!(u64, u32);

impl Saved for usize {
    fn save(&self, to: &mut Saver<'_>) -> io::Result<()> {
        (*self as u64).save(to)
    }

    fn open(from: &mut Opener) -> Result<Self, Unusable> {
        Self::try_from(u64::open(from)?).map_err(|_| Unusable::Schema)
    }
}

/// Makes a struct [`Saved`](crate::store::Saved) whose fields are: names all of them, in the order
/// in which they are written.
macro_rules! saved {
    ($name:ty { $($field:ident),* $(,)? }) => {
        impl $crate::store::Saved for $name {
            fn save(&self, to: &mut $crate::store::Saver<'_>) -> std::io::Result<()> {
                let Self { $($field),* } = self;
                $($crate::store::Saved::save($field, to)?;)*
                Ok(())
            }

            fn open(
                from: &mut $crate::store::Opener,
            ) -> Result<Self, $crate::store::Unusable> {
                $(let $field = $crate::store::Saved::open(from)?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}
pub(crate) use saved;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Hasher, Index, List, Lists};

    #[derive(Default)]
    struct Version {
        hasher: Hasher,
        names: Paged<(u32, i16)>,
        index: Index,
        lists: Lists<u16>,
        last: u32,
    }

    saved!(Version {
        hasher,
        names,
        index,
        lists,
        last
    });

    /// What was saved, opened after `change`.
    fn reopened(
        version: &Version,
        change: impl FnOnce(&mut Vec<Column>, &mut Vec<u64>),
    ) -> Result<Version, Unusable> {
        let mut bytes = Vec::new();
        let mut saver = Saver::new(&mut bytes);
        version.save(&mut saver).unwrap();
        let (mut columns, mut numbers, _) = saver.finish();
        change(&mut columns, &mut numbers);
        let mut opener = Opener::new(bytes.into(), columns, numbers, Segments::new());
        let version = Version::open(&mut opener)?;
        opener.finish()?;
        Ok(version)
    }

    #[test]
    fn versions_come_back_and_go_on() {
        let mut version = Version::default();
        let mut heads = [List::EMPTY; 3];
        for row in 0..5000_u32 {
            if row % 1700 == 1650 {
                version = reopened(&version, |_, _| ()).unwrap();
            }
            let name = (row * 7, row as i16);
            version.names.push(name);
            version.index.insert(version.hasher.hash_one(name), row);
            let list = &mut heads[row as usize % 3];
            version.lists.push(list, row as u16).unwrap();
            if row % 10 == 9 {
                version.lists.clear(list);
            }
            version.last = row;
        }
        let room = |version: &mut Version| {
            let mut heads = heads;
            heads.iter_mut().for_each(|head| version.lists.clear(head));
            let mut list = List::EMPTY;
            (0..500).for_each(|n| version.lists.push(&mut list, n).unwrap());
            version.lists.iter(list).count()
        };
        let mut again = reopened(&version, |_, _| ()).unwrap();
        assert_eq!(again.last, 4999);
        for row in 0..5000_u32 {
            let name = (row * 7, row as i16);
            let hash = again.hasher.hash_one(name);
            let found = again
                .index
                .find(hash, |row| again.names.get(row as usize) == Some(&name));
            assert_eq!(found, Some(row));
        }
        for head in heads {
            assert!(again.lists.iter(head).eq(version.lists.iter(head)));
        }
        assert_eq!(room(&mut again), 500);
    }

    #[test]
    fn what_another_program_saved_is_refused() {
        let version = Version::default();
        let refused = |change: fn(&mut Vec<Column>, &mut Vec<u64>)| {
            reopened(&version, change).map(|_| ()).unwrap_err()
        };
        assert_eq!(
            refused(|columns, _| columns[0].layout ^= 1),
            Unusable::Schema
        );
        assert_eq!(
            refused(|columns, _| columns[0].bytes += 1),
            Unusable::Schema
        );
        assert_eq!(refused(|columns, _| columns.truncate(1)), Unusable::Schema);
        assert_eq!(refused(|_, numbers| numbers.truncate(4)), Unusable::Schema);
        assert_eq!(refused(|_, numbers| numbers.push(0)), Unusable::Schema);
        assert_eq!(refused(|_, numbers| numbers[0] ^= 1), Unusable::Hashes);
    }
}
