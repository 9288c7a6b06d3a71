//! The checksums beside a log.
//!
//! The records themselves carry none, and readers of the original would stumble over any. So they
//! stand in a file of their own, the log's name with `.sum` appended:
//!
//! ```text
//! offset 0    8 bytes   "RECSUM1\n"
//! then 16 bytes for each record, integers little-endian:
//!        0    u64       where the record ends in the log
//!        8    u32       CRC-32 (IEEE 802.3) of the record, header and payload
//!       12    u32       CRC-32 of the record's number (u64, from 0) and the 12 bytes before
//! ```
//!
//! A missing or short file is no fault: records that it does not know are judged by their form
//! alone. What it knows can be trusted, because each entry is bound to its place.

use super::Record;

/// The first bytes of a file of checksums.
pub(super) const MAGIC: &[u8; 8] = b"RECSUM1\n";

/// Bytes per record.
pub(super) const ENTRY: usize = 16;

/// What is known of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) end: u64,
    crc: u32,
}

impl Sum {
    pub(super) fn of(record: &Record<'_>) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(record.header);
        hasher.update(record.payload);
        Self {
            end: record.end(),
            crc: hasher.finalize(),
        }
    }

    /// The entry of record `number`.
    pub(super) fn encode(self, number: u64) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        entry[..8].copy_from_slice(&self.end.to_le_bytes());
        entry[8..12].copy_from_slice(&self.crc.to_le_bytes());
        let check = check(number, &entry[..12]);
        entry[12..].copy_from_slice(&check.to_le_bytes());
        entry
    }

    /// Reads the entry of record `number`; nothing if it is damaged.
    pub(super) fn decode(entry: &[u8; ENTRY], number: u64) -> Option<Self> {
        let word =
            |at: usize| -> [u8; 4] { [entry[at], entry[at + 1], entry[at + 2], entry[at + 3]] };
        if u32::from_le_bytes(word(12)) != check(number, &entry[..12]) {
            return None;
        }
        let [low, high] = [word(0), word(4)].map(u32::from_le_bytes).map(u64::from);
        Some(Self {
            end: high << 32 | low,
            crc: u32::from_le_bytes(word(8)),
        })
    }
}

fn check(number: u64, sum: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(sum);
    hasher.finalize()
}

/// Where the entry of record `number` stands.
pub(super) fn place(number: u64) -> u64 {
    (MAGIC.len() as u64).saturating_add(number.saturating_mul(ENTRY as u64))
}
