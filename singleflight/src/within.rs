//! Which executions the running code works for, so that none waits for itself.

use std::cell::RefCell;

/// One execution among all of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) group: u64,
    pub(crate) call: u64,
}

thread_local! {
    /// Outermost first. Something is in it only while work is being polled or called.
    static STACK: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

/// The code that runs until the guard goes works for these as well.
pub(crate) fn enter(ids: &[Id]) -> Guard {
    STACK.with_borrow_mut(|stack| {
        let before = stack.len();
        stack.extend_from_slice(ids);
        Guard { before }
    })
}

/// Whether the running code works for it.
pub(crate) fn works_for(id: Id) -> bool {
    STACK.with_borrow(|stack| stack.contains(&id))
}

/// All that the running code works for.
pub(crate) fn all() -> Vec<Id> {
    STACK.with_borrow(Clone::clone)
}

#[derive(Debug)]
pub(crate) struct Guard {
    before: usize,
}

impl Drop for Guard {
    fn drop(&mut self) {
        STACK.with_borrow_mut(|stack| stack.truncate(self.before));
    }
}
