use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::member::Members;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) level: u32,
    pub(crate) threads: usize,
    pub(crate) chunk_size: usize,
}

/// The threads between the writer and its sink: workers that compress chunks, and one emitter that writes the members in
/// the order of the chunks.
///
/// Dropping it stops them as soon as what they are in the middle of is done.
#[derive(Debug)]
pub(crate) struct Pipeline<W> {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    emitter: Option<JoinHandle<Option<W>>>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    state: Mutex<State>,
    /// Set with `State::failure`, to be seen without the lock.
    failed: AtomicBool,
    /// For workers: there is a job, or an end.
    job: Condvar,
    /// For the emitter: the next member is there, or a flush is wanted, or an end.
    member: Condvar,
    /// For the writer: something was emitted or flushed, or failed.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Members not yet taken by the emitter, in order; `None` while being compressed. The first has number `first`.
    members: VecDeque<Option<Vec<u8>>>,
    first: u64,
    /// Chunks submitted and not yet written to the sink.
    under_way: usize,
    idle_workers: usize,
    flush: bool,
    /// No more chunks will come.
    closed: bool,
    failure: Option<Failure>,
    spare_inputs: Vec<Vec<u8>>,
    spare_outputs: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Job {
    number: u64,
    input: Vec<u8>,
}

/// Why nothing goes on.
#[derive(Debug)]
struct Failure {
    /// For the first who asks.
    error: Option<io::Error>,
    kind: io::ErrorKind,
    text: String,
}

impl<W: Write + Send + 'static> Pipeline<W> {
    /// Starts the emitter; workers start as there is work for them.
    pub(crate) fn start(sink: W, settings: Settings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            settings,
            state: Mutex::default(),
            failed: AtomicBool::new(false),
            job: Condvar::new(),
            member: Condvar::new(),
            progress: Condvar::new(),
        });
        let emitter = thread::Builder::new().name("pargzip sink".into()).spawn({
            let shared = shared.clone();
            move || emit(&shared, sink)
        })?;
        Ok(Self {
            shared,
            workers: Vec::new(),
            emitter: Some(emitter),
        })
    }

    /// The failure that the pipeline has met, if any.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.shared.failed.load(Ordering::Acquire) {
            return Err(self.shared.lock().error());
        }
        Ok(())
    }

    /// Hands a chunk over, waiting until there is room for it. Returns a buffer for the next one.
    pub(crate) fn submit(&mut self, input: Vec<u8>) -> io::Result<Vec<u8>> {
        let limit = 2 * self.shared.settings.threads + 1;
        let mut state = self.shared.lock();
        state = self
            .shared
            .wait_while(state, |state| state.under_way >= limit)?;
        let number = state.first + state.members.len() as u64;
        state.jobs.push_back(Job { number, input });
        state.members.push_back(None);
        state.under_way += 1;
        let more_workers = state.jobs.len() > state.idle_workers;
        let spare = state.spare_inputs.pop();
        drop(state);
        if more_workers
            && self.workers.len() < self.shared.settings.threads
            && let Err(error) = self.add_worker()
        {
            self.shared.fail(error);
            return Err(self.shared.lock().error());
        }
        self.shared.job.notify_one();
        Ok(spare.unwrap_or_else(|| Vec::with_capacity(self.shared.settings.chunk_size)))
    }

    fn add_worker(&mut self) -> io::Result<()> {
        let shared = self.shared.clone();
        let started = thread::Builder::new()
            .name("pargzip".into())
            .spawn(move || work(&shared));
        match started {
            Ok(worker) => self.workers.push(worker),
            Err(error) if self.workers.is_empty() => return Err(error),
            // Fewer threads do the same work.
            Err(_) => {}
        }
        Ok(())
    }

    /// Waits until all that was submitted has been written and the sink flushed.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.flush = true;
        self.shared.member.notify_one();
        self.shared.wait_while(state, |state| state.flush).map(drop)
    }

    /// Waits until everything has been written, flushes, ends the threads and gives the sink back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        self.shared.close();
        let sink = self
            .emitter
            .take()
            .and_then(|emitter| emitter.join().ok().flatten());
        for worker in self.workers.drain(..) {
            // A worker that panicked has failed the pipeline, and so the flush above.
            let _ = worker.join();
        }
        sink.ok_or_else(|| self.shared.lock().error())
    }
}

impl<W> Drop for Pipeline<W> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for progress as long as `more` says so, and no longer than until the failure of the pipeline.
    fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        more: impl Fn(&State) -> bool,
    ) -> io::Result<MutexGuard<'a, State>> {
        let mut state = self
            .progress
            .wait_while(state, |state| state.failure.is_none() && more(state))
            .unwrap_or_else(PoisonError::into_inner);
        if state.failure.is_some() {
            return Err(state.error());
        }
        Ok(state)
    }

    /// Ends the threads, whatever is under way.
    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let unused = (
            std::mem::take(&mut state.jobs),
            std::mem::take(&mut state.members),
        );
        drop(state);
        drop(unused);
        self.job.notify_all();
        self.member.notify_all();
    }

    fn fail(&self, error: io::Error) {
        let mut state = self.lock();
        if state.failure.is_none() {
            state.failure = Some(Failure {
                kind: error.kind(),
                text: error.to_string(),
                error: Some(error),
            });
        }
        self.failed.store(true, Ordering::Release);
        drop(state);
        self.close();
        self.progress.notify_all();
    }
}

impl State {
    fn error(&mut self) -> io::Error {
        match &mut self.failure {
            Some(failure) => failure
                .error
                .take()
                .unwrap_or_else(|| io::Error::new(failure.kind, failure.text.clone())),
            None => io::Error::other("the compressor was stopped"),
        }
    }
}

/// Fails the pipeline if its thread panics, so that nobody waits for that thread.
struct OnPanic<'a>(&'a Shared, &'static str);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(io::Error::other(self.1));
        }
    }
}

fn work(shared: &Shared) {
    let _guard = OnPanic(shared, "the compressor panicked");
    let mut members = Members::new(shared.settings.level);
    let mut state = shared.lock();
    loop {
        let Some(Job { number, mut input }) = state.jobs.pop_front() else {
            if state.closed {
                return;
            }
            state.idle_workers += 1;
            state = shared
                .job
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle_workers -= 1;
            continue;
        };
        let mut output = state.spare_outputs.pop().unwrap_or_default();
        drop(state);
        if let Err(error) = members.write(&input, &mut output) {
            return shared.fail(error);
        }
        input.clear();
        state = shared.lock();
        state.spare_inputs.push(input);
        let place = (number - state.first) as usize;
        // Not there any more if the pipeline was closed.
        if let Some(member) = state.members.get_mut(place) {
            *member = Some(output);
            if place == 0 {
                shared.member.notify_one();
            }
        }
    }
}

/// Gives the sink back unless it failed.
fn emit<W: Write>(shared: &Shared, mut sink: W) -> Option<W> {
    let _guard = OnPanic(shared, "the sink panicked");
    let mut state = shared.lock();
    loop {
        if let Some(Some(_)) = state.members.front() {
            let member = state.members.pop_front().flatten().unwrap_or_default();
            state.first += 1;
            drop(state);
            if let Err(error) = sink.write_all(&member) {
                shared.fail(error);
                return None;
            }
            state = shared.lock();
            state.spare_outputs.push(member);
            state.under_way -= 1;
            shared.progress.notify_one();
        } else if state.closed {
            return Some(sink);
        } else if state.flush && state.under_way == 0 {
            drop(state);
            if let Err(error) = sink.flush() {
                shared.fail(error);
                return None;
            }
            state = shared.lock();
            state.flush = false;
            shared.progress.notify_one();
        } else {
            state = shared
                .member
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
