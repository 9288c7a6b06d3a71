//! The wire format of Protocol Buffers, read without copying
//! (<https://protobuf.dev/programming-guides/encoding/>).

/// Groups within groups that are skipped before it is called an attack.
const MAX_GROUPS: usize = 100;

/// Why bytes are no message. Offsets are not given: the record has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The message ends within a field.
    #[error("message ends within a field")]
    Truncated,
    /// A varint of more than ten bytes, or more than 64 bits.
    #[error("message has a varint that is too long")]
    Varint,
    /// A key with field number 0, beyond 2^29 - 1, or an unknown wire type.
    #[error("message has an invalid key {0}")]
    Key(u64),
    /// A known field in another wire type than its own.
    #[error("field {0} has the wrong wire type")]
    WireType(u32),
    /// Text that is no UTF-8; the original gives up on the whole log.
    #[error("field {0} is not valid UTF-8")]
    Utf8(u32),
    /// A message where there may be one stands there twice. No writer of logs does that.
    #[error("field {0} occurs twice")]
    Twice(u32),
    /// A group that does not end, or ends without a beginning, or lies too deep.
    #[error("message has an unbalanced group")]
    Group,
}

/// The wire type of integers and booleans.
pub(super) const VARINT: u8 = 0;

/// The wire type of text, bytes, messages, packed numbers.
pub(super) const BYTES: u8 = 2;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Integers and booleans.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Text, bytes, messages, packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

/// The fields of a message, in order. Groups, long out of use, are skipped.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Reads the message `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field's number and value, `None` at the end.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "`?` is in the way of no loop"
    )]
    pub fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, DecodeError> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let (number, kind) = self.key()?;
            if let Some(value) = self.value(kind)? {
                return Ok(Some((number, value)));
            }
            self.skip_group(number)?;
        }
    }

    /// The next field's number and wire type. There is one.
    #[inline]
    pub(super) fn key(&mut self) -> Result<(u32, u8), DecodeError> {
        let key = self.varint()?;
        match u32::try_from(key >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => Ok((number, (key & 7) as u8)),
            _ => Err(DecodeError::Key(key)),
        }
    }

    /// Nothing if a group begins.
    #[inline]
    fn value(&mut self, kind: u8) -> Result<Option<Value<'a>>, DecodeError> {
        Ok(Some(match kind {
            VARINT => Value::Varint(self.varint()?),
            BYTES => Value::Bytes(self.bytes()?),
            1 => Value::Fixed64(u64::from_le_bytes(*self.array()?)),
            5 => Value::Fixed32(u32::from_le_bytes(*self.array()?)),
            3 => return Ok(None),
            4 => return Err(DecodeError::Group),
            kind => return Err(DecodeError::Key(kind.into())),
        }))
    }

    /// Passes over the value of the field whose key has just been read.
    pub(super) fn skip(&mut self, number: u32, kind: u8) -> Result<(), DecodeError> {
        match self.value(kind)? {
            Some(_) => Ok(()),
            None => self.skip_group(number),
        }
    }

    /// As [`skip`](Self::skip), a value that is not of the wire type that its field has. Groups have
    /// no field.
    #[cold]
    pub(super) fn mismatch(&mut self, number: u32, kind: u8) -> Result<(), DecodeError> {
        match self.value(kind)? {
            Some(_) => Err(DecodeError::WireType(number)),
            None => self.skip_group(number),
        }
    }

    /// A value of wire type [`VARINT`].
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        match *self.rest {
            [one @ 0..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(one.into())
            }
            [one, two @ 0..0x80, ref rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(one & 0x7f) | u64::from(two) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0;
        for (at, &byte) in self.rest.iter().enumerate().take(10) {
            if at == 9 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(number);
            }
        }
        Err(if self.rest.len() < 10 {
            DecodeError::Truncated
        } else {
            DecodeError::Varint
        })
    }

    /// A value of wire type [`BYTES`].
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.varint()?;
        let len = usize::try_from(len).map_err(|_| DecodeError::Truncated)?;
        self.take(len)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        let (array, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(array)
    }

    fn skip_group(&mut self, number: u32) -> Result<(), DecodeError> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            if self.rest.is_empty() {
                return Err(DecodeError::Group);
            }
            match self.key()? {
                (number, 4) if number == innermost => drop(open.pop()),
                (_, 4) => return Err(DecodeError::Group),
                (_, 3) if open.len() >= MAX_GROUPS => return Err(DecodeError::Group),
                (number, 3) => open.push(number),
                (_, kind) => drop(self.value(kind)?),
            }
        }
        Ok(())
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}
