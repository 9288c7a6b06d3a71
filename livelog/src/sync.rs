//! What the writer, the readers and the threads of a log wait with and agree by. `tests/loom.rs` and `tests/shuttle.rs` put
//! others in its place, and try schedules.

use std::sync::PoisonError;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;
use std::{io, thread};

/// How many readers the writer wakes itself: some microseconds.
pub(crate) const CROWD: usize = 64;

/// Memory from which on the file of a spill is written in the background. With less, waiting for it would be the rule.
pub(crate) const BACKGROUND_FROM: usize = 1 << 20;

/// The background leaves the rest for later when it is less than this: few writes for many small appends.
pub(crate) const NOT_WORTH_IT: u64 = 64 << 10;

pub(crate) fn spawn(name: &str, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(job).map(drop)
}

/// Called before and after each access to a file, which takes time: in a model, others come in between.
pub(crate) fn file_access() {}

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
