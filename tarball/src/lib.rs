//! Pack a tree to tar or tar.gz, and unpack a hostile archive safely.
//!
//! ```
//! use cap_std::{ambient_authority, fs::Dir};
//! use tarball::{FileList, PackOptions, UnpackOptions, pack_gz, unpack_gz};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut list = FileList::new();
//! list.add_dir("src")?.add_bytes("src/main.rs", 0o644, "fn main() {}")?;
//! let archive = list.write_tar_gz(Vec::new())?;
//!
//! # let scratch = tempfile::tempdir()?;
//! # let path = scratch.path();
//! let dir = Dir::open_ambient_dir(path, ambient_authority())?;
//! let report = unpack_gz(&archive[..], &dir, &UnpackOptions::default())?;
//! assert_eq!((report.files, report.dirs, report.bytes), (1, 1, 12));
//!
//! let mut again = Vec::new();
//! pack_gz(&dir, "src", &mut again, &PackOptions::default())?;
//! # Ok(())
//! # }
//! ```
//!
//! # Unpacking
//!
//! [`unpack`] and [`unpack_gz`] write beneath a directory *handle*. Each name is checked
//! ([`validate_name`]) and then opened component by component, so that neither a name nor a symlink,
//! planted before or swapped in meanwhile, leads outside. The reader is strict where readers of tar
//! disagree (sizes given twice, names given twice, content where none may be), because that is
//! where archives are smuggled past a check. Everything has a bound: see [`Limits`]. Devices, fifos
//! and sparse files are refused; links are up to [`Links`].
//!
//! # Packing
//!
//! [`pack`] streams a tree in lexical order, symlinks stored and not followed. [`Tree`] opens it
//! first, for servers that want to answer "not found" before they send anything. [`FileList`] makes
//! archives of files that exist only in memory, or anywhere else. [`PackOptions::deterministic`] gives
//! equal bytes for equal trees; [`Ignore::Git`] leaves out what git would.
//!
//! # What this crate does not do
//!
//! It does not restore owners, extended attributes, access lists or directory times; it neither
//! writes nor reads sparse files; it lists no archive without unpacking it. It speaks no compression but
//! gzip, but takes any reader and writer.
//!
//! # Features
//!
//! * `tokio`: `unpack_async`, `unpack_gz_async`, `pack_async`, `pack_gz_async`, and methods of that kind
//!   on [`Tree`] and [`FileList`]. Off by default.

#[cfg(feature = "tokio")]
mod aio;
mod buffered;
mod dest;
mod encode;
mod error;
mod feed;
mod file_list;
mod gitignore;
mod glob;
mod gotext;
mod header;
mod member;
mod name;
mod options;
mod pack;
mod packed;
mod pax;
mod pipe;
mod undo;
mod unpack;
mod zip;

#[cfg(feature = "tokio")]
pub use aio::{pack_async, pack_gz_async, unpack_async, unpack_gz_async};
pub use error::{Cleanup, GzipFault, HeaderFault, Limit, TarFault, UnpackError, UnpackErrorKind};
pub use file_list::{Content, FileList, FileListError, TarStream};
pub use name::{NameError, RelPath, validate_name, validate_portable_name};
pub use options::{Existing, Limits, Links, OnFailure, UnpackOptions, Unpacked};
pub use pack::{Tree, pack, pack_gz};
pub use packed::{
    Growing, GzipLayout, Ignore, Metadata, PackError, PackOptions, Packed, Skipped, SkippedKind,
};
pub use unpack::{unpack, unpack_gz};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
