use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use tokio::runtime::Handle;

use crate::call::{ANCESTRY, Ancestry, Call, panicked, works_for};
use crate::error::Aborted;

/// Calls in progress, by key. Clones are the same group.
///
/// Work that is still running when the last clone is dropped is stopped.
pub struct Group<K, V> {
    inner: Arc<Inner<K, V>>,
}

/// A value, and how it was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shared<V> {
    /// What the work gave.
    pub value: V,
    /// Whether more than one caller waited for this execution at some time.
    pub shared: bool,
    /// Whether it was this caller's closure that ran.
    pub leader: bool,
}

impl<K, V> Group<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// A group without calls.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`: of the execution in progress if there is one, else of `work`, which is started now.
    ///
    /// The work runs as a task of its own. Cancelling this call, even the one that started the work, stops neither the
    /// work nor the other callers; the work goes on even if nobody waits.
    ///
    /// # Errors
    ///
    /// See [`Aborted`].
    pub async fn run<F, Fut>(&self, key: K, work: F) -> Result<Shared<V>, Aborted>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        self.call(key, work, true).await
    }

    /// As [`run`](Self::run), but the work is stopped when the last caller that waits for it is cancelled, unless one of
    /// them came through [`run`](Self::run).
    ///
    /// Stopping takes effect where the work next waits; a new call for the key does not wait for that.
    ///
    /// # Errors
    ///
    /// See [`Aborted`].
    pub async fn run_linked<F, Fut>(&self, key: K, work: F) -> Result<Shared<V>, Aborted>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        self.call(key, work, false).await
    }

    async fn call<F, Fut>(&self, key: K, work: F, detached: bool) -> Result<Shared<V>, Aborted>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        let runtime = Handle::try_current().map_err(|_| Aborted::NoRuntime)?;
        let waiter = self.join(&key, detached)?;
        if waiter.leader {
            let completion = Completion {
                inner: Arc::downgrade(&self.inner),
                call: waiter.call.clone(),
                key: key.clone(),
            };
            match catch_unwind(AssertUnwindSafe(work)) {
                Ok(work) => {
                    let ancestry = Arc::new(Ancestry {
                        call: Arc::as_ptr(&waiter.call).addr(),
                        parent: ANCESTRY.try_with(Arc::clone).ok(),
                    });
                    let task = runtime.spawn(ANCESTRY.scope(ancestry, completion.follow(work)));
                    waiter.call.lock().task = Some(task.abort_handle());
                }
                Err(payload) => completion.complete(Err(panicked(&*payload))),
            }
        }
        let (value, shared) = waiter.call.wait().await?;
        Ok(Shared {
            value,
            shared,
            leader: waiter.leader,
        })
    }

    /// Waits for the execution in progress, or becomes the leader of a new one.
    fn join<'a>(&'a self, key: &'a K, detached: bool) -> Result<Waiter<'a, K, V>, Aborted> {
        let mut table = self.inner.lock();
        let (call, leader) = match table.calls.get(key) {
            Some(call) if works_for(Arc::as_ptr(call).addr()) => return Err(Aborted::Reentrant),
            Some(call) => {
                call.join(detached);
                (call.clone(), false)
            }
            None => {
                let call = Arc::new(Call::new(detached));
                table.calls.insert(key.clone(), call.clone());
                (call, true)
            }
        };
        Ok(Waiter {
            inner: &self.inner,
            key,
            call,
            leader,
        })
    }
}

impl<K: Hash + Eq, V> Group<K, V> {
    /// Makes the next call for `key` start anew. The execution in progress, if any, goes on for those who wait for it.
    ///
    /// Says whether there was one.
    pub fn forget<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut table = self.inner.lock();
        let Some((key, call)) = table.calls.remove_entry(key) else {
            return false;
        };
        table.forgotten.push(call);
        drop(table);
        drop(key);
        true
    }

    /// Executions in progress, forgotten ones included.
    pub fn in_flight(&self) -> usize {
        let table = self.inner.lock();
        table.calls.len() + table.forgotten.len()
    }
}

impl<K, V> Clone for Group<K, V> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<K, V> Default for Group<K, V> {
    fn default() -> Self {
        Self {
            inner: Arc::default(),
        }
    }
}

impl<K, V> fmt::Debug for Group<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.inner.lock();
        f.debug_struct("Group")
            .field("calls", &table.calls.len())
            .field("forgotten", &table.forgotten.len())
            .finish()
    }
}

struct Inner<K, V> {
    table: Mutex<Table<K, V>>,
}

struct Table<K, V> {
    calls: HashMap<K, Arc<Call<V>>>,
    /// Running, but not to be joined.
    forgotten: Vec<Arc<Call<V>>>,
}

impl<K, V> Inner<K, V> {
    fn lock(&self) -> MutexGuard<'_, Table<K, V>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Default for Inner<K, V> {
    fn default() -> Self {
        Self {
            table: Mutex::new(Table {
                calls: HashMap::new(),
                forgotten: Vec::new(),
            }),
        }
    }
}

impl<K, V> Drop for Inner<K, V> {
    fn drop(&mut self) {
        let table = self.table.get_mut().unwrap_or_else(PoisonError::into_inner);
        for call in table.calls.values().chain(&table.forgotten) {
            let task = call.lock().task.take();
            if let Some(task) = task {
                task.abort();
            }
        }
    }
}

impl<K, V> Table<K, V> {
    /// Removes this very call, wherever it is; a successor under the same key stays.
    ///
    /// What was removed is returned, to be dropped when the table is no longer locked: it holds the user's types.
    fn remove(&mut self, key: &K, call: &Arc<Call<V>>) -> Option<(K, Arc<Call<V>>)>
    where
        K: Hash + Eq,
    {
        if let Some(current) = self.calls.get(key)
            && Arc::ptr_eq(current, call)
        {
            return self.calls.remove_entry(key);
        }
        self.forgotten.retain(|other| !Arc::ptr_eq(other, call));
        None
    }
}

/// One caller's interest in a call.
struct Waiter<'a, K: Hash + Eq, V> {
    inner: &'a Inner<K, V>,
    key: &'a K,
    call: Arc<Call<V>>,
    leader: bool,
}

impl<K: Hash + Eq, V> Drop for Waiter<'_, K, V> {
    fn drop(&mut self) {
        let mut table = self.inner.lock();
        let mut state = self.call.lock();
        state.waiters -= 1;
        if state.waiters > 0 || state.detached || state.result.is_some() {
            return;
        }
        // Under the same lock as the count: nobody joins a call that is being stopped.
        let task = state.task.take();
        drop(state);
        let removed = table.remove(self.key, &self.call);
        drop(table);
        drop(removed);
        if let Some(task) = task {
            task.abort();
        }
    }
}

/// The duty to end a call, carried by the task that works for it; also fulfilled if the task is dropped.
struct Completion<K: Hash + Eq, V> {
    inner: Weak<Inner<K, V>>,
    call: Arc<Call<V>>,
    key: K,
}

impl<K: Hash + Eq, V> Completion<K, V> {
    async fn follow(self, work: impl Future<Output = V>) {
        let result = {
            let mut work = pin!(work);
            poll_fn(
                |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                    Ok(poll) => poll.map(Ok),
                    Err(payload) => Poll::Ready(Err(panicked(&*payload))),
                },
            )
            .await
        };
        self.complete(result);
    }

    fn complete(self, result: Result<V, Aborted>) {
        self.end(result);
    }

    /// The entry goes first, so that who has seen the result never joins the call that gave it.
    fn end(&self, result: Result<V, Aborted>) {
        if let Some(inner) = self.inner.upgrade() {
            let removed = inner.lock().remove(&self.key, &self.call);
            drop(removed);
        }
        self.call.publish(result);
    }
}

impl<K: Hash + Eq, V> Drop for Completion<K, V> {
    fn drop(&mut self) {
        self.end(Err(Aborted::Cancelled));
    }
}
