//! What a corpus is made of: rows in pages that versions share, indices over them, and text that
//! stays where it was read.
//!
//! One writer changes these; a clone is a version that never changes again, costs next to nothing
//! to make, and may be read from any number of threads meanwhile. What the writer touches after
//! that is copied first, a page or a shard at a time.

mod index;
mod paged;
mod symbols;
mod text;

pub use index::Index;
pub use paged::Paged;
pub use symbols::{Symbol, Texts};
pub use text::{Misplaced, Origin, Segments, Span};
