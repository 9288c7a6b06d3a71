//! Records of bytes that are at hand.

use super::{DEFAULT_MAX_PAYLOAD, Error, header};

/// One record. Borrows what it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where the record begins in its file.
    pub offset: u64,
    /// The header, `=` included.
    pub header: &'a [u8],
    /// The payload: in a mutation log, one encoded `Mutation`. May be empty.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Where the next record begins.
    pub fn end(&self) -> u64 {
        self.offset + (self.header.len() + self.payload.len()) as u64
    }
}

/// The records of a byte slice, in order, without copying. Ends with the bytes, or after the first
/// error.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    offset: u64,
    max_payload: u64,
}

impl<'a> Records<'a> {
    /// Reads `bytes`, which begin at byte `offset` of their file: 0 for a whole file, the end of
    /// the last record for one that has grown.
    pub fn new(bytes: &'a [u8], offset: u64) -> Self {
        Self {
            rest: bytes,
            offset,
            max_payload: DEFAULT_MAX_PAYLOAD,
        }
    }

    /// Refuses payloads of more than `bytes` bytes. Default 64 MiB.
    #[must_use]
    pub fn max_payload(mut self, bytes: u64) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Where the next record begins: everything before was good.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    #[inline]
    fn read(&mut self) -> Result<Record<'a>, Error> {
        let offset = self.offset;
        let parsed = header::parse(self.rest, offset)?;
        let (header, rest) = self.rest.split_at(parsed.header_len);
        if parsed.payload_len > self.max_payload {
            return Err(Error::TooLarge {
                offset,
                size: parsed.payload_len,
                limit: self.max_payload,
            });
        }
        let split = usize::try_from(parsed.payload_len)
            .ok()
            .and_then(|len| rest.split_at_checked(len));
        let Some((payload, rest)) = split else {
            return Err(Error::TornPayload {
                offset,
                want: parsed.payload_len,
                have: rest.len() as u64,
            });
        };
        let record = Record {
            offset,
            header,
            payload,
        };
        self.rest = rest;
        self.offset = record.end();
        Ok(record)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.read();
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

impl std::iter::FusedIterator for Records<'_> {}

/// Where the next whole record begins in `bytes`, searched from byte `from` on: a place where a
/// header stands that names that very place, with all of its payload behind it.
///
/// `bytes` begin at byte `offset` of their file. The way back to the records behind damage; that a
/// header names its place makes it all but impossible to find one in a payload.
pub fn find_record(bytes: &[u8], offset: u64, from: usize) -> Option<usize> {
    find_header(bytes, offset, from, offset + bytes.len() as u64)
}

/// As [`find_record`], for a part of a file that is `file_len` bytes long: the payload may lie
/// beyond `bytes`.
pub(super) fn find_header(bytes: &[u8], offset: u64, from: usize, file_len: u64) -> Option<usize> {
    let finder = memchr::memmem::Finder::new(header::PREFIX);
    let mut at = from;
    loop {
        at += finder.find(bytes.get(at..)?)?;
        let place = offset + at as u64;
        if let Ok(parsed) = header::parse(&bytes[at..], place)
            && parsed.payload_len <= file_len - place - parsed.header_len as u64
        {
            return Some(at);
        }
        at += 1;
    }
}
