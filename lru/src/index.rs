use std::mem;

/// From hashes to slots: open addressing, the next free place after the one that is due.
///
/// A place holds the hash in its upper half and the slot in its lower one, so that it alone tells which entries are worth to be
/// looked at, and no hash is ever computed again. Removal closes the gap, so nothing is left behind that would have to be
/// cleaned up later: a cache that is full may insert and evict for ever at the same price.
pub(crate) struct Index {
    places: Vec<u64>,
    /// How many slots it is made for.
    room: usize,
}

/// No slot has this number.
const FREE: u64 = u64::MAX;

impl Index {
    pub(crate) const fn new() -> Self {
        Self {
            places: Vec::new(),
            room: 0,
        }
    }

    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// The slot under this hash that `is` says yes to, or the place where it would have to go. That is good until something
    /// is changed.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Result<u32, usize> {
        let mut at = self.due(hash);
        loop {
            match self.places.get(at) {
                Some(&FREE) => return Err(at),
                Some(&place) if (place >> 32) as u32 == hash && is(place as u32) => {
                    return Ok(place as u32);
                }
                Some(_) => at += 1,
                None if self.places.is_empty() => return Err(0),
                None => at = 0,
            }
        }
    }

    /// The place where a hash that is not there would have to go.
    pub(crate) fn free(&self, hash: u32) -> usize {
        match self.find(hash, |_| false) {
            Ok(_) => unreachable!("nothing is what is looked for"),
            Err(at) => at,
        }
    }

    /// Puts a slot where [`find`](Self::find) said. Besides the slots it is made for there is room for one.
    #[inline]
    pub(crate) fn insert(&mut self, at: usize, hash: u32, slot: u32) {
        self.places[at] = place(hash, slot);
    }

    #[inline]
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        let mut gap = self.place_of(hash, slot);
        let mut next = gap;
        loop {
            next = self.after(next);
            let moving = self.places[next];
            if moving == FREE {
                break;
            }
            // Whether the gap lies on its way from where it is due.
            let due = self.due((moving >> 32) as u32);
            let on_the_way = if next >= due {
                due <= gap && gap < next
            } else {
                due <= gap || gap < next
            };
            if on_the_way {
                self.places[gap] = moving;
                gap = next;
            }
        }
        self.places[gap] = FREE;
    }

    /// What was in one slot is in another.
    pub(crate) fn moved(&mut self, hash: u32, from: u32, to: u32) {
        let at = self.place_of(hash, from);
        self.places[at] = place(hash, to);
    }

    /// Makes it anew for so many slots, of which the first have these hashes.
    #[cold]
    pub(crate) fn rebuild(&mut self, room: usize, hashes: impl Iterator<Item = u32>) {
        self.room = room;
        // Four sevenths full at most: few steps even to a free place, and always one of those to end at.
        drop(mem::take(&mut self.places));
        self.places = vec![FREE; room / 4 * 7 + 8];
        for (slot, hash) in hashes.enumerate() {
            self.insert(self.free(hash), hash, slot as u32);
        }
    }

    /// Where a hash is looked for first: in proportion to it.
    #[inline]
    fn due(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.places.len() as u64) >> 32) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 < self.places.len() {
            at + 1
        } else {
            0
        }
    }

    /// It must be there.
    #[inline]
    fn place_of(&self, hash: u32, slot: u32) -> usize {
        let place = place(hash, slot);
        let mut at = self.due(hash);
        while self.places[at] != place {
            at = self.after(at);
        }
        at
    }
}

#[inline]
fn place(hash: u32, slot: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(slot)
}
