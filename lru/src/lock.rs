use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.try_lock() {
            Ok(guard) => guard,
            Err(std::sync::TryLockError::Poisoned(guard)) => guard.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => self.wait(),
        }
    }

    /// Stays away from the lock for longer and longer, so that whoever works with it goes on undisturbed, and sleeps in the
    /// end.
    #[cold]
    fn wait(&self) -> MutexGuard<'_, T> {
        let mut pauses = FIRST;
        while pauses <= LAST {
            for _ in 0..pauses {
                std::hint::spin_loop();
            }
            match self.0.try_lock() {
                Ok(guard) => return guard,
                Err(std::sync::TryLockError::Poisoned(guard)) => return guard.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) => pauses *= 2,
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const FIRST: u32 = 4;
const LAST: u32 = 64;
