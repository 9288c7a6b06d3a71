use super::{line, notedb::Status};
use crate::store::row;

row! {
    /// What a meta commit's message says that is asked for often, in 32 bits. Made in one pass,
    /// while the text is at hand.
    #[derive(Debug, Default, PartialEq, Eq)]
    pub(crate) struct Facts(u32);
}

/// Bits of [`Facts`] that stand for one truth each.
impl Facts {
    /// A line `Private: true`, wherever it stands.
    pub(crate) const PRIVATE_IN_TEXT: u32 = 1 << 10;
    /// A line `Label: …`, wherever it stands.
    pub(crate) const LABEL_IN_TEXT: u32 = 1 << 11;
    /// Footers of these names.
    pub(crate) const BRANCH: u32 = 1 << 12;
    pub(crate) const TOPIC: u32 = 1 << 13;
    pub(crate) const HASHTAGS: u32 = 1 << 14;
    pub(crate) const COMMIT: u32 = 1 << 15;
    /// `Current: true`.
    pub(crate) const CURRENT: u32 = 1 << 16;
    /// `Label:` or `Copied-Label:`.
    pub(crate) const VOTES: u32 = 1 << 17;

    /// `Patch-set:`: it is a meta commit of a change.
    pub(crate) const META: u32 = 1 << 18;

    pub(crate) const NONE: Self = Self(0);

    /// Reads a message.
    pub(crate) fn of(whole: &[u8]) -> Self {
        // As far as the last byte that is no line break.
        let end = whole.iter().rposition(|&byte| byte != b'\n');
        let message = &whole[..end.map_or(0, |last| last + 1)];
        let mut lines = Lines::default();
        line::each_break(message, |at| match message.get(at + 1) {
            Some(b'\n') => (lines.footers, lines.seen) = (Some(0), 0),
            Some(b'A'..=b'Z') => lines.take(&message[at + 1..], &whole[at + 1..]),
            _ => {}
        });
        Self(lines.in_text | lines.footers.unwrap_or(0))
    }

    /// Whether one of `bits` is there.
    pub(crate) fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    /// The status that its footers set.
    pub(crate) fn status(self) -> Option<Status> {
        status_of(self.0)
    }

    /// The footer `Private:`.
    pub(crate) fn private(self) -> Option<bool> {
        flag_of(self.0 >> 6)
    }

    /// The footer `Work-in-progress:`.
    pub(crate) fn work_in_progress(self) -> Option<bool> {
        flag_of(self.0 >> 8)
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// What the lines of a message say.
#[derive(Default)]
struct Lines {
    /// Wherever they stand.
    in_text: u32,
    has_status: bool,
    /// Those since the last blank line.
    footers: Option<u32>,
    /// Which footers with a value there were: the first counts.
    seen: u8,
}

impl Lines {
    /// Takes in the line at the front of `text`, which ends with the last line; `whole` has the line
    /// breaks behind it, too.
    #[inline(never)]
    fn take(&mut self, text: &[u8], whole: &[u8]) {
        match text.first() {
            Some(b'S') if !self.has_status => {
                if let Some(value) = text.strip_prefix(b"Status: ") {
                    self.has_status = true;
                    self.in_text |= status_bits(value) << 3;
                }
            }
            Some(b'P') if whole.starts_with(b"Private: true\n") => {
                self.in_text |= Facts::PRIVATE_IN_TEXT;
            }
            Some(b'L') if text.starts_with(b"Label: ") => self.in_text |= Facts::LABEL_IN_TEXT,
            _ => {}
        }
        if let Some(footers) = &mut self.footers {
            let (key, bits) = footer_bits(text);
            if key & self.seen == 0 {
                *footers |= bits;
            }
            self.seen |= key;
        }
    }
}

/// What the footer at the front of `text` says; and a bit for its key, if its value matters.
fn footer_bits(text: &[u8]) -> (u8, u32) {
    let value = |key: &[u8]| {
        let value = text.strip_prefix(key)?;
        let end = memchr::memchr(b'\n', value).unwrap_or(value.len());
        Some(value[..end].trim_ascii())
    };
    let is = |key: &[u8], bits| (0, if text.starts_with(key) { bits } else { 0 });
    match text.first() {
        Some(b'B') => is(b"Branch:", Facts::BRANCH),
        Some(b'C') => match value(b"Current:") {
            Some(value) => (1, if value == b"true" { Facts::CURRENT } else { 0 }),
            None if text.starts_with(b"Commit:") => (0, Facts::COMMIT),
            None => is(b"Copied-Label:", Facts::VOTES),
        },
        Some(b'H') => is(b"Hashtags:", Facts::HASHTAGS),
        Some(b'L') => is(b"Label:", Facts::VOTES),
        Some(b'P') => match value(b"Private:") {
            Some(value) => (2, flag_bits(value) << 6),
            None => is(b"Patch-set:", Facts::META),
        },
        Some(b'S') => value(b"Status:").map_or((0, 0), |value| (4, status_bits(value))),
        Some(b'T') => is(b"Topic:", Facts::TOPIC),
        Some(b'W') => {
            value(b"Work-in-progress:").map_or((0, 0), |value| (8, flag_bits(value) << 8))
        }
        _ => (0, 0),
    }
}

const STATUSES: [Status; 4] = [
    Status::New,
    Status::Merged,
    Status::Abandoned,
    Status::Draft,
];

fn status_bits(value: &[u8]) -> u32 {
    let mut statuses = (1..).zip(STATUSES);
    let status = statuses.find(|(_, status)| value.starts_with(status.name().as_bytes()));
    status.map_or(0, |(bits, _)| bits)
}

/// The status that the lowest three bits stand for.
fn status_of(bits: u32) -> Option<Status> {
    STATUSES.get((bits as usize & 7).checked_sub(1)?).copied()
}

fn flag_bits(value: &[u8]) -> u32 {
    match value.trim_ascii() {
        b"false" => 1,
        b"true" => 2,
        _ => 0,
    }
}

/// The truth that the lowest two bits stand for.
fn flag_of(bits: u32) -> Option<bool> {
    match bits & 3 {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::notedb;

    #[test]
    fn all_that_a_message_says() {
        let facts = Facts::of(
            b"Update\n\nPatch Set 1:\n\nStatus: merged\nPrivate: true\nLabel: x\n\nPatch-set: 1\n\
              Status: new\nStatus: merged\nPrivate: false\nWork-in-progress: true\nBranch: refs/heads/x\n\
              Topic: \nHashtags: a\nCommit: 01\nCurrent: true\nCopied-Label: A=+1\n\n",
        );
        assert_eq!(facts.status(), Some(Status::New));
        assert_eq!(status_of(facts.bits() >> 3), Some(Status::Merged));
        assert_eq!(facts.private(), Some(false));
        assert_eq!(facts.work_in_progress(), Some(true));
        for bits in [
            Facts::PRIVATE_IN_TEXT,
            Facts::LABEL_IN_TEXT,
            Facts::BRANCH,
            Facts::TOPIC,
            Facts::HASHTAGS,
            Facts::COMMIT,
            Facts::CURRENT,
            Facts::VOTES,
            Facts::META,
        ] {
            assert!(facts.has(bits), "{bits:b}");
        }
        let nothing = Facts::of(
            b"Status: merged\n\nBranch: x\n Label: y\nPatch-set: 1\n\nCurrent: false\nSubject: Status: new\n",
        );
        assert_eq!(nothing, Facts::default());
        assert!(Facts::of(b"x\nPrivate: true\n").has(Facts::PRIVATE_IN_TEXT));
        assert!(!Facts::of(b"x\nPrivate: true").has(Facts::PRIVATE_IN_TEXT));
        assert_eq!(Facts::of(b"").bits(), 0);
        assert_eq!(Facts::of(b"\n\n\n").bits(), 0);
    }

    proptest::proptest! {
        #[test]
        fn as_the_single_questions_have_it(text in "(a|\n|\n\n|\nStatus: |new|merged|draft|\nPrivate: |true|false|\nWork-in-progress: |\nLabel: ){0,40}") {
            let facts = Facts::of(text.as_bytes());
            proptest::prop_assert_eq!(status_of(facts.bits() >> 3), notedb::status_anywhere(&text));
            proptest::prop_assert_eq!(facts.status(), notedb::status(&text));
            let first = |key| line::find(line::footer(&text), key).and_then(|line| line.value.parse().ok());
            proptest::prop_assert_eq!(facts.private(), first("Private:"));
            proptest::prop_assert_eq!(facts.work_in_progress(), first("Work-in-progress:"));
            proptest::prop_assert_eq!(facts.has(Facts::LABEL_IN_TEXT), text.contains("\nLabel: "));
            proptest::prop_assert_eq!(facts.has(Facts::PRIVATE_IN_TEXT), text.contains("\nPrivate: true\n"));
        }
    }
}
