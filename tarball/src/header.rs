//! One header block, read strictly. The `tar` crate knows where the fields are; what they mean is
//! decided here, because its readers forgive what other readers take differently.

use tar::Header;

use crate::{HeaderFault, TarFault};

pub(crate) const BLOCK: usize = 512;

/// The fields that matter to us, of any of the formats in use.
pub(crate) struct Block {
    pub(crate) typeflag: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    /// `None` if the field is blank.
    pub(crate) size: Option<u64>,
    pub(crate) mtime: i64,
}

pub(crate) fn parse(block: &[u8; BLOCK]) -> Result<Block, TarFault> {
    let header = Header::from_byte_slice(block);
    let old = header.as_old();
    check_sum(block, &old.cksum).map_err(TarFault::Header)?;
    let mut name = until_nul(&old.name).to_vec();
    if let Some(prefix) = prefix(header, block).filter(|p| !p.is_empty()) {
        name = [prefix, b"/", &name].concat();
    }
    Ok(Block {
        typeflag: old.linkflag[0],
        name,
        link: until_nul(&old.linkname).to_vec(),
        // Only the low bits are ever used; Go cuts the same way.
        mode: number(&old.mode).map_err(TarFault::Header)?.unwrap_or(0) as u32,
        size: match number(&old.size).map_err(TarFault::Header)? {
            Some(n) => Some(u64::try_from(n).map_err(|_| TarFault::Header(HeaderFault::Number))?),
            None => None,
        },
        mtime: number(&old.mtime).map_err(TarFault::Header)?.unwrap_or(0),
    })
}

/// The directory part of a long name. GNU archives use its place for other things.
fn prefix<'a>(header: &'a Header, block: &[u8; BLOCK]) -> Option<&'a [u8]> {
    const STAR_PREFIX: usize = 131;
    let ustar = header.as_ustar().filter(|u| &u.magic == b"ustar\0")?;
    let star = &block[BLOCK - 4..] == b"tar\0";
    let field = if star {
        &ustar.prefix[..STAR_PREFIX]
    } else {
        &ustar.prefix[..]
    };
    Some(until_nul(field))
}

/// The sum of all bytes with the checksum field taken as blanks. Historic writers summed signed
/// bytes; both count, as in Go.
fn check_sum(block: &[u8; BLOCK], field: &[u8; 8]) -> Result<(), HeaderFault> {
    const FIELD: std::ops::Range<usize> = 148..156;
    let Ok(Some(want)) = number(field) else {
        return Err(HeaderFault::Checksum);
    };
    let (mut unsigned, mut signed) = (0i64, 0i64);
    for (i, &b) in block.iter().enumerate() {
        let b = if FIELD.contains(&i) { b' ' } else { b };
        unsigned += i64::from(b);
        signed += i64::from(b as i8);
    }
    if want == unsigned || want == signed {
        Ok(())
    } else {
        Err(HeaderFault::Checksum)
    }
}

/// Octal digits between blanks and NULs, or two's complement in base 256 if the first bit is set.
/// `None` for a blank field.
fn number(field: &[u8]) -> Result<Option<i64>, HeaderFault> {
    if field[0] & 0x80 != 0 {
        return base256(field).map(Some);
    }
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    // Another number behind the first blank would be somebody else's reading of the field.
    if !digits[end..].iter().all(blank) {
        return Err(HeaderFault::Number);
    }
    let digits = &digits[..end];
    if digits.is_empty() {
        return Ok(None);
    }
    let mut n = 0i64;
    for &d in digits {
        if !(b'0'..=b'7').contains(&d) {
            return Err(HeaderFault::Number);
        }
        n = n
            .checked_mul(8)
            .and_then(|n| n.checked_add(i64::from(d - b'0')))
            .ok_or(HeaderFault::Number)?;
    }
    Ok(Some(n))
}

fn base256(field: &[u8]) -> Result<i64, HeaderFault> {
    let negative = field[0] & 0x40 != 0;
    let first = if negative {
        field[0] | 0x80
    } else {
        field[0] & 0x7f
    };
    let mut n: i128 = if negative { -1 } else { 0 };
    for (i, &b) in field.iter().enumerate() {
        let b = if i == 0 { first } else { b };
        n = (n << 8) | i128::from(b);
        if i64::try_from(n).is_err() {
            return Err(HeaderFault::Number);
        }
    }
    i64::try_from(n).map_err(|_| HeaderFault::Number)
}

pub(crate) fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    &field[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, want) in [
            (&b"0000644\0"[..], Ok(Some(0o644))),
            (b"   644 \0", Ok(Some(0o644))),
            (b"77777777", Ok(Some(0o7777_7777))),
            (b"        ", Ok(None)),
            (b"\0\0\0\0\0\0\0\0", Ok(None)),
            (b"00644 7\0", Err(HeaderFault::Number)),
            (b"0000648\0", Err(HeaderFault::Number)),
            (b"-000001\0", Err(HeaderFault::Number)),
            (b"0x00012\0", Err(HeaderFault::Number)),
            (b"\x80\0\0\0\0\0\0\x05", Ok(Some(5))),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Ok(Some(-2))),
            (
                b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
                Ok(Some(i64::MAX)),
            ),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", Err(HeaderFault::Number)),
            (
                b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                Err(HeaderFault::Number),
            ),
        ] {
            assert_eq!(number(field), want, "{field:?}");
        }
    }
}
