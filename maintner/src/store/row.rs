//! Rows of a fixed size, and how they stand in a file.

/// A value of a fixed size, which columns are made of.
///
/// [`row!`](crate::store::row!) makes one of a struct. What it looks like in a file is its own:
/// little-endian, field after field, without padding, the same on every machine.
pub trait Row: Copy + Send + Sync + 'static {
    /// Bytes it takes in a file.
    const SIZE: usize;

    /// Tells layouts apart: a hash of the names and types of its fields. A file of another layout
    /// is not read.
    const LAYOUT: u64;

    /// Writes it to `bytes`, which are [`SIZE`](Self::SIZE) many.
    fn write(&self, bytes: &mut [u8]);

    /// Reads it from `bytes`, which are [`SIZE`](Self::SIZE) many. Total: whatever the bytes are,
    /// they are some value.
    fn read(bytes: &[u8]) -> Self;
}

/// Goes on with the hash `layout` (FNV-1a) over the name of a field or type.
#[doc(hidden)]
pub const fn layout_of_name(mut layout: u64, name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        layout = (layout ^ bytes[at] as u64).wrapping_mul(0x100_0000_01b3);
        at += 1;
    }
    layout_of(layout, bytes.len() as u64)
}

/// Goes on with the hash `layout` over another.
#[doc(hidden)]
pub const fn layout_of(layout: u64, other: u64) -> u64 {
    let mixed = (layout ^ other).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// What every layout's hash begins with.
#[doc(hidden)]
pub const LAYOUT: u64 = 0xcbf2_9ce4_8422_2325;

/// Declares a struct that is a [`Row`](crate::store::Row).
///
/// Fields may be integers from `u8` to `i64`, `bool`, arrays and tuples (up to four) of rows,
/// `Option` of a row, [`Span`](crate::store::Span), [`Symbol`](crate::store::Symbol),
/// [`Timestamp`](crate::store::Timestamp), [`List`](crate::store::List), and other structs that
/// were declared so. It derives `Clone` and `Copy`; ask for the rest with `#[derive(…)]`.
///
/// ```
/// use maintner::store::{List, Paged, Span, Symbol, Timestamp, row};
///
/// row! {
///     /// The number of a user.
///     #[derive(Debug, Default, PartialEq, Eq)]
///     pub struct UserId(i64);
/// }
///
/// row! {
///     /// An issue.
///     #[derive(Debug, Default)]
///     pub struct IssueRow {
///         number: i32,
///         title: Span,
///         milestone: Option<Symbol>,
///         author: Option<UserId>,
///         closed: Option<Timestamp>,
///         comments: List,
///         locked: bool,
///     }
/// }
///
/// let mut issues: Paged<IssueRow> = Paged::new();
/// issues.push(IssueRow { number: 7, author: Some(UserId(1)), ..IssueRow::default() });
/// ```
#[macro_export]
macro_rules! row {
    (
        $(#[$meta:meta])*
        $visible:vis struct $name:ident {
            $($(#[$field_meta:meta])* $field_visible:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        #[derive(Clone, Copy)]
        $(#[$meta])*
        $visible struct $name {
            $($(#[$field_meta])* $field_visible $field: $type),*
        }

        impl $crate::store::Row for $name {
            const SIZE: usize = 0 $(+ <$type as $crate::store::Row>::SIZE)*;

            const LAYOUT: u64 = {
                use $crate::store::row as layout;
                let hash = layout::LAYOUT;
                $(
                    let hash = layout::layout_of_name(hash, stringify!($field));
                    let hash = layout::layout_of(hash, <$type as $crate::store::Row>::LAYOUT);
                )*
                hash
            };

            #[inline]
            fn write(&self, bytes: &mut [u8]) {
                let bytes = &mut bytes[..<Self as $crate::store::Row>::SIZE];
                $(
                    let (field, bytes) =
                        bytes.split_at_mut(<$type as $crate::store::Row>::SIZE);
                    <$type as $crate::store::Row>::write(&self.$field, field);
                )*
                let _ = bytes;
            }

            #[inline]
            fn read(bytes: &[u8]) -> Self {
                let bytes = &bytes[..<Self as $crate::store::Row>::SIZE];
                $(
                    let (field, bytes) = bytes.split_at(<$type as $crate::store::Row>::SIZE);
                    let $field = <$type as $crate::store::Row>::read(field);
                )*
                let _ = bytes;
                Self { $($field),* }
            }
        }
    };
    (
        $(#[$meta:meta])*
        $visible:vis struct $name:ident($field_visible:vis $type:ty);
    ) => {
        #[derive(Clone, Copy)]
        $(#[$meta])*
        $visible struct $name($field_visible $type);

        impl $crate::store::Row for $name {
            const SIZE: usize = <$type as $crate::store::Row>::SIZE;
            const LAYOUT: u64 = <$type as $crate::store::Row>::LAYOUT;

            #[inline]
            fn write(&self, bytes: &mut [u8]) {
                <$type as $crate::store::Row>::write(&self.0, bytes);
            }

            #[inline]
            fn read(bytes: &[u8]) -> Self {
                Self(<$type as $crate::store::Row>::read(bytes))
            }
        }
    };
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl Row for $int {
            const SIZE: usize = size_of::<Self>();
            const LAYOUT: u64 = layout_of_name(LAYOUT, stringify!($int));

            #[inline]
            fn write(&self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }

            #[inline]
            fn read(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<Self>()];
                raw.copy_from_slice(bytes);
                Self::from_le_bytes(raw)
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);

impl Row for bool {
    const SIZE: usize = 1;
    const LAYOUT: u64 = layout_of_name(LAYOUT, "bool");

    #[inline]
    fn write(&self, bytes: &mut [u8]) {
        u8::from(*self).write(bytes);
    }

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        u8::read(bytes) != 0
    }
}

impl<T: Row, const N: usize> Row for [T; N] {
    const SIZE: usize = T::SIZE * N;
    const LAYOUT: u64 = layout_of(
        layout_of_name(LAYOUT, "array"),
        layout_of(N as u64, T::LAYOUT),
    );

    #[inline]
    fn write(&self, bytes: &mut [u8]) {
        for (item, bytes) in self.iter().zip(bytes.chunks_exact_mut(T::SIZE.max(1))) {
            item.write(bytes);
        }
    }

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        std::array::from_fn(|at| T::read(&bytes[at * T::SIZE..(at + 1) * T::SIZE]))
    }
}

impl<T: Row + Default> Row for Option<T> {
    const SIZE: usize = 1 + T::SIZE;
    const LAYOUT: u64 = layout_of(layout_of_name(LAYOUT, "option"), T::LAYOUT);

    #[inline]
    fn write(&self, bytes: &mut [u8]) {
        let (tag, value) = bytes.split_at_mut(1);
        self.is_some().write(tag);
        self.unwrap_or_default().write(value);
    }

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        let (tag, value) = bytes.split_at(1);
        bool::read(tag).then(|| T::read(value))
    }
}

macro_rules! tuples {
    ($(($($type:ident $at:tt),*))*) => {$(
        impl<$($type: Row),*> Row for ($($type,)*) {
            const SIZE: usize = 0 $(+ $type::SIZE)*;
            const LAYOUT: u64 = {
                let hash = layout_of_name(LAYOUT, "tuple");
                $(let hash = layout_of(hash, $type::LAYOUT);)*
                hash
            };

            #[inline]
            fn write(&self, bytes: &mut [u8]) {
                let bytes = &mut bytes[..Self::SIZE];
                $(
                    let (field, bytes) = bytes.split_at_mut($type::SIZE);
                    self.$at.write(field);
                )*
                let _ = bytes;
            }

            #[inline]
            #[expect(non_snake_case, reason = "a variable for each type")]
            fn read(bytes: &[u8]) -> Self {
                let bytes = &bytes[..Self::SIZE];
                $(
                    let (field, bytes) = bytes.split_at($type::SIZE);
                    let $type = $type::read(field);
                )*
                let _ = bytes;
                ($($type,)*)
            }
        }
    )*};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;
    use crate::store::{Span, Timestamp};

    row! {
        #[derive(Debug, PartialEq)]
        struct Inner(pub [u8; 20]);
    }

    row! {
        #[derive(Debug, PartialEq)]
        struct Outer {
            flag: bool,
            small: (u8, i16),
            inner: Inner,
            time: Option<Timestamp>,
            span: Span,
            big: i64,
            numbers: [Option<u32>; 3],
        }
    }

    fn round_trip<T: Row + Debug + PartialEq>(row: T) {
        let mut bytes = vec![0xa5; T::SIZE];
        row.write(&mut bytes);
        assert_eq!(T::read(&bytes), row);
    }

    proptest! {
        #[test]
        fn rows_come_back(flag: bool, small: (u8, i16), inner: [u8; 20], time: Option<(i64, u32)>, span: [u16; 3], big: i64, numbers: [Option<u32>; 3]) {
            round_trip(Outer {
                flag,
                small,
                inner: Inner(inner),
                time: time.map(|(seconds, nanos)| Timestamp::new(seconds, (nanos % 1_000_000_000) as i32)),
                span: Span::from_parts(span.map(u32::from)),
                big,
                numbers,
            });
        }

        #[test]
        fn any_bytes_are_a_row(bytes in prop::collection::vec(any::<u8>(), Outer::SIZE)) {
            let row = Outer::read(&bytes);
            round_trip(row);
        }
    }

    #[test]
    fn the_encoding_is_little_endian_without_padding() {
        assert_eq!(Outer::SIZE, 1 + 3 + 20 + (1 + 12) + 12 + 8 + 15);
        let mut bytes = [0; 3];
        (1_u8, -2_i16).write(&mut bytes);
        assert_eq!(bytes, [1, 0xfe, 0xff]);
        let mut bytes = [9; 5];
        None::<u32>.write(&mut bytes);
        assert_eq!(bytes, [0; 5]);
        Some(0x0102_0304_u32).write(&mut bytes);
        assert_eq!(bytes, [1, 4, 3, 2, 1]);
    }

    #[test]
    fn layouts_differ_by_name_type_and_order() {
        row! { struct A { one: u32, two: u32 } }
        row! { struct B { two: u32, one: u32 } }
        row! { struct C { one: u32, two: i32 } }
        row! { struct D { one: u32 } }
        row! { struct Same { one: u32, two: u32 } }
        let layouts = [
            A::LAYOUT,
            B::LAYOUT,
            C::LAYOUT,
            D::LAYOUT,
            u32::LAYOUT,
            i32::LAYOUT,
            <[u32; 2]>::LAYOUT,
            <[u32; 3]>::LAYOUT,
            <(u32, u32)>::LAYOUT,
            <Option<u32>>::LAYOUT,
        ];
        for (at, layout) in layouts.iter().enumerate() {
            assert!(!layouts[..at].contains(layout), "layout {at}");
        }
        assert_eq!(A::LAYOUT, Same::LAYOUT);
    }
}
