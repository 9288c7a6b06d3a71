//! The stream below the archive: plain or gzip, counted, and watched by the clock.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::time::{Duration, Instant};

use flate2::bufread::MultiGzDecoder;

use crate::{GzipFault, Limit, Limits, TarFault, UnpackErrorKind};

/// Where unpacked bytes come from.
pub(crate) trait Feed {
    /// Puts some bytes at the start of `buf`, or another buffer in its place; how many, 0 only at the
    /// end of the stream. The buffer is never empty before and after.
    fn fill(&mut self, buf: &mut Vec<u8>) -> Result<usize, UnpackErrorKind>;
    /// Compressed bytes that went into what was filled so far, where there is such a thing.
    fn compressed(&self) -> Option<u64>;
}

/// When unpacking has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    max_time: Duration,
    max_idle: Duration,
}

/// A limit of time that was met while a reader was waited for, on its way through [`io::Error`].
#[derive(Debug)]
pub(crate) struct Overdue(pub(crate) Limit, pub(crate) Duration);

impl Clock {
    pub(crate) fn start(limits: &Limits) -> Self {
        Self {
            start: Instant::now(),
            max_time: limits.max_time,
            max_idle: limits.max_idle,
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn check(&self) -> Result<(), UnpackErrorKind> {
        if self.start.elapsed() > self.max_time {
            return Err(Overdue(Limit::Time, self.max_time).kind());
        }
        Ok(())
    }

    /// What waiting since `begun` has exceeded.
    fn waited(&self, begun: Instant) -> Option<Overdue> {
        let now = Instant::now();
        if now.duration_since(begun) > self.max_idle {
            Some(Overdue(Limit::Idle, self.max_idle))
        } else if now.duration_since(self.start) > self.max_time {
            Some(Overdue(Limit::Time, self.max_time))
        } else {
            None
        }
    }
}

impl Overdue {
    fn kind(&self) -> UnpackErrorKind {
        let millis = u64::try_from(self.1.as_millis()).unwrap_or(u64::MAX);
        UnpackErrorKind::limit(self.0, millis, None)
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of time")
    }
}

impl std::error::Error for Overdue {}

/// Counts what is taken and remembers whether the reader itself failed, which the decompressor
/// would otherwise blur with its own errors.
struct Source<R> {
    reader: R,
    clock: Clock,
    taken: u64,
    failed: bool,
}

impl<R: Read> Source<R> {
    fn new(reader: R, clock: Clock) -> Self {
        Self {
            reader,
            clock,
            taken: 0,
            failed: false,
        }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let begun = Instant::now();
        let result = loop {
            match self.reader.read(buf) {
                // A reader that claims more than it was given room for must not panic us later.
                Ok(n) => break Ok(n.min(buf.len())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let result = match self.clock.waited(begun) {
            Some(overdue) => Err(io::Error::new(io::ErrorKind::TimedOut, overdue)),
            None => result,
        };
        match &result {
            Ok(n) => self.taken += *n as u64,
            Err(_) => self.failed = true,
        }
        result
    }
}

/// A failure of the caller's reader, or of its patience.
fn unread(error: io::Error) -> UnpackErrorKind {
    match error.downcast::<Overdue>() {
        Ok(overdue) => overdue.kind(),
        Err(error) => TarFault::Read(error).into(),
    }
}

pub(crate) struct Plain<R>(Source<R>);

impl<R: Read> Plain<R> {
    pub(crate) fn new(reader: R, clock: Clock) -> Self {
        Self(Source::new(reader, clock))
    }
}

impl<R: Read> Feed for Plain<R> {
    fn fill(&mut self, buf: &mut Vec<u8>) -> Result<usize, UnpackErrorKind> {
        self.0.read(buf).map_err(unread)
    }

    fn compressed(&self) -> Option<u64> {
        None
    }
}

pub(crate) struct Gzip<R>(MultiGzDecoder<BufReader<Source<R>>>);

impl<R: Read> Gzip<R> {
    /// Reads the first member's header.
    pub(crate) fn new(reader: R, clock: Clock) -> Result<Self, UnpackErrorKind> {
        let source = Source::new(reader, clock);
        let mut gzip = Self(MultiGzDecoder::new(BufReader::with_capacity(
            COMPRESSED, source,
        )));
        if gzip.0.header().is_some() {
            return Ok(gzip);
        }
        // The decoder keeps the error of its first look for the first read.
        Err(match gzip.fill(&mut vec![0]) {
            Err(UnpackErrorKind::Tar {
                source: TarFault::Gzip(_),
            }) if gzip.source().taken == 0 => UnpackErrorKind::NotGzip {
                source: GzipFault::Empty,
            },
            Err(UnpackErrorKind::Tar {
                source: TarFault::Gzip(source),
            }) => UnpackErrorKind::NotGzip { source },
            Err(kind) => kind,
            Ok(_) => UnpackErrorKind::NotGzip {
                source: GzipFault::Header,
            },
        })
    }

    fn source(&self) -> &Source<R> {
        self.0.get_ref().get_ref()
    }
}

impl<R: Read> Feed for Gzip<R> {
    fn fill(&mut self, buf: &mut Vec<u8>) -> Result<usize, UnpackErrorKind> {
        self.0.read(buf).map_err(|error| {
            if self.source().failed {
                return unread(error);
            }
            // The decoder's kinds do not tell these apart; a test pins the texts.
            let text = error.to_string();
            TarFault::Gzip(if error.kind() == io::ErrorKind::UnexpectedEof {
                GzipFault::Truncated
            } else if text.contains("matching checksum") {
                GzipFault::Checksum
            } else if text.contains("gzip header") {
                GzipFault::Header
            } else {
                GzipFault::Corrupt
            })
            .into()
        })
    }

    fn compressed(&self) -> Option<u64> {
        Some(self.source().taken)
    }
}

/// Read-ahead on the compressed side.
const COMPRESSED: usize = 64 << 10;
