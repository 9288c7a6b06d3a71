use std::mem;
use std::num::NonZeroU32;

/// Entries, found by their hashes and linked in the order of their use.
///
/// Slots are in groups, and the hash of an entry tells its group; it is in the next that has room if there is none. A group
/// knows how many entries passed it by. So a search knows where it is over, and taking an entry out leaves nothing behind
/// and moves no other. Slots change in [`rebuild`](Self::rebuild) only.
///
/// What a hit needs is inlined by force: it is most of what a cache does, and calls cost it a fifth.
pub(crate) struct Table<K, V> {
    /// Apart from the slots, so that a search that finds nothing reads little memory.
    groups: Vec<Group>,
    slots: Vec<Option<Node<K, V>>>,
    /// For each slot that is taken. Kept, so that neither growing nor evicting calls code of the user; and apart, because hits
    /// do not need them and nodes are smaller so.
    hashes: Vec<u32>,
    len: usize,
    /// The most recently used one, if there is any. Its link to a newer one means nothing.
    head: u32,
    /// The least recently used one, if there is any. Its link to an older one means nothing.
    tail: u32,
}

struct Node<K, V> {
    /// The slot and one: so an empty slot needs no flag.
    newer: NonZeroU32,
    older: u32,
    key: K,
    value: V,
}

impl<K, V> Table<K, V> {
    pub(crate) const fn new() -> Self {
        Self {
            groups: Vec::new(),
            slots: Vec::new(),
            hashes: Vec::new(),
            len: 0,
            head: 0,
            tail: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many slots there are, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The slot under this hash that `is` says yes to.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u32, is: impl Fn(&K) -> bool) -> Option<u32> {
        let at = self.home(hash);
        let group = *self.groups.get(at)?;
        match self.find_in(at, group, hash, &is) {
            None if group.passed() > 0 => self.find_after(at, hash, is),
            found => found,
        }
    }

    #[inline(always)]
    fn find_in(&self, at: usize, group: Group, hash: u32, is: impl Fn(&K) -> bool) -> Option<u32> {
        let mut matches = group.matches(hash);
        while matches != 0 {
            let slot = at * GROUP + first(matches);
            if let Some(Some(node)) = self.slots.get(slot)
                && is(&node.key)
            {
                return Some(slot as u32);
            }
            matches &= matches - 1;
        }
        None
    }

    #[inline(never)]
    fn find_after(&self, mut at: usize, hash: u32, is: impl Fn(&K) -> bool) -> Option<u32> {
        for _ in 1..self.groups.len() {
            at = self.after(at);
            let group = self.groups[at];
            let found = self.find_in(at, group, hash, &is);
            if found.is_some() || group.passed() == 0 {
                return found;
            }
        }
        None
    }

    #[inline]
    pub(crate) fn entry(&self, at: u32) -> (&K, &V) {
        let node = self.node(at);
        (&node.key, &node.value)
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, at: u32) -> &mut V {
        &mut self.node_mut(at).value
    }

    /// The slot of the most recently used entry. There must be one.
    #[inline]
    pub(crate) fn newest(&self) -> u32 {
        self.head
    }

    /// The slot of the least recently used entry. There must be one.
    #[inline]
    pub(crate) fn oldest(&self) -> u32 {
        self.tail
    }

    /// Of no meaning after the last.
    #[inline]
    pub(crate) fn older(&self, at: u32) -> u32 {
        self.node(at).older
    }

    /// Of no meaning after the last.
    #[inline]
    pub(crate) fn newer(&self, at: u32) -> u32 {
        self.node(at).newer.get() - 1
    }

    /// Makes an entry the most recently used one; gives its value.
    #[inline(always)]
    pub(crate) fn touch(&mut self, at: u32) -> &mut V {
        let head = self.head;
        if at != head {
            let node = self.node_mut(at);
            let (link, older) = (node.newer, mem::replace(&mut node.older, head));
            let newer = link.get() - 1;
            if at == self.tail {
                self.tail = newer;
            } else {
                self.node_mut(newer).older = older;
                self.node_mut(older).newer = link;
            }
            self.node_mut(head).newer = to(at);
            self.head = at;
        }
        self.value_mut(at)
    }

    /// Adds an entry that is not there as the most recently used one; gives its slot. There must be a free one.
    #[inline(always)]
    pub(crate) fn push(&mut self, hash: u32, key: K, value: V) -> u32 {
        let mut at = self.home(hash);
        let place = loop {
            let group = &mut self.groups[at];
            if let Some(place) = group.take(hash) {
                break place;
            }
            at = self.after(at);
        };
        let at = (at * GROUP + place) as u32;
        self.hashes[at as usize] = hash;
        self.slots[at as usize] = Some(Node {
            newer: NonZeroU32::MIN,
            older: self.head,
            key,
            value,
        });
        if self.len == 0 {
            self.tail = at;
        } else {
            self.node_mut(self.head).newer = to(at);
        }
        self.head = at;
        self.len += 1;
        at
    }

    /// Takes out the entry of a slot that is taken.
    #[inline]
    pub(crate) fn remove(&mut self, at: u32) -> (K, V) {
        let node = self.node(at);
        let (link, older) = (node.newer, node.older);
        if at == self.tail {
            return self.remove_oldest();
        }
        if at == self.head {
            self.head = older;
        } else {
            self.node_mut(link.get() - 1).older = older;
        }
        self.node_mut(older).newer = link;
        self.vacate(at).1
    }

    /// Takes out the least recently used entry. There must be one.
    #[inline]
    pub(crate) fn remove_oldest(&mut self) -> (K, V) {
        let (newer, entry) = self.vacate(self.tail);
        // Of no meaning if it was the only one; the next one sets it.
        self.tail = newer;
        entry
    }

    /// Frees a slot that is taken, and gives the link to the newer one with what was there.
    #[inline(always)]
    fn vacate(&mut self, at: u32) -> (u32, (K, V)) {
        let at = at as usize;
        let Some(node) = self.slots[at].take() else {
            astray();
        };
        self.len -= 1;
        self.groups[at / GROUP].free(at % GROUP);
        let mut passed = self.home(self.hashes[at]);
        while passed != at / GROUP {
            self.groups[passed].unpass();
            passed = self.after(passed);
        }
        (node.newer.get() - 1, (node.key, node.value))
    }

    /// Makes it anew with room for so many entries at least. `moved` is told from which slot to which each goes.
    #[cold]
    pub(crate) fn rebuild(&mut self, room: usize, mut moved: impl FnMut(u32, u32)) {
        let mut old = mem::replace(self, Self::new());
        let groups = room.div_ceil(FILL);
        let slots = groups * GROUP;
        self.groups = vec![Group(0); groups];
        self.slots.reserve_exact(slots);
        self.slots.resize_with(slots, || None);
        self.hashes = vec![0; slots];
        let mut next = old.tail;
        while let Some(node) = old.slots.get_mut(next as usize).and_then(Option::take) {
            let to = self.push(old.hashes[next as usize], node.key, node.value);
            moved(next, to);
            next = node.newer.get() - 1;
        }
    }

    #[inline]
    fn node(&self, at: u32) -> &Node<K, V> {
        match &self.slots[at as usize] {
            Some(node) => node,
            None => astray(),
        }
    }

    #[inline(always)]
    fn node_mut(&mut self, at: u32) -> &mut Node<K, V> {
        match &mut self.slots[at as usize] {
            Some(node) => node,
            None => astray(),
        }
    }

    /// The group that is tried first.
    #[inline(always)]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.groups.len() as u64) >> 32) as usize
    }

    /// The group that is tried next.
    #[inline]
    fn after(&self, group: usize) -> usize {
        if group + 1 == self.groups.len() {
            0
        } else {
            group + 1
        }
    }
}

/// A link to a slot.
#[inline]
fn to(at: u32) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(at)
}

#[cold]
#[inline(never)]
fn astray() -> ! {
    unreachable!("a link leads to a free slot")
}

/// How many slots are in a group.
const GROUP: usize = 7;

/// How many of them are taken on average when the table is full: few entries are in another group than their own then.
const FILL: usize = 4;

/// A byte for each slot: a part of the hash of what is there, and the highest bit; or 0 if it is free. The highest byte is how
/// many entries passed by.
#[derive(Clone, Copy)]
struct Group(u64);

const LOWEST: u64 = u64::MAX / 0xff;
const HIGHEST: u64 = LOWEST << 7 & SLOTS;
const SLOTS: u64 = u64::MAX >> 8;
const PASSED: u64 = !SLOTS;
const PASS: u64 = SLOTS + 1;

impl Group {
    /// The highest bit of each byte that may be of this hash; all of these slots are taken.
    #[inline]
    fn matches(self, hash: u32) -> u64 {
        let differing = self.0 ^ (LOWEST * tag(hash));
        // A byte of 1 above one of 0 is taken for 0, too. It is of a tag that differs in the lowest bit.
        differing.wrapping_sub(LOWEST) & !differing & HIGHEST
    }

    /// Takes a free slot for this hash, or is passed by.
    #[inline]
    fn take(&mut self, hash: u32) -> Option<usize> {
        let free = !self.0 & HIGHEST;
        if free == 0 {
            // From the greatest number there is no way back: searches go on for nothing then, until the table is made anew.
            self.0 = self.0.checked_add(PASS).unwrap_or(self.0);
            return None;
        }
        let place = first(free);
        self.0 |= tag(hash) << (8 * place);
        Some(place)
    }

    #[inline]
    fn free(&mut self, place: usize) {
        self.0 &= !(0xff << (8 * place));
    }

    #[inline]
    fn passed(self) -> u64 {
        self.0 & PASSED
    }

    #[inline]
    fn unpass(&mut self) {
        if self.passed() != PASSED {
            self.0 -= PASS;
        }
    }
}

/// The number of the first byte that is not 0.
#[inline]
fn first(bytes: u64) -> usize {
    bytes.trailing_zeros() as usize / 8
}

/// The group is chosen by the upper bits of the hash.
#[inline]
fn tag(hash: u32) -> u64 {
    u64::from(hash >> 1 & 0x7f | 0x80)
}
