use memchr::memmem;

use super::sequential::{MAX_HEADER, has_crc};
use crate::layout::{self, MIN_MEMBER, Parsed, TRAILER_LEN};

/// Output that is worth handing to another thread; smaller members go together.
const BATCH_OUTPUT: usize = 512 << 10;
const BATCH_MEMBERS: usize = 64;

/// How far to look for the next header where a member does not tell its length: members of 1 MiB, stored.
const GUESS_REACH: usize = (1 << 20) + (64 << 10);

/// No one stops in the middle of so few bytes for long.
const SHORT_HEADER: usize = 32;

/// Deflate cannot make more output of a byte.
const MAX_RATIO: usize = 1032;

/// A member that can be decoded whole, if it is what it claims or is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) header: usize,
    /// Output, as the last four bytes have it.
    pub(super) size: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Decode these members, which follow each other from the beginning.
    Batch(Vec<Span>),
    /// More input may make a batch.
    NeedInput,
    /// Decode the next member in order.
    Sequential,
}

/// Finds members at the beginning of gathered input, believing what headers say and guessing where they say nothing.
/// Whatever it finds is checked by decoding it.
#[derive(Debug)]
pub(super) struct Splitter {
    max_member: usize,
    /// No header of another member begins within so many bytes of the first member.
    searched: usize,
}

/// What is known of the input beyond what is gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    /// There is none.
    Nothing,
    /// It will be there at once.
    Soon,
    /// It may take its time. What can be decoded now must not wait for it.
    Perhaps,
}

impl Splitter {
    pub(super) fn new(max_member: usize) -> Self {
        Self {
            max_member,
            searched: 0,
        }
    }

    /// What to do with `input`, which begins where a member should.
    pub(super) fn plan(&mut self, input: &[u8], more: More) -> Plan {
        let mut spans = Vec::new();
        let (mut at, mut output) = (0, 0);
        let stopped = loop {
            match self.member(&input[at..], more) {
                Ok(span) => {
                    self.searched = 0;
                    spans.push(Span { start: at, ..span });
                    at += span.len;
                    output += span.size;
                    if output >= BATCH_OUTPUT || spans.len() == BATCH_MEMBERS {
                        return Plan::Batch(spans);
                    }
                }
                Err(plan) => break plan,
            }
        };
        if !spans.is_empty() {
            return Plan::Batch(spans);
        }
        if stopped == Plan::Sequential {
            self.searched = 0;
        }
        stopped
    }

    fn member(&mut self, input: &[u8], more: More) -> Result<Span, Plan> {
        let wait = match more {
            More::Nothing => Plan::Sequential,
            More::Soon | More::Perhaps => Plan::NeedInput,
        };
        let header = match layout::parse(&input[..input.len().min(MAX_HEADER + 1)]) {
            Parsed::Header(header) => header,
            // The sequential decoder does not look at a long header again each time that a little more of it arrives.
            Parsed::Incomplete
                if input.len() < SHORT_HEADER
                    || more == More::Soon && input.len() <= MAX_HEADER =>
            {
                return Err(wait);
            }
            _ => return Err(Plan::Sequential),
        };
        if has_crc(input) {
            return Err(Plan::Sequential);
        }
        match header.member_len {
            Some(len) => {
                let len = len as usize;
                // Stored data have five bytes more for each 64 KiB; some compressors store in smaller blocks.
                if len > self.max_member + self.max_member / 64 + (64 << 10) {
                    return Err(Plan::Sequential);
                }
                let member = input.get(..len).ok_or(wait)?;
                self.span(member, header.len).ok_or(Plan::Sequential)
            }
            None => self.guess(input, header.len, more),
        }
    }

    /// Takes the next thing that looks like a header for one.
    fn guess(&mut self, input: &[u8], header: usize, more: More) -> Result<Span, Plan> {
        let reach = &input[..input.len().min(GUESS_REACH)];
        let mut from = self.searched.max(MIN_MEMBER);
        while let Some(found) = reach
            .get(from..)
            .and_then(|rest| memmem::find(rest, &[0x1f, 0x8b, 8]))
        {
            let at = from + found;
            // Four bytes tell: more would let hostile input be searched for the end of a name again and again.
            let start = &input[at..input.len().min(at + 4)];
            if matches!(layout::parse(start), Parsed::Invalid(_)) {
                from = at + 1;
                continue;
            }
            match self.span(&input[..at], header) {
                Some(span) => return Ok(span),
                None => from = at + 1,
            }
        }
        self.searched = reach.len().saturating_sub(2);
        if reach.len() == GUESS_REACH {
            return Err(Plan::Sequential);
        }
        match more {
            More::Nothing => self.span(input, header).ok_or(Plan::Sequential),
            More::Soon => Err(Plan::NeedInput),
            More::Perhaps => Err(Plan::Sequential),
        }
    }

    /// `member` as a span, if its last four bytes could be the length of its output.
    fn span(&self, member: &[u8], header: usize) -> Option<Span> {
        let deflate = member.len().checked_sub(header + TRAILER_LEN)?;
        let size = u32::from_le_bytes(*member.last_chunk()?) as usize;
        let plausible = deflate >= 2
            && size <= self.max_member
            && size <= deflate.saturating_mul(MAX_RATIO)
            && deflate <= size + size / 16 + 1024;
        plausible.then_some(Span {
            start: 0,
            len: member.len(),
            header,
            size,
        })
    }
}
