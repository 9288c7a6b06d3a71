//! Looking a whole log over.

use std::io::{self, BufReader, Read};

use super::{
    Error, MAX_HEADER, ReadError, Reader,
    records::find_header,
    storage::{Cursor, Storage},
    sums::{self, Sum},
};

/// Damaged places that a report lists; more are only counted.
const MAX_LISTED: usize = 1000;

/// Bytes read at a time.
const BLOCK: usize = 256 * 1024;

/// What [`verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Good records.
    pub records: u64,
    /// How many of them a checksum confirms.
    pub confirmed: u64,
    /// Bytes in the log.
    pub len: u64,
    /// Where the last good record ends.
    pub good_end: u64,
    /// The damaged places, in order, the first 1,000 of them.
    pub damage: Vec<Damage>,
    /// How many damaged places there are.
    pub damaged: u64,
    /// Records that have a checksum although the log ends before them.
    pub missing: u64,
    /// Whether the checksums can be used: there, whole, and for this log.
    pub sums: SumsState,
}

/// How the file of checksums is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SumsState {
    /// There is none, or it has no entry.
    #[default]
    Absent,
    /// As it should be, as far as it goes.
    Good,
    /// Damaged from the entry of this record on.
    Damaged(u64),
}

/// A place where no good record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Where it begins.
    pub offset: u64,
    /// Where it ends: at the next good record, or the end of the log.
    pub end: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No record stands there.
    #[error(transparent)]
    Form(#[from] Error),
    /// A record stands there whose bytes are not those that were written.
    #[error("record at offset {offset} does not match its checksum")]
    Checksum {
        /// Where the record begins.
        offset: u64,
    },
}

impl Report {
    /// Whether nothing is damaged and nothing missing.
    pub fn is_good(&self) -> bool {
        self.damaged == 0 && self.missing == 0
    }

    /// The damage, if there is some and all of it lies behind the last good record: what an
    /// interrupted append leaves. Cutting the log at its offset loses nothing that was good.
    pub fn torn_tail(&self) -> Option<&Damage> {
        self.damage
            .first()
            .filter(|first| self.good_end <= first.offset)
    }

    fn on_damage(&mut self, offset: u64, end: u64, fault: Fault) {
        self.damaged += 1;
        if self.damage.len() < MAX_LISTED {
            self.damage.push(Damage { offset, end, fault });
        }
    }
}

/// Reads all of `log`, and what stands in `sums` about it. Goes on behind damage at the next place
/// where a record stands.
///
/// Needs memory for one record of at most `max_payload` bytes. An error means that reading failed,
/// not that the log is damaged.
pub fn verify<S: Storage>(log: &S, sums: Option<&S>, max_payload: u64) -> io::Result<Report> {
    scan(log, sums, max_payload, |_, _| Ok(()))
}

/// [`verify`], telling of each good record that has no checksum yet: its number and its sum.
pub(super) fn scan<S: Storage>(
    log: &S,
    sums: Option<&S>,
    max_payload: u64,
    mut on_unconfirmed: impl FnMut(u64, Sum) -> io::Result<()>,
) -> io::Result<Report> {
    let mut report = Report {
        len: log.len()?,
        ..Report::default()
    };
    let mut sums = SumReader::open(sums)?;
    let block = BLOCK.min(report.len as usize);
    let mut start = Some(0);
    while let Some(offset) = start {
        let input = BufReader::with_capacity(
            block,
            Cursor {
                storage: log,
                offset,
            },
        );
        let mut reader = Reader::new(input, offset).max_payload(max_payload);
        start = loop {
            let (offset, fault, known) = match reader.next() {
                Ok(Some(record)) => {
                    let (offset, sum) = (record.offset, Sum::of(&record));
                    let known = sums.at(offset)?;
                    if known.is_none_or(|known| known == sum) {
                        match known {
                            Some(_) => report.confirmed += 1,
                            None => on_unconfirmed(report.records, sum)?,
                        }
                        report.records += 1;
                        report.good_end = sum.end;
                        continue;
                    }
                    (offset, Fault::Checksum { offset }, known)
                }
                Ok(None) => break None,
                Err(ReadError::Io { source, .. }) => return Err(source),
                Err(ReadError::Record(error)) => {
                    let offset = error.offset();
                    (offset, error.into(), sums.at(offset)?)
                }
            };
            let next = match known {
                // A checksum tells where the record ended, whatever its header says now.
                Some(known) if known.end <= report.len => Some(known.end),
                _ => find_next(log, offset + 1, report.len)?,
            };
            report.on_damage(offset, next.unwrap_or(report.len), fault);
            break next;
        };
    }
    report.missing = sums.beyond(report.len)?;
    report.sums = sums.state;
    Ok(report)
}

/// Where a record stands, from `from` on.
fn find_next(log: &impl Storage, from: u64, len: u64) -> io::Result<Option<u64>> {
    let mut window = Vec::new();
    let mut offset = from;
    while offset < len {
        window.clear();
        let input = Cursor {
            storage: log,
            offset,
        };
        input
            .take((BLOCK + MAX_HEADER) as u64)
            .read_to_end(&mut window)?;
        if let Some(at) = find_header(&window, offset, 0, len) {
            return Ok(Some(offset + at as u64));
        }
        offset += BLOCK as u64;
    }
    Ok(None)
}

/// The known sums, in order, looked up by where their record begins.
struct SumReader<'a, S> {
    input: Option<BufReader<Cursor<'a, S>>>,
    number: u64,
    /// The entry at hand and where its record begins.
    current: Option<(u64, Sum)>,
    state: SumsState,
}

impl<'a, S: Storage> SumReader<'a, S> {
    fn open(storage: Option<&'a S>) -> io::Result<Self> {
        let mut sums = Self {
            input: None,
            number: 0,
            current: None,
            state: SumsState::Absent,
        };
        let Some(storage) = storage else {
            return Ok(sums);
        };
        let block = BLOCK.min(storage.len()? as usize);
        let mut input = BufReader::with_capacity(block, Cursor { storage, offset: 0 });
        let mut magic = [0; sums::MAGIC.len()];
        if fill(&mut input, &mut magic)? < magic.len() {
            return Ok(sums);
        }
        if &magic == sums::MAGIC {
            sums.input = Some(input);
            sums.state = SumsState::Good;
            sums.advance(0)?;
        } else {
            sums.state = SumsState::Damaged(0);
        }
        Ok(sums)
    }

    /// Reads the next entry, whose record begins at `start`.
    fn advance(&mut self, start: u64) -> io::Result<()> {
        self.current = None;
        let Some(input) = &mut self.input else {
            return Ok(());
        };
        let mut entry = [0; sums::ENTRY];
        if fill(input, &mut entry)? < entry.len() {
            self.input = None;
            return Ok(());
        }
        match Sum::decode(&entry, self.number).filter(|sum| sum.end > start) {
            Some(sum) => {
                self.current = Some((start, sum));
                self.number += 1;
            }
            None => {
                self.state = SumsState::Damaged(self.number);
                self.input = None;
            }
        }
        Ok(())
    }

    /// The sum of the record that begins at `offset`. Offsets must not go down.
    fn at(&mut self, offset: u64) -> io::Result<Option<Sum>> {
        while let Some((start, sum)) = self.current {
            if start == offset {
                self.advance(sum.end)?;
                return Ok(Some(sum));
            }
            if start > offset {
                break;
            }
            self.advance(sum.end)?;
        }
        Ok(None)
    }

    /// How many further entries are about records that end beyond `len`.
    fn beyond(&mut self, len: u64) -> io::Result<u64> {
        let mut beyond = 0;
        while let Some((_, sum)) = self.current {
            beyond += u64::from(sum.end > len);
            self.advance(sum.end)?;
        }
        Ok(beyond)
    }
}

/// Reads until `buf` is full or nothing is left.
fn fill(input: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match input.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
