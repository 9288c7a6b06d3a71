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
        if name.starts_with("refs/meta/") {
            return Self::Settings;
        }
        let Some((number, what)) = name.strip_prefix("refs/changes/").and_then(change) else {
            return Self::Other;
        };
        let Ok(number) = number.parse() else {
            return Self::Impossible;
        };
        if what.starts_with("meta") {
            return Self::Meta(number);
        }
        match digits(what) {
            "" => Self::Other,
            version => match version.parse() {
                Ok(version @ 1..) => Self::PatchSet(number, version),
                _ => Self::Impossible,
            },
        }
    }
}

/// The number of `47/1234547/…`, and what follows it.
fn change(name: &str) -> Option<(&str, &str)> {
    let (shard, rest) = name.split_once('/')?;
    let is_shard = shard.len() == 2
        && shard
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (number, what) = rest.split_once('/')?;
    let is_number = !number.is_empty() && digits(number) == number;
    (is_shard && is_number).then_some((number, what))
}

/// The digits at the front of a text.
fn digits(text: &str) -> &str {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    &text[..len]
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
