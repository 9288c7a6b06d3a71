use std::mem;

/// Entries in the order of their use: slots without holes, each linked to the next more and the next less recently used one.
pub(crate) struct Ring<K, V> {
    nodes: Vec<Node<K, V>>,
    /// The most recently used one, if there is any. Its link to a newer one means nothing.
    head: u32,
    /// The least recently used one, if there is any. Its link to an older one means nothing.
    tail: u32,
}

pub(crate) struct Node<K, V> {
    newer: u32,
    older: u32,
    /// Kept, so that neither growing nor evicting calls code of the user.
    hash: u32,
    /// In the index.
    place: u32,
    key: K,
    value: V,
}

impl<K, V> Ring<K, V> {
    pub(crate) const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            head: 0,
            tail: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Takes memory for so many in all.
    pub(crate) fn reserve(&mut self, room: usize) {
        self.nodes.reserve_exact(room - self.nodes.len());
    }

    pub(crate) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
    }

    /// Hashes and places, in the order of their slots.
    pub(crate) fn places(&mut self) -> impl Iterator<Item = (u32, &mut u32)> {
        self.nodes
            .iter_mut()
            .map(|node| (node.hash, &mut node.place))
    }

    #[inline]
    pub(crate) fn place(&self, at: u32) -> u32 {
        self.nodes[at as usize].place
    }

    #[inline]
    pub(crate) fn key(&self, at: u32) -> &K {
        &self.nodes[at as usize].key
    }

    #[inline]
    pub(crate) fn entry(&self, at: u32) -> (&K, &V) {
        let node = &self.nodes[at as usize];
        (&node.key, &node.value)
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, at: u32) -> &mut V {
        &mut self.nodes[at as usize].value
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
        self.nodes[at as usize].older
    }

    /// Of no meaning after the last.
    #[inline]
    pub(crate) fn newer(&self, at: u32) -> u32 {
        self.nodes[at as usize].newer
    }

    /// Makes an entry the most recently used one.
    #[inline]
    pub(crate) fn touch(&mut self, at: u32) {
        if at == self.head {
            return;
        }
        let node = &mut self.nodes[at as usize];
        let (newer, older) = (node.newer, node.older);
        node.older = self.head;
        if at == self.tail {
            self.tail = newer;
        } else {
            self.nodes[newer as usize].older = older;
            self.nodes[older as usize].newer = newer;
        }
        self.nodes[self.head as usize].newer = at;
        self.head = at;
    }

    /// Adds an entry as the most recently used one. It goes to the slot whose number is the length before.
    #[inline]
    pub(crate) fn push(&mut self, hash: u32, place: u32, key: K, value: V) {
        let at = self.nodes.len() as u32;
        self.nodes.push(Node {
            newer: at,
            older: self.head,
            hash,
            place,
            key,
            value,
        });
        // The first one is its own neighbour, which means nothing.
        self.nodes[self.head as usize].newer = at;
        self.head = at;
    }

    /// Puts an entry into the slot of the least recently used one, as the most recently used one.
    #[inline]
    pub(crate) fn renew_oldest(&mut self, hash: u32, place: u32, key: K, value: V) -> (K, V) {
        let at = self.tail;
        self.touch(at);
        let node = &mut self.nodes[at as usize];
        node.hash = hash;
        node.place = place;
        (
            mem::replace(&mut node.key, key),
            mem::replace(&mut node.value, value),
        )
    }

    /// Removes an entry. That of the last slot takes its slot.
    pub(crate) fn remove(&mut self, at: u32) -> (K, V) {
        let last = (self.nodes.len() - 1) as u32;
        let removed = self.nodes.swap_remove(at as usize);
        let Node { newer, older, .. } = removed;
        if last == 0 {
            (self.head, self.tail) = (0, 0);
            return (removed.key, removed.value);
        }
        let here = |slot: u32| if slot == last { at } else { slot };
        match (at == self.head, at == self.tail) {
            (true, _) => self.head = older,
            (_, true) => self.tail = newer,
            _ => {
                self.nodes[here(newer) as usize].older = older;
                self.nodes[here(older) as usize].newer = newer;
            }
        }
        if at != last {
            let Node { newer, older, .. } = self.nodes[at as usize];
            if self.head == last {
                self.head = at;
            } else {
                self.nodes[newer as usize].older = at;
            }
            if self.tail == last {
                self.tail = at;
            } else {
                self.nodes[older as usize].newer = at;
            }
        }
        (removed.key, removed.value)
    }

    /// Takes everything out.
    pub(crate) fn take(&mut self) -> Vec<Node<K, V>> {
        (self.head, self.tail) = (0, 0);
        mem::take(&mut self.nodes)
    }
}
