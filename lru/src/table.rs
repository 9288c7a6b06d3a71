use std::mem;
use std::num::NonZeroU32;

use crate::group::{Group, SLOTS, Tag};

/// Entries, found by their hashes and linked in the order of their use.
///
/// Slots are in groups, and the hash of an entry tells its group; it is in the next that has room if there is none. A group
/// knows how many entries passed it by, and how far from home its guests are. So a search knows where it is over, and taking
/// an entry out needs no hash, leaves nothing behind and moves no other. Slots change in [`rebuild`](Self::rebuild) only.
///
/// A use does not change the links at once: it is noted. They are changed for several uses together, and before anything
/// depends on them. For the neighbours of an entry are seldom in the processor's cache: so several are waited for at a time,
/// and most hits wait for none.
///
/// What a hit needs is inlined by force: it is most of what a cache does, and calls cost it a fifth.
pub(crate) struct Table<K, V> {
    /// Apart from the slots, so that a search that finds nothing reads little memory.
    groups: Vec<Group>,
    slots: Vec<Option<Node<K, V>>>,
    len: usize,
    /// How many uses have been noted and settled.
    settled: u64,
    /// The most recently used one, if there is any, leaving the notes aside. Its link to a newer one means nothing.
    head: u32,
    /// The least recently used one, likewise. Its link to an older one means nothing.
    tail: u32,
    notes: Notes,
}

struct Node<K, V> {
    /// The slot and one: so an empty slot needs no flag.
    newer: NonZeroU32,
    older: u32,
    key: K,
    value: V,
}

/// Slots that were used since the links were changed, the latest last; one may be there more than once.
///
/// One cache line, and the only one of the table that most hits write to: threads that take turns pass little to and fro.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Notes {
    slots: [u32; NOTES],
    len: u32,
}

/// How many uses are noted at most.
const NOTES: usize = 15;

impl<K, V> Table<K, V> {
    pub(crate) const fn new() -> Self {
        Self {
            groups: Vec::new(),
            slots: Vec::new(),
            len: 0,
            settled: 0,
            head: 0,
            tail: 0,
            notes: Notes::new(),
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
        match self.find_in(at, group, Tag::home(hash), &is) {
            None if group.is_passed() => self.find_guest(at, is),
            found => found,
        }
    }

    #[inline(always)]
    fn find_in(&self, at: usize, group: Group, tag: Tag, is: impl Fn(&K) -> bool) -> Option<u32> {
        for slot in group.matches(tag) {
            let slot = at * SLOTS + slot;
            if let Some(Some(node)) = self.slots.get(slot)
                && is(&node.key)
            {
                return Some(slot as u32);
            }
        }
        None
    }

    #[inline(never)]
    fn find_guest(&self, home: usize, is: impl Fn(&K) -> bool) -> Option<u32> {
        let mut at = home;
        for distance in 1..self.groups.len() {
            at = self.after(at);
            let group = self.groups[at];
            let found = self.find_in(at, group, Tag::guest(distance), &is);
            if found.is_some() || !group.is_passed() {
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

    /// Notes that an entry is the most recently used one; gives its value.
    #[inline(always)]
    pub(crate) fn note(&mut self, at: u32) -> &mut V {
        if !self.notes.add(at) {
            self.settle();
            self.notes.add(at);
        }
        self.value_mut(at)
    }

    /// How often a use was noted.
    pub(crate) fn noted(&self) -> u64 {
        self.settled + u64::from(self.notes.len)
    }

    /// Makes an entry the most recently used one without a note; gives its value.
    #[inline]
    pub(crate) fn touch(&mut self, at: u32) -> &mut V {
        if self.notes.len > 0 {
            self.settle();
        }
        self.move_to_front(at);
        self.value_mut(at)
    }

    /// Changes the links as the notes say.
    #[inline(never)]
    pub(crate) fn settle(&mut self) {
        let notes = self.notes;
        for &at in notes.all() {
            self.move_to_front(at);
        }
        self.settled += u64::from(notes.len);
        self.notes.len = 0;
    }

    #[inline]
    fn move_to_front(&mut self, at: u32) {
        let head = self.head;
        if at == head {
            return;
        }
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

    /// Adds an entry that is not there as the most recently used one; gives its slot. There must be a free one.
    #[inline(always)]
    pub(crate) fn push(&mut self, hash: u32, key: K, value: V) -> u32 {
        if self.notes.len > 0 {
            self.settle();
        }
        let home = self.home(hash);
        let (group, slot) = match self.groups[home].take(Tag::home(hash)) {
            Some(slot) => (home, slot),
            None => self.take_after(home),
        };
        let at = (group * SLOTS + slot) as u32;
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

    /// Takes a slot in one of the groups after this one.
    #[inline(never)]
    fn take_after(&mut self, home: usize) -> (usize, usize) {
        let mut group = home;
        let mut distance = 0;
        loop {
            group = self.after(group);
            distance += 1;
            if let Some(slot) = self.groups[group].take(Tag::guest(distance)) {
                return (group, slot);
            }
        }
    }

    /// Takes out the entry of a slot that is taken.
    #[inline]
    pub(crate) fn remove(&mut self, at: u32) -> (K, V) {
        if at == self.oldest() {
            return self.remove_oldest();
        }
        let node = self.node(at);
        let (link, older) = (node.newer, node.older);
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
        let oldest = self.oldest();
        let (newer, entry) = self.vacate(oldest);
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
        let tag = self.groups[at / SLOTS].free(at % SLOTS);
        if tag.is_guest() {
            self.unpass(at / SLOTS, tag);
        }
        (node.newer.get() - 1, (node.key, node.value))
    }

    /// A guest of this group is gone. If it was farther from home than can be told, searches there go on for nothing.
    #[inline(never)]
    fn unpass(&mut self, group: usize, tag: Tag) {
        let mut passed = group;
        for _ in 0..tag.distance() {
            passed = match passed {
                0 => self.groups.len() - 1,
                _ => passed - 1,
            };
            self.groups[passed].unpass();
        }
    }

    /// Makes it anew with so many slots at least. `moved` is told from which slot to which each goes.
    #[cold]
    pub(crate) fn rebuild(
        &mut self,
        slots: usize,
        hash: impl Fn(&K) -> u32,
        mut moved: impl FnMut(u32, u32),
    ) {
        self.settle();
        // All of them before anything is changed: this is code of the user, and may panic.
        let mut hashes = Vec::with_capacity(self.len);
        let mut walk = Walk::new(self);
        while let Some(at) = walk.next_oldest(self) {
            hashes.push(hash(&self.node(at).key));
        }
        let mut old = mem::replace(self, Self::new());
        self.settled = old.settled;
        let groups = slots.div_ceil(SLOTS);
        let slots = groups * SLOTS;
        self.groups = vec![Group::EMPTY; groups];
        self.slots.reserve_exact(slots);
        self.slots.resize_with(slots, || None);
        let mut next = old.tail;
        for hash in hashes {
            let Some(node) = old.slots[next as usize].take() else {
                astray();
            };
            let to = self.push(hash, node.key, node.value);
            moved(next, to);
            next = node.newer.get() - 1;
        }
    }

    /// The slot of the most recently used entry. There must be one.
    #[inline]
    pub(crate) fn newest(&self) -> u32 {
        self.notes.all().last().copied().unwrap_or(self.head)
    }

    /// The slot of the least recently used entry. There must be one.
    #[inline]
    pub(crate) fn oldest(&mut self) -> u32 {
        if self.notes.len > 0 {
            self.settle();
        }
        self.tail
    }

    #[inline(always)]
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

impl Notes {
    const fn new() -> Self {
        Self {
            slots: [0; NOTES],
            len: 0,
        }
    }

    /// Says whether there was room.
    #[inline(always)]
    fn add(&mut self, at: u32) -> bool {
        let Some(note) = self.slots.get_mut(self.len as usize) else {
            return false;
        };
        *note = at;
        self.len += 1;
        true
    }

    fn all(&self) -> &[u32] {
        self.slots.get(..self.len as usize).unwrap_or_default()
    }
}

/// What remains to be seen on a way through all slots that are taken, in the order of their use, from both ends. What has been
/// seen may be removed meanwhile, nothing else changed.
#[derive(Clone)]
pub(crate) struct Walk {
    /// What is noted, each once, the most recently used one first.
    noted: Notes,
    /// How many of them have been seen.
    seen: usize,
    /// How many of them remain or have been seen.
    until: usize,
    /// Then come these, except what is noted: the next one from either end, and how many remain.
    newest: u32,
    oldest: u32,
    linked: usize,
}

impl Walk {
    pub(crate) fn new<K, V>(table: &Table<K, V>) -> Self {
        let mut noted = Notes::new();
        for &at in table.notes.all().iter().rev() {
            if !noted.all().contains(&at) {
                noted.add(at);
            }
        }
        Self {
            noted,
            seen: 0,
            until: noted.len as usize,
            newest: table.head,
            oldest: table.tail,
            linked: table.len - noted.len as usize,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.until - self.seen + self.linked
    }

    pub(crate) fn next_newest<K, V>(&mut self, table: &Table<K, V>) -> Option<u32> {
        if self.seen < self.until {
            self.seen += 1;
            return Some(self.noted.slots[self.seen - 1]);
        }
        while self.linked > 0 {
            let at = self.newest;
            self.newest = table.node(at).older;
            if !self.noted.all().contains(&at) {
                self.linked -= 1;
                return Some(at);
            }
        }
        None
    }

    pub(crate) fn next_oldest<K, V>(&mut self, table: &Table<K, V>) -> Option<u32> {
        while self.linked > 0 {
            let at = self.oldest;
            self.oldest = table.node(at).newer.get() - 1;
            if !self.noted.all().contains(&at) {
                self.linked -= 1;
                return Some(at);
            }
        }
        if self.seen == self.until {
            return None;
        }
        self.until -= 1;
        Some(self.noted.slots[self.until])
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
