//! `Name <mail> 1530000000 -0800`.

/// Who did something, when, as a commit has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature<'a> {
    /// `Name <mail>`.
    pub person: &'a str,
    /// Seconds since 1970, UTC.
    pub seconds: i64,
    /// Seconds east of UTC.
    pub zone: i32,
}

/// Reads the value of an `author` or `committer` line. None if it has not that form.
pub fn signature(value: &[u8]) -> Option<Signature<'_>> {
    let (rest, zone) = last_word(value.trim_ascii())?;
    let (person, seconds) = last_word(rest)?;
    let person = person.trim_ascii_end();
    if !person.ends_with(b">") {
        return None;
    }
    Some(Signature {
        person: readable(person)?,
        seconds: std::str::from_utf8(seconds).ok()?.parse().ok()?,
        zone: self::zone(zone)?,
    })
}

/// `Name <mail>` as text. Of a name in another encoding than UTF-8, as old commits have, only the mail
/// address is left.
fn readable(person: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(person).or_else(|_| {
        let mail = memchr::memchr(b'<', person).unwrap_or_default();
        std::str::from_utf8(&person[mail..])
    });
    text.ok()
}

/// What stands before and behind the last space.
fn last_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().rposition(|&byte| byte == b' ')?;
    Some((&text[..space], &text[space + 1..]))
}

/// Reads `+hhmm`. Git takes anything of digits there, and so do we, up to a day and more.
fn zone(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    if !(4..=5).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| number * 10 + i32::from(digit - b'0'));
    Some(sign * (number / 100 * 3600 + number % 100 * 60))
}

/// The name in `Name <mail>`; all of it if there is no mail address.
pub fn name(person: &str) -> &str {
    person
        .split_once('<')
        .map_or(person, |(name, _)| name)
        .trim()
}

/// The mail address in `Name <mail>`: between the first `<` and the first `>`; empty if there is
/// none.
pub fn email(person: &str) -> &str {
    let close = person.find('>');
    match (person.find('<'), close) {
        (Some(open), Some(close)) if open < close => &person[open + 1..close],
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures() {
        let read = signature(b"Foo Bar <foo@bar.com> 1530000000 -0800").unwrap();
        assert_eq!(read.person, "Foo Bar <foo@bar.com>");
        assert_eq!((read.seconds, read.zone), (1_530_000_000, -28_800));
        assert_eq!(signature(b" <only@mail> -5 +0530").unwrap().zone, 19_800);
        for bad in [
            "",
            "Foo <foo@bar.com>",
            "Foo <foo@bar.com> 1530000000",
            "Foo <foo@bar.com> 1530000000 0800",
            "Foo <foo@bar.com> 1530000000 -800",
            "Foo <foo@bar.com> 1530000000 -08:0",
            "Foo <foo@bar.com> x -0800",
            "Foo foo@bar.com 1530000000 -0800",
            "Foo <foo@bar.com> 99999999999999999999 -0800",
            "Foo <foo@bar.com> 1 +99999999999",
        ] {
            assert_eq!(signature(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn names_and_addresses() {
        for (person, expected) in [
            ("Foo Bar <foo@bar.com>", ("Foo Bar", "foo@bar.com")),
            ("<foo@bar.com>", ("", "foo@bar.com")),
            ("Foo Bar", ("Foo Bar", "")),
            ("Foo > Bar <x", ("Foo > Bar", "")),
            ("A <b> <c>", ("A", "b")),
        ] {
            assert_eq!((name(person), email(person)), expected, "{person}");
        }
    }
}
