//! Records of a file or a stream.

use std::io::{self, BufRead, Read};

use super::{DEFAULT_MAX_PAYLOAD, Error, MAX_HEADER, ReadError, Record, header};

/// Reads records one after another from anything buffered.
///
/// ```
/// # fn main() -> Result<(), maintner::reclog::ReadError> {
/// let mut reader = maintner::reclog::Reader::new(&b"REC@0+5=helloREC@d+0="[..], 0);
/// while let Some(record) = reader.next()? {
///     println!("{} bytes at {}", record.payload.len(), record.offset);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    offset: u64,
    max_payload: u64,
    /// The record at hand, header and payload.
    record: Vec<u8>,
    broken: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads `input`, whose next byte is byte `offset` of its file.
    pub fn new(input: R, offset: u64) -> Self {
        Self {
            input,
            offset,
            max_payload: DEFAULT_MAX_PAYLOAD,
            record: Vec::new(),
            broken: false,
        }
    }

    /// Refuses payloads of more than `bytes` bytes. Default 64 MiB.
    #[must_use]
    pub fn max_payload(mut self, bytes: u64) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Where the next record begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record, `None` at a clean end. After an error there is nothing more.
    #[expect(
        clippy::should_implement_trait,
        reason = "a record borrows the reader, which an iterator's items cannot"
    )]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        if self.broken {
            return Ok(None);
        }
        match self.read() {
            Ok(Some(header_len)) => {
                let (header, payload) = self.record.split_at(header_len);
                let record = Record {
                    offset: self.offset,
                    header,
                    payload,
                };
                self.offset = record.end();
                Ok(Some(record))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.broken = true;
                Err(error)
            }
        }
    }

    /// Reads one record into the buffer and gives the length of its header.
    fn read(&mut self) -> Result<Option<usize>, ReadError> {
        let offset = self.offset;
        let io = |source| ReadError::Io { offset, source };
        self.record.clear();
        self.read_header().map_err(io)?;
        if self.record.is_empty() {
            return Ok(None);
        }
        let parsed = header::parse(&self.record, offset)?;
        let (want, limit) = (parsed.payload_len, self.max_payload);
        if want > limit {
            return Err(Error::TooLarge {
                offset,
                size: want,
                limit,
            }
            .into());
        }
        // Grows with what is there, not with what the header promises.
        let have = self
            .input
            .by_ref()
            .take(want)
            .read_to_end(&mut self.record)
            .map_err(io)? as u64;
        if have < want {
            return Err(Error::TornPayload { offset, want, have }.into());
        }
        Ok(Some(parsed.header_len))
    }

    /// Takes bytes up to `=`, but not more than a header may have.
    fn read_header(&mut self) -> io::Result<()> {
        while self.record.len() < MAX_HEADER {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok(());
            }
            let window = &available[..available.len().min(MAX_HEADER - self.record.len())];
            let equals = memchr::memchr(b'=', window);
            let taken = equals.map_or(window.len(), |at| at + 1);
            self.record.extend_from_slice(&window[..taken]);
            self.input.consume(taken);
            if equals.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }
}
