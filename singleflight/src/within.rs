//! Which executions the running code works for, so that none waits for itself.

use std::cell::{Cell, RefCell};
use std::mem;

/// One execution among all of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) group: u64,
    pub(crate) call: u64,
}

thread_local! {
    /// The innermost execution. There is one only while work is being polled or called.
    static INNERMOST: Cell<Option<Id>> = const { Cell::new(None) };
    /// Those around it, outermost first. Apart, because most are alone, and what needs no destructor is faster.
    static OUTER: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

/// The code that runs until the guard goes works for this as well.
#[inline]
pub(crate) fn enter(id: Id) -> Guard {
    let before = INNERMOST.replace(Some(id));
    if let Some(before) = before {
        OUTER.with_borrow_mut(|outer| outer.push(before));
    }
    Guard { before }
}

/// The code that runs until the guard goes works for all of these; the last is the innermost. They are not added to what the
/// thread was at: a task begins anew.
pub(crate) fn enter_task(ids: &[Id]) -> TaskGuard {
    let (innermost, outer) = match ids {
        [outer @ .., innermost] => (Some(*innermost), outer),
        [] => (None, ids),
    };
    TaskGuard {
        outer: OUTER.replace(outer.to_vec()),
        innermost: INNERMOST.replace(innermost),
    }
}

/// Whether the running code works for it.
pub(crate) fn works_for(id: Id) -> bool {
    INNERMOST.get() == Some(id) || OUTER.with_borrow(|outer| outer.contains(&id))
}

/// All that the running code works for, the innermost last.
pub(crate) fn all() -> Vec<Id> {
    let mut all = OUTER.with_borrow(Clone::clone);
    all.extend(INNERMOST.get());
    all
}

#[derive(Debug)]
pub(crate) struct Guard {
    before: Option<Id>,
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        INNERMOST.set(self.before);
        if self.before.is_some() {
            OUTER.with_borrow_mut(Vec::pop);
        }
    }
}

/// What the thread was at before.
#[derive(Debug)]
pub(crate) struct TaskGuard {
    innermost: Option<Id>,
    outer: Vec<Id>,
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        INNERMOST.set(self.innermost);
        OUTER.set(mem::take(&mut self.outer));
    }
}
