use std::fmt::Write;

/// How many of the last bytes of `data` are the beginning of a UTF-8 sequence whose end may yet come.
pub(super) fn incomplete_tail(data: &[u8]) -> usize {
    let begins_a_sequence = |len: &usize| {
        let tail = &data[data.len() - len..];
        std::str::from_utf8(tail)
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=data.len().min(3)).find(begins_a_sequence).unwrap_or(0)
}

/// Appends `text` as a JSON string. All control characters are escaped, so it is one line for everybody.
pub(super) fn push_json(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back() {
        for (data, held) in [
            (&b""[..], 0),
            (b"abc", 0),
            ("abä".as_bytes(), 0),
            (b"ab\xc3", 1),
            (b"\xe2\x82", 2),
            (b"x\xf0\x9f\x98", 3),
            // Never the beginning of anything.
            (b"\x80", 0),
            (b"\xff", 0),
            (b"\xf8\x80", 0),
            (b"\xe0\x80", 0),
            (b"\xed\xa0", 0),
            (b"\xc3\xc3", 1),
        ] {
            assert_eq!(incomplete_tail(data), held, "{data:x?}");
        }
    }

    #[test]
    fn json_strings() {
        let mut out = String::new();
        push_json(&mut out, "a\"b\\c\r\n\t\u{1b}[1mä\u{2028}\0");
        assert_eq!(out, "\"a\\\"b\\\\c\\r\\n\\t\\u001b[1mä\u{2028}\\u0000\"");
    }
}
