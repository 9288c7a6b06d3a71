//! What the writer and the readers wait with. `tests/loom.rs` and `tests/shuttle.rs` put others in its place, and try
//! schedules.

use std::sync::PoisonError;
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;
use std::{io, thread};

/// How many readers the writer wakes itself: some microseconds.
pub(crate) const CROWD: usize = 64;

pub(crate) fn spawn(name: &str, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(job).map(drop)
}

pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

/// Whether it was too long.
pub(crate) fn wait<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    at_most: Duration,
) -> (MutexGuard<'a, T>, bool) {
    let waited = condvar.wait_timeout(guard, at_most);
    let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
    (guard, timeout.timed_out())
}
