use std::borrow::Borrow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::{Aborted, TryError};
use crate::flights::{At, Duty, Flights, Role, Waiter};
use crate::options::Options;
use crate::seats::Seats;
use crate::shared::Shared;
use crate::within::{self, Id};

/// Calls in progress, by key. Clones are the same group.
///
/// Work that is still running when the last clone is dropped is stopped.
pub struct Group<K, V> {
    inner: Arc<Inner<K, V>>,
}

impl<K, V> Group<K, V>
where
    K: Hash + Eq + Send + 'static,
    V: Clone + Send + 'static,
{
    /// A group without calls.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`: of the execution in progress if there is one, else of `work`, which is started now.
    ///
    /// The work belongs to the group: if it has to wait, it goes on as a task of its own. Cancelling this call, even the one
    /// that started the work, stops neither the work nor the other callers; the work goes on even if nobody waits. Work
    /// that ends without waiting is done on the spot, within this call.
    ///
    /// # Errors
    ///
    /// See [`Aborted`].
    pub fn run<F, Fut>(&self, key: K, work: F) -> impl Future<Output = Result<Shared<V>, Aborted>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        self.run_with(key, Options::new(), work)
    }

    /// As [`run`](Self::run), but the work is stopped when the last caller that waits for it is cancelled, unless one of
    /// them came through [`run`](Self::run).
    ///
    /// Stopping takes effect where the work next waits; a new call for the key does not wait for that.
    ///
    /// # Errors
    ///
    /// See [`Aborted`].
    pub fn run_linked<F, Fut>(
        &self,
        key: K,
        work: F,
    ) -> impl Future<Output = Result<Shared<V>, Aborted>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        self.run_with(key, Options::new().linked(), work)
    }

    /// As [`run`](Self::run), with options for this call.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use buildfarm_singleflight::{Aborted, Group, Options};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let group = Group::<&str, u32>::new();
    /// let patience = Options::new().limit(Duration::from_secs(5));
    /// let got = group.run_with("slow", patience, std::future::pending).await;
    /// assert_eq!(got, Err(Aborted::TimedOut));
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Aborted`].
    pub async fn run_with<F, Fut>(
        &self,
        key: K,
        options: Options,
        work: F,
    ) -> Result<Shared<V>, Aborted>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        let flights = &self.inner.flights;
        let (waiter, leader) = match flights.join(key, !options.linked)? {
            Role::Leader(at) => match self.inner.start(at, options, work) {
                Started::Ended(result) => {
                    let (value, shared) = result?;
                    return Ok(Shared {
                        value,
                        shared,
                        leader: true,
                    });
                }
                Started::Waits(seats) => (Waiter::new(flights, at, seats), true),
            },
            Role::Follower(at, seats) => (Waiter::new(flights, at, seats), false),
        };
        let (value, shared) = waiter.await?;
        Ok(Shared {
            value,
            shared,
            leader,
        })
    }
}

impl<K, T, E> Group<K, Result<T, Arc<E>>>
where
    K: Hash + Eq + Send + 'static,
    T: Clone + Send + 'static,
    E: Send + Sync + 'static,
{
    /// As [`run`](Group::run), for work that can fail. The error is shared, so it need not be [`Clone`].
    ///
    /// ```
    /// use buildfarm_singleflight::Group;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let files = Group::new();
    /// let read = || async { std::fs::read("/no/such/file") };
    /// let error = files.try_run("key", read).await.unwrap_err();
    /// assert_eq!(error.failure().unwrap().kind(), std::io::ErrorKind::NotFound);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`TryError::Failed`] if the work failed, [`TryError::Aborted`] if it did not come to an end.
    pub async fn try_run<F, Fut>(&self, key: K, work: F) -> Result<Shared<T>, TryError<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.try_run_with(key, Options::new(), work).await
    }

    /// As [`try_run`](Self::try_run), with options for this call.
    ///
    /// # Errors
    ///
    /// As [`try_run`](Self::try_run).
    pub async fn try_run_with<F, Fut>(
        &self,
        key: K,
        options: Options,
        work: F,
    ) -> Result<Shared<T>, TryError<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let work = || {
            let work = work();
            async { work.await.map_err(Arc::new) }
        };
        let got = self.run_with(key, options, work).await?;
        Ok(Shared {
            value: got.value.map_err(TryError::Failed)?,
            shared: got.shared,
            leader: got.leader,
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
        self.inner.flights.forget(key)
    }
}

impl<K, V> Group<K, V> {
    /// Executions in progress, forgotten ones included.
    pub fn in_flight(&self) -> usize {
        self.inner.flights.in_flight()
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
            inner: Arc::new(Inner {
                flights: Flights::new(),
            }),
        }
    }
}

impl<K, V> fmt::Debug for Group<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.flights.fmt(f)
    }
}

struct Inner<K, V> {
    flights: Flights<K, V>,
}

impl<K, V> Drop for Inner<K, V> {
    fn drop(&mut self) {
        self.flights.stop();
    }
}

/// What has become of work.
enum Started<V> {
    Ended(Result<(V, bool), Aborted>),
    Waits(Arc<Seats<V>>),
}

impl<K, V> Inner<K, V>
where
    K: Send + 'static,
    V: Clone + Send + 'static,
{
    /// Begins work. What does not end at once becomes a task: so it depends neither on whether this caller goes on
    /// living nor on whether it is polled.
    #[inline(always)]
    fn start<F, Fut>(self: &Arc<Self>, at: At, options: Options, work: F) -> Started<V>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        let duty = Duty::new(&self.flights, at);
        // A limit beyond the end of time is none.
        let deadline = options
            .limit
            .and_then(|limit| Instant::now().checked_add(limit));
        let guard = within::enter(self.flights.id(at));
        let begun = catch_unwind(AssertUnwindSafe(|| {
            let mut work = Box::pin(work());
            // The task polls again, with a waker of its own.
            match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(value) => Ok(value),
                Poll::Pending => Err(work),
            }
        }));
        let result = match begun {
            Ok(Ok(value)) => {
                drop(guard);
                duty.end(Ok(value))
            }
            Ok(Err(work)) => {
                let ancestry = within::all();
                drop(guard);
                return self.go_on(duty, at, work, ancestry, deadline);
            }
            Err(payload) => {
                drop(guard);
                duty.end(Err(Aborted::panicked(&*payload)))
            }
        };
        Started::Ended(result)
    }

    /// Work that has to wait becomes a task.
    #[inline(never)]
    fn go_on<Fut>(
        self: &Arc<Self>,
        duty: Duty<'_, K, V>,
        at: At,
        work: Pin<Box<Fut>>,
        ancestry: Vec<Id>,
        deadline: Option<Instant>,
    ) -> Started<V>
    where
        Fut: Future<Output = V> + Send + 'static,
    {
        let Ok(runtime) = Handle::try_current() else {
            drop(work);
            return Started::Ended(duty.end(Err(Aborted::NoRuntime)));
        };
        let seats = self.flights.seats(at);
        let task = Task {
            inner: Arc::downgrade(self),
            at,
            seats: seats.clone(),
            ancestry,
        };
        duty.hand_over();
        let task = runtime.spawn(task.follow(work, deadline));
        self.flights.stop_with(at, task.abort_handle());
        Started::Waits(seats)
    }
}

/// The duty to end an execution, carried by the task that works for it; also fulfilled if the task is dropped.
struct Task<K, V> {
    inner: Weak<Inner<K, V>>,
    at: At,
    seats: Arc<Seats<V>>,
    /// What it works for, itself included.
    ancestry: Vec<Id>,
}

impl<K, V> Task<K, V> {
    async fn follow<Fut>(self, mut work: Pin<Box<Fut>>, deadline: Option<Instant>)
    where
        Fut: Future<Output = V>,
    {
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        let result = poll_fn(|cx| {
            let _guard = within::enter_task(&self.ancestry);
            let step = || {
                if let Poll::Ready(value) = work.as_mut().poll(cx) {
                    return Poll::Ready(Ok(value));
                }
                let Some(deadline) = deadline else {
                    return Poll::Pending;
                };
                // Panics if the runtime has no timers.
                let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                timer.as_mut().poll(cx).map(|()| Err(Aborted::TimedOut))
            };
            catch_unwind(AssertUnwindSafe(step))
                .unwrap_or_else(|payload| Poll::Ready(Err(Aborted::panicked(&*payload))))
        })
        .await;
        // What the work held is free before anybody learns of its end.
        drop(work);
        self.end(result);
    }

    fn end(&self, result: Result<V, Aborted>) {
        // Both are dropped after the others have been told: keys are, which may panic.
        let inner = self.inner.upgrade();
        let ended = inner.as_ref().map(|inner| inner.flights.end(self.at));
        let joined = ended.as_ref().is_some_and(|ended| ended.joined);
        self.seats.publish(result, joined);
    }
}

impl<K, V> Drop for Task<K, V> {
    fn drop(&mut self) {
        self.end(Err(Aborted::Cancelled));
    }
}
