//! Patterns as git matches them (gitignore(5), "PATTERN FORMAT"), in time proportional to pattern and
//! name: a pattern comes from the tree that is packed, and may be written to take for ever.

/// The wildcard part of a pattern, split into what each step matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Byte(u8),
    /// `?`: any byte but a slash.
    Any,
    /// `[…]`: any of a set, never a slash.
    Set(Box<[bool; 256]>),
    /// `*`: any bytes without a slash, also none.
    Star,
    /// `**/`: nothing, so on behind the next two steps; or these: any bytes, and a slash.
    Deep,
    /// Any bytes, also none. A `**` at the end is nothing else.
    Rest,
}

impl Glob {
    /// `None` for a pattern that can match nothing: an open bracket, a lone backslash at the end.
    pub(crate) fn parse(pattern: &[u8]) -> Option<Self> {
        let mut steps = Vec::new();
        let mut at = 0;
        while let Some(&byte) = pattern.get(at) {
            at += 1;
            let step = match byte {
                b'\\' => {
                    let &escaped = pattern.get(at)?;
                    at += 1;
                    Step::Byte(escaped)
                }
                b'?' => Step::Any,
                b'[' => {
                    let (set, end) = set(pattern, at)?;
                    at = end;
                    Step::Set(set)
                }
                b'*' => {
                    let start = at - 1;
                    while pattern.get(at) == Some(&b'*') {
                        at += 1;
                    }
                    let rest = &pattern[at..];
                    let whole = at - start > 1 && (start == 0 || pattern[start - 1] == b'/');
                    match rest {
                        [] if whole => Step::Rest,
                        [b'/', ..] if whole => {
                            at += 1;
                            steps.extend([Step::Deep, Step::Rest]);
                            Step::Byte(b'/')
                        }
                        // An escaped slash ends it, too, but is not skipped with it.
                        [b'\\', b'/', ..] if whole => Step::Rest,
                        _ => Step::Star,
                    }
                }
                byte => Step::Byte(byte),
            };
            steps.push(step);
        }
        Some(Self { steps })
    }

    /// Whether it matches the whole of `name`.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        // All positions in the pattern that the name so far can have led to.
        let end = self.steps.len();
        let mut now = vec![false; end + 1];
        let mut next = vec![false; end + 1];
        let mut todo = Vec::new();
        self.arrive(0, &mut now, &mut todo);
        for &byte in name {
            next.fill(false);
            let mut any = false;
            for (at, step) in self.steps.iter().enumerate() {
                if !now[at] {
                    continue;
                }
                let to = match step {
                    Step::Byte(b) => (byte == *b).then_some(at + 1),
                    Step::Any => (byte != b'/').then_some(at + 1),
                    Step::Set(set) => (set[usize::from(byte)] && byte != b'/').then_some(at + 1),
                    Step::Star => (byte != b'/').then_some(at),
                    Step::Rest => Some(at),
                    Step::Deep => None,
                };
                if let Some(to) = to {
                    any = true;
                    self.arrive(to, &mut next, &mut todo);
                }
            }
            if !any {
                return false;
            }
            std::mem::swap(&mut now, &mut next);
        }
        now[end]
    }

    /// Marks a position, and those reached from it without a byte.
    fn arrive(&self, at: usize, marks: &mut [bool], todo: &mut Vec<usize>) {
        todo.push(at);
        while let Some(at) = todo.pop() {
            if std::mem::replace(&mut marks[at], true) {
                continue;
            }
            match self.steps.get(at) {
                Some(Step::Star | Step::Rest) => todo.push(at + 1),
                Some(Step::Deep) => todo.extend([at + 1, at + 3]),
                _ => {}
            }
        }
    }
}

/// Reads a bracket expression from behind its `[`; the set, and where it ends.
fn set(pattern: &[u8], mut at: usize) -> Option<(Box<[bool; 256]>, usize)> {
    let mut set = Box::new([false; 256]);
    let negated = matches!(pattern.get(at)?, b'!' | b'^');
    at += usize::from(negated);
    // What a range may start from.
    let mut before = None;
    let mut first = true;
    loop {
        let &byte = pattern.get(at)?;
        at += 1;
        match byte {
            b']' if !first => break,
            b'\\' => {
                let &escaped = pattern.get(at)?;
                at += 1;
                set[usize::from(escaped)] = true;
                before = Some(escaped);
            }
            b'-' if before.is_some() && pattern.get(at).is_some_and(|&b| b != b']') => {
                let &(mut to) = pattern.get(at)?;
                at += 1;
                if to == b'\\' {
                    to = *pattern.get(at)?;
                    at += 1;
                }
                for b in before.unwrap_or(to)..=to {
                    set[usize::from(b)] = true;
                }
                before = None;
            }
            b'[' if pattern.get(at) == Some(&b':') => {
                let rest = &pattern[at + 1..];
                let close = rest.iter().position(|&b| b == b']')?;
                match rest[..close].strip_suffix(b":") {
                    Some(name) => {
                        class(name, &mut set)?;
                        at += 1 + close + 1;
                        before = None;
                    }
                    // Not a class after all, only a bracket.
                    None => {
                        set[usize::from(b'[')] = true;
                        before = Some(b'[');
                    }
                }
            }
            byte => {
                set[usize::from(byte)] = true;
                before = Some(byte);
            }
        }
        first = false;
    }
    if negated {
        set.iter_mut().for_each(|in_set| *in_set = !*in_set);
    }
    Some((set, at))
}

/// Adds the bytes of a named class; `None` for a name that is none.
fn class(name: &[u8], set: &mut [bool; 256]) -> Option<()> {
    let belongs: fn(&u8) -> bool = match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |b| matches!(b, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |b| matches!(b, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    };
    for b in 0..=255 {
        set[usize::from(b)] |= belongs(&b);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::parse(pattern.as_bytes()).is_some_and(|glob| glob.matches(name.as_bytes()))
    }

    #[test]
    fn what_matches() {
        for (pattern, name) in [
            ("*.o", "a.o"),
            ("*", ""),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[^a]", "b"),
            ("[]]", "]"),
            ("[]-]", "-"),
            ("[a\\]]", "]"),
            ("[[:digit:]_]", "_"),
            ("[[:digit:]_]", "7"),
            ("[[:x]", ":"),
            ("\\*", "*"),
            ("**/a", "a"),
            ("**/a", "x/y/a"),
            ("a/**", "a/b/c"),
            ("a/**/b", "a/b"),
            ("a/**/b", "a/x/y/b"),
            ("a/*/b", "a/x/b"),
            ("a**b", "axxb"),
            ("**", "any/thing"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_does_not() {
        for (pattern, name) in [
            ("*.o", "a/b.o"),
            ("a?c", "a/c"),
            ("[!a]", "/"),
            ("a/*/b", "a/b"),
            ("a/*/b", "a/x/y/b"),
            ("a**b", "ax/xb"),
            ("[a", "a"),
            ("[a", "[a"),
            ("a\\", "a"),
            ("a\\", "a\\"),
            ("[[:nope:]]", "n"),
            ("**/a", "xa"),
            ("a/**", "a"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn no_pattern_takes_for_ever() {
        let pattern = "*a".repeat(400) + "b";
        assert!(!matches(&pattern, &"a".repeat(1_000)));
        let deep = "**/a/".repeat(200) + "b";
        assert!(!matches(&deep, &"a/".repeat(500)));
    }
}
