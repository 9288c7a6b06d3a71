//! Tasks to wake once a lock is given back.

use std::task::Waker;

/// Mostly one, so room for one without an allocation.
#[derive(Default)]
pub(super) struct Woken {
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Woken {
    pub(super) fn add(&mut self, waker: Option<Waker>) {
        match waker {
            Some(waker) if self.first.is_none() => self.first = Some(waker),
            Some(waker) => self.more.push(waker),
            None => {}
        }
    }

    pub(super) fn any(&self) -> bool {
        self.first.is_some()
    }

    pub(super) fn all(self) {
        self.first
            .into_iter()
            .chain(self.more)
            .for_each(Waker::wake);
    }
}
