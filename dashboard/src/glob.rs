//! Shell-like patterns for builders, branches and paths.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Longest pattern in characters.
pub const MAX_GLOB: usize = 256;

/// A shell-like pattern that must match a whole name.
///
/// | in the pattern | matches |
/// |---|---|
/// | `*` | any characters; in [`matches_path`](Glob::matches_path) none of them is `/` |
/// | `**` | any characters, `/` too; `**/` also nothing at all |
/// | `?` | one character (in a path: not `/`) |
/// | `[a-z0]`, `[!a-z]` | one character of the set, or outside it |
/// | `\x` | the character `x` itself |
///
/// Matching takes time proportional to pattern length times name length at worst.
///
/// ```
/// use buildfarm_dashboard::Glob;
/// let release: Glob = "release-*".parse()?;
/// assert!(release.matches("release-1.2/fixes"));
/// let docs: Glob = "docs/**".parse()?;
/// assert!(docs.matches_path("docs/en/index.md"));
/// assert!(!"*.md".parse::<Glob>()?.matches_path("docs/index.md"));
/// # Ok::<(), buildfarm_dashboard::GlobError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    parts: Vec<Part>,
}

/// Why a pattern is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// The pattern matches nothing but the empty name.
    #[error("it is empty")]
    Empty,
    /// More than [`MAX_GLOB`] characters.
    #[error("it is longer than {MAX_GLOB} characters")]
    TooLong,
    /// `[` without its `]`.
    #[error("'[' has no closing ']'")]
    OpenSet,
    /// `[]`, `[!]`.
    #[error("'[]' holds no character")]
    EmptySet,
    /// A range such as `[z-a]`.
    #[error("a range in '[]' runs backwards")]
    Range,
    /// A lone `\` at the end.
    #[error("it ends in a lone '\\'")]
    LoneBackslash,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(char),
    One,
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `*`
    Some,
    /// `**`
    All,
    /// Start of `**/`: go on to the loop behind it, or past that.
    DirsOrNothing,
    /// `**/` itself: anything up to some `/`.
    Dirs,
}

impl Glob {
    /// Most steps that matching a name of `length` bytes takes.
    pub(crate) fn cost(&self, length: usize) -> usize {
        (self.parts.len() + 1) * (length + 1)
    }

    /// Pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern matches a name without inner structure, such as a builder or a branch: `*` crosses `/`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.run(name, false)
    }

    /// Whether the pattern matches a path: `*`, `?` and sets stop at `/`.
    #[must_use]
    pub fn matches_path(&self, path: &str) -> bool {
        self.run(path, true)
    }

    /// Steps through the name with the set of all pattern positions reached so far, so that no input backtracks.
    fn run(&self, name: &str, path: bool) -> bool {
        let end = self.parts.len();
        let mut now = vec![false; end + 1];
        let mut next = vec![false; end + 1];
        now[0] = true;
        self.close(&mut now);
        for c in name.chars() {
            next.fill(false);
            let inside = !path || c != '/';
            for (at, part) in self.parts.iter().enumerate().filter(|(at, _)| now[*at]) {
                let (stay, step) = match part {
                    Part::Literal(want) => (false, *want == c),
                    Part::One => (false, inside),
                    Part::Set { negated, ranges } => {
                        let found = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                        (false, inside && found != *negated)
                    }
                    Part::Some => (inside, false),
                    Part::All => (true, false),
                    Part::DirsOrNothing => (false, false),
                    Part::Dirs => (true, c == '/'),
                };
                next[at] |= stay;
                next[at + 1] |= step;
            }
            self.close(&mut next);
            if !next.contains(&true) {
                return false;
            }
            std::mem::swap(&mut now, &mut next);
        }
        now[end]
    }

    /// Adds the positions that are reached without a character.
    fn close(&self, reached: &mut [bool]) {
        for (at, part) in self.parts.iter().enumerate() {
            if reached[at] {
                match part {
                    Part::Some | Part::All => reached[at + 1] = true,
                    Part::DirsOrNothing => {
                        reached[at + 1] = true;
                        reached[at + 2] = true;
                    }
                    _ => {}
                }
            }
        }
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    /// Reads a pattern. One that ends in `/` covers everything below that folder.
    fn from_str(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        // Counted with a stop, so that a huge text costs nothing.
        if text.chars().take(MAX_GLOB + 1).count() > MAX_GLOB {
            return Err(GlobError::TooLong);
        }
        let mut parts = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => parts.push(Part::Literal(chars.next().ok_or(GlobError::LoneBackslash)?)),
                '?' => parts.push(Part::One),
                '[' => parts.push(set(&mut chars)?),
                '*' if chars.next_if_eq(&'*').is_some() => {
                    let starts =
                        matches!(parts.last(), None | Some(Part::Literal('/') | Part::Dirs));
                    if starts && chars.next_if_eq(&'/').is_some() {
                        parts.extend([Part::DirsOrNothing, Part::Dirs]);
                    } else {
                        parts.push(Part::All);
                    }
                }
                '*' => parts.push(Part::Some),
                c => parts.push(Part::Literal(c)),
            }
        }
        if text.ends_with('/') {
            parts.push(Part::All);
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }
}

/// Reads a set behind its `[`.
fn set(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Part, GlobError> {
    let negated = chars.next_if_eq(&'!').is_some();
    let mut ranges = Vec::new();
    loop {
        let mut low = match chars.next().ok_or(GlobError::OpenSet)? {
            ']' if ranges.is_empty() => return Err(GlobError::EmptySet),
            ']' => return Ok(Part::Set { negated, ranges }),
            c => c,
        };
        if low == '\\' {
            low = chars.next().ok_or(GlobError::LoneBackslash)?;
        }
        let mut high = low;
        if chars.peek() == Some(&'-') {
            chars.next();
            match chars.peek() {
                // A '-' before the ']' is itself.
                Some(']') => ranges.push(('-', '-')),
                Some(_) => {
                    high = chars.next().ok_or(GlobError::OpenSet)?;
                    if high == '\\' {
                        high = chars.next().ok_or(GlobError::LoneBackslash)?;
                    }
                }
                None => return Err(GlobError::OpenSet),
            }
        }
        if high < low {
            return Err(GlobError::Range);
        }
        ranges.push((low, high));
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({:?})", self.text)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(text: &str) -> Glob {
        text.parse().unwrap()
    }

    #[test]
    fn names() {
        for (pattern, yes, no) in [
            ("*", &["", "main", "a/b"][..], &[][..]),
            ("main", &["main"], &["main2", "mai", "xmain", ""]),
            ("release-*", &["release-", "release-1/x"], &["release"]),
            ("*-amd64", &["linux-amd64"], &["linux-amd64-race"]),
            (
                "go1.[0-6]",
                &["go1.0", "go1.6"],
                &["go1.7", "go1.", "go1.10"],
            ),
            ("[!a-c]x", &["dx", "éx"], &["ax", "x"]),
            ("a?c", &["abc", "a/c", "aéc"], &["ac", "abbc"]),
            (r"\*", &["*"], &["a"]),
            ("a*b*c", &["abc", "axxbxxc", "abbcc"], &["acb"]),
            ("[a-]", &["a", "-"], &["b"]),
        ] {
            for name in yes {
                assert!(glob(pattern).matches(name), "{pattern} should match {name}");
            }
            for name in no {
                assert!(
                    !glob(pattern).matches(name),
                    "{pattern} should not match {name}"
                );
            }
        }
    }

    #[test]
    fn paths() {
        for (pattern, yes, no) in [
            ("*.md", &["README.md"][..], &["docs/a.md", "a.mdx"][..]),
            (
                "**/*.md",
                &["README.md", "docs/a.md", "a/b/c.md"],
                &["a.mdx"],
            ),
            ("docs/**", &["docs/a", "docs/a/b"], &["docs", "xdocs/a"]),
            ("docs/", &["docs/a", "docs/a/b"], &["docs", "docs2/a"]),
            (
                "a/**/b",
                &["a/b", "a/x/b", "a/x/y/b"],
                &["a/xb", "ab", "a/b/c"],
            ),
            ("**/**/b", &["b", "a/b", "a/c/b"], &["ab"]),
            ("src/*/x", &["src/a/x"], &["src/a/b/x", "src/x"]),
            ("a?b", &["axb"], &["a/b"]),
            ("a[!x]b", &["ayb"], &["a/b", "axb"]),
            ("x**y", &["xy", "x/a/y"], &["y"]),
        ] {
            for path in yes {
                assert!(
                    glob(pattern).matches_path(path),
                    "{pattern} should match {path}"
                );
            }
            for path in no {
                assert!(
                    !glob(pattern).matches_path(path),
                    "{pattern} should not match {path}"
                );
            }
        }
    }

    #[test]
    fn broken_patterns() {
        for (pattern, error) in [
            ("", GlobError::Empty),
            ("[", GlobError::OpenSet),
            ("[a", GlobError::OpenSet),
            ("[a-", GlobError::OpenSet),
            ("[]", GlobError::EmptySet),
            ("[!]", GlobError::EmptySet),
            ("[z-a]", GlobError::Range),
            ("a\\", GlobError::LoneBackslash),
            ("[\\", GlobError::LoneBackslash),
        ] {
            assert_eq!(pattern.parse::<Glob>(), Err(error), "{pattern}");
        }
        assert_eq!(
            "a".repeat(MAX_GLOB + 1).parse::<Glob>(),
            Err(GlobError::TooLong)
        );
    }

    /// Would take longer than the universe lasts if matching backtracked.
    #[test]
    fn many_stars_stay_cheap() {
        let pattern = glob(&"*a".repeat(MAX_GLOB / 2));
        assert!(!pattern.matches(&"a".repeat(127)));
        assert!(pattern.matches(&"a".repeat(4096)));
    }

    proptest! {
        #[test]
        fn any_pattern_is_answered(pattern in r"[ab/*?\[\]!\\-]{0,12}", name in "[ab/]{0,8}") {
            if let Ok(glob) = pattern.parse::<Glob>() {
                let _ = (glob.matches(&name), glob.matches_path(&name));
            }
        }

        #[test]
        fn a_path_match_is_a_name_match(pattern in r"[ab/*?]{1,8}", name in "[ab/]{0,8}") {
            let glob = glob(&pattern);
            prop_assert!(!glob.matches_path(&name) || glob.matches(&name));
        }

        #[test]
        fn escaped_text_matches_itself(name in r"[a-z*?\[\]\\/]{1,20}") {
            let escaped: String = name.trim_end_matches('/').chars().flat_map(|c| ['\\', c]).collect();
            if !escaped.is_empty() {
                prop_assert!(glob(&escaped).matches(name.trim_end_matches('/')));
            }
        }
    }
}
