use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::batch::Decoder;
use super::builder::ReaderBuilder;
use super::split::More;
use super::state::{Job, Polled, State};

/// What is asked of the source at once. Not a power of two: a source that gives exactly so much is taken to have more at
/// hand, and what peers send at once is more often a power of two.
pub(super) const READ: usize = (128 << 10) + 40;

/// The reader without its source: input goes in, output comes out in order, and in between there are jobs, done by
/// whichever thread comes.
///
/// Members that tell their length, or whose end can be guessed, go out as batches. Whatever else there is, and everything
/// from the first batch on that was not what it claimed, goes through the sequential decoder, so that an error and its
/// offset do not depend on how members were split.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// For workers.
    work: Condvar,
    /// For the reader.
    done: Condvar,
    /// For who reads the source.
    room: Condvar,
    closed: AtomicBool,
}

impl Engine {
    /// With up to `workers` threads, which start as there is work for them; with none, the caller works by
    /// [`work_here`](Self::work_here).
    pub(super) fn new(builder: &ReaderBuilder, workers: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::new(builder, workers)),
                work: Condvar::new(),
                done: Condvar::new(),
                room: Condvar::new(),
                closed: AtomicBool::new(false),
            }),
        }
    }

    /// From now on with threads, but for the sequential decoder.
    pub(super) fn set_workers(&self, workers: usize) {
        let mut state = self.shared.lock();
        state.set_workers(workers);
        state.let_reader_decode();
    }

    /// Where garbage was ignored.
    pub(super) fn garbage(&self) -> Option<u64> {
        self.shared.lock().garbage()
    }

    /// What comes next, without waiting. `used` is a block that was delivered before.
    pub(super) fn poll(&self, used: Vec<u8>) -> io::Result<Polled> {
        let mut state = self.shared.lock();
        state.keep(used);
        let polled = state.poll();
        self.shared.changed(&mut state);
        polled
    }

    /// Does a job in this thread, if there is one that is not for others.
    pub(super) fn work_here(&self, decoder: &mut Decoder) -> bool {
        let state = self.shared.lock();
        self.shared.work_once(state, decoder, true).1
    }

    /// Waits until there may be something new to poll for.
    pub(super) fn wait(&self) {
        let state = self.shared.lock();
        drop(
            self.shared
                .done
                .wait_while(state, |state| !state.news)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Has the task woken when there may be something new to poll for; false if there already is.
    #[cfg(feature = "tokio")]
    pub(super) fn register(&self, context: &std::task::Context<'_>) -> bool {
        let mut state = self.shared.lock();
        if state.news {
            return false;
        }
        state.waker = Some(context.waker().clone());
        true
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        // So that nobody is between looking at `closed` and waiting.
        drop(self.shared.lock());
        self.shared.work.notify_all();
        self.shared.room.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether input would be of use.
    pub(super) fn wants_input(&self) -> bool {
        self.lock().wants_input()
    }

    /// Waits until input is wanted; false if it never will be.
    pub(super) fn wait_for_room(&self) -> bool {
        let mut state = self.lock();
        if !state.wants_input() {
            state = self
                .room
                .wait_while(state, |state| !self.is_closed() && !state.needs_input())
                .unwrap_or_else(PoisonError::into_inner);
        }
        !self.is_closed() && state.wants_input()
    }

    /// Takes input; none with [`More::Nothing`] is the end. `more` is what is known of the source then.
    pub(super) fn feed(self: &Arc<Self>, input: &[u8], more: More) {
        let mut state = self.lock();
        state.feed(input, more);
        self.changed(&mut state);
    }

    /// The source has nothing at hand.
    #[cfg(feature = "tokio")]
    pub(super) fn pause(self: &Arc<Self>) {
        self.feed(&[], More::Perhaps);
    }

    /// The source gives no more.
    pub(super) fn fail(self: &Arc<Self>, error: io::Error) {
        let mut state = self.lock();
        state.fail(error);
        self.changed(&mut state);
    }

    /// Wakes whom it concerns.
    fn changed(self: &Arc<Self>, state: &mut State) {
        let jobs = state.jobs();
        for _ in 0..jobs.min(state.idle) {
            self.work.notify_one();
        }
        for _ in state.idle..jobs {
            if state.started >= state.workers {
                break;
            }
            let shared = self.clone();
            let started = thread::Builder::new()
                .name("gunzip".into())
                .spawn(move || shared.work());
            if started.is_err() {
                break;
            }
            state.started += 1;
        }
        if state.needs_input() {
            self.room.notify_one();
        }
        if state.news {
            self.done.notify_one();
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }

    /// A worker's life.
    fn work(self: &Arc<Self>) {
        let mut decoder = Decoder::new();
        let mut state = self.lock();
        loop {
            let worked;
            (state, worked) = self.work_once(state, &mut decoder, false);
            if self.is_closed() {
                return;
            }
            if !worked {
                state.idle += 1;
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn work_once<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        decoder: &mut Decoder,
        reader: bool,
    ) -> (MutexGuard<'a, State>, bool) {
        let Some(job) = state.next_job(reader) else {
            return (state, false);
        };
        drop(state);
        let guard = OnPanic(self);
        let mut state = match job {
            Job::Batch(number, mut batch) => {
                decoder.run(&mut batch);
                let mut state = self.lock();
                state.batch_done(number, batch);
                state
            }
            Job::Piece(mut piece) => {
                let step = piece.run();
                let mut state = self.lock();
                state.piece_done(piece, step);
                state
            }
        };
        drop(guard);
        self.changed(&mut state);
        (state, true)
    }
}

/// Tells the reader if a worker panics, so that nobody waits for it.
struct OnPanic<'a>(&'a Arc<Shared>);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let mut state = self.0.lock();
            state.panicked = true;
            state.news = true;
            self.0.changed(&mut state);
        }
    }
}
