//! A parallel gzip writer.
//!
//! What is written to a [`Writer`] is cut into chunks, the chunks are compressed by several threads at once, and each
//! becomes a gzip member of its own, in order, in the sink behind the writer. A file of several members is an ordinary gzip
//! file: RFC 1952 §2.2 defines it so, and `gzip -d`, Go's `compress/gzip` and flate2's `MultiGzDecoder` read it as one.
//! This is the format of the Go build system's package of the same name.
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
//! # How it behaves
//!
//! * Every member but the last holds exactly [`chunk_size`](Builder::chunk_size) bytes of input, however they were
//!   written; only [`flush`](std::io::Write::flush) makes a shorter one.
//! * At most `2 * threads + 1` chunks are under way, so a slow sink slows the writer down instead of filling memory. The
//!   buffers are used again.
//! * An error of the sink is returned by the next write, and by [`finish`](Writer::finish).
//! * Threads are started as chunks arrive. Input of less than one chunk starts none.
//! * A chunk that does not get smaller is stored, so output is never more than 0.01 % larger than input, plus 23 bytes a
//!   member.
//!
//! # What it does not do
//!
//! **It does not finish by itself.** Dropping a writer without [`finish`](Writer::finish) ends its threads and loses what
//! was under way. Because members are complete in themselves, what the sink received may look like a whole but shorter
//! gzip file.
//!
//! Decoders that stop after the first member (flate2's `GzDecoder`, some HTTP clients) see the first chunk only. There is
//! no decoder here, no single-member mode, no dictionary carried from chunk to chunk, and no async writer.

mod builder;
#[expect(dead_code, reason = "the reading side is on its way")]
mod layout;
mod member;
mod pipeline;
mod writer;

pub use crate::builder::{Builder, DEFAULT_CHUNK_SIZE, MAX_CHUNK_SIZE, MAX_THREADS};
pub use crate::layout::Layout;
pub use crate::writer::Writer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
