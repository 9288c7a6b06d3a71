/// Some slots of the table: which are free, and a little of the hash of what is in the others.
///
/// A byte for each slot: 0 if it is free, else a tag. The highest byte is how many entries passed by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group(u64);

/// How many slots are in a group.
pub(crate) const SLOTS: usize = 7;

/// The lowest bit of each byte.
const LOWEST: u64 = u64::MAX / 0xff;
const TAGS: u64 = u64::MAX >> 8;
const PASSED: u64 = !TAGS;
const PASS: u64 = TAGS + 1;
/// The highest bit of each tag.
const HIGHEST: u64 = LOWEST << 7 & TAGS;

impl Group {
    pub(crate) const EMPTY: Self = Self(0);

    /// The slots that may be of this tag, none of them free.
    #[inline(always)]
    pub(crate) fn matches(self, tag: Tag) -> Matches {
        let differing = self.0 ^ (LOWEST * u64::from(tag.0));
        // A byte of 1 above one of 0 is taken for 0, too. It is of a tag that differs in the lowest bit.
        Matches(differing.wrapping_sub(LOWEST) & !differing & HIGHEST)
    }

    /// Takes a free slot, or is passed by.
    #[inline(always)]
    pub(crate) fn take(&mut self, tag: Tag) -> Option<usize> {
        // A tag has one of its two highest bits.
        let free = !(self.0 | self.0 << 1) & HIGHEST;
        if free == 0 {
            // From the greatest number there is no way back: searches go on for nothing then, until the table is made anew.
            self.0 = self.0.checked_add(PASS).unwrap_or(self.0);
            return None;
        }
        let slot = first(free);
        self.0 |= u64::from(tag.0) << (8 * slot);
        Some(slot)
    }

    /// Frees a slot that is taken; the tag that it had.
    #[inline(always)]
    pub(crate) fn free(&mut self, slot: usize) -> Tag {
        let tag = Tag((self.0 >> (8 * slot)) as u8);
        self.0 ^= u64::from(tag.0) << (8 * slot);
        tag
    }

    /// Whether entries passed by that are still there.
    #[inline(always)]
    pub(crate) fn is_passed(self) -> bool {
        self.0 > TAGS
    }

    /// An entry that passed by is no longer there.
    #[inline]
    pub(crate) fn unpass(&mut self) {
        if self.0 & PASSED != PASSED {
            self.0 -= PASS;
        }
    }
}

/// Of an entry in its own group a part of its hash, of another one how far it is from there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag(u8);

const HOME: u8 = 0x80;
const GUEST: u8 = 0x40;
/// That far, or farther.
const FAR: usize = 0x3f;

impl Tag {
    /// The upper bits of the hash have chosen the group.
    #[inline(always)]
    pub(crate) fn home(hash: u32) -> Self {
        Self(hash as u8 | HOME)
    }

    /// In the group that comes so many after its own.
    #[inline]
    pub(crate) fn guest(distance: usize) -> Self {
        Self(distance.min(FAR) as u8 | GUEST)
    }

    #[inline(always)]
    pub(crate) fn is_guest(self) -> bool {
        self.0 & HOME == 0
    }

    /// How far a guest is from its own group, or the farthest that can be told.
    pub(crate) fn distance(self) -> usize {
        usize::from(self.0 & !GUEST)
    }
}

/// Slots that remain to be looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matches(u64);

impl Iterator for Matches {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = first(self.0);
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

/// The number of the first byte that is not 0.
#[inline(always)]
fn first(bytes: u64) -> usize {
    bytes.trailing_zeros() as usize / 8
}
