//! Commit objects, as `git cat-file commit` prints them.

use super::person::{Signature, signature};

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
    header: &'a [u8],
}

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
    let blank = memchr::memmem::find(raw, b"\n\n").ok_or(CommitError::NoMessage)?;
    let (header, message) = (&raw[..blank], &raw[blank + 2..]);
    let value = |key: &'static str| {
        lines(header).find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b" "))
    };
    let person = |key| value(key).and_then(lenient).ok_or(CommitError::Line(key));
    Ok(Commit {
        tree: value("tree")
            .and_then(|tree| std::str::from_utf8(tree).ok())
            .filter(|tree| is_hash(tree))
            .ok_or(CommitError::Line("tree"))?,
        author: person("author")?,
        committer: person("committer")?,
        message,
        header,
    })
}

impl<'a> Commit<'a> {
    /// The hashes of its parents, 40 hex digits each, in order. What is no hash is left out.
    pub fn parents(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        lines(self.header).filter_map(|line| {
            let hash = std::str::from_utf8(line.strip_prefix(b"parent ")?).ok()?;
            is_hash(hash).then_some(hash)
        })
    }
}

/// A signature. Of a name in another encoding than UTF-8, as old commits have, only the mail address
/// is left.
fn lenient(value: &[u8]) -> Option<Signature<'_>> {
    let text = std::str::from_utf8(value).or_else(|_| {
        let mail = memchr::memchr(b'<', value).unwrap_or_default();
        std::str::from_utf8(&value[mail..])
    });
    signature(text.ok()?)
}

/// The lines of a header, without what belongs to the line before.
fn lines(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    header
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.starts_with(b" "))
}

fn is_hash(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The 20 bytes of a hash in 40 hex digits. None if it is something else.
pub fn parse_hash(hex: &str) -> Option<[u8; 20]> {
    let digits: &[u8; 40] = hex.as_bytes().try_into().ok()?;
    let mut hash = [0; 20];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(hash)
}

#[inline]
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
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
        assert_eq!(parse_hash(&"0f".repeat(20)), Some([15; 20]));
        assert_eq!(parse_hash(&"AB".repeat(20)), Some([0xab; 20]));
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
