use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};

use super::builder::Trailing;
use super::error::ReadError;
use crate::layout::{self, Parsed, TRAILER_LEN};

/// The longest header that is read. An extra field has at most 64 KiB; names and comments have no limit in RFC 1952.
pub(super) const MAX_HEADER: usize = 256 << 10;

/// Longer than any header made for use.
const LONG_HEADER: usize = 4 << 10;

/// Output that no ratio is asked of: small files of zeros are nobody's bomb.
const RATIO_FLOOR: u64 = 64 << 10;

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_output: u64,
    pub(super) max_ratio: u32,
}

impl Limits {
    /// Whether `input` bytes may make `output` bytes.
    pub(super) fn allow(&self, input: u64, output: u64) -> bool {
        output <= self.max_output && self.ratio_allows(input, output)
    }

    fn ratio_allows(&self, input: u64, output: u64) -> bool {
        output
            <= input
                .saturating_mul(self.max_ratio.into())
                .saturating_add(RATIO_FLOOR)
    }
}

/// Decodes any gzip data in order, a piece of input and a piece of output at a time.
#[derive(Debug)]
pub(super) struct Sequential {
    limits: Limits,
    trailing: Trailing,
    place: Place,
    /// Input consumed, output made, members finished.
    input: u64,
    output: u64,
    members: u64,
    /// Where the present member begins.
    member: u64,
    /// Of a header or trailer not yet whole.
    held: Vec<u8>,
    inflate: Decompress,
    crc: Hasher,
    garbage: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Header,
    Deflate,
    Trailer,
    /// Zeros after the last member.
    Padding,
    End,
}

/// What one call did, whatever its outcome.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    pub(super) outcome: Result<Outcome, ReadError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All input was consumed, and more is needed.
    NeedInput,
    OutputFull,
    /// The next byte of input belongs to another member, or follows the last.
    MemberEnd,
    /// The end of all data.
    End,
}

impl Sequential {
    pub(super) fn new(limits: Limits, trailing: Trailing) -> Self {
        Self {
            limits,
            trailing,
            place: Place::Header,
            input: 0,
            output: 0,
            members: 0,
            member: 0,
            held: Vec::new(),
            inflate: Decompress::new(false),
            crc: Hasher::new(),
            garbage: None,
        }
    }

    /// Input consumed and output made so far.
    pub(super) fn position(&self) -> (u64, u64) {
        (self.input, self.output)
    }

    /// Where ignored garbage began.
    pub(super) fn garbage(&self) -> Option<u64> {
        self.garbage
    }

    /// Whole members were decoded elsewhere.
    pub(super) fn skip(&mut self, members: usize, input: usize, output: usize) {
        self.members += members as u64;
        self.input += input as u64;
        self.output += output as u64;
    }

    /// Decodes until there is a reason to come back. `eof` says that nothing follows `input`.
    pub(super) fn decode(&mut self, input: &[u8], output: &mut [u8], eof: bool) -> Step {
        let mut step = Step {
            consumed: 0,
            produced: 0,
            outcome: Ok(Outcome::NeedInput),
        };
        loop {
            let rest = &input[step.consumed..];
            let outcome = match self.place {
                Place::Header => self.header(rest, eof, &mut step),
                Place::Deflate => self.deflate(rest, output, eof, &mut step),
                Place::Trailer => self.trailer(rest, eof, &mut step),
                Place::Padding => self.padding(rest, eof, &mut step),
                Place::End => {
                    step.consumed = input.len();
                    Ok(Some(Outcome::End))
                }
            };
            match outcome {
                Ok(None) => {}
                Ok(Some(outcome)) => {
                    step.outcome = Ok(outcome);
                    return step;
                }
                Err(error) => {
                    step.outcome = Err(error);
                    return step;
                }
            }
        }
    }

    fn consume(&mut self, bytes: usize, step: &mut Step) {
        step.consumed += bytes;
        self.input += bytes as u64;
    }

    fn truncated(&self) -> ReadError {
        ReadError::Truncated { offset: self.input }
    }

    fn header(
        &mut self,
        rest: &[u8],
        eof: bool,
        step: &mut Step,
    ) -> Result<Option<Outcome>, ReadError> {
        if self.held.is_empty() {
            self.member = self.input;
            match rest.first() {
                None if !eof => return Ok(Some(Outcome::NeedInput)),
                None if self.members == 0 => return Err(ReadError::Empty),
                Some(0) if self.members > 0 => {
                    self.place = Place::Padding;
                    return Ok(None);
                }
                None => {
                    self.place = Place::End;
                    return Ok(None);
                }
                Some(_) => {}
            }
        }
        let before = self.held.len();
        let room = (MAX_HEADER + 1).saturating_sub(before);
        self.held.extend_from_slice(&rest[..rest.len().min(room)]);
        let parsed = if may_end_header(&self.held, before) {
            layout::parse(&self.held)
        } else {
            Parsed::Incomplete
        };
        match parsed {
            Parsed::Header(header) => {
                self.consume(header.len - before, step);
                self.held.truncate(header.len);
                let what = check_header(&self.held);
                self.held.clear();
                if let Some(what) = what {
                    return Err(self.bad_header(what));
                }
                self.inflate.reset(false);
                self.crc.reset();
                self.place = Place::Deflate;
                Ok(None)
            }
            Parsed::Incomplete if self.held.len() > MAX_HEADER => {
                Err(self.bad_header("a gzip header of more than 256 KiB"))
            }
            Parsed::Incomplete => {
                self.consume(rest.len(), step);
                if eof {
                    return Err(self.truncated());
                }
                Ok(Some(Outcome::NeedInput))
            }
            // With the magic number it is a member that we do not understand.
            Parsed::Invalid(_) if self.members > 0 && !self.held.starts_with(&[0x1f, 0x8b]) => {
                self.end_at_garbage(self.member)
            }
            Parsed::Invalid(what) => Err(self.bad_header(what)),
        }
    }

    fn bad_header(&self, what: &'static str) -> ReadError {
        ReadError::BadHeader {
            offset: self.member,
            what,
        }
    }

    fn deflate(
        &mut self,
        rest: &[u8],
        output: &mut [u8],
        eof: bool,
        step: &mut Step,
    ) -> Result<Option<Outcome>, ReadError> {
        let room = &mut output[step.produced..];
        if room.is_empty() {
            return Ok(Some(Outcome::OutputFull));
        }
        let allowed = self.limits.max_output.saturating_sub(self.output);
        let allowed =
            usize::try_from(allowed).map_or(room.len(), |allowed| allowed.min(room.len()));
        // Where nothing is allowed any more, a byte more tells whether there is anything.
        let mut excess = [0];
        let target = match allowed {
            0 => &mut excess[..],
            allowed => &mut room[..allowed],
        };
        let (input_before, output_before) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(rest, target, FlushDecompress::None);
        let consumed = (self.inflate.total_in() - input_before) as usize;
        let produced = (self.inflate.total_out() - output_before) as usize;
        self.consume(consumed, step);
        let Ok(status) = status else {
            return Err(ReadError::BadDeflate { offset: self.input });
        };
        if produced > allowed {
            return Err(ReadError::OutputLimit {
                offset: self.input,
                limit: self.limits.max_output,
            });
        }
        self.crc.update(&target[..produced]);
        step.produced += produced;
        self.output += produced as u64;
        if !self.limits.ratio_allows(self.input, self.output) {
            return Err(ReadError::RatioLimit {
                offset: self.input,
                limit: self.limits.max_ratio,
            });
        }
        if status == Status::StreamEnd {
            self.place = Place::Trailer;
        } else if consumed == 0 && produced == 0 {
            return match (rest.is_empty(), eof) {
                (true, false) => Ok(Some(Outcome::NeedInput)),
                (true, true) => Err(self.truncated()),
                // A decoder that is given both input and room and takes neither will not do so next time.
                (false, _) => Err(ReadError::BadDeflate { offset: self.input }),
            };
        }
        Ok(None)
    }

    fn trailer(
        &mut self,
        rest: &[u8],
        eof: bool,
        step: &mut Step,
    ) -> Result<Option<Outcome>, ReadError> {
        let missing = TRAILER_LEN - self.held.len();
        let now = rest.len().min(missing);
        self.held.extend_from_slice(&rest[..now]);
        self.consume(now, step);
        let &[a, b, c, d, e, f, g, h] = self.held.as_slice() else {
            if eof {
                return Err(self.truncated());
            }
            return Ok(Some(Outcome::NeedInput));
        };
        self.held.clear();
        let expected = u32::from_le_bytes([a, b, c, d]);
        let found = self.crc.clone().finalize();
        if expected != found {
            return Err(ReadError::BadCrc {
                offset: self.member,
                expected,
                found,
            });
        }
        let expected = u32::from_le_bytes([e, f, g, h]);
        let found = self.inflate.total_out() as u32;
        if expected != found {
            return Err(ReadError::BadSize {
                offset: self.member,
                expected,
                found,
            });
        }
        self.members += 1;
        self.place = Place::Header;
        Ok(Some(Outcome::MemberEnd))
    }

    fn padding(
        &mut self,
        rest: &[u8],
        eof: bool,
        step: &mut Step,
    ) -> Result<Option<Outcome>, ReadError> {
        let zeros = rest.iter().take_while(|&&byte| byte == 0).count();
        self.consume(zeros, step);
        if zeros < rest.len() {
            self.end_at_garbage(self.input)
        } else if eof {
            self.place = Place::End;
            Ok(None)
        } else {
            Ok(Some(Outcome::NeedInput))
        }
    }

    fn end_at_garbage(&mut self, offset: u64) -> Result<Option<Outcome>, ReadError> {
        match self.trailing {
            Trailing::Refuse => Err(ReadError::TrailingGarbage { offset }),
            Trailing::Ignore => {
                self.garbage = Some(offset);
                self.place = Place::End;
                Ok(None)
            }
        }
    }
}

/// Whether the bytes from `before` on may be what the beginning of a header was waiting for. Without this, a long header
/// that comes byte by byte would be searched from its beginning for each of them.
fn may_end_header(held: &[u8], before: usize) -> bool {
    let extra = match held {
        [_, _, _, flags, _, _, _, _, _, _, low, high, ..] if flags & 4 != 0 => {
            usize::from(u16::from_le_bytes([*low, *high]))
        }
        _ => 0,
    };
    // Beyond the extra field a header ends with a zero, or two bytes of checksum after one.
    before < LONG_HEADER || before < 14 + extra || memchr::memchr(0, &held[before - 2..]).is_some()
}

/// What is wrong with a whole header that parsed, if anything.
fn check_header(header: &[u8]) -> Option<&'static str> {
    if !has_crc(header) {
        return None;
    }
    let (fields, crc) = header.split_last_chunk::<2>()?;
    let mut sum = Hasher::new();
    sum.update(fields);
    (sum.finalize() as u16 != u16::from_le_bytes(*crc))
        .then_some("a damaged gzip header: its checksum differs")
}

/// Whether a header ends with a checksum of its own.
pub(super) fn has_crc(header: &[u8]) -> bool {
    header.get(3).is_some_and(|flags| flags & 2 != 0)
}
