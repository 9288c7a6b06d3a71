use std::hint;

use parking_lot::{Mutex, MutexGuard};

/// A lock for moments. `tests/loom.rs` puts another one in its place.
///
/// That of `parking_lot` because it is the faster one here, alone and contended; and a panic does not close it.
pub(crate) struct Lock<T>(Mutex<T>);

/// How often a thread looks away, the first time and the last time, before it sleeps: 0.2 and 3 µs on a server of today,
/// which is some operations and some dozens.
const FIRST: u32 = 4;
const LAST: u32 = 64;

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.try_lock() {
            Some(guard) => guard,
            None => self.wait(),
        }
    }

    /// Stays away from the lock for longer and longer. Whoever has it does many operations in that time at full speed, instead
    /// of passing the lock and all it guards to and fro between the cores for each.
    #[cold]
    fn wait(&self) -> MutexGuard<'_, T> {
        let mut pauses = FIRST;
        while pauses <= LAST {
            for _ in 0..pauses {
                hint::spin_loop();
            }
            if let Some(guard) = self.0.try_lock() {
                return guard;
            }
            pauses *= 2;
        }
        self.0.lock()
    }
}
