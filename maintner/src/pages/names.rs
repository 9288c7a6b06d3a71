//! What texts name: addresses, issues, changes, commits.

use std::ops::Range;

/// A name in a text. What it means, and whether there is such a thing, others know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name<'t> {
    /// `https://…`
    Address(&'t str),
    /// `#123`, `GH-123`, `owner/repo#123`.
    Issue(Option<(&'t str, &'t str)>, i32),
    /// `CL 123`.
    Change(i32),
    /// What Go's short addresses lead to, such as `golang.org/cl/123`.
    GoIssue(i32),
    GoChange(i32),
    /// 7 to 40 hexadecimal digits, in lower case.
    Commit(&'t str),
}

/// GitHub allows no longer names of owners and repositories.
const LONGEST_OWNER: usize = 39;
const LONGEST_REPO: usize = 100;

/// The names in a text, and where they are. Takes time in proportion to the text, whatever it says.
pub(super) fn names(text: &str) -> impl Iterator<Item = (Range<usize>, Name<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let begin = at + rest.find(|c: char| c.is_ascii_alphanumeric() || c == '#')?;
            let tail = &text[begin..];
            let before = text[..begin].chars().next_back();
            let found = match before {
                Some(c) if is_word(c) => None,
                // Of an entity such as `&#39;`.
                Some('&') if tail.starts_with('#') => None,
                // Of a number that is too large, or none.
                Some('#') if !tail.starts_with('#') => None,
                _ => name_at(tail),
            };
            if let Some((len, name)) = found {
                at = begin + len;
                return Some((begin..at, name));
            }
            let word = tail.find(|c: char| !is_word(c)).unwrap_or(tail.len());
            at = begin + word.max(1);
        }
    })
}

/// The name that a text begins with, and its length.
fn name_at(text: &str) -> Option<(usize, Name<'_>)> {
    let of = |prefix: &str, name: fn(i32) -> Name<'static>| {
        let (len, number) = number(text.strip_prefix(prefix)?)?;
        Some((prefix.len() + len, name(number)))
    };
    let bare = |number| Name::Issue(None, number);
    match text.as_bytes().first()? {
        b'#' => return of("#", bare),
        b'C' if text.starts_with("CL ") => return of("CL ", Name::Change),
        b'G' if text.starts_with("GH-") => return of("GH-", bare),
        b'h' if let Some(len) = address(text) => return Some((len, Name::Address(&text[..len]))),
        b'g' => {
            let known = go(text);
            if known.is_some() {
                return known;
            }
        }
        _ => {}
    }
    in_repo(text).or_else(|| commit(text))
}

/// Go's short addresses, with what they begin with or without.
pub(super) fn go(text: &str) -> Option<(usize, Name<'_>)> {
    let hosts = ["golang.org/", "go.dev/"];
    let path = hosts.iter().find_map(|host| text.strip_prefix(host))?;
    let of = |kind: &str, name: fn(i32) -> Name<'static>| {
        let digits = path.strip_prefix(kind)?;
        let (len, number) = number(digits)?;
        Some((text.len() - digits.len() + len, name(number)))
    };
    of("cl/", Name::GoChange).or_else(|| of("issue/", Name::GoIssue))
}

/// `owner/repo#123`.
fn in_repo(text: &str) -> Option<(usize, Name<'_>)> {
    let part = |text: &str, most, is_part: fn(u8) -> bool| {
        let len = text.bytes().take(most).take_while(|&byte| is_part(byte));
        Some(len.count()).filter(|&len| len > 0)
    };
    let owner = part(text, LONGEST_OWNER, |byte| {
        byte.is_ascii_alphanumeric() || byte == b'-'
    })?;
    let behind = text[owner..].strip_prefix('/')?;
    let repo = part(behind, LONGEST_REPO, |byte| {
        byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
    })?;
    let (len, number) = number(behind[repo..].strip_prefix('#')?)?;
    let names = (&text[..owner], &behind[..repo]);
    Some((owner + 1 + repo + 1 + len, Name::Issue(Some(names), number)))
}

fn commit(text: &str) -> Option<(usize, Name<'_>)> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let len = text.bytes().take(41).take_while(is_digit).count();
    let fits = (7..=40).contains(&len) && ends_word(&text[len..]);
    fits.then(|| (len, Name::Commit(&text[..len])))
}

/// The length of the address that a text begins with.
fn address(text: &str) -> Option<usize> {
    let schemes = ["https://", "http://"];
    let host = schemes
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))?;
    if !host.starts_with(|c: char| c.is_alphanumeric() || c == '[') {
        return None;
    }
    let end = text.find(|c: char| c.is_whitespace() || c.is_control() || "<>\"'`".contains(c));
    let mut link = &text[..end.unwrap_or(text.len())];
    // What ends a sentence is no part of it; a parenthesis is one if it was opened within.
    let mut open = link.matches('(').count() as isize - link.matches(')').count() as isize;
    while let Some(last) = link.chars().next_back() {
        match last {
            ')' if open < 0 => open += 1,
            '.' | ',' | ':' | ';' | '!' | '?' | ']' | '*' => {}
            _ => break,
        }
        link = &link[..link.len() - 1];
    }
    Some(link.len())
}

/// Digits that end where a word ends, as an issue's or a change's number.
fn number(text: &str) -> Option<(usize, i32)> {
    let len = text.bytes().take(11).take_while(u8::is_ascii_digit).count();
    let number = text[..len].parse().ok().filter(|&number| number > 0)?;
    ends_word(&text[len..]).then_some((len, number))
}

fn ends_word(rest: &str) -> bool {
    !rest.starts_with(is_word)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, Name<'_>)> {
        let all = names(text);
        all.map(|(range, name)| (&text[range], name)).collect()
    }

    #[test]
    fn what_is_a_name() {
        let bare = |number| Name::Issue(None, number);
        let of = |owner, repo, number| Name::Issue(Some((owner, repo)), number);
        for (text, expected) in [
            ("fixes #12.", vec![("#12", bare(12))]),
            ("(GH-7, #8)", vec![("GH-7", bare(7)), ("#8", bare(8))]),
            ("golang/go#5", vec![("golang/go#5", of("golang", "go", 5))]),
            ("a/b/c.d_e#1", vec![("b/c.d_e#1", of("b", "c.d_e", 1))]),
            ("see CL 123:", vec![("CL 123", Name::Change(123))]),
            (
                "golang.org/cl/9",
                vec![("golang.org/cl/9", Name::GoChange(9))],
            ),
            (
                "go.dev/issue/9?",
                vec![("go.dev/issue/9", Name::GoIssue(9))],
            ),
            ("v0-abcdef0", vec![("abcdef0", Name::Commit("abcdef0"))]),
            (
                "#2147483647 #2147483648",
                vec![("#2147483647", bare(i32::MAX))],
            ),
        ] {
            assert_eq!(found(text), expected, "{text:?}");
        }
        for none in [
            "",
            "#",
            "#x",
            "#0",
            "##",
            "a#1",
            "#1a",
            "#1_",
            "é#1",
            "#1é",
            "&#39;",
            "CL",
            "CL x",
            "CLs 12",
            "xCL 1",
            "GH-",
            "GH-x",
            "golang.org/cl/",
            "xgolang.org/cl/1",
            "golang.org/x",
            "abcdef",
            "ABCDEF0",
            "abcdef0g",
            "/#",
            "a/#b",
            "a/b#",
            "a/b#c",
        ] {
            assert_eq!(found(none), [], "{none:?}");
        }
        let long = "0123456789".repeat(4);
        assert_eq!(found(&long), [(&*long, Name::Commit(&long))]);
        assert_eq!(found(&format!("{long}a")), []);
    }

    #[test]
    fn addresses_end_where_people_think_they_do() {
        for (text, link) in [
            ("(https://a.b/c). http://", "https://a.b/c"),
            ("https://a.b/x_(y)", "https://a.b/x_(y)"),
            ("(https://a.b/x_(y)).", "https://a.b/x_(y)"),
            ("<https://a.b/?c=d&e>", "https://a.b/?c=d&e"),
            ("https://a.b/#12 x", "https://a.b/#12"),
            ("http://[::1]:80/", "http://[::1]:80/"),
            ("https://a.b/\u{202e}", "https://a.b/\u{202e}"),
        ] {
            assert_eq!(found(text), [(link, Name::Address(link))], "{text:?}");
        }
        assert_eq!(found("xhttps://a.b https:// https://. http:///x"), []);
    }

    #[test]
    fn no_text_takes_long() {
        for part in [
            "a-",
            "a/",
            "a/b#",
            "#",
            "http://",
            "https://a)",
            "0123456",
            "CL ",
            "(",
            ")",
            "é",
            "_",
            "golang.org/cl/",
            "a.",
        ] {
            let text = part.repeat((1 << 17) / part.len());
            // Not one of them can be walked through at every place.
            let _ = names(&text).count();
        }
    }
}
