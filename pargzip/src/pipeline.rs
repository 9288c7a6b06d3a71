//! The threads between a writer and its sink.
//!
//! All state is behind one lock, which is held only to move buffers about, never while compressing or writing. Workers wait
//! for *something to do*, the one writing side for *room* (or for everything to be done), each with its condition variable.
//! A writer that would wait for room is one of the threads: it compresses and writes as workers do, and waits only where
//! there is nothing to do. With a thread more than processors, they would keep interrupting each other. Whoever changes a
//! state that another may wait for says so before it lets go of what it holds:
//!
//! * A chunk is handed over: one worker is told. Workers look for work before they wait, so none is missed.
//! * A thread finishes the chunk whose turn it is: it writes it itself if the sink is free. If another thread has the sink,
//!   that one looks again when it gives the sink back, under the same lock. So no finished chunk stays behind.
//! * The writing side stops working, and leaves a finished chunk whose turn it is: one worker is told.
//! * A chunk has been written: the writing side is told.
//! * Something failed, or the end has come: all are told.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::Layout;
use crate::failure::Failure;
use crate::member::{Chunk, Compressor, Output};
use crate::sync::{Arc, Condvar, JoinHandle, Mutex, MutexGuard, spawn};

#[cfg(feature = "tokio")]
pub(crate) mod pulled;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) level: u32,
    pub(crate) threads: usize,
    /// A whole number of blocks, if the layout has blocks.
    pub(crate) chunk_size: usize,
    pub(crate) layout: Layout,
    pub(crate) empty_output: bool,
}

impl Settings {
    /// Most chunks under way: one for each thread, and as many ready for those who finish first, while the writing side is
    /// busy with its own.
    fn limit(&self) -> usize {
        (2 * self.threads).max(3)
    }
}

/// Where workers put finished chunks, in order.
pub(crate) trait Exit: Send + 'static {
    fn write(&mut self, output: &mut Output) -> io::Result<()>;
}

/// Dropping it stops the workers as soon as what they are in the middle of is done.
pub(crate) struct Pipeline<X> {
    shared: Arc<Shared<X>>,
    workers: Vec<JoinHandle<()>>,
    /// Of the writing side, which helps where it would wait.
    compressor: Option<Compressor>,
}

struct Shared<X> {
    settings: Settings,
    state: Mutex<State<X>>,
    /// For workers: there is something to do, or an end.
    work: Condvar,
    /// For the writing side: something was written, or failed.
    progress: Condvar,
}

struct State<X> {
    jobs: VecDeque<Job>,
    /// Chunks not yet taken for writing, in order; `None` while waiting or being compressed. The first has number `first`.
    done: VecDeque<Option<Output>>,
    first: u64,
    /// Chunks handed over and not yet written.
    under_way: usize,
    idle: usize,
    /// `None` while a worker writes to it.
    exit: Option<X>,
    /// The writing side, if it is a task.
    waker: Option<Waker>,
    /// Nothing more is wanted.
    closed: bool,
    failure: Option<Failure>,
    spare_chunks: Vec<Chunk>,
    spare_outputs: Vec<Output>,
}

struct Job {
    number: u64,
    chunk: Chunk,
}

impl<X: Exit> Pipeline<X> {
    /// Threads start as there is work for them.
    pub(crate) fn new(settings: Settings, exit: Option<X>) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            done: VecDeque::new(),
            first: 0,
            under_way: 0,
            idle: 0,
            exit,
            waker: None,
            closed: false,
            failure: None,
            spare_chunks: Vec::new(),
            spare_outputs: Vec::new(),
        };
        Self {
            shared: Arc::new(Shared {
                settings,
                state: Mutex::new(state),
                work: Condvar::new(),
                progress: Condvar::new(),
            }),
            workers: Vec::new(),
            compressor: None,
        }
    }

    /// Fails if the pipeline has.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.shared.lock().check()
    }

    /// Hands a chunk over, working until there is room for it. Returns a buffer for the next one.
    pub(crate) fn submit(&mut self, chunk: Chunk) -> io::Result<Chunk> {
        let limit = self.shared.settings.limit();
        let mut state = self.help_while(|state| state.under_way >= limit)?;
        let (spare, more) = state.submit(chunk);
        drop(state);
        // The caller is one of the threads.
        self.told(more, self.shared.settings.threads - 1)?;
        Ok(spare)
    }

    /// The workers hear of a new chunk, and become more if all are busy.
    fn told(&mut self, more: bool, most: usize) -> io::Result<()> {
        if more && self.workers.len() < most {
            let shared = self.shared.clone();
            match spawn(move || work(&shared)) {
                Ok(worker) => self.workers.push(worker),
                Err(error) if self.workers.is_empty() => {
                    self.shared.fail(error);
                    return self.check();
                }
                // Fewer threads do the same work.
                Err(_) => {}
            }
        }
        self.shared.work.notify_one();
        Ok(())
    }

    /// Does what a worker does as long as `more` says so, and no longer than until the failure of the pipeline.
    fn help_while(
        &mut self,
        more: impl Fn(&State<X>) -> bool,
    ) -> io::Result<MutexGuard<'_, State<X>>> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        loop {
            state.check()?;
            if !more(&state) {
                // What this thread has just finished, it leaves to others rather than wait for the sink.
                if state.is_writable() {
                    shared.work.notify_one();
                }
                return Ok(state);
            }
            state = match shared.step(state, &mut self.compressor) {
                Step::Done(state) => state,
                Step::Nothing(state) => shared.progress.wait(state),
                Step::Failed => shared.lock(),
            };
        }
    }

    /// Works until all that was handed over has been written, and gives the way out to `visit`.
    pub(crate) fn visit<T>(
        &mut self,
        visit: impl FnOnce(&mut X) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.help_while(|state| state.under_way > 0)?;
        let Some(mut exit) = state.exit.take() else {
            return Err(io::Error::other("the sink panicked before"));
        };
        drop(state);
        let visited = guarded("the sink panicked", || visit(&mut exit));
        let mut state = self.shared.lock();
        state.exit = Some(exit);
        visited.map_err(|error| {
            state
                .failure
                .get_or_insert_with(|| Failure::new(error))
                .error()
        })
    }

    /// Ends the threads and gives the way out back, if it is whole.
    pub(crate) fn finish(mut self) -> Option<X> {
        self.shared.close();
        for worker in self.workers.drain(..) {
            // A panic of one has failed the pipeline, which the caller knows.
            let _ = worker.join();
        }
        self.shared.lock().exit.take()
    }
}

impl<X> Drop for Pipeline<X> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl<X> fmt::Debug for Pipeline<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl<X> Shared<X> {
    fn lock(&self) -> MutexGuard<'_, State<X>> {
        self.state.lock()
    }

    /// Ends the threads, whatever is under way.
    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let jobs = std::mem::take(&mut state.jobs);
        state.done.clear();
        let waker = state.waker.take();
        drop(state);
        self.work.notify_all();
        self.progress.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
        for Job { mut chunk, .. } in jobs {
            // The pipeline has ended already.
            let _ = let_go(&mut chunk);
        }
    }

    fn fail(&self, error: io::Error) {
        self.lock()
            .failure
            .get_or_insert_with(|| Failure::new(error));
        self.close();
    }
}

impl<X> State<X> {
    fn check(&mut self) -> io::Result<()> {
        match &mut self.failure {
            Some(failure) => Err(failure.error()),
            None => Ok(()),
        }
    }

    /// A buffer for the next chunk, and whether there are fewer idle workers than jobs.
    fn submit(&mut self, chunk: Chunk) -> (Chunk, bool) {
        let number = self.first + self.done.len() as u64;
        self.jobs.push_back(Job { number, chunk });
        self.done.push_back(None);
        self.under_way += 1;
        let spare = self.spare_chunks.pop().unwrap_or_default();
        (spare, self.jobs.len() > self.idle)
    }

    /// Whether the chunk whose turn it is could be written.
    fn is_writable(&self) -> bool {
        self.exit.is_some() && matches!(self.done.front(), Some(Some(_)))
    }

    /// The chunk whose turn it is, if it is finished.
    fn take(&mut self) -> Option<Output> {
        let output = self.done.front_mut()?.take()?;
        self.done.pop_front();
        self.first += 1;
        Some(output)
    }
}

/// What came of looking for something to do.
enum Step<'a, X> {
    Done(MutexGuard<'a, State<X>>),
    Nothing(MutexGuard<'a, State<X>>),
    Failed,
}

impl<X: Exit> Shared<X> {
    /// Writes what is finished, else compresses.
    fn step<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<X>>,
        compressor: &mut Option<Compressor>,
    ) -> Step<'a, X> {
        if let Some(mut exit) = state.exit.take() {
            if let Some(mut output) = state.take() {
                drop(state);
                let wrote = guarded("the sink panicked", || exit.write(&mut output));
                if let Err(error) = wrote {
                    // With the sink, which is of no use any more.
                    self.fail(error);
                    return Step::Failed;
                }
                state = self.lock();
                state.spare_outputs.push(output);
                state.under_way -= 1;
                state.exit = Some(exit);
                self.progress.notify_one();
                return Step::Done(state);
            }
            state.exit = Some(exit);
        }
        let Some(Job { number, mut chunk }) = state.jobs.pop_front() else {
            return Step::Nothing(state);
        };
        let mut output = state.spare_outputs.pop().unwrap_or_default();
        drop(state);
        let Settings { level, layout, .. } = self.settings;
        let compressed = guarded("the compressor panicked", || {
            compressor
                .get_or_insert_with(|| Compressor::new(level, layout))
                .compress(&chunk, &mut output);
            Ok(())
        });
        let gone = let_go(&mut chunk);
        if let Err(error) = compressed.and(gone) {
            self.fail(error);
            return Step::Failed;
        }
        state = self.lock();
        state.spare_chunks.push(chunk);
        let place = (number - state.first) as usize;
        // Not there any more if the pipeline was closed.
        if let Some(done) = state.done.get_mut(place) {
            *done = Some(output);
        }
        if place == 0
            && let Some(waker) = state.waker.take()
        {
            drop(state);
            waker.wake();
            state = self.lock();
        }
        Step::Done(state)
    }
}

/// A worker: writes what is finished, else compresses, else waits.
fn work<X: Exit>(shared: &Shared<X>) {
    let mut compressor = None;
    let mut state = shared.lock();
    while !state.closed {
        state = match shared.step(state, &mut compressor) {
            Step::Done(state) => state,
            Step::Nothing(mut state) => {
                state.idle += 1;
                state = shared.work.wait(state);
                state.idle -= 1;
                state
            }
            Step::Failed => return,
        };
    }
}

/// Lets go of the input; what is shared may be the last of its owner, who is then dropped.
fn let_go(chunk: &mut Chunk) -> io::Result<()> {
    guarded("the owner of shared bytes panicked", || {
        chunk.clear();
        Ok(())
    })
}

/// Foreign code runs here: the sink, the engines, and owners of shared bytes.
fn guarded<T>(panicked: &'static str, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(io::Error::other(panicked)))
}
