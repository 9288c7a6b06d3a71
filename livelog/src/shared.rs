use std::io;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::crowd::Crowd;
use crate::error::Outcome;
use crate::file::FileStore;
use crate::kept::{Found, Kept};
use crate::lines::LineIndex;
use crate::spill::Spill;
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::waiters::{Ticket, Waiters};

/// What the writer, the handles and the readers of one log have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) crowd_has_news: Condvar,
    /// There before anything leaves memory.
    pub(crate) file: OnceLock<FileStore>,
    /// Who writes the file, if not the writer before each append.
    pub(crate) spill: Option<Spill>,
    /// What readers get for bytes that are lost.
    pub(crate) gap_marker: Bytes,
    /// Includes an append shortly before readers see it, never later.
    lines: Mutex<LineIndex>,
    /// Tells this log from others, when somebody asks.
    #[cfg(feature = "http")]
    identity: OnceLock<u64>,
}

/// The lock around it is held for a few pointer moves, or for copying one small append; never while waking, writing or
/// reading. A reader looks for bytes and leaves its waker under one lock, and the writer adds bytes and takes all wakers
/// under one lock: whichever comes second sees what the first did, so no wake-up is lost.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) kept: Kept,
    pub(crate) waiters: Waiters,
    pub(crate) crowd: Crowd,
    pub(crate) end: Option<End>,
    /// Bytes that the limit refused.
    pub(crate) dropped: u64,
}

/// As [`Outcome`], with the whole error.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Finished,
    Aborted,
    Failed(Arc<io::Error>),
}

impl End {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Finished => Outcome::Finished,
            Self::Aborted => Outcome::Aborted,
            Self::Failed(error) => Outcome::Failed(error.kind()),
        }
    }
}

/// What a reader finds.
#[derive(Debug)]
pub(crate) enum Fetched {
    Data(Bytes),
    /// Not in memory; the file has it, and all up to this offset.
    InFile(u64),
    /// Nobody has it; the bytes from this offset on are there.
    Lost(u64),
    Ended(End),
}

impl Shared {
    pub(crate) fn new(
        kept: Kept,
        file: OnceLock<FileStore>,
        spill: Option<Spill>,
        gap_marker: Bytes,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                kept,
                waiters: Waiters::default(),
                crowd: Crowd::default(),
                end: None,
                dropped: 0,
            }),
            crowd_has_news: Condvar::new(),
            file,
            spill,
            gap_marker,
            lines: Mutex::default(),
            #[cfg(feature = "http")]
            identity: OnceLock::new(),
        }
    }

    /// A strong entity tag, unless the middle of the log may be lost.
    #[cfg(feature = "http")]
    pub(crate) fn tag(&self) -> Option<String> {
        use std::hash::{BuildHasher, RandomState};

        if self.lock().kept.may_lose() {
            return None;
        }
        // Each `RandomState` has keys of its own, which begin at random in each process.
        let identity = || RandomState::new().hash_one(std::time::SystemTime::now());
        Some(format!("\"{:016x}\"", self.identity.get_or_init(identity)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in this crate panics while it holds the lock; even so the state is whole at each step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer holds this lock while it counts an append, readers for a binary search; nobody holds the other one.
    pub(crate) fn lines(&self) -> MutexGuard<'_, LineIndex> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is at `offset`; if nothing, wakes the caller when that may have changed.
    pub(crate) fn poll_fetch(
        &self,
        offset: u64,
        ticket: &mut Option<Ticket>,
        cx: &Context<'_>,
    ) -> Poll<Fetched> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.kept.is_unseen(offset) && state.end.is_none() && state.crowd.is_served() {
            let replaced = state.waiters.register(ticket, cx.waker());
            drop(guard);
            drop(replaced);
            return Poll::Pending;
        }
        let fetched = match state.kept.find(offset) {
            Found::Data(data) => Fetched::Data(data),
            Found::Gone => {
                let len = state.kept.len();
                Fetched::InFile(
                    self.spill
                        .as_ref()
                        .map_or(len, |spill| spill.written().min(len)),
                )
            }
            Found::Lost(end) => Fetched::Lost(end),
            Found::End => match &state.end {
                Some(end) => Fetched::Ended(end.clone()),
                None => {
                    let replaced = state.waiters.register(ticket, cx.waker());
                    drop(guard);
                    drop(replaced);
                    return Poll::Pending;
                }
            },
        };
        Poll::Ready(fetched)
    }

    pub(crate) fn stop_waiting(&self, ticket: Ticket) {
        let waker = self.lock().waiters.cancel(ticket);
        drop(waker);
    }
}
