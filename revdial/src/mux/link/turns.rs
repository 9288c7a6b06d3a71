//! Who writes to the transport next, among those who have much to write.
//!
//! While somebody else writes, small writes are queued. Large ones wait instead: a copy would cost
//! more than the wait, and push everything else out of the processor's cache. They go in the order
//! in which they came.

use std::{collections::VecDeque, task::Context};

use super::{State, Woken};

#[derive(Default)]
pub(in crate::mux) struct Turns {
    /// Streams whose writers wait. Some may have been woken by something else meanwhile.
    waiting: VecDeque<u32>,
    /// Whose writer was woken because it is next, and has not come yet.
    next: Option<u32>,
    /// The driver looks from time to time whether they get on.
    watched: bool,
}

impl State {
    /// A writer has come. Whether it can go to the transport at once: who has `much` to write lets
    /// the one that is next go first.
    pub(super) fn may_begin(&mut self, id: u32, much: bool) -> bool {
        let clear = self.is_clear();
        if self.turns.next.take_if(|next| *next == id).is_some() && !clear {
            // Somebody got in between.
            self.turns.waiting.push_front(id);
        }
        clear && !(much && self.turns.next.is_some())
    }

    /// A writer waits no longer. If it does not write either, it has to [give](Self::give_turn) its
    /// turn to the next one.
    pub(super) fn leave_turns(&mut self, id: u32) {
        self.turns.waiting.retain(|other| *other != id);
    }

    /// Lets a writer wait until nobody else writes.
    pub(super) fn wait_turn(&mut self, id: u32, cx: &Context<'_>, wake: &mut Woken) {
        self.wait_writable(id, cx);
        if !self.turns.waiting.contains(&id) {
            self.turns.waiting.push_back(id);
        }
        if self.wants_watch() {
            self.wake_driver(wake);
        }
    }

    /// Wakes the next of them, if it can write now.
    pub(super) fn give_turn(&mut self, wake: &mut Woken) {
        if self.turns.waiting.is_empty() || self.turns.next.is_some() || !self.is_clear() {
            return;
        }
        while let Some(id) = self.turns.waiting.pop_front() {
            let waker = self.wakers.get_mut(&id).and_then(|w| w.write.take());
            if waker.is_some() {
                self.turns.next = Some(id);
                wake.add(waker);
                return;
            }
        }
    }

    /// Who is next does not come, if it is this stream's writer or whosever.
    pub(in crate::mux) fn skip_turn(&mut self, id: Option<u32>) {
        self.turns
            .next
            .take_if(|next| id.is_none_or(|id| *next == id));
    }

    /// Whether anybody waits.
    pub(in crate::mux) fn has_waiting(&self) -> bool {
        !self.turns.waiting.is_empty()
    }

    /// The driver looks after them from now on, if there are any and it is not the transport that
    /// keeps them waiting.
    pub(in crate::mux) fn watch_turns(&mut self) -> bool {
        self.turns.watched = self.has_waiting() && !self.full;
        self.turns.watched
    }

    pub(super) fn wants_watch(&self) -> bool {
        !self.turns.watched && self.has_waiting() && !self.full
    }
}
