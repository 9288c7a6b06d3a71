//! The Go forms of file modes and quoted names, which peers see in error texts.

use std::fmt::Write as _;

/// A file mode as Go prints it (`-rw-r--r--`, `Lrwxrwxrwx`, `Dcrw-rw-rw-`), from the type flag and
/// mode of a tar header.
pub(crate) fn mode_string(typeflag: u8, mode: u32) -> String {
    let mut s = String::with_capacity(12);
    // Old archives put the file's type into the mode as well; Go honours both.
    match mode & 0o170_000 {
        0o040_000 => s.push('d'),
        0o060_000 => s.push('D'),
        0o120_000 => s.push('L'),
        0o010_000 => s.push('p'),
        0o140_000 => s.push('S'),
        0o020_000 => s.push_str("Dc"),
        _ => match typeflag {
            b'2' => s.push('L'),
            b'3' => s.push_str("Dc"),
            b'4' => s.push('D'),
            b'5' => s.push('d'),
            b'6' => s.push('p'),
            _ => {}
        },
    }
    for (bit, letter) in [(0o4000, 'u'), (0o2000, 'g'), (0o1000, 't')] {
        if mode & bit != 0 {
            // Go's order is u, g, then c, then t.
            if letter != 't' && s.ends_with('c') {
                s.insert(s.len() - 1, letter);
            } else {
                s.push(letter);
            }
        }
    }
    if s.is_empty() {
        s.push('-');
    }
    for (i, letter) in "rwxrwxrwx".chars().enumerate() {
        s.push(if mode & (0o400 >> i) != 0 {
            letter
        } else {
            '-'
        });
    }
    s
}

/// A name as Go's `%q` prints it, near enough: printable text as is, the rest escaped.
pub(crate) fn quote(name: &[u8]) -> String {
    let mut s = String::with_capacity(name.len() + 2);
    s.push('"');
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => s.push_str("\\\""),
                '\\' => s.push_str("\\\\"),
                '\u{7}' => s.push_str("\\a"),
                '\u{8}' => s.push_str("\\b"),
                '\u{c}' => s.push_str("\\f"),
                '\n' => s.push_str("\\n"),
                '\r' => s.push_str("\\r"),
                '\t' => s.push_str("\\t"),
                '\u{b}' => s.push_str("\\v"),
                c if c.is_ascii_control() => _ = write!(s, "\\x{:02x}", c as u32),
                c if c.is_control() || is_format(c) => _ = write!(s, "\\u{:04x}", c as u32),
                c => s.push(c),
            }
        }
        for b in chunk.invalid() {
            _ = write!(s, "\\x{b:02x}");
        }
    }
    s.push('"');
    s
}

/// A name for an error text that is read by people: no control characters, lossy.
pub(crate) fn plain(name: &[u8]) -> String {
    let quoted = quote(name);
    quoted[1..quoted.len() - 1]
        .replace("\\\"", "\"")
        .replace("\\\\", "\\")
}

/// Invisible characters that reorder or hide text.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_in_go() {
        for (flag, mode, want) in [
            (b'0', 0o644, "-rw-r--r--"),
            (b'0', 0o4755, "urwxr-xr-x"),
            (b'1', 0o644, "-rw-r--r--"),
            (b'2', 0o777, "Lrwxrwxrwx"),
            (b'3', 0o666, "Dcrw-rw-rw-"),
            (b'4', 0o660, "Drw-rw----"),
            (b'5', 0o1777, "dtrwxrwxrwx"),
            (b'6', 0o600, "prw-------"),
            (b'0', 0o140_600, "Srw-------"),
            (b'S', 0, "----------"),
        ] {
            assert_eq!(mode_string(flag, mode), want);
        }
    }

    #[test]
    fn names_are_quoted_as_in_go() {
        assert_eq!(quote(b"../x"), r#""../x""#);
        assert_eq!(quote(b"a\\b\"\n\x1b\x00"), r#""a\\b\"\n\x1b\x00""#);
        assert_eq!(quote("ü\u{202e}".as_bytes()), "\"ü\\u202e\"");
        assert_eq!(quote(b"\xff"), r#""\xff""#);
        assert_eq!(plain(b"a\\b\n\"c"), "a\\b\\n\"c");
    }
}
