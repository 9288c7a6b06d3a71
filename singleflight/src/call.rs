use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::error::Aborted;

/// One execution.
///
/// Locks are taken in the order table, call.
#[derive(Debug)]
pub(crate) struct Call<V> {
    state: Mutex<State<V>>,
    done: Notify,
}

#[derive(Debug)]
pub(crate) struct State<V> {
    pub(crate) result: Option<Result<V, Aborted>>,
    pub(crate) waiters: usize,
    /// Whether anybody but the leader was ever among the waiters.
    pub(crate) joined: bool,
    /// Whether it goes on without waiters.
    pub(crate) detached: bool,
    pub(crate) task: Option<AbortHandle>,
}

impl<V> Call<V> {
    /// A call with its leader waiting.
    pub(crate) fn new(detached: bool) -> Self {
        Self {
            state: Mutex::new(State {
                result: None,
                waiters: 1,
                joined: false,
                detached,
                task: None,
            }),
            done: Notify::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another caller waits. The table must be locked.
    pub(crate) fn join(&self, detached: bool) {
        let mut state = self.lock();
        state.waiters += 1;
        state.joined = true;
        state.detached |= detached;
    }

    pub(crate) fn publish(&self, result: Result<V, Aborted>) {
        let mut state = self.lock();
        if state.result.is_none() {
            state.result = Some(result);
        }
        drop(state);
        self.done.notify_waiters();
    }

    /// The result, and whether it was shared.
    pub(crate) async fn wait(&self) -> Result<(V, bool), Aborted>
    where
        V: Clone,
    {
        loop {
            // Made before looking: a result published in between completes it.
            let done = self.done.notified();
            {
                let state = self.lock();
                if let Some(result) = &state.result {
                    return result.clone().map(|value| (value, state.joined));
                }
            }
            done.await;
        }
    }
}

/// The calls that a task works for, innermost first.
#[derive(Debug)]
pub(crate) struct Ancestry {
    /// Address of the call; the task that works for it keeps it alive.
    pub(crate) call: usize,
    pub(crate) parent: Option<Arc<Self>>,
}

tokio::task_local! {
    pub(crate) static ANCESTRY: Arc<Ancestry>;
}

/// Whether the present task works for `call`.
pub(crate) fn works_for(call: usize) -> bool {
    ANCESTRY
        .try_with(|own| {
            let mut next = Some(own);
            while let Some(ancestry) = next {
                if ancestry.call == call {
                    return true;
                }
                next = ancestry.parent.as_ref();
            }
            false
        })
        .unwrap_or(false)
}

pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Aborted {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    Aborted::Panicked(message.unwrap_or("(no message)").into())
}
