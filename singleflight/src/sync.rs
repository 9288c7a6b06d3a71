//! The locks between callers. `tests/loom.rs` puts others in their place, and tries all schedules.

pub(crate) use std::sync::{Mutex, MutexGuard};
