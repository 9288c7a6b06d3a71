//! Why an archive was not unpacked, and how far it came.

use std::error::Error;
use std::fmt;
use std::io;

use crate::gotext;
use crate::{NameError, Unpacked};

/// Unpacking stopped.
///
/// [`kind`](Self::kind) says why, [`progress`](Self::progress) and [`last_entry`](Self::last_entry) how
/// far it came, [`cleanup`](Self::cleanup) what became of it.
#[derive(Debug)]
pub struct UnpackError {
    inner: Box<Stopped>,
}

#[derive(Debug)]
struct Stopped {
    kind: UnpackErrorKind,
    progress: Unpacked,
    last: Option<Vec<u8>>,
    cleanup: Option<Cleanup>,
}

/// What became of the things a failed unpacking had made, under [`OnFailure::Remove`](crate::OnFailure).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleanup {
    /// Files, links and directories that were removed.
    pub removed: u64,
    /// Those that could not be found again or not removed. Directories into which somebody else put
    /// something are among them, and what lies behind a link that has changed since.
    pub left: u64,
}

impl UnpackError {
    pub(crate) fn new(kind: UnpackErrorKind, progress: Unpacked) -> Self {
        let (last, cleanup) = (None, None);
        Self {
            inner: Box::new(Stopped {
                kind,
                progress,
                last,
                cleanup,
            }),
        }
    }

    pub(crate) fn at(mut self, last: Option<Vec<u8>>) -> Self {
        self.inner.last = last;
        self
    }

    pub(crate) fn cleaned(mut self, cleanup: Option<Cleanup>) -> Self {
        self.inner.cleanup = cleanup;
        self
    }

    /// Why unpacking stopped.
    pub fn kind(&self) -> &UnpackErrorKind {
        &self.inner.kind
    }

    /// What had been written by then, and stays if it was not [cleaned up](Self::cleanup). A file that
    /// was cut short is removed and not counted.
    pub fn progress(&self) -> &Unpacked {
        &self.inner.progress
    }

    /// The name of the last entry that was begun, as it stands in the archive, cut to 4,096 bytes;
    /// `None` if there was none.
    pub fn last_entry(&self) -> Option<&[u8]> {
        self.inner.last.as_deref()
    }

    /// What was removed again; `None` under [`OnFailure::Keep`](crate::OnFailure::Keep).
    pub fn cleanup(&self) -> Option<Cleanup> {
        self.inner.cleanup
    }

    /// Whether the archive (or whoever sent it) is to blame, so that trying again with the same
    /// bytes is pointless. `false` means that this machine could not write: disk full, no
    /// permission. A server answers 400 or 500 by it.
    ///
    /// A reader that failed counts as the sender's fault, as in the Go original.
    pub fn is_input_fault(&self) -> bool {
        !matches!(self.kind(), UnpackErrorKind::Io { .. })
    }

    /// The error and its causes in one line, worded as the Go original words it: `tar error:
    /// unexpected EOF`, `tar file contained invalid name "../x"`.
    pub fn message(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}

impl Error for UnpackError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind().source()
    }
}

/// Why unpacking stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackErrorKind {
    /// The stream does not start with a gzip header.
    #[error("requires gzip-compressed body")]
    NotGzip {
        /// What is wrong with the header.
        source: GzipFault,
    },
    /// The stream is not a whole, well-formed archive, or could not be read to its end.
    #[error("tar error")]
    Tar {
        /// What is wrong.
        source: TarFault,
    },
    /// An entry's name leads outside, or cannot be a name.
    #[error("tar file contained invalid name {}", gotext::quote(name))]
    InvalidName {
        /// The name as it stands in the archive.
        name: Vec<u8>,
        /// The rule it breaks.
        reason: NameError,
    },
    /// An entry is of a type that is not unpacked: a device, a fifo, a sparse file, a link where
    /// the policy refuses links, or an unknown one.
    #[error(
        "tar file entry {} contained unsupported file type {mode}",
        gotext::plain(name)
    )]
    UnsupportedType {
        /// The entry's name.
        name: Vec<u8>,
        /// Its mode as Go prints it, such as `Lrwxrwxrwx`.
        mode: String,
        /// The type byte of the header.
        typeflag: u8,
    },
    /// A link does not stay inside, or names nothing that can be linked to.
    #[error(
        "tar file entry {} is a link to {}, which {reason}",
        gotext::plain(name),
        gotext::quote(target)
    )]
    Link {
        /// The link's name.
        name: Vec<u8>,
        /// What it should lead to.
        target: Vec<u8>,
        /// Why that is refused, as the end of a sentence.
        reason: &'static str,
    },
    /// What is already there, from this archive or from before, is in the entry's way.
    #[error("tar file entry {} is blocked by {obstacle}", gotext::plain(name))]
    Blocked {
        /// The entry's name.
        name: Vec<u8>,
        /// What is in the way.
        obstacle: &'static str,
    },
    /// The archive is larger than allowed, in one of the ways [`Limits`](crate::Limits) names.
    #[error("archive exceeds the limit of {max} {limit}")]
    Limit {
        /// Which limit.
        limit: Limit,
        /// Its value.
        max: u64,
        /// The entry concerned, where there is one; cut to 256 bytes.
        name: Option<Vec<u8>>,
    },
    /// The system refused to write.
    #[error("{action} {}", gotext::plain(name))]
    Io {
        /// What was tried, such as `cannot create file`.
        action: &'static str,
        /// The entry's name.
        name: Vec<u8>,
        /// The system's answer.
        source: io::Error,
    },
}

/// The limit an archive exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::max_bytes`](crate::Limits::max_bytes)
    Bytes,
    /// [`Limits::max_file_bytes`](crate::Limits::max_file_bytes)
    FileBytes,
    /// [`Limits::max_entries`](crate::Limits::max_entries)
    Entries,
    /// [`Limits::max_depth`](crate::Limits::max_depth)
    Depth,
    /// [`Limits::max_name`](crate::Limits::max_name)
    Name,
    /// [`Limits::max_component`](crate::Limits::max_component)
    Component,
    /// [`Limits::max_ratio`](crate::Limits::max_ratio)
    Ratio,
    /// An extended header of more than 1 MiB, which no real archive has.
    ExtendedHeader,
    /// [`Limits::max_time`](crate::Limits::max_time), in milliseconds.
    Time,
    /// [`Limits::max_idle`](crate::Limits::max_idle), in milliseconds.
    Idle,
}

/// The unit, fit for `the limit of 5 …`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes unpacked",
            Self::FileBytes => "bytes in one file",
            Self::Entries => "entries",
            Self::Depth => "directories deep",
            Self::Name => "bytes in a name",
            Self::Component => "bytes in one component of a name",
            Self::Ratio => "unpacked bytes for each compressed one",
            Self::ExtendedHeader => "bytes in an extended header",
            Self::Time => "milliseconds of unpacking",
            Self::Idle => "milliseconds of waiting for input",
        })
    }
}

/// What is wrong with a tar stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarFault {
    /// The stream ends inside an entry or before the archive's end mark.
    #[error("unexpected EOF")]
    Truncated,
    /// A header block makes no sense.
    #[error("archive/tar: invalid tar header")]
    Header(#[source] HeaderFault),
    /// The compressed stream around it is damaged.
    #[error(transparent)]
    Gzip(GzipFault),
    /// The caller's reader failed.
    #[error(transparent)]
    Read(io::Error),
}

/// What is wrong with a tar header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderFault {
    /// The block's checksum is absent or does not match: not a header at all.
    #[error("checksum does not match")]
    Checksum,
    /// A number is not one, is negative, or does not fit.
    #[error("bad number")]
    Number,
    /// A single zero block is followed by something else.
    #[error("lone zero block")]
    LoneZeroBlock,
    /// A PAX record's length or form is wrong, or a long name has a NUL inside.
    #[error("malformed extended header record")]
    Record,
    /// The same property is given twice, which readers resolve differently.
    #[error("property given twice")]
    Duplicate,
    /// A directory, link or other entry without content declares some, which readers skip or not.
    #[error("entry of a type without content declares a size")]
    Size,
    /// An extended header describes no entry.
    #[error("extended header without an entry")]
    Dangling,
}

/// What is wrong with a gzip stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GzipFault {
    /// The stream is empty.
    #[error("EOF")]
    Empty,
    /// It ends inside a member.
    #[error("unexpected EOF")]
    Truncated,
    /// A member, or what follows the last one, does not start with a gzip header.
    #[error("gzip: invalid header")]
    Header,
    /// A member's checksum or length does not match its content.
    #[error("gzip: invalid checksum")]
    Checksum,
    /// The compressed data makes no sense.
    #[error("flate: corrupt input")]
    Corrupt,
}

impl From<TarFault> for UnpackErrorKind {
    fn from(source: TarFault) -> Self {
        Self::Tar { source }
    }
}

impl From<HeaderFault> for UnpackErrorKind {
    fn from(fault: HeaderFault) -> Self {
        Self::Tar {
            source: TarFault::Header(fault),
        }
    }
}

impl UnpackErrorKind {
    pub(crate) fn limit(limit: Limit, max: u64, name: Option<&[u8]>) -> Self {
        let name = name.map(|n| n[..n.len().min(256)].to_vec());
        Self::Limit { limit, max, name }
    }

    pub(crate) fn io(action: &'static str, name: &[u8], source: io::Error) -> Self {
        Self::Io {
            action,
            name: name.to_vec(),
            source,
        }
    }
}
