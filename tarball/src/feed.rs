//! The stream below the archive: plain or gzip, counted, and watched by the clock.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, BufRead, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};

use flate2::bufread::GzDecoder;
use pargzip::{ReadError, Reader, ReaderBuilder};

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

/// The caller's reader, watched.
struct Source<R> {
    reader: R,
    clock: Clock,
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
        match self.clock.waited(begun) {
            Some(overdue) => Err(io::Error::new(io::ErrorKind::TimedOut, overdue)),
            None => result,
        }
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
        Self(Source { reader, clock })
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

/// Members whose ends show, as those of our own archives do, are decoded whole, which is faster; others
/// as they come.
pub(crate) struct Gzip<R> {
    reader: Reader<Counted<R>>,
    seen: Rc<Seen>,
}

/// Compressed bytes on their way into the decoder.
struct Counted<R> {
    source: Source<R>,
    seen: Rc<Seen>,
}

struct Seen {
    taken: Cell<u64>,
    /// What came first, until something was decoded.
    head: RefCell<Option<Vec<u8>>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buf)?;
        self.seen.taken.set(self.seen.taken.get() + n as u64);
        if let Some(head) = &mut *self.seen.head.borrow_mut() {
            head.extend_from_slice(&buf[..n.min(HEAD - head.len())]);
        }
        Ok(n)
    }
}

impl<R: Read> Gzip<R> {
    /// Reads the first member's header, and as far as there is something to hand out.
    pub(crate) fn new(reader: R, clock: Clock) -> Result<Self, UnpackErrorKind> {
        let seen = Rc::new(Seen {
            taken: Cell::new(0),
            head: RefCell::new(Some(Vec::new())),
        });
        let counted = Counted {
            source: Source { reader, clock },
            seen: Rc::clone(&seen),
        };
        let mut reader = ReaderBuilder::new().build_local(counted);
        let begun = reader.fill_buf().map(drop);
        let head = seen.head.take().unwrap_or_default();
        match begun {
            Ok(()) => Ok(Self { reader, seen }),
            Err(error) => Err(match undecoded(error) {
                UnpackErrorKind::Tar {
                    source: TarFault::Gzip(source),
                } if GzDecoder::new(&head[..]).header().is_none() => {
                    UnpackErrorKind::NotGzip { source }
                }
                kind => kind,
            }),
        }
    }
}

impl<R: Read> Feed for Gzip<R> {
    fn fill(&mut self, buf: &mut Vec<u8>) -> Result<usize, UnpackErrorKind> {
        self.reader.read(buf).map_err(undecoded)
    }

    fn compressed(&self) -> Option<u64> {
        Some(self.seen.taken.get())
    }
}

fn undecoded(error: io::Error) -> UnpackErrorKind {
    let fault = match ReadError::of(&error) {
        None => return unread(error),
        Some(ReadError::Empty) => GzipFault::Empty,
        Some(ReadError::Truncated { .. }) => GzipFault::Truncated,
        Some(ReadError::BadHeader { .. } | ReadError::TrailingGarbage { .. }) => GzipFault::Header,
        Some(ReadError::BadCrc { .. } | ReadError::BadSize { .. }) => GzipFault::Checksum,
        Some(_) => GzipFault::Corrupt,
    };
    TarFault::Gzip(fault).into()
}

/// More than any header that is read.
const HEAD: usize = 256 << 10;
