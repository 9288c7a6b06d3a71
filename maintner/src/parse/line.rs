//! Lines of the form `Key: value`.

/// A value that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// What follows the key on its line, trimmed.
    pub value: &'a str,
    /// All text behind the line.
    pub rest: &'a str,
}

/// Finds the first line that begins with `key`, which includes its colon. A line begins at the
/// start of the text and behind each LF or CR; case matters.
pub fn find<'a>(text: &'a str, key: &str) -> Option<Line<'a>> {
    let bytes = text.as_bytes();
    let starts = memchr::memchr2_iter(b'\n', b'\r', bytes).map(|at| at + 1);
    let at = std::iter::once(0)
        .chain(starts)
        .find(|&at| bytes[at..].starts_with(key.as_bytes()))?;
    let value = &text[at + key.len()..];
    let (value, rest) = value.split_once('\n').unwrap_or((value, ""));
    let value = value.trim();
    Some(Line { value, rest })
}

/// The values of all lines that begin with `key`, in order.
pub fn find_all<'a>(text: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let line = find(rest, key)?;
        rest = line.rest;
        Some(line.value)
    })
}

/// The text behind the last blank line: where the footers of a message stand.
pub fn footer(message: &str) -> &str {
    let bytes = message.as_bytes();
    let mut end = message.trim_end_matches('\n').len();
    while let Some(at) = memchr::memrchr(b'\n', &bytes[..end]) {
        if at > 0 && bytes[at - 1] == b'\n' {
            return &message[at + 1..];
        }
        end = at;
    }
    ""
}

/// Tells where the line breaks of a text are, in order.
///
/// Lines are short: to search for the end of each anew costs more than to look at all bytes, eight
/// at a time.
#[inline]
pub(super) fn each_break(text: &[u8], mut found: impl FnMut(usize)) {
    /// So many times a byte.
    const ALL: u64 = u64::MAX / 0xff;
    const LOW: u64 = ALL * 0x7f;
    let (blocks, rest) = text.as_chunks();
    let mut last = [0; 32];
    last[..rest.len()].copy_from_slice(rest);
    let mut start = 0;
    for block in blocks.iter().chain([&last]) {
        // Without a branch for each byte: the compiler makes vectors of it.
        if block.iter().fold(false, |any, &byte| any | (byte == b'\n')) {
            for (number, word) in block.as_chunks().0.iter().enumerate() {
                let word = u64::from_le_bytes(*word) ^ (ALL * 0x0a);
                // The highest bit of each byte that is 0 now, and of no other.
                let mut marks = !(((word & LOW) + LOW) | word | LOW);
                while marks != 0 {
                    found(start + number * 8 + marks.trailing_zeros() as usize / 8);
                    marks &= marks - 1;
                }
            }
        }
        start += block.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks() {
        for text in [
            "",
            "\n",
            "a\nb",
            "\n\n\n",
            &"abc\n\n".repeat(50),
            &"\u{8a0a}\n\u{b}\n\u{b}\u{8a}".repeat(17),
        ] {
            let mut found = Vec::new();
            each_break(text.as_bytes(), |at| found.push(at));
            let expected: Vec<_> = text.match_indices('\n').map(|(at, _)| at).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn keys_stand_at_the_beginning_of_lines() {
        let cases = [
            ("foo: bar", Some(("bar", ""))),
            ("foo: bar\n", Some(("bar", ""))),
            ("notfoo: x\nfoo: bar", Some(("bar", ""))),
            ("notfoo: x", None),
            ("Foo: x", None),
            ("\rfoo: bar", Some(("bar", ""))),
            (
                "foo:   bar baz \r\nfoo: two\nrest",
                Some(("bar baz", "foo: two\nrest")),
            ),
            ("foo:", Some(("", ""))),
            ("", None),
            ("\u{e9}foo: \nfoo: yes", Some(("yes", ""))),
        ];
        for (text, expected) in cases {
            let found = find(text, "foo:").map(|line| (line.value, line.rest));
            assert_eq!(found, expected, "{text:?}");
        }
        let all: Vec<_> = find_all("foo: 1\nbar: 2\nfoo: 3\nxfoo: 4", "foo:").collect();
        assert_eq!(all, ["1", "3"]);
    }

    #[test]
    fn footers_stand_behind_the_last_blank_line() {
        assert_eq!(
            footer("subject\n\nbody\n\nPatch-set: 1\nTag: x\n"),
            "Patch-set: 1\nTag: x\n"
        );
        assert_eq!(footer("subject\n\nonly\n\n\n"), "only\n\n\n");
        assert_eq!(footer("subject"), "");
        assert_eq!(footer(""), "");
    }
}
