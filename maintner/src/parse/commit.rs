//! Commit objects, as `git cat-file commit` prints them.

use std::ops::Range;

use super::person::{Signature, signature, signature_in};

/// A commit, borrowed from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit<'a> {
    /// The hash of its tree, 40 hex digits.
    pub tree: &'a str,
    /// Who wrote it.
    pub author: Signature<'a>,
    /// Who committed it.
    pub committer: Signature<'a>,
    /// The message; bytes, because a commit may be in any encoding.
    pub message: &'a [u8],
    pub(crate) parents: Parents<'a>,
}

/// Lines, those of a commit's parents among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Parents<'a>(&'a [u8]);

/// Why bytes are no commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// There is no blank line, behind which the message would begin.
    #[error("commit has no blank line behind its header")]
    NoMessage,
    /// A line that must be there is not, or its value cannot be read.
    #[error("commit has no usable {0} line")]
    Line(&'static str),
}

/// Reads a commit. Lines it has no use for, signatures among them, are passed over.
pub fn parse(raw: &[u8]) -> Result<Commit<'_>, CommitError> {
    let (mut tree, mut author, mut committer) = (None, None, None);
    let mut parents = 0..0;
    let mut at = 0;
    loop {
        let rest = &raw[at..];
        let len = memchr::memchr(b'\n', rest).ok_or(CommitError::NoMessage)?;
        let (start, line) = (at, &rest[..len]);
        at += len + 1;
        let value = |key: &[u8]| {
            let is_it = line.starts_with(key);
            is_it.then_some(start + key.len()..start + len)
        };
        // What belongs to the line before begins with a space.
        match line.first() {
            None => break,
            Some(b't') => tree = tree.or_else(|| value(b"tree ")),
            Some(b'p') if line.starts_with(b"parent ") => {
                let first = if parents.is_empty() {
                    start
                } else {
                    parents.start
                };
                parents = first..at;
            }
            Some(b'a') => author = author.or_else(|| value(b"author ")),
            Some(b'c') => committer = committer.or_else(|| value(b"committer ")),
            _ => {}
        }
    }
    let (header, message) = raw.split_at(at);
    // Looked at once, not for each part.
    let text = simdutf8::basic::from_utf8(header).ok();
    let tree = tree.and_then(|tree| match text {
        Some(text) => text.get(tree),
        None => std::str::from_utf8(&header[tree]).ok(),
    });
    let person = |value: Option<Range<usize>>, key| {
        let signature = value.and_then(|value| match text {
            Some(text) => signature_in(text.get(value)?),
            None => signature(&header[value]),
        });
        signature.ok_or(CommitError::Line(key))
    };
    let bytes = |value: &Option<Range<usize>>| value.clone().map(|value| &header[value]);
    // Most were committed by who wrote them, at once.
    let is_same = bytes(&author) == bytes(&committer);
    let tree = tree.filter(|tree| hash(tree.as_bytes()).is_some());
    let tree = tree.ok_or(CommitError::Line("tree"))?;
    let author = person(author, "author")?;
    let committer = match is_same {
        true => author,
        false => person(committer, "committer")?,
    };
    Ok(Commit {
        tree,
        author,
        committer,
        message,
        parents: Parents(&raw[parents]),
    })
}

impl<'a> Commit<'a> {
    /// The hashes of its parents, 40 hex digits each, in order. What is no hash is left out.
    pub fn parents(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.parents.lines().filter_map(hash_text)
    }
}

impl<'a> Parents<'a> {
    /// Their hashes, in binary.
    pub(crate) fn hashes(self) -> impl Iterator<Item = [u8; 20]> + use<'a> {
        self.lines().filter_map(hash)
    }

    fn lines(self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let Self(mut rest) = self;
        let lines = std::iter::from_fn(move || {
            let end = memchr::memchr(b'\n', rest)?;
            let (line, after) = rest.split_at(end);
            rest = &after[1..];
            Some(line)
        });
        lines.filter_map(|line| line.strip_prefix(b"parent "))
    }
}

/// 40 hex digits as text.
fn hash_text(value: &[u8]) -> Option<&str> {
    hash(value).and_then(|_| std::str::from_utf8(value).ok())
}

/// The 20 bytes of a hash in 40 hex digits. None if it is something else.
pub fn parse_hash(hex: impl AsRef<[u8]>) -> Option<[u8; 20]> {
    hash(hex.as_ref())
}

#[inline]
fn hash(hex: &[u8]) -> Option<[u8; 20]> {
    let digits: &[u8; 40] = hex.try_into().ok()?;
    // Neither a table nor a branch for each: the compiler makes vectors of it.
    let mut values = [0; 40];
    for (value, &digit) in values.iter_mut().zip(digits) {
        *value = nibble(digit);
    }
    let mut hash = [0; 20];
    for (byte, &[high, low]) in hash.iter_mut().zip(values.as_chunks::<2>().0) {
        *byte = high << 4 | low;
    }
    let all = values.iter().fold(0, |all, value| all | value);
    (all < 16).then_some(hash)
}

/// What a hex digit stands for; 16 or more for what is none.
#[inline]
fn nibble(digit: u8) -> u8 {
    // Anything below `0` or beyond `9` ends up at 16 or more.
    let number = digit.wrapping_add(255 - b'9').saturating_sub(6);
    let number = number.wrapping_sub(240);
    let letter = (digit & !0x20).wrapping_sub(b'A').saturating_add(10);
    number.min(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

    fn raw(extra: &str) -> String {
        format!(
            "tree {TREE}\nparent {:040}\nparent {:040x}\nauthor A <a@x> 1 +0100\n\
             committer B <b@x> 2 -0200\n{extra}\nsubject\n\nbody\n",
            7, 8
        )
    }

    #[test]
    fn signed_encoded_and_merged_commits() {
        let extra = "encoding latin1\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n tree 12\n -----END\n\
                     mergetag object 1\n author Not Me <n@x> 9 +0000\n";
        for extra in ["", extra] {
            let raw = raw(extra);
            let commit = parse(raw.as_bytes()).unwrap();
            assert_eq!(commit.tree, TREE);
            assert_eq!(commit.author.person, "A <a@x>");
            assert_eq!(
                (commit.committer.seconds, commit.committer.zone),
                (2, -7200)
            );
            assert_eq!(commit.message, b"subject\n\nbody\n");
            let parents: Vec<_> = commit.parents().collect();
            assert_eq!(parents, [format!("{:040}", 7), format!("{:040x}", 8)]);
        }
    }

    #[test]
    fn of_a_name_in_another_encoding_the_address_is_left() {
        let raw = raw("").replace("A <a@x>", "J\u{1}rg <j@x>").into_bytes();
        let raw: Vec<u8> = raw
            .iter()
            .map(|&byte| if byte == 1 { 0xf6 } else { byte })
            .collect();
        let commit = parse(&raw).unwrap();
        assert_eq!((commit.author.person, commit.author.seconds), ("<j@x>", 1));
    }

    #[test]
    fn what_is_no_commit() {
        use CommitError::*;
        for (raw, error) in [
            ("", NoMessage),
            ("tree x\nauthor", NoMessage),
            ("\n\n", Line("tree")),
            ("tree 12\n\n", Line("tree")),
            (&format!("tree {TREE}\n\n"), Line("author")),
            (
                &format!("tree {TREE}\nauthor A <a> 1 +1\n\n"),
                Line("author"),
            ),
            (
                &format!("tree {TREE}\nauthor A <a> 1 +0000\n\n"),
                Line("committer"),
            ),
        ] {
            assert_eq!(parse(raw.as_bytes()), Err(error), "{raw:?}");
        }
    }

    #[test]
    fn hashes() {
        for byte in 0..=127 {
            let digit = char::from(byte);
            let hex = format!("{}{digit}{}", "0".repeat(19), "0".repeat(20));
            let value = digit.to_digit(16).map(|value| {
                let mut hash = [0; 20];
                hash[9] = value as u8;
                hash
            });
            assert_eq!(parse_hash(hex), value, "{digit:?}");
        }
        assert_eq!(parse_hash("0f".repeat(20)), Some([15; 20]));
        assert_eq!(parse_hash("AB".repeat(20)), Some([0xab; 20]));
        for bad in [
            "",
            "0f",
            &"0g".repeat(20),
            &"0f".repeat(21),
            &"\u{e9}".repeat(20),
        ] {
            assert_eq!(parse_hash(bad), None);
        }
    }
}
