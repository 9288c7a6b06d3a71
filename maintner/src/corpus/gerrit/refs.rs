/// What a ref's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefName {
    /// The meta commits of a change.
    Meta(i32),
    /// A patch set of a change.
    PatchSet(i32, i32),
    /// A change or a patch set with an impossible number.
    Impossible,
    /// Settings; of no interest.
    Settings,
    /// A branch, a tag, anything.
    Other,
}

impl RefName {
    /// Reads a name. What follows the number of a patch set does not matter, as in the original.
    pub(super) fn parse(name: &str) -> Self {
        let name = name.as_bytes();
        let Some(change) = name.strip_prefix(b"refs/changes/") else {
            return match name.starts_with(b"refs/meta/") {
                true => Self::Settings,
                false => Self::Other,
            };
        };
        // `47/1234547/…`
        let [one, two, b'/', rest @ ..] = change else {
            return Self::Other;
        };
        let is_shard = [one, two].map(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let (digits, number, rest) = leading_number(rest);
        let [b'/', what @ ..] = rest else {
            return Self::Other;
        };
        if is_shard != [true; 2] || digits == 0 {
            return Self::Other;
        }
        let Some(number) = number else {
            return Self::Impossible;
        };
        if what.starts_with(b"meta") {
            return Self::Meta(number);
        }
        match leading_number(what) {
            (0, ..) => Self::Other,
            (_, Some(version @ 1..), _) => Self::PatchSet(number, version),
            _ => Self::Impossible,
        }
    }
}

/// How many digits are at the front of a text, the number they are unless it is too large, and what
/// follows them.
fn leading_number(text: &[u8]) -> (usize, Option<i32>, &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    let number = number.iter().try_fold(0_i32, |number, digit| {
        number.checked_mul(10)?.checked_add((digit - b'0').into())
    });
    (digits, number, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("refs/changes/47/1247/meta", RefName::Meta(1247)),
            ("refs/changes/47/1247/3", RefName::PatchSet(1247, 3)),
            ("refs/changes/af/1247/12x", RefName::PatchSet(1247, 12)),
            ("refs/changes/47/1247/metal", RefName::Meta(1247)),
            ("refs/changes/47/1247/robot-comments", RefName::Other),
            ("refs/changes/47/1247/0", RefName::Impossible),
            ("refs/changes/47/99999999999/1", RefName::Impossible),
            ("refs/changes/47/1/99999999999", RefName::Impossible),
            ("refs/changes/4/1247/3", RefName::Other),
            ("refs/changes/4G/1247/3", RefName::Other),
            ("refs/changes/47/1247", RefName::Other),
            ("refs/changes/47//3", RefName::Other),
            ("refs/meta/config", RefName::Settings),
            ("refs/heads/master", RefName::Other),
            ("HEAD", RefName::Other),
            ("", RefName::Other),
        ] {
            assert_eq!(RefName::parse(name), expected, "{name}");
        }
    }
}
