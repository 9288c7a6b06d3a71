//! What the tasks of a multiplexed session agree by. `tests/shuttle.rs` puts others in its place,
//! and tries schedules.

pub(crate) use std::sync::{Mutex, MutexGuard};
pub(crate) use tokio::spawn;

/// What windows begin with.
pub(crate) use crate::mux::INITIAL_WINDOW as WINDOW;

/// So many bytes at once wait for their turn at the transport rather than being copied.
pub(crate) const MUCH: usize = 16 * 1024;
