//! Headers as they are written: USTAR where it can say it, a PAX header in front where not.

use tar::{EntryType, Header};

/// What an entry is, for its header.
pub(crate) struct Entry<'a> {
    /// Directories end in a slash already.
    pub(crate) name: &'a [u8],
    pub(crate) kind: EntryKind<'a>,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds since 1970.
    pub(crate) mtime: i64,
    pub(crate) size: u64,
}

pub(crate) enum EntryKind<'a> {
    File,
    Dir,
    Symlink(&'a [u8]),
}

/// Appends the entry's header blocks.
pub(crate) fn header(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let mut pax = Vec::new();
    let mut header = Header::new_ustar();
    header.set_entry_type(match entry.kind {
        EntryKind::File => EntryType::Regular,
        EntryKind::Dir => EntryType::Directory,
        EntryKind::Symlink(_) => EntryType::Symlink,
    });
    let (prefix, name) = split_name(entry.name).unwrap_or_else(|| {
        record(&mut pax, "path", entry.name);
        (&[], entry.name)
    });
    if let Some(ustar) = header.as_ustar_mut() {
        put(&mut ustar.prefix, prefix);
        put(&mut ustar.name, name);
    }
    if let EntryKind::Symlink(target) = entry.kind {
        if target.len() > NAME || !target.is_ascii() {
            record(&mut pax, "linkpath", target);
        }
        put(&mut header.as_old_mut().linkname, target);
    }
    header.set_mode(entry.mode & 0o7777);
    header.set_uid(small(&mut pax, "uid", entry.uid, MAX_ID));
    header.set_gid(small(&mut pax, "gid", entry.gid, MAX_ID));
    header.set_size(small(&mut pax, "size", entry.size, MAX_SIZE));
    header.set_mtime(match u64::try_from(entry.mtime) {
        Ok(mtime) => small(&mut pax, "mtime", mtime, MAX_SIZE),
        Err(_) => {
            record(&mut pax, "mtime", entry.mtime.to_string().as_bytes());
            0
        }
    });
    header.set_cksum();
    if !pax.is_empty() {
        extended(entry.name, &pax, out);
    }
    out.extend_from_slice(header.as_bytes());
}

/// Appends what fills the last block of `size` bytes of content.
pub(crate) fn padding(size: u64) -> &'static [u8] {
    &ZEROS[..((512 - size % 512) % 512) as usize]
}

/// The archive's end mark.
pub(crate) fn end() -> &'static [u8] {
    &ZEROS
}

/// Splits a name for the two fields of USTAR; `None` if it does not fit.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() || name.contains(&0) {
        return None;
    }
    if name.len() <= NAME {
        return Some((&[], name));
    }
    // The slash between the fields is not stored; a directory's own last one is no place to split.
    let end = name.len() - 1;
    let from = name.len() - NAME - 1;
    let at = (from..end.min(PREFIX + 1)).find(|&i| name[i] == b'/')?;
    (at > 0).then(|| (&name[..at], &name[at + 1..]))
}

fn extended(name: &[u8], records: &[u8], out: &mut Vec<u8>) {
    let base = name.strip_suffix(b"/").unwrap_or(name);
    let base = base.rsplit(|&b| b == b'/').next().unwrap_or(base);
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    let shown: Vec<u8> = b"PaxHeaders.0/"
        .iter()
        .chain(base.iter().filter(|b| b.is_ascii_graphic()))
        .copied()
        .collect();
    put(&mut header.as_old_mut().name, &shown);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(records.len() as u64);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(records);
    out.extend_from_slice(padding(records.len() as u64));
}

/// Appends `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + " =\n".len();
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(format!("{len} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// The number, or 0 with a record where octal digits do not suffice.
fn small(pax: &mut Vec<u8>, key: &str, number: u64, max: u64) -> u64 {
    if number <= max {
        return number;
    }
    record(pax, key, number.to_string().as_bytes());
    0
}

fn put(field: &mut [u8], value: &[u8]) {
    let n = value.len().min(field.len());
    field[..n].copy_from_slice(&value[..n]);
}

const NAME: usize = 100;
const PREFIX: usize = 155;
/// Seven and eleven octal digits.
const MAX_ID: u64 = 0o777_7777;
const MAX_SIZE: u64 = 0o777_7777_7777;
static ZEROS: [u8; 1024] = [0; 1024];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_themselves() {
        for len in 0..3000 {
            let mut out = Vec::new();
            record(&mut out, "path", &vec![b'a'; len]);
            let space = out.iter().position(|&b| b == b' ').unwrap();
            let stated: usize = std::str::from_utf8(&out[..space]).unwrap().parse().unwrap();
            assert_eq!(stated, out.len());
        }
    }

    #[test]
    fn names_are_split_where_they_fit() {
        let join = |n: &str| split_name(n.as_bytes()).map(|(p, n)| (p.len(), n.len()));
        let (a100, a101) = ("a".repeat(100), "a".repeat(101));
        assert_eq!(join(&a100), Some((0, 100)));
        assert_eq!(join(&a101), None);
        assert_eq!(join(&format!("d/{a100}")), Some((1, 100)));
        assert_eq!(join(&format!("d/{a101}")), None);
        assert_eq!(
            join(&format!("{}/{a100}", "p".repeat(155))),
            Some((155, 100))
        );
        assert_eq!(join(&format!("{}/{a100}", "p".repeat(156))), None);
        assert_eq!(join(&format!("{}/", "d".repeat(100))), None);
        assert_eq!(join(&format!("x/{}/", "d".repeat(99))), Some((1, 100)));
        assert_eq!(join("ü"), None);
        assert_eq!(join(""), Some((0, 0)));
    }
}
