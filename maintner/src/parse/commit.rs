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
pub(crate) struct Parents<'a> {
    /// The hash in the first line, if that is its usual form.
    first: Option<[u8; 20]>,
    lines: &'a [u8],
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
    let mut header = Header::default();
    let at = header.usual_lines(raw);
    header.finish(raw, at)
}

/// Where the parts of a header stand.
#[derive(Default)]
struct Header {
    /// Some(None): there is one, but it is no hash.
    tree: Option<Option<Range<usize>>>,
    first_parent: Option<[u8; 20]>,
    parents: Range<usize>,
    author: Option<Range<usize>>,
    committer: Option<Range<usize>>,
    /// The committer's line is equal to the author's, as most are: they committed it at once.
    is_by_author: bool,
}

impl Header {
    /// Reads the lines at the front that stand where git puts them, which needs no search; gives
    /// where they end.
    fn usual_lines(&mut self, raw: &[u8]) -> usize {
        if hash_line(raw, b"tree ").is_none() {
            return 0;
        }
        self.tree = Some(Some(5..45));
        let mut at = 46;
        self.first_parent = hash_line(&raw[at..], b"parent ");
        if self.first_parent.is_some() {
            self.parents = at..at + PARENT_LINE;
            at += PARENT_LINE;
        }
        let Some(author) = raw[at..].strip_prefix(b"author ") else {
            return at;
        };
        let Some(len) = memchr::memchr(b'\n', author) else {
            return at;
        };
        self.author = Some(at + 7..at + 7 + len);
        at += 7 + len + 1;
        let committer = raw[at..].strip_prefix(b"committer ");
        if committer.is_some_and(|rest| rest.starts_with(&author[..=len])) {
            self.is_by_author = true;
            at += 10 + len + 1;
        }
        at
    }

    /// Reads the lines from `at` on, and makes a commit of all.
    fn finish(mut self, raw: &[u8], at: usize) -> Result<Commit<'_>, CommitError> {
        let at = self.other_lines(raw, at).ok_or(CommitError::NoMessage)?;
        let (lines, message) = raw.split_at(at);
        // Looked at once, not for each part.
        let text = simdutf8::basic::from_utf8(lines).ok();
        let person = |value: Option<Range<usize>>, key| {
            let signature = value.and_then(|value| match text {
                Some(text) => signature_in(text.get(value)?),
                None => signature(&lines[value]),
            });
            signature.ok_or(CommitError::Line(key))
        };
        let tree = self.tree.flatten().and_then(|tree| match text {
            Some(text) => text.get(tree),
            None => std::str::from_utf8(&lines[tree]).ok(),
        });
        let tree = tree.ok_or(CommitError::Line("tree"))?;
        let author = person(self.author, "author")?;
        let committer = match self.is_by_author {
            true => author,
            false => person(self.committer, "committer")?,
        };
        let parents = Parents {
            first: self.first_parent,
            lines: &raw[self.parents],
        };
        Ok(Commit {
            tree,
            author,
            committer,
            message,
            parents,
        })
    }

    /// Reads the lines from `at` on; gives where they end, behind a blank one.
    fn other_lines(&mut self, raw: &[u8], mut at: usize) -> Option<usize> {
        loop {
            let rest = &raw[at..];
            if rest.first() == Some(&b'\n') {
                return Some(at + 1);
            }
            let len = memchr::memchr(b'\n', rest)?;
            let (start, line) = (at, &rest[..len]);
            at += len + 1;
            let value = |key: &[u8]| {
                let is_it = line.starts_with(key);
                is_it.then_some(start + key.len()..start + len)
            };
            // What belongs to the line before begins with a space.
            match line.first() {
                Some(b't') if self.tree.is_none() => {
                    let hash = |tree: Range<usize>| hash(&raw[tree.clone()]).map(|_| tree);
                    self.tree = value(b"tree ").map(hash);
                }
                Some(b'p') if line.starts_with(b"parent ") => {
                    let first = if self.parents.is_empty() {
                        start
                    } else {
                        self.parents.start
                    };
                    self.parents = first..at;
                }
                Some(b'a') => self.author = self.author.take().or_else(|| value(b"author ")),
                Some(b'c') if !self.is_by_author => {
                    self.committer = self.committer.take().or_else(|| value(b"committer "));
                }
                _ => {}
            }
        }
    }
}

/// The hash in a line at the front of `text`, of which `key` is the front.
fn hash_line(text: &[u8], key: &[u8]) -> Option<[u8; 20]> {
    let (digits, rest) = text.strip_prefix(key)?.split_first_chunk::<40>()?;
    rest.starts_with(b"\n").then(|| hash(digits))?
}

/// Bytes of a line of a parent.
const PARENT_LINE: usize = "parent ".len() + 40 + 1;

impl<'a> Commit<'a> {
    /// The hashes of its parents, 40 hex digits each, in order. What is no hash is left out.
    pub fn parents(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.parents.lines().filter_map(hash_text)
    }
}

impl<'a> Parents<'a> {
    /// The hash of the first, in binary.
    pub(crate) fn first(self) -> Option<[u8; 20]> {
        self.first.or_else(|| self.hashes().next())
    }

    /// Whether there are several.
    pub(crate) fn are_several(self) -> bool {
        self.lines.len() > PARENT_LINE && self.hashes().nth(1).is_some()
    }

    /// Their hashes, in binary.
    pub(crate) fn hashes(self) -> impl Iterator<Item = [u8; 20]> + use<'a> {
        self.lines().filter_map(hash)
    }

    fn lines(self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.lines;
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

    proptest::proptest! {
        #[test]
        fn lines_need_not_stand_where_they_usually_do(
            lines in proptest::collection::vec(proptest::sample::select(vec![
                format!("tree {TREE}\n"),
                format!("parent {:040x}\n", 7),
                format!("parent {:040x}\n", 8),
                "author A <a@x> 1530000000 +0100\n".into(),
                "committer A <a@x> 1530000000 +0100\n".into(),
                "committer \u{e9} <b@x> 2 -0200\n".into(),
                "parent 12\n".into(),
                "tree 12\n".into(),
                " author\n".into(),
                "\n".into(),
            ]), 0..8),
            broken in proptest::option::of(proptest::num::usize::ANY),
        ) {
            let mut raw = (lines.concat() + "\n").into_bytes();
            if let Some(at) = broken {
                let len = raw.len();
                raw[at % len] = 0xe9;
            }
            for raw in [&raw[..], &[format!("tree {TREE}\n").as_bytes(), &raw].concat()] {
                let usual = parse(raw);
                let searched = Header::default().finish(raw, 0);
                let parents = |commit: Result<Commit<'_>, _>| {
                    commit.map(|commit| (
                        commit.parents.first(),
                        commit.parents.are_several(),
                        commit.parents().map(str::to_owned).collect::<Vec<_>>(),
                        commit.parents.hashes().collect::<Vec<_>>(),
                    ))
                };
                proptest::prop_assert_eq!(parents(usual), parents(searched));
                let others = |commit: Commit<'_>| format!("{:?}", Commit { parents: Parents::default(), ..commit });
                proptest::prop_assert_eq!(usual.map(others), searched.map(others));
            }
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
