use std::io::Read;
use std::thread;

use super::reader::Reader;
use super::sequential::Limits;
use crate::MAX_THREADS;

/// The usual [`max_member`](ReaderBuilder::max_member): 4 MiB.
const DEFAULT_MAX_MEMBER: usize = 4 << 20;

/// What to do with bytes after the last member that are neither a member nor zeros up to the end. Such zeros, the padding
/// of tapes, are always passed over, as `gzip` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Trailing {
    /// They are an error, [`TrailingGarbage`](crate::ReadError::TrailingGarbage), after all data have been delivered.
    ///
    /// This is the default because a damaged header of a later member looks the same: passing over it would lose the
    /// rest of the file without a word.
    #[default]
    Refuse,
    /// They end the data, as for `gzip -d`, which then warns; `trailing_garbage` of the readers tells of them.
    Ignore,
}

/// How to decompress; makes [`Reader`]s and, with the feature `tokio`, `AsyncReader`s.
///
/// ```
/// use std::io::Read;
///
/// let source = std::io::Cursor::new(pargzip_hello());
/// let mut reader = pargzip::ReaderBuilder::new().threads(2).max_output(1 << 30).build(source);
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// # fn pargzip_hello() -> Vec<u8> {
/// #     let mut writer = pargzip::Builder::new().build(Vec::new());
/// #     std::io::Write::write_all(&mut writer, b"hello").unwrap();
/// #     writer.finish().unwrap()
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ReaderBuilder {
    threads: usize,
    max_output: u64,
    max_ratio: u32,
    max_member: usize,
    trailing: Trailing,
}

impl ReaderBuilder {
    /// One thread for each CPU, no limits of output, garbage refused.
    pub fn new() -> Self {
        Self {
            threads: 0,
            max_output: u64::MAX,
            max_ratio: u32::MAX,
            max_member: DEFAULT_MAX_MEMBER,
            trailing: Trailing::Refuse,
        }
    }

    /// How many threads decompress, at most [`MAX_THREADS`]; 0 means one for each CPU.
    ///
    /// With 1 a [`Reader`] decompresses in the thread that reads, and starts none. With more, and more than a little
    /// input, one thread beside them reads the source.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.min(MAX_THREADS);
        self
    }

    /// The most bytes of output. One more is the error [`OutputLimit`](crate::ReadError::OutputLimit).
    #[must_use]
    pub fn max_output(mut self, bytes: u64) -> Self {
        self.max_output = bytes;
        self
    }

    /// The most bytes of output for each byte of input, from the beginning to wherever the reader is; the first 64 KiB of
    /// output are free. More is the error [`RatioLimit`](crate::ReadError::RatioLimit). Deflate cannot exceed 1,032; source
    /// text rarely exceeds 20, logs 100.
    #[must_use]
    pub fn max_ratio(mut self, ratio: u32) -> Self {
        self.max_ratio = ratio;
        self
    }

    /// The largest member, in bytes of output, that is decompressed whole, which is what can be done in parallel; 4 MiB
    /// at first, at most 1 GiB. Larger ones are decompressed piece by piece in order.
    ///
    /// It bounds memory: at most `2 * threads` such members are under way, each with its compressed form.
    #[must_use]
    pub fn max_member(mut self, bytes: usize) -> Self {
        self.max_member = bytes.min(1 << 30);
        self
    }

    /// What to do with garbage after the last member.
    #[must_use]
    pub fn trailing(mut self, trailing: Trailing) -> Self {
        self.trailing = trailing;
        self
    }

    /// A reader of what `source` holds, which may read it from another thread.
    pub fn build<R: Read + Send + 'static>(&self, source: R) -> Reader<R> {
        Reader::new_parallel(source, self)
    }

    /// A reader that does everything in the thread that reads from it, so that `source` may be anything.
    pub fn build_local<R: Read>(&self, source: R) -> Reader<R> {
        Reader::new_local(source, self)
    }

    /// A reader for async code. Must be read from within any runtime; it spawns no tasks.
    #[cfg(feature = "tokio")]
    pub fn build_async<R: tokio::io::AsyncRead + Unpin>(&self, source: R) -> super::AsyncReader<R> {
        super::AsyncReader::from_builder(source, self)
    }

    pub(super) fn thread_count(&self) -> usize {
        match self.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
        .min(MAX_THREADS)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_output: self.max_output,
            max_ratio: self.max_ratio,
        }
    }

    pub(super) fn member_limit(&self) -> usize {
        self.max_member
    }

    pub(super) fn trailing_rule(&self) -> Trailing {
        self.trailing
    }
}

impl Default for ReaderBuilder {
    fn default() -> Self {
        Self::new()
    }
}
