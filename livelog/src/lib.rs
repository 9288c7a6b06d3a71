//! A log that one task writes and many read, from any offset, while it grows.
//!
//! Build output is the typical use: one process produces it, some dozens of browsers and programs watch it, some join
//! late, some are slow, some have gone away without saying so. Each reader receives exactly the same bytes, starting
//! where it likes, and none of them can hold up the writer.
//!
//! ```
//! use livelog::{Bytes, Config};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut writer, log) = livelog::log(Config::default());
//! let mut early = log.reader();
//! writer.append(Bytes::from_static(b"compiling\n"))?;
//! writer.append(Bytes::from_static(b"testing\n"))?;
//! writer.finish();
//!
//! let mut text = Vec::new();
//! while let Some(chunk) = early.next().await? {
//!     text.extend_from_slice(&chunk.data);
//! }
//! assert_eq!(text, b"compiling\ntesting\n");
//!
//! let mut late = log.reader_at(10);
//! assert_eq!(late.next().await?.unwrap().data, "testing\n");
//! # Ok(()) }
//! ```
//!
//! Start with [`log`], which gives the one [`Writer`] and a [`Log`], the handle that makes a [`Reader`] for everybody
//! who asks.
//!
//! # How it behaves
//!
//! * Bytes are kept in shared segments; readers receive reference-counted slices of them, never copies of their own.
//! * Small appends are collected, so that writing byte by byte costs no allocation for each byte.
//! * An append wakes the readers that wait, once each, and leaves more than 64 of them to a thread of the log, which does it
//!   at most once a millisecond; readers that lag cost the writer nothing.
//! * A log of any length costs bounded memory: what has no room there is in an anonymous file ([`Backing::Spill`], the
//!   default, which keeps the newest [`DEFAULT_SPILL_MEMORY`] bytes there) or in yours. With [`Backing::File`] bytes are in the file before any reader sees them, memory holds only the
//!   newest part, and readers that lie further behind read the file, away from the async threads.
//! * [`Limit`] bounds what is kept, for instance by the rule of the Go build system's live log, or to head and newest tail:
//!   then a reader gets one marker for the gap between them, with the number of bytes that it stands for.
//! * Where line N begins and which line an offset is in is answered at once ([`Log::offset_of_line`],
//!   [`Log::line_of_offset`], [`Log::tail_lines`]) from an index of at most 256 KiB, made while appending.
//! * A writer that is dropped without [`Writer::finish`] ends the log as *aborted*, and every reader learns it.
//!
//! # What it does not do
//!
//! It knows nothing of encodings or of time stamps. Without the feature `http` it knows nothing of HTTP.
//! It does not rate-limit readers.
//!
//! # Features
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |
//! | `http` | module `http`: a log as an answer to an HTTP request, streamed, in byte ranges, or as server-sent events | no |
//!
//! # Runtime
//!
//! Waiting needs no particular runtime. File reads, and the writes of [`Backing::Spill`], use the blocking pool of the tokio
//! runtime that they are asked for in, and a thread of their own when there is none. The heartbeats and deadlines of module
//! `http` need tokio.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod crowd;
mod error;
mod file;
#[cfg(feature = "http")]
pub mod http;
mod kept;
mod limit;
mod lines;
mod log;
mod reader;
mod ring;
mod segments;
mod shared;
mod spill;
mod sync;
mod waiters;
mod writer;

pub use bytes::Bytes;

pub use crate::config::{
    Backing, Config, DEFAULT_MEMORY_TAIL, DEFAULT_SPILL_MEMORY, GO_MARKER, GO_MAX_BYTES, Limit,
};
pub use crate::error::{AppendError, Outcome, ReadError};
pub use crate::log::{Log, log};
pub use crate::reader::{Chunk, Reader};
pub use crate::writer::{Appended, Writer};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
