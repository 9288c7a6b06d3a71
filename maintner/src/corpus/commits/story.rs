use crate::{parse::Facts, store::row};

/// No commit.
pub(in crate::corpus) const NONE: u32 = u32::MAX;

row! {
    /// What the meta commits of a change say together, from the first to one of them. Each commit has
    /// the story up to itself, so that a change's newest is a look at one row, however its ref moves.
    #[derive(Debug, PartialEq, Eq)]
    pub(in crate::corpus) struct Story {
        /// From the lowest: three bits for the status of footers, three for that of lines anywhere,
        /// two for `Private:`, two for `Work-in-progress:`, as in [`Facts`]; then the ones below.
        bits: u32,
        /// The newest with a footer `Branch:`, `Topic:`, `Hashtags:`.
        pub(in crate::corpus) branch: u32,
        pub(in crate::corpus) topic: u32,
        pub(in crate::corpus) hashtags: u32,
        /// The one that says which patch set is current, unless there came another since.
        pub(in crate::corpus) current: u32,
    }
}

/// Was private once, by footer.
const WAS_PRIVATE: u32 = 1 << 10;
/// Was private once, by a line anywhere.
const WAS_PRIVATE_IN_TEXT: u32 = 1 << 11;
/// None has more than one parent.
const LINEAR: u32 = 1 << 12;
/// From here on: how many change labels.
const LABELS: u32 = 13;

impl Default for Story {
    fn default() -> Self {
        Self {
            bits: LINEAR,
            branch: NONE,
            topic: NONE,
            hashtags: NONE,
            current: NONE,
        }
    }
}

impl Story {
    /// The story up to commit `id`, which says `facts`, if `self` is that up to its first parent.
    pub(super) fn then(mut self, id: u32, facts: Facts, is_merge: bool) -> Self {
        // A value that is not 0 takes the place of the one there was.
        for (shift, mask) in [(0, 7), (3, 7), (6, 3), (8, 3)] {
            let value = facts.bits() & mask << shift;
            if value != 0 {
                self.bits = self.bits & !(mask << shift) | value;
            }
        }
        if facts.private() == Some(true) {
            self.bits |= WAS_PRIVATE;
        }
        if facts.has(Facts::PRIVATE_IN_TEXT) {
            self.bits |= WAS_PRIVATE_IN_TEXT;
        }
        if facts.has(Facts::LABEL_IN_TEXT) {
            self.bits = self.bits.checked_add(1 << LABELS).unwrap_or(self.bits);
        }
        if is_merge {
            self.bits &= !LINEAR;
        }
        for (fact, newest) in [
            (Facts::BRANCH, &mut self.branch),
            (Facts::TOPIC, &mut self.topic),
            (Facts::HASHTAGS, &mut self.hashtags),
        ] {
            if facts.has(fact) {
                *newest = id;
            }
        }
        if facts.has(Facts::CURRENT) {
            self.current = id;
        } else if facts.has(Facts::COMMIT) {
            self.current = NONE;
        }
        self
    }

    /// The newest status that footers set; if none does, that of the newest line anywhere. As
    /// [`Facts`] has it.
    pub(in crate::corpus) fn status(self) -> u8 {
        match (self.bits & 7) as u8 {
            0 => self.status_in_text(),
            status => status,
        }
    }

    /// The newest status of a line anywhere: what the original goes by.
    pub(in crate::corpus) fn status_in_text(self) -> u8 {
        (self.bits >> 3 & 7) as u8
    }

    pub(in crate::corpus) fn private(self) -> bool {
        Facts::from_bits(self.bits).private() == Some(true)
    }

    pub(in crate::corpus) fn was_private(self) -> bool {
        self.bits & WAS_PRIVATE != 0
    }

    /// What the original goes by.
    pub(in crate::corpus) fn was_private_in_text(self) -> bool {
        self.bits & WAS_PRIVATE_IN_TEXT != 0
    }

    pub(in crate::corpus) fn work_in_progress(self) -> bool {
        Facts::from_bits(self.bits).work_in_progress() == Some(true)
    }

    /// Whether none has more than one parent.
    pub(in crate::corpus) fn is_linear(self) -> bool {
        self.bits & LINEAR != 0
    }

    /// How many change labels, up to half a million.
    pub(in crate::corpus) fn labels(self) -> u32 {
        self.bits >> LABELS
    }
}
