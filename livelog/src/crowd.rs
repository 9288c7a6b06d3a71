use std::mem;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::shared::{Shared, State};
use crate::sync::{self, CROWD, MutexGuard};

/// How long the thread stays when no crowd has to be woken.
const IDLE: Duration = Duration::from_secs(1);

/// Between two crowds. Nobody notices the delay; but a thousand readers that are woken for each small append cost more than
/// what they are woken for.
const PAUSE: Duration = Duration::from_millis(1);

/// Who wakes the readers of a log when they are too many for the writer to do it within an append.
///
/// A thread, because it must get its turn whatever the readers' executors do: a task in one of them, or a place in a pool
/// of threads that may all wait for this very log, might not. It comes with the first crowd and goes with the last one, or
/// with the writer. While it wakes one crowd, and for a moment after, later appends only leave word: many appends cost one
/// round.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    thread: Thread,
    /// Something was appended for which the waiting crowd has to be woken.
    news: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Thread {
    #[default]
    None,
    Awake,
    Asleep,
}

impl Crowd {
    /// Whether a reader that comes for bytes which the crowd does not have yet waits for the next round.
    pub(crate) fn is_served(&mut self) -> bool {
        let served = self.thread == Thread::Awake;
        self.news |= served;
        served
    }
}

/// Wakes those who wait, now or by the thread. Leaves `wakers` empty.
pub(crate) fn wake(
    shared: &Arc<Shared>,
    mut state: MutexGuard<'_, State>,
    wakers: &mut Vec<Option<Waker>>,
) {
    if state.waiters.waiting() <= CROWD {
        state.waiters.take(wakers);
        drop(state);
        wake_all(wakers);
        return;
    }
    state.crowd.news = true;
    match mem::replace(&mut state.crowd.thread, Thread::Awake) {
        Thread::Awake => {}
        Thread::Asleep => {
            drop(state);
            shared.crowd_has_news.notify_one();
        }
        Thread::None => {
            drop(state);
            let relay = Relay {
                shared: shared.clone(),
            };
            // If there is no thread to be had, the relay is dropped, which wakes everybody here.
            let _ = sync::spawn("livelog-wake", move || relay.run());
        }
    }
}

/// The log has ended: no thread is needed any more.
pub(crate) fn dismiss(shared: &Shared) {
    shared.crowd_has_news.notify_one();
}

fn wake_all(wakers: &mut Vec<Option<Waker>>) {
    for waker in wakers.drain(..).flatten() {
        waker.wake();
    }
}

struct Relay {
    shared: Arc<Shared>,
}

impl Relay {
    fn run(self) {
        let mut wakers = Vec::new();
        let mut idle = false;
        let mut state = self.shared.lock();
        loop {
            if mem::take(&mut state.crowd.news) {
                idle = false;
                // Everybody gets the same piece, instead of cutting off what is there when it comes.
                state.kept.cut();
                state.waiters.take(&mut wakers);
                drop(state);
                wake_all(&mut wakers);
                sync::pause(PAUSE);
                state = self.shared.lock();
            } else if idle || state.end.is_some() {
                return;
            } else {
                state.crowd.thread = Thread::Asleep;
                (state, idle) = sync::wait(&self.shared.crowd_has_news, state, IDLE);
                state.crowd.thread = Thread::Awake;
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.crowd.thread = Thread::None;
        let mut wakers = Vec::new();
        // Only if it never ran, or a waker has panicked.
        if mem::take(&mut state.crowd.news) {
            state.waiters.take(&mut wakers);
        }
        drop(state);
        wake_all(&mut wakers);
    }
}
