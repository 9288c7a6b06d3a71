//! The reading side.
//!
//! From the bottom up: [`sequential`] decodes anything, byte by byte in order, and is the one place where errors and limits
//! are told. [`split`] looks for members whose end is known or can be guessed, [`batch`] decodes those whole, and
//! [`state`] keeps the order and goes back to the sequential decoder where a batch turns out not to be what it claimed;
//! [`engine`] has threads do the work.
//! None of them does input or output; the readers on top do.

#[cfg(feature = "tokio")]
mod async_reader;
mod batch;
mod builder;
mod engine;
mod error;
mod gathered;
mod reader;
mod sequential;
mod split;
mod state;

#[cfg(feature = "tokio")]
pub use async_reader::AsyncReader;
pub use builder::{ReaderBuilder, Trailing};
pub use error::ReadError;
pub use reader::Reader;
