//! A parallel gzip writer and reader.
//!
//! What is written to a [`Writer`] (or an `AsyncWriter`, with the feature `tokio`) is cut into chunks, the chunks are
//! compressed by several threads at once, and each becomes a gzip member of its own, in order, in the sink behind the
//! writer. A file of several members is an ordinary gzip file: RFC 1952 section 2.2 defines it so, and `gzip -d`, Go's
//! `compress/gzip` and flate2's `MultiGzDecoder` read it as one.
//!
//! ```
//! use std::io::{Read, Write};
//!
//! let mut writer = pargzip::Builder::new().level(6).build(Vec::new());
//! writer.write_all(b"a large tree of files")?;
//! let compressed = writer.finish()?;
//!
//! let mut text = String::new();
//! flate2::read::MultiGzDecoder::new(&compressed[..]).read_to_string(&mut text)?;
//! assert_eq!(text, "a large tree of files");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # How the writers behave
//!
//! * Every member but the last holds exactly [`chunk_size`](Builder::chunk_size) bytes of input, however they were
//!   written; only a flush makes a shorter one. [`Layout`] tells what else there is.
//! * At most `2 * threads` chunks are under way (three if an `AsyncWriter` has one thread), so a slow sink slows the
//!   writer down instead of filling memory. The buffers are used again.
//! * Output depends on the input, the settings (but not the number of threads) and where it was flushed, nothing else: of
//!   one build, and with the feature `isal` on one kind of CPU.
//! * An error of the sink is returned by the next write, and by [`finish`](Writer::finish).
//! * Threads are started as chunks arrive. Input of less than one chunk starts none.
//! * A chunk that would not get smaller is stored, so output is never more than 0.01 % larger than input, plus 33 bytes a
//!   member. Chunks that look like noise (archives, pictures) are stored without trying.
//! * A writer dropped without [`finish`](Writer::finish) leaves a file that every gunzip reports as cut off, and logs an
//!   error.
//!
//! # Levels and engines
//!
//! From 0 (store) and 1 (fast) to 12 (small); the default is 6. Level 1 is a compressor of our own in safe Rust. From
//! level 2, the feature `libdeflate`, on by default, compresses with libdeflate, a C library; without it everything is Rust
//! (zlib-rs) and some two times slower. The feature `isal` adds
//! Intel's ISA-L for level 1, which takes 15 to 22 % less time on x86-64 with AVX2, and makes logs 3 % larger; building it
//! needs nasm, autoconf, automake and libtool. `unsafe` is forbidden here; it stays in those dependencies.
//!
//! # What it does not do
//!
//! Decoders that stop after the first member (flate2's `GzDecoder`, some HTTP clients) see the first chunk only, unless
//! written with [`Layout::Single`]. There is no file name or time in the header, no zlib or zstd, and no index file.

#[cfg(feature = "tokio")]
mod async_writer;
mod buffer;
mod builder;
mod chunker;
mod deflate;
mod engine;
mod failure;
mod layout;
mod member;
mod pipeline;
mod read;
mod sample;
mod sync;
mod tail;
mod writer;

#[cfg(feature = "tokio")]
pub use crate::async_writer::AsyncWriter;
pub use crate::builder::{
    Builder, DEFAULT_CHUNK_SIZE, DEFAULT_LEVEL, MAX_CHUNK_SIZE, MAX_LEVEL, MAX_THREADS,
};
pub use crate::layout::Layout;
#[cfg(feature = "tokio")]
pub use crate::read::AsyncReader;
pub use crate::read::{ReadError, Reader, ReaderBuilder, Trailing};
pub use crate::writer::Writer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
