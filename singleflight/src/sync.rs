//! The lock between callers. `tests/loom.rs` puts another one in its place, and tries all schedules.

/// A lock for moments. That of `parking_lot` because two of them are most of what an undisturbed call costs; and a panic does
/// not close it.
#[derive(Debug)]
pub(crate) struct Lock<T>(parking_lot::Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> parking_lot::MutexGuard<'_, T> {
        self.0.lock()
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}
