//! Framing of a log: a file of records, each with its place and its length in front.
//!
//! ```text
//! record = "REC@" offset "+" length "=" payload
//! ```
//!
//! `offset` is where the record begins in its file and `length` counts the bytes of the payload,
//! both in hex, lower-case and without padding. Nothing else is in the file: no preamble, no
//! separator, no checksum. The format is that of the Go project's build system
//! (`golang.org/x/build/maintner/reclog`), and files may be exchanged with it in both directions.
//!
//! | you have | use |
//! |---|---|
//! | a file in memory, or mapped | [`Records`], which borrows from it |
//! | a stream | [`Reader`] |
//! | a file to write to | [`Appender`] |
//! | doubts | [`verify`] |
//!
//! ```
//! use maintner::reclog::{Header, Records};
//!
//! let mut log = Vec::new();
//! for payload in ["hello", "", "REC@0+1=x"] {
//!     log.extend_from_slice(&Header::new(log.len() as u64, payload.len() as u64));
//!     log.extend_from_slice(payload.as_bytes());
//! }
//! assert_eq!(log, b"REC@0+5=helloREC@d+0=REC@15+9=REC@0+1=x");
//! let payloads: Result<Vec<_>, _> = Records::new(&log, 0).map(|r| r.map(|r| r.payload)).collect();
//! assert_eq!(payloads?, [&b"hello"[..], b"", b"REC@0+1=x"]);
//! # Ok::<(), maintner::reclog::Error>(())
//! ```
//!
//! # What differs from the original
//!
//! * Numbers with a sign are refused; the original takes `+-1` and goes backwards. Upper case and
//!   leading zeros are read, as there.
//! * Payloads have a limit, 64 MiB unless told otherwise.
//! * A record that a crash left half-written is cut off before anything is appended to it. The
//!   original appends behind it, and loses everything from there on.
//! * Checksums, in a file beside the log that the original does not look at.

mod appender;
mod error;
mod header;
mod reader;
mod records;
mod storage;
mod sums;
mod verify;

pub use appender::{AppendError, Appender, Cut, OpenError, Options, RecoverError, Recovery};
pub use error::{Error, ReadError};
pub use header::Header;
pub use reader::Reader;
pub use records::{Record, Records, find_record};
pub(crate) use storage::Lock;
pub use storage::Storage;
pub use verify::{Damage, Fault, Report, SumsState, verify};

/// The longest header in bytes, `=` included.
pub const MAX_HEADER: usize = 40;

/// The longest payload that is read unless told otherwise: 64 MiB.
pub const DEFAULT_MAX_PAYLOAD: u64 = 64 << 20;
