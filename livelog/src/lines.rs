use memchr::{memchr_iter, memrchr};

use crate::error::ReadError;
use crate::log::Log;

/// Bytes between two entries of a short log's index.
const FIRST_STRIDE: u64 = 4 << 10;

/// Entries at most, 256 KiB of them. When it is reached, every second entry goes and the stride doubles: 4 KiB up to
/// 128 MiB of log, 32 KiB at 1 GiB, 1 MiB at 32 GiB.
const MAX_ENTRIES: usize = 32 << 10;

/// How many lines end before every `stride`th byte of a log.
#[derive(Debug)]
pub(crate) struct LineIndex {
    /// Line ends before offset `(i + 1) * stride`.
    entries: Vec<u64>,
    stride: u64,
    max_entries: usize,
    /// Of the log that has been counted.
    len: u64,
    /// Line ends in it.
    ends: u64,
    /// Offset behind the last line end.
    last_line: u64,
}

/// A part of the log between two entries, or behind the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: u64,
    to: u64,
    /// Line ends before `from`.
    ends_at_from: u64,
    /// Line ends before `to`.
    ends_at_to: u64,
}

impl Default for LineIndex {
    fn default() -> Self {
        Self::new(FIRST_STRIDE, MAX_ENTRIES)
    }
}

impl LineIndex {
    fn new(stride: u64, max_entries: usize) -> Self {
        Self {
            entries: Vec::new(),
            stride,
            max_entries,
            len: 0,
            ends: 0,
            last_line: 0,
        }
    }

    pub(crate) fn add(&mut self, mut data: &[u8]) {
        if let Some(last) = memrchr(b'\n', data) {
            self.last_line = self.len + last as u64 + 1;
        }
        while !data.is_empty() {
            let to_entry = self.stride - self.len % self.stride;
            let now = usize::try_from(to_entry).map_or(data.len(), |n| n.min(data.len()));
            let (counted, later) = data.split_at(now);
            self.ends += memchr_iter(b'\n', counted).count() as u64;
            self.len += now as u64;
            data = later;
            if self.len.is_multiple_of(self.stride) {
                self.entries.push(self.ends);
                if self.entries.len() == self.max_entries {
                    self.thin_out();
                }
            }
        }
    }

    fn thin_out(&mut self) {
        let mut i = 0;
        self.entries.retain(|_| {
            i += 1;
            i % 2 == 0
        });
        self.stride *= 2;
    }

    /// Lines, an unfinished last one included.
    fn lines(&self) -> u64 {
        self.ends + u64::from(self.last_line < self.len)
    }

    /// The span that ends with entry `i`, or with the log.
    fn span(&self, i: usize) -> Span {
        let (to, ends_at_to) = match self.entries.get(i) {
            Some(ends) => ((i as u64 + 1) * self.stride, *ends),
            None => (self.len, self.ends),
        };
        Span {
            from: i as u64 * self.stride,
            to,
            ends_at_from: match i {
                0 => 0,
                i => self.entries[i - 1],
            },
            ends_at_to,
        }
    }

    /// Where the `n`th line end is, counted from 1 and not more than there are.
    fn span_of_end(&self, n: u64) -> Span {
        self.span(self.entries.partition_point(|ends| *ends < n))
    }

    fn span_of_offset(&self, offset: u64) -> Span {
        let i = usize::try_from(offset / self.stride).unwrap_or(usize::MAX);
        self.span(i.min(self.entries.len()))
    }
}

/// Lines, by number and by offset.
///
/// A line ends with `\n`; whatever else it contains (`\r`, escape sequences, bytes that are no UTF-8) is part of it. Lines
/// are numbered from 0. They are those of what was appended, whatever [`Limit::HeadAndTail`](crate::Limit::HeadAndTail)
/// has dropped since.
///
/// Each answer takes a binary search, and reading one part of the log between two entries of the index: 4 KiB of a log up to
/// 128 MiB, 32 KiB of one of 1 GiB.
impl Log {
    /// Lines in the log now. An unfinished last line counts, if it has at least one byte.
    pub fn lines(&self) -> u64 {
        self.shared.lines().lines()
    }

    /// Where line `line` begins. `None`: not known yet; so many lines have not ended before it.
    ///
    /// `log.reader_at(a).until(b)` with the offsets of lines 10,000 and 10,100 reads the hundred lines from 10,000 on.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ReadError::File`], and [`ReadError::Lost`] if the line begins in the gap of a
    /// [`Limit::HeadAndTail`](crate::Limit::HeadAndTail).
    pub async fn offset_of_line(&self, line: u64) -> Result<Option<u64>, ReadError> {
        if line == 0 {
            return Ok(Some(0));
        }
        let span = {
            let index = self.shared.lines();
            if line > index.ends {
                return Ok(None);
            }
            if line == index.ends {
                return Ok(Some(index.last_line));
            }
            index.span_of_end(line)
        };
        let (mut from, mut ends_before) = (span.from, span.ends_at_from);
        loop {
            let behind = match self.scan(from, span.to, line - ends_before).await? {
                Scan::Found(offset) => return Ok(Some(offset)),
                Scan::Gap(end) => end,
                // Somebody has changed the file.
                Scan::Ends(_) => return Ok(None),
            };
            // Behind the gap, count backwards from the end of the span.
            let Scan::Ends(ends) = self.scan(behind, span.to, u64::MAX).await? else {
                return Err(self.lost(from, behind));
            };
            ends_before = span.ends_at_to.saturating_sub(ends);
            if line <= ends_before {
                return Err(self.lost(from, behind));
            }
            from = behind;
        }
    }

    /// The line that the byte at `offset` is in, which is the number of lines that end before it. An offset behind the end
    /// counts as the end.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// As [`offset_of_line`](Self::offset_of_line).
    pub async fn line_of_offset(&self, offset: u64) -> Result<u64, ReadError> {
        let (offset, span) = {
            let index = self.shared.lines();
            let offset = offset.min(index.len);
            (offset, index.span_of_offset(offset))
        };
        if let Scan::Ends(ends) = self.scan(span.from, offset, u64::MAX).await? {
            return Ok(span.ends_at_from + ends);
        }
        match self.scan(offset, span.to, u64::MAX).await? {
            Scan::Ends(ends) => Ok(span.ends_at_to.saturating_sub(ends)),
            _ => Err(self.lost(span.from, span.to)),
        }
    }

    /// Where the newest `lines` lines begin, an unfinished last one included: pass it to
    /// [`reader_at`](Self::reader_at) to see them and what follows. 0 if there are fewer; the end of the gap if so many are no
    /// longer kept.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ReadError::File`].
    pub async fn tail_lines(&self, lines: u64) -> Result<u64, ReadError> {
        let (first, len) = {
            let index = self.shared.lines();
            (index.lines().saturating_sub(lines), index.len)
        };
        if lines == 0 {
            return Ok(len);
        }
        match self.offset_of_line(first).await {
            Ok(offset) => Ok(offset.unwrap_or(len)),
            Err(ReadError::Lost { to, .. }) => Ok(to),
            Err(error) => Err(error),
        }
    }

    /// Looks for the `n`th line end from `from` on, before `to`.
    async fn scan(&self, from: u64, to: u64, mut n: u64) -> Result<Scan, ReadError> {
        let mut ends = 0;
        let mut reader = self.reader_at(from).until(to);
        while let Some(chunk) = reader.next().await? {
            if chunk.missing > 0 {
                return Ok(Scan::Gap(chunk.end()));
            }
            let in_chunk = memchr_iter(b'\n', &chunk.data).count() as u64;
            if n <= in_chunk {
                let nth = memchr_iter(b'\n', &chunk.data).nth(n as usize - 1);
                return Ok(match nth {
                    Some(at) => Scan::Found(chunk.offset + at as u64 + 1),
                    None => Scan::Ends(ends),
                });
            }
            n -= in_chunk;
            ends += in_chunk;
        }
        Ok(Scan::Ends(ends))
    }

    fn lost(&self, from: u64, to: u64) -> ReadError {
        let gap = self.gap().unwrap_or(from..to);
        ReadError::Lost {
            from: gap.start,
            to: gap.end,
        }
    }
}

enum Scan {
    /// The offset behind it.
    Found(u64),
    /// There are only so many.
    Ends(u64),
    /// Bytes are missing, up to this offset.
    Gap(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_stays_small_and_right() {
        let log = (0..20_000_u32)
            .map(|i| {
                if i % 7 == 0 || i % 31 == 3 {
                    b'\n'
                } else {
                    b'x'
                }
            })
            .collect::<Vec<_>>();
        for piece in [1, 5, 64, 1000] {
            let mut index = LineIndex::new(4, 64);
            for data in log.chunks(piece) {
                index.add(data);
                assert!(index.entries.len() < 64);
            }
            assert_eq!(index.stride, 512);
            let ends_before =
                |offset: u64| memchr_iter(b'\n', &log[..offset as usize]).count() as u64;
            assert_eq!(index.ends, ends_before(20_000));
            for span in (0..=index.entries.len()).map(|i| index.span(i)) {
                assert_eq!(span.ends_at_from, ends_before(span.from));
                assert_eq!(span.ends_at_to, ends_before(span.to));
                assert!(span.to - span.from <= index.stride);
            }
            for n in 1..=index.ends {
                let span = index.span_of_end(n);
                assert!(span.ends_at_from < n && n <= span.ends_at_to);
            }
            for offset in 0..=20_000 {
                let span = index.span_of_offset(offset);
                assert!(span.from <= offset && offset <= span.to);
            }
        }
    }
}
