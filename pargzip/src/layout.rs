//! How members lie in the file: what the writer puts into a member's header, and what a reader finds there.

/// How the output is cut into gzip members.
///
/// Every layout is a valid gzip file (RFC 1952). They differ in who can read them in parallel, and in decoders that stop
/// after the first member: those (flate2's `GzDecoder`, some HTTP clients) need [`Single`](Self::Single).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Layout {
    /// One member a chunk, each telling its own length in its header, so that a reader can split the file among threads
    /// without looking through it. Costs 10 bytes a member.
    ///
    /// The length is in the extra subfield `IG` that the Python packages `mgzip` (before 0.2.5) and `pgzip` and the crate
    /// `gzp` write and read; other readers pass over it.
    #[default]
    Sized,
    /// One member a chunk with the plainest header, byte for byte as the Go original's.
    Members,
    /// BGZF (SAM specification, section 4.1): members of at most 64 KiB with their length in the extra subfield `BC`, and
    /// an empty member at the end. `bgzip`, `tabix` and `samtools` read and index it. Compresses some 2 to 4 % less.
    Bgzf,
    /// One member in all, as `pigz` makes it: each chunk is compressed with the last 32 KiB before it as dictionary.
    /// Cannot be read in parallel. Compressed by the pure Rust engine at every level.
    Single,
}

/// Without flags, time or system: RFC 1952 section 2.3, as the Go original writes it.
const PLAIN: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// With the subfield `IG`; the last four bytes become the length of the member.
const SIZED: [u8; 20] = *b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x08\0IG\x04\0\0\0\0\0";
/// With the subfield `BC`; the last two bytes become the length of the member, less one.
const BGZF: [u8; 18] = *b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\0\0";

/// The member that ends a BGZF file.
pub(crate) const BGZF_END: [u8; 28] =
    *b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0\0";

/// Input bytes in each BGZF member but the last, as `bgzip` has it: even stored, a member stays below 64 KiB.
pub(crate) const BGZF_BLOCK: usize = 0xff00;

/// CRC-32 and length of the input, at the end of each member.
pub(crate) const TRAILER_LEN: usize = 8;

/// The shortest member there can be: plain header, an empty deflate block, trailer.
pub(crate) const MIN_MEMBER: usize = PLAIN.len() + 2 + TRAILER_LEN;

impl Layout {
    /// The header that a member begins with. [`set_len`](Self::set_len) completes it.
    pub(crate) fn header(self) -> &'static [u8] {
        match self {
            Self::Members | Self::Single => &PLAIN,
            Self::Sized => &SIZED,
            Self::Bgzf => &BGZF,
        }
    }

    /// Writes the length of a whole `member` into its header, where the layout has a place for it.
    pub(crate) fn set_len(self, member: &mut [u8]) {
        match self {
            Self::Members | Self::Single => {}
            Self::Sized => {
                let len = (member.len() as u32).to_le_bytes();
                member[SIZED.len() - 4..SIZED.len()].copy_from_slice(&len);
            }
            Self::Bgzf => {
                let len = (member.len() - 1) as u16;
                member[BGZF.len() - 2..BGZF.len()].copy_from_slice(&len.to_le_bytes());
            }
        }
    }
}

const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// The header of anybody's member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of the header; deflate data follow.
    pub(crate) len: usize,
    /// What the header claims of the length of the whole member, from header to trailer. Not less than the shortest
    /// member with such a header, but otherwise only a claim.
    pub(crate) member_len: Option<u32>,
    /// The claim is that of BGZF.
    pub(crate) bgzf: bool,
}

/// What the beginning of a member turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A whole header.
    Header(Header),
    /// A header may begin here, and more bytes are needed to tell.
    Incomplete,
    /// No gzip member, and why.
    Invalid(&'static str),
}

/// Parses the header at the beginning of `bytes`.
///
/// A caller bounds how many bytes it is willing to offer: extra field, name and comment are of any length.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    match parse_fields(bytes) {
        Ok(header) => Parsed::Header(header),
        Err(stop) => stop,
    }
}

fn parse_fields(bytes: &[u8]) -> Result<Header, Parsed> {
    let magic = bytes.len().min(3);
    if bytes[..magic] != PLAIN[..magic] {
        return Err(Parsed::Invalid("not a gzip member"));
    }
    let flags = *bytes.get(3).ok_or(Parsed::Incomplete)?;
    if flags & RESERVED != 0 {
        return Err(Parsed::Invalid(
            "a gzip header with flags unknown to RFC 1952",
        ));
    }
    let mut at = PLAIN.len();
    let mut claim = None;
    if flags & FEXTRA != 0 {
        let len = le16(take(bytes, &mut at, 2)?);
        claim = length_claim(take(bytes, &mut at, len.into())?);
    }
    for flag in [FNAME, FCOMMENT] {
        if flags & flag != 0 {
            let text = bytes.get(at..).ok_or(Parsed::Incomplete)?;
            at += 1 + text
                .iter()
                .position(|&byte| byte == 0)
                .ok_or(Parsed::Incomplete)?;
        }
    }
    if flags & FHCRC != 0 {
        take(bytes, &mut at, 2)?;
    }
    if bytes.len() < at {
        return Err(Parsed::Incomplete);
    }
    // A claim that cannot be is none.
    let (member_len, bgzf) = claim
        .filter(|&(len, _)| len as usize >= at + 2 + TRAILER_LEN)
        .map_or((None, false), |(len, bgzf)| (Some(len), bgzf));
    Ok(Header {
        len: at,
        member_len,
        bgzf,
    })
}

fn take<'a>(bytes: &'a [u8], at: &mut usize, len: usize) -> Result<&'a [u8], Parsed> {
    let field = bytes.get(*at..*at + len).ok_or(Parsed::Incomplete)?;
    *at += len;
    Ok(field)
}

fn le16(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u16::from(byte))
}

/// The length of the member, if one of the subfields tells, and whether it is BGZF's.
fn length_claim(mut extra: &[u8]) -> Option<(u32, bool)> {
    while let Some((&[a, b, low, high], rest)) = extra.split_first_chunk::<4>() {
        let (data, next) = rest.split_at_checked(usize::from(low) | usize::from(high) << 8)?;
        match (&[a, b], data) {
            (b"IG", &[a, b, c, d]) => return Some((u32::from_le_bytes([a, b, c, d]), false)),
            (b"BC", &[a, b]) => return Some((u32::from(u16::from_le_bytes([a, b])) + 1, true)),
            _ => extra = next,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: &[u8]) -> Header {
        match parse(bytes) {
            Parsed::Header(header) => header,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_parsed() {
        for (layout, bgzf, claims) in [
            (Layout::Members, false, false),
            (Layout::Single, false, false),
            (Layout::Sized, false, true),
            (Layout::Bgzf, true, true),
        ] {
            let mut member = layout.header().to_vec();
            member.resize(member.len() + 2 + TRAILER_LEN + 1000, 0);
            layout.set_len(&mut member);
            let expected = Header {
                len: layout.header().len(),
                member_len: claims.then_some(member.len() as u32),
                bgzf,
            };
            assert_eq!(header(&member), expected);
            for cut in 0..expected.len {
                assert_eq!(
                    parse(&member[..cut]),
                    Parsed::Incomplete,
                    "{layout:?} {cut}"
                );
            }
        }
        let end = header(&BGZF_END);
        assert_eq!((end.len, end.member_len, end.bgzf), (18, Some(28), true));
    }

    #[test]
    fn all_optional_fields() {
        // Another subfield before ours; name, comment, header checksum.
        let bytes =
            b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff\x0d\0XY\x01\0zIG\x04\0\0\x01\0\0name\0text\0hc";
        let expected = Header {
            len: bytes.len(),
            member_len: Some(256),
            bgzf: false,
        };
        assert_eq!(header(bytes), expected);
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Parsed::Incomplete);
        }
    }

    #[test]
    fn no_header() {
        for bytes in [&b"PK"[..], b"\x1f\x8c", b"\x1f\x8b\x07", b"\0"] {
            assert_eq!(parse(bytes), Parsed::Invalid("not a gzip member"));
        }
        assert!(matches!(parse(b"\x1f\x8b\x08\x20"), Parsed::Invalid(_)));
    }

    #[test]
    fn claims_that_cannot_be_are_none() {
        // Shorter than the shortest member; a subfield that ends after the extra field; of a wrong length.
        for extra in [
            &b"\x08\0IG\x04\0\x1d\0\0\0"[..],
            b"\x06\0IG\x04\0\xff\xff",
            b"\x07\0IG\x03\0\xff\xff\xff",
            b"\x06\0BC\x02\0\x08\0",
            b"\x03\0IG\x04",
            b"\0\0",
        ] {
            let mut bytes = PLAIN.to_vec();
            bytes[3] = FEXTRA;
            bytes.extend_from_slice(extra);
            assert_eq!(header(&bytes).member_len, None, "{extra:?}");
        }
    }
}
