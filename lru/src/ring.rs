use std::mem;

/// Entries in the order of their use: slots without holes, each linked to the next more and the next less recently used one,
/// the newest with the oldest.
pub(crate) struct Ring<K, V> {
    nodes: Vec<Node<K, V>>,
    /// The most recently used one, if there is any. The next newer one is the least recently used one.
    head: u32,
}

pub(crate) struct Node<K, V> {
    newer: u32,
    older: u32,
    hash: u32,
    key: K,
    value: V,
}

impl<K, V> Ring<K, V> {
    pub(crate) const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            head: 0,
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

    /// In the order of their slots.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = u32> {
        self.nodes.iter().map(|node| node.hash)
    }

    #[inline]
    pub(crate) fn hash(&self, at: u32) -> u32 {
        self.nodes[at as usize].hash
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
        self.newer(self.head)
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
        let oldest = self.oldest();
        if at != oldest {
            self.unlink(at);
            self.link(at, oldest);
        }
        // The oldest has its place already: between the newest and the next oldest.
        self.head = at;
    }

    /// Adds an entry as the most recently used one; gives its slot.
    #[inline]
    pub(crate) fn push(&mut self, hash: u32, key: K, value: V) -> u32 {
        let at = self.nodes.len() as u32;
        let node = Node {
            newer: at,
            older: at,
            hash,
            key,
            value,
        };
        self.nodes.push(node);
        if at > 0 {
            self.link(at, self.oldest());
        }
        self.head = at;
        at
    }

    /// Puts an entry into the place of the least recently used one, as the most recently used one.
    #[inline]
    pub(crate) fn renew_oldest(&mut self, hash: u32, key: K, value: V) -> (K, V) {
        let at = self.oldest();
        self.head = at;
        let node = &mut self.nodes[at as usize];
        node.hash = hash;
        (
            mem::replace(&mut node.key, key),
            mem::replace(&mut node.value, value),
        )
    }

    /// Removes an entry. That of the last slot takes its slot.
    pub(crate) fn remove(&mut self, at: u32) -> (K, V) {
        if at == self.head {
            self.head = self.older(at);
        }
        self.unlink(at);
        let last = (self.nodes.len() - 1) as u32;
        let removed = self.nodes.swap_remove(at as usize);
        if at != last {
            let Node { newer, older, .. } = self.nodes[at as usize];
            if newer == last {
                // It is alone.
                (self.nodes[at as usize].newer, self.nodes[at as usize].older) = (at, at);
            } else {
                self.nodes[newer as usize].older = at;
                self.nodes[older as usize].newer = at;
            }
            if self.head == last {
                self.head = at;
            }
        }
        (removed.key, removed.value)
    }

    /// Takes everything out.
    pub(crate) fn take(&mut self) -> Vec<Node<K, V>> {
        self.head = 0;
        mem::take(&mut self.nodes)
    }

    /// Makes the neighbours of a slot neighbours of each other.
    #[inline]
    fn unlink(&mut self, at: u32) {
        let Node { newer, older, .. } = self.nodes[at as usize];
        self.nodes[newer as usize].older = older;
        self.nodes[older as usize].newer = newer;
    }

    /// Puts a slot between the newest one and the oldest one.
    #[inline]
    fn link(&mut self, at: u32, oldest: u32) {
        let newest = self.head;
        let node = &mut self.nodes[at as usize];
        node.newer = oldest;
        node.older = newest;
        self.nodes[newest as usize].newer = at;
        self.nodes[oldest as usize].older = at;
    }
}
