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
pub fn signature(value: &str) -> Option<Signature<'_>> {
    let value = value.trim();
    let (rest, zone) = value.rsplit_once(' ')?;
    let (person, seconds) = rest.rsplit_once(' ')?;
    let person = person.trim_end();
    if !person.ends_with('>') {
        return None;
    }
    Some(Signature {
        person,
        seconds: seconds.parse().ok()?,
        zone: self::zone(zone)?,
    })
}

/// Reads `+hhmm`. Git takes anything of digits there, and so do we, up to a day and more.
fn zone(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    if digits.len() < 4 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok().filter(|&number| number < 100_000)?;
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
        let read = signature("Foo Bar <foo@bar.com> 1530000000 -0800").unwrap();
        assert_eq!(read.person, "Foo Bar <foo@bar.com>");
        assert_eq!((read.seconds, read.zone), (1_530_000_000, -28_800));
        assert_eq!(signature(" <only@mail> -5 +0530").unwrap().zone, 19_800);
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
            assert_eq!(signature(bad), None, "{bad:?}");
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
