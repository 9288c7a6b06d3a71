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
    let value = value.trim_ascii();
    let (len, seconds, zone) = parts(value)?;
    Some(Signature {
        person: readable(&value[..len])?,
        seconds,
        zone,
    })
}

/// [`signature`] of what is known to be text.
pub(super) fn signature_in(value: &str) -> Option<Signature<'_>> {
    let value = value.trim_ascii();
    let (len, seconds, zone) = parts(value.as_bytes())?;
    Some(Signature {
        person: value.get(..len)?,
        seconds,
        zone,
    })
}

/// How long `Name <mail>` is, and the numbers behind it.
fn parts(value: &[u8]) -> Option<(usize, i64, i32)> {
    usual_parts(value).or_else(|| {
        let (rest, zone) = last_word(value)?;
        let (person, seconds) = last_word(rest)?;
        let person = person.trim_ascii_end();
        if !person.ends_with(b">") {
            return None;
        }
        let seconds = std::str::from_utf8(seconds).ok()?.parse().ok()?;
        Some((person.len(), seconds, self::zone(zone)?))
    })
}

/// The same where the seconds are of ten digits, as from 2001 to 2286, and nothing is odd.
fn usual_parts(value: &[u8]) -> Option<(usize, i64, i32)> {
    let (person, numbers) = value.split_last_chunk::<17>()?;
    let ([b' ', seconds @ ..], [b' ', zone @ ..]) = numbers.split_at(11) else {
        return None;
    };
    if !person.ends_with(b">") {
        return None;
    }
    Some((person.len(), number(seconds)?, self::zone(zone)?))
}

/// Reads digits, at most 18.
fn number(digits: &[u8]) -> Option<i64> {
    let add = |number, digit| number * 10 + i64::from(digit - b'0');
    let are_digits = digits.iter().all(u8::is_ascii_digit);
    are_digits.then(|| digits.iter().fold(0, add))
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
    if !(4..=5).contains(&digits.len()) {
        return None;
    }
    let number = number(digits)? as i32;
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
        for (unusual, seconds, zone) in [
            ("Foo <foo> 1530000000 +12345", 1_530_000_000, 445_500),
            ("Foo <foo>  1530000000 -0800 ", 1_530_000_000, -28_800),
            ("Foo <b c d>> 5 -0800", 5, -28_800),
            ("Foo <b c> 15300000000 -0800", 15_300_000_000, -28_800),
            ("Foo <foo> +153000000 -0800", 153_000_000, -28_800),
        ] {
            let read = signature(unusual.as_bytes()).unwrap();
            assert!(read.person.ends_with('>'), "{unusual}");
            assert_eq!((read.seconds, read.zone), (seconds, zone), "{unusual}");
            assert_eq!(signature_in(unusual), Some(read));
        }
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
