use std::fmt;

/// Text of a message, as the bytes that it was read from. That it is UTF-8 has been checked.
///
/// Most that loading a log reads is hashed, compared, and kept by its place. To know that it is
/// UTF-8 takes a look at each word of it; to make a `str` of it takes several times as long, and is
/// left to those who need one.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// The text that these bytes are; none if they are not UTF-8.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let is_text = is_short_ascii(bytes) || simdutf8::basic::from_utf8(bytes).is_ok();
        is_text.then_some(Self(bytes))
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// As a `str`.
    #[inline]
    pub fn as_str(self) -> &'a str {
        simdutf8::basic::from_utf8(self.0).unwrap_or_default()
    }

    /// Whether it is empty.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// Whether bytes are few, and none above 127.
#[inline]
fn is_short_ascii(bytes: &[u8]) -> bool {
    let mut seen = 0;
    if let Some(last) = bytes.last_chunk::<8>() {
        if bytes.len() > 64 {
            return false;
        }
        for word in bytes.as_chunks::<8>().0 {
            seen |= u64::from_le_bytes(*word);
        }
        seen |= u64::from_le_bytes(*last);
    } else {
        for &byte in bytes {
            seen |= u64::from(byte);
        }
    }
    seen & 0x8080_8080_8080_8080 == 0
}

impl AsRef<[u8]> for Text<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> Self {
        text.as_str().to_owned()
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf8_is_no_text() {
        for len in 0..150 {
            let mut bytes = vec![b'a'; len];
            assert_eq!(Text::new(&bytes).unwrap(), "a".repeat(len).as_str());
            for at in 0..len {
                for part in [&b"\xc3\xa9"[..], b"\xff", b"\xc3", b"\xed\xa0\x80"] {
                    if let Some(place) = bytes.get_mut(at..at + part.len()) {
                        place.copy_from_slice(part);
                    }
                    let expected = std::str::from_utf8(&bytes).ok();
                    assert_eq!(Text::new(&bytes).map(Text::as_str), expected);
                    bytes.fill(b'a');
                }
            }
        }
    }
}
