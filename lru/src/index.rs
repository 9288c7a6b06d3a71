use hashbrown::HashTable;

/// From hashes to slots.
///
/// Whoever puts a slot in is told at which place it is, so that taking it out needs no search. Places change only in
/// [`rebuild`](Self::rebuild): the table never grows by itself.
pub(crate) struct Index {
    table: HashTable<u32>,
    /// How many slots it is made for.
    room: usize,
}

impl Index {
    pub(crate) const fn new() -> Self {
        Self {
            table: HashTable::new(),
            room: 0,
        }
    }

    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// The slot under this hash that `is` says yes to.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.table.find(spread(hash), |&slot| is(slot)).copied()
    }

    /// Whether nothing can be put in before it is made anew. Slots that were taken out leave something behind where the table
    /// is crowded, so that happens now and then even if there are never more of them.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.table.len() == self.table.capacity()
    }

    /// Puts a slot in; gives its place.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32, slot: u32) -> u32 {
        let entry = self
            .table
            .insert_unique(spread(hash), slot, |_| unreachable!("it is full"));
        entry.bucket_index() as u32
    }

    /// Takes the slot at a place out.
    #[inline]
    pub(crate) fn remove(&mut self, place: u32) {
        if let Ok(entry) = self.table.get_bucket_entry(place as usize) {
            entry.remove();
        }
    }

    /// What was in the slot at a place is in another.
    pub(crate) fn moved(&mut self, place: u32, to: u32) {
        if let Some(slot) = self.table.get_bucket_mut(place as usize) {
            *slot = to;
        }
    }

    /// Makes it anew for so many slots, of which the first have these hashes and are told their places.
    #[cold]
    pub(crate) fn rebuild<'a>(
        &mut self,
        room: usize,
        nodes: impl Iterator<Item = (u32, &'a mut u32)>,
    ) {
        if room == self.room {
            self.table.clear();
        } else {
            self.room = room;
            // A third to spare, so that it is not made anew too often when entries come and go.
            self.table = HashTable::with_capacity(room + room / 3 + 4);
        }
        for (slot, (hash, place)) in nodes.enumerate() {
            *place = self.insert(hash, slot as u32);
        }
    }
}

/// The table looks at the uppermost bits and at the lowest.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
