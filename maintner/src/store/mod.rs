//! What a corpus is made of: rows in pages that versions share, indices over them, and text that
//! stays where it was read.
//!
//! One writer changes these; a clone is a version that never changes again, costs next to nothing
//! to make, and may be read from any number of threads meanwhile. What the writer touches after
//! that is copied first, a page at a time.

mod hasher;
mod index;
mod lists;
mod paged;
#[doc(hidden)]
pub mod row;
mod saved;
mod symbols;
mod text;
mod timestamp;

#[doc(inline)]
pub use crate::row;
pub use hasher::Hasher;
pub use index::Index;
pub use lists::{Full, List, Lists};
pub use paged::Paged;
pub use row::Row;
pub(crate) use saved::saved;
pub use saved::{Column, Opener, Saved, Saver, Unusable};
pub use symbols::{Symbol, Texts};
pub use text::{Misplaced, Origin, Segments, Span};
pub use timestamp::Timestamp;
