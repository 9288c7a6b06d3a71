use std::fs::File;
use std::path::PathBuf;

use bytes::Bytes;

/// The largest log, in bytes, of the Go build system (golang/build `livelog`): 2 MiB, marker included.
pub const GO_MAX_BYTES: u64 = 2 << 20;

/// What the Go build system writes in place of the rest of a log that became too long; 23 bytes, no final newline.
pub const GO_MARKER: &[u8; 23] = b"\n\n... log truncated ...";

/// The usual second field of [`Backing::File`]: 1 MiB.
pub const DEFAULT_MEMORY_TAIL: usize = 1 << 20;

/// Bytes that the default [`Backing::Spill`] keeps in memory: 8 MiB. All of most logs, and for the others enough that
/// readers who keep up do not need the file, and that a disk which pauses does not hold up the writer.
pub const DEFAULT_SPILL_MEMORY: usize = 8 << 20;

/// How a log is kept.
#[derive(Debug, Default)]
pub struct Config {
    /// How much of what is appended is kept. Default: everything.
    pub limit: Limit,
    /// Where it is kept. Default: in memory as long as it is small, then in an anonymous file.
    pub backing: Backing,
}

impl Config {
    /// An unlimited log kept in `file`, with [`DEFAULT_MEMORY_TAIL`] bytes of it in memory.
    pub fn file(file: File) -> Self {
        Self {
            limit: Limit::Unlimited,
            backing: Backing::File(file, DEFAULT_MEMORY_TAIL),
        }
    }
}

/// How much of what is appended is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Everything.
    #[default]
    Unlimited,
    /// The beginning only. The log never becomes longer than `max` bytes: the first `max - marker.len()` bytes appended are
    /// kept, and when there are more, `marker` follows as the last bytes of the log.
    ///
    /// With an empty `marker` the log is cut in silence at `max` bytes, as the Go build system did before 2021. A marker
    /// longer than `max` is itself cut. The cut is made at a byte, wherever it falls in a UTF-8 sequence.
    HeadOnly {
        /// Bytes in the log at most, marker included.
        max: u64,
        /// The last bytes of a log that was cut.
        marker: Bytes,
    },
    /// The first `head` bytes and the newest `tail` bytes; what lies between is dropped as the log grows.
    ///
    /// Offsets stay those of what was appended. A reader that comes to the gap gets `marker` in one
    /// [`Chunk`](crate::Chunk) that says how many bytes it stands for, and goes on behind the gap. A reader that waits at
    /// the end of the log sees no gap; one that is overtaken by more than `tail` bytes does, as often as that happens.
    HeadAndTail {
        /// Bytes kept from the beginning.
        head: u64,
        /// Newest bytes kept. At least some KiB, or readers that wait are overtaken by single appends.
        tail: u64,
        /// What readers get in place of the gap, for instance `"\n[output left out]\n"`. May be empty.
        marker: Bytes,
    },
    /// The rule of the Go build system since 2021: [`HeadOnly`](Self::HeadOnly) with [`GO_MAX_BYTES`] and [`GO_MARKER`].
    GoMarker,
}

/// Where the bytes are kept, for as long as a [`Log`](crate::Log), the writer or a reader exists.
///
/// Which one? [`Spill`](Self::Spill), the default, is right whenever nobody promised that logs stay small: a log of any
/// length costs bounded memory, and one that fits touches no disk. [`Memory`](Self::Memory) is for logs whose
/// length something else bounds, such as a [`Limit`]; appending then cannot fail. [`File`](Self::File) is for logs that
/// must survive the process.
#[derive(Debug)]
#[non_exhaustive]
pub enum Backing {
    /// In memory, all of them.
    Memory,
    /// In memory as long as the log is small. When it has more than half of `memory` bytes (all of them, if that is less
    /// than 1 MiB), it is written to an anonymous temporary file as well, in the background, and memory holds the newest
    /// `memory` bytes. Readers that lie further behind read the file, of which they share up to 1 MiB that was read last.
    ///
    /// If the file cannot be made or written, the next append fails and ends the log; what it has until then stays readable
    /// (with [`Limit::HeadAndTail`], less the oldest part of the tail, which may have been overwritten). A log that is
    /// finished before it has to know is whole.
    ///
    /// The file has no name that anybody could open (where the system allows; elsewhere it is deleted when closed), and
    /// its room is given back when the log is dropped or the process ends, in whichever way. With [`Limit::HeadAndTail`] it
    /// grows to head and tail only, and does not exist if both fit into `memory`.
    Spill {
        /// Bytes in memory at most, usually [`DEFAULT_SPILL_MEMORY`]; 0 is allowed.
        memory: usize,
        /// The folder for the file, which must exist; `None`: the system's folder for temporary files. On some systems that
        /// is itself kept in memory (tmpfs); for large logs name a folder on a disk.
        dir: Option<PathBuf>,
    },
    /// In this file, from its offset 0. The file must have been opened for reading and writing and should be empty;
    /// nobody else may write to it or shorten it.
    ///
    /// Bytes are written to the file before readers can see them (they survive the process, and after
    /// [`Writer::sync`](crate::Writer::sync) the machine). The second field says how many of the newest bytes stay in
    /// memory as well, usually [`DEFAULT_MEMORY_TAIL`]; 0 is allowed. Readers that lie further behind read the file.
    ///
    /// With [`Limit::HeadAndTail`] the file holds the head, then the tail as a ring: the byte at offset `o` of the log, not
    /// less than `head`, is at `head + (o - head) % tail` of the file.
    File(File, usize),
}

/// [`Spill`](Self::Spill) with [`DEFAULT_SPILL_MEMORY`], to the system's folder for temporary files.
impl Default for Backing {
    fn default() -> Self {
        Self::Spill {
            memory: DEFAULT_SPILL_MEMORY,
            dir: None,
        }
    }
}
