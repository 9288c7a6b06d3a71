//! The stream below the archive: plain or gzip, counted, bounded, buffered.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::{GzipFault, Limit, Limits, TarFault, UnpackErrorKind};

/// Where unpacked bytes come from.
pub(crate) trait Feed {
    /// Reads some bytes; 0 only at the end of the stream.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, TarFault>;
    /// Compressed bytes taken so far, where there is such a thing.
    fn compressed(&self) -> Option<u64>;
}

/// Counts what is taken and remembers whether the reader itself failed, which the decompressor
/// would otherwise blur with its own errors.
struct Source<R> {
    reader: R,
    taken: u64,
    failed: bool,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(buf) {
                Ok(n) => {
                    // A reader that claims more than it was given room for must not panic us later.
                    let n = n.min(buf.len());
                    self.taken += n as u64;
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            }
        }
    }
}

pub(crate) struct Plain<R>(Source<R>);

impl<R: Read> Plain<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self(Source {
            reader,
            taken: 0,
            failed: false,
        })
    }
}

impl<R: Read> Feed for Plain<R> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, TarFault> {
        self.0.read(buf).map_err(TarFault::Read)
    }

    fn compressed(&self) -> Option<u64> {
        None
    }
}

pub(crate) struct Gzip<R>(MultiGzDecoder<BufReader<Source<R>>>);

impl<R: Read> Gzip<R> {
    /// Reads the first member's header.
    pub(crate) fn new(reader: R) -> Result<Self, UnpackErrorKind> {
        let source = Source {
            reader,
            taken: 0,
            failed: false,
        };
        let mut gzip = Self(MultiGzDecoder::new(BufReader::with_capacity(
            COMPRESSED, source,
        )));
        if gzip.0.header().is_some() {
            return Ok(gzip);
        }
        // The decoder keeps the error of its first look for the first read.
        Err(match gzip.read(&mut [0]) {
            Err(TarFault::Gzip(_)) if gzip.source().taken == 0 => UnpackErrorKind::NotGzip {
                source: GzipFault::Empty,
            },
            Err(TarFault::Gzip(source)) => UnpackErrorKind::NotGzip { source },
            Err(source) => UnpackErrorKind::Tar { source },
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
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, TarFault> {
        self.0.read(buf).map_err(|error| {
            if self.source().failed {
                return TarFault::Read(error);
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
        })
    }

    fn compressed(&self) -> Option<u64> {
        Some(self.source().taken)
    }
}

/// A buffered, bounded view on a [`Feed`].
pub(crate) struct Buffered<F> {
    feed: F,
    buf: Box<[u8]>,
    pos: usize,
    len: usize,
    total: u64,
    limits: Limits,
}

impl<F: Feed> Buffered<F> {
    pub(crate) fn new(feed: F, limits: Limits) -> Self {
        Self {
            feed,
            buf: vec![0; UNPACKED].into_boxed_slice(),
            pos: 0,
            len: 0,
            total: 0,
            limits,
        }
    }

    /// Bytes that are there, after reading more if there were none; empty only at the end.
    pub(crate) fn fill(&mut self) -> Result<&[u8], UnpackErrorKind> {
        if self.pos == self.len {
            self.pos = 0;
            self.len = 0;
            self.len = self.feed.read(&mut self.buf)?;
            self.total = self.total.saturating_add(self.len as u64);
            self.check()?;
        }
        Ok(&self.buf[self.pos..self.len])
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.pos = (self.pos + n).min(self.len);
    }

    /// Bytes that may still be taken before the limit on all bytes is reached.
    pub(crate) fn allowance(&self) -> u64 {
        let taken = self.total - (self.len - self.pos) as u64;
        self.limits.max_bytes.saturating_sub(taken)
    }

    /// Fills `block`; returns how much of it there was.
    pub(crate) fn block(&mut self, block: &mut [u8]) -> Result<usize, UnpackErrorKind> {
        let mut have = 0;
        while have < block.len() {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                break;
            }
            let n = bytes.len().min(block.len() - have);
            block[have..have + n].copy_from_slice(&bytes[..n]);
            self.consume(n);
            have += n;
        }
        Ok(have)
    }

    fn check(&self) -> Result<(), UnpackErrorKind> {
        let Limits {
            max_bytes,
            max_ratio,
            ratio_from,
            ..
        } = self.limits;
        if self.total > max_bytes {
            return Err(UnpackErrorKind::limit(Limit::Bytes, max_bytes, None));
        }
        if self.total > ratio_from
            && self
                .feed
                .compressed()
                .is_some_and(|c| self.total > c.saturating_mul(max_ratio))
        {
            return Err(UnpackErrorKind::limit(Limit::Ratio, max_ratio, None));
        }
        Ok(())
    }
}

/// Read-ahead on the compressed side.
const COMPRESSED: usize = 64 << 10;
/// Read-ahead on the unpacked side: most files of a source tree are written from it in one call.
const UNPACKED: usize = 256 << 10;
