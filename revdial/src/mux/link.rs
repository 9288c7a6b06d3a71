//! What the handles, the streams and the driver of one session share.

use std::{
    io, mem,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::BytesMut;
use tokio::io::{AsyncWrite, WriteHalf};

use super::{
    Config,
    batch::Batch,
    direct::{DIRECT, Frames},
    ids::ById,
    limits::{Goodbye, GoodbyeCode, ResetCode},
    session::{Event, Session},
    woken::Woken,
};
use crate::{
    CloseReason, Stream,
    reason::Ending,
    sync::{Mutex, MutexGuard},
    v2::link::is_hang_up,
};

/// Batches a task writes for others before it leaves the rest to the driver.
const ROUNDS: usize = 4;

pub(super) struct Link {
    pub(super) ending: Ending,
    pub(super) config: Config,
    state: Mutex<State>,
    /// Locked by whoever has set `State::writing`, never waited for while holding the state.
    writer: Mutex<Option<WriteHalf<Stream>>>,
}

pub(super) struct State {
    pub(super) session: Session,
    wakers: ById<Wakers>,
    acceptor: Option<Waker>,
    driver: Option<Waker>,
    /// The driver was woken and has not run since.
    driver_runs: bool,
    /// Taken out of the session and not yet written.
    batch: Batch,
    /// Some task is writing to the transport.
    writing: bool,
    /// The driver is reading from the transport, of which both halves have one lock.
    reading: bool,
    /// The driver would have read, if nobody had been writing.
    read_due: bool,
    /// The transport takes no more; it will wake the driver.
    full: bool,
    /// This end has not been closed.
    pub(super) may_open: bool,
    /// Streams may still be opened or come in.
    pub(super) open: bool,
    /// Bytes written so far, to see progress.
    pub(super) written: u64,
    pub(super) failure: Option<CloseReason>,
    /// The end of the session, for all who still have a stream.
    pub(super) ended: Option<CloseReason>,
    /// The round-trip time, smoothed.
    pub(super) rtt: Option<Duration>,
}

/// Whose turn it is when the driver would read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Now,
    /// Somebody's who is writing; the driver will be woken.
    Later,
    /// Nobody's: the session wants no input.
    Unwanted,
}

#[derive(Default)]
struct Wakers {
    read: Option<Waker>,
    write: Option<Waker>,
}

impl State {
    fn is_clear(&self) -> bool {
        !self.writing
            && !self.reading
            && !self.full
            && self.batch.is_empty()
            && self.driver.is_some()
    }

    pub(super) fn has_output(&self) -> bool {
        !self.batch.is_empty() || self.session.has_output()
    }

    /// Nobody is left who could use the session, and everything is sent.
    pub(super) fn is_over(&self) -> bool {
        !self.open && self.session.stream_count() == 0 && !self.has_output() && !self.writing
    }

    fn wake_driver(&mut self, wake: &mut Woken) {
        if !self.driver_runs {
            self.driver_runs = true;
            wake.add(self.driver.clone());
        }
    }

    /// Those who wait for what has happened.
    fn take_woken(&mut self, wake: &mut Woken) {
        while let Some(event) = self.session.next_event() {
            wake.add(match event {
                Event::Readable(id) => self.wakers.get_mut(&id).and_then(|w| w.read.take()),
                Event::Writable(id) => self.wakers.get_mut(&id).and_then(|w| w.write.take()),
                Event::Acceptable => self.acceptor.take(),
                Event::GoAway => {
                    // Nobody opens streams to those who leave, or gets any from them.
                    self.open = false;
                    self.acceptor.take()
                }
            });
        }
    }

    /// The peer's farewell, if it has said one, as a reason.
    pub(super) fn farewell(&self) -> Option<CloseReason> {
        let Goodbye { reason, .. } = self.session.goodbye()?;
        Some(CloseReason::Peer(
            (!reason.is_empty()).then(|| reason.clone()),
        ))
    }

    pub(super) fn wait_readable(&mut self, id: u32, cx: &Context<'_>) {
        set(&mut self.wakers.entry(id).or_default().read, cx);
    }

    fn wait_writable(&mut self, id: u32, cx: &Context<'_>) {
        set(&mut self.wakers.entry(id).or_default().write, cx);
    }

    pub(super) fn wait_acceptable(&mut self, cx: &Context<'_>) {
        set(&mut self.acceptor, cx);
    }

    pub(super) fn set_driver(&mut self, cx: &Context<'_>) {
        set(&mut self.driver, cx);
        self.driver_runs = false;
    }

    /// Forgets a stream's wakers with its handle.
    pub(super) fn release(&mut self, id: u32) {
        self.wakers.remove(&id);
        self.session.release(id);
    }
}

fn set(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *slot = Some(cx.waker().clone()),
    }
}

impl Link {
    pub(super) fn new(
        mut session: Session,
        config: Config,
        writer: WriteHalf<Stream>,
    ) -> Arc<Self> {
        session.limit_windows(Duration::ZERO);
        Arc::new(Self {
            ending: Ending::new(),
            config,
            state: Mutex::new(State {
                session,
                wakers: ById::default(),
                acceptor: None,
                driver: None,
                driver_runs: true,
                batch: Batch::new(),
                writing: false,
                reading: false,
                read_due: false,
                full: false,
                may_open: true,
                open: true,
                written: 0,
                failure: None,
                ended: None,
                rtt: None,
            }),
            writer: Mutex::new(Some(writer)),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Option<WriteHalf<Stream>>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes everyone whom the change concerns. Output that results is
    /// left to the driver, or to the next write if that is sooner: frames without data are cheap
    /// only in company.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut wake = Woken::default();
        let mut state = self.state();
        let paused = !state.session.wants_input();
        let result = change(&mut state);
        let resumed = paused && state.session.wants_input();
        let due = state.session.has_output() && state.is_clear();
        if resumed || due || state.is_over() {
            state.wake_driver(&mut wake);
        }
        state.take_woken(&mut wake);
        drop(state);
        wake.all();
        result
    }

    /// Whether the driver may read now. What others write meanwhile is left to it. If somebody is
    /// writing it is woken afterwards, instead of keeping a thread waiting; but with `at_once` it
    /// reads as soon as that write is over, and nobody can get in between again.
    pub(super) fn begin_read(&self, at_once: bool) -> Turn {
        let mut state = self.state();
        if !state.session.wants_input() {
            Turn::Unwanted
        } else if state.writing && !at_once {
            state.read_due = true;
            Turn::Later
        } else {
            state.reading = true;
            Turn::Now
        }
    }

    /// Nothing was read, or what was read is taken in.
    pub(super) fn end_read(&self) {
        let mut state = self.state();
        state.reading = false;
        let due = state.has_output();
        drop(state);
        if due {
            self.flush();
        }
    }

    /// The driver was woken: the transport may take bytes again.
    pub(super) fn driver_flush(&self) {
        let mut state = self.state();
        let due = mem::take(&mut state.full) || state.has_output();
        drop(state);
        if due {
            self.flush();
        }
    }

    /// Writes what is queued, as far as the transport takes it now. Leaves it to another task
    /// that is writing already, or to the driver.
    fn flush(&self) {
        for _ in 0..ROUNDS {
            let mut wake = Woken::default();
            let mut state = self.state();
            let Some(driver) = state.driver.clone() else {
                return;
            };
            if state.writing || state.reading || state.full || state.ended.is_some() {
                return;
            }
            let mut batch = mem::take(&mut state.batch);
            state.session.transmit(&mut batch);
            state.writing = true;
            state.take_woken(&mut wake);
            drop(state);
            wake.all();

            let progress = self.with_writer(&driver, |mut writer, cx| {
                let mut written = 0;
                while !batch.is_empty() {
                    let mut slots = Batch::slots();
                    let slices = batch.slices(&mut slots);
                    match writer.as_mut().poll_write_vectored(cx, slices) {
                        Poll::Ready(Ok(0)) => return (written, Err(hung_up())),
                        Poll::Ready(Ok(n)) => {
                            batch.advance(n);
                            written += n;
                        }
                        Poll::Ready(Err(error)) => return (written, Err(error)),
                        Poll::Pending => return (written, Ok(true)),
                    }
                }
                (written, flushed(writer, cx))
            });
            let done = self.wrote(progress, |state| state.batch = batch);
            if done {
                return;
            }
        }
        self.update(|_| ());
    }

    /// Ends a turn at writing. True when there is nothing more to do for now.
    fn wrote(
        &self,
        (written, result): (usize, io::Result<bool>),
        keep: impl FnOnce(&mut State),
    ) -> bool {
        let mut wake = Woken::default();
        let mut state = self.state();
        state.writing = false;
        state.written += written as u64;
        keep(&mut state);
        match result {
            Ok(full) => state.full = full,
            Err(error) => {
                state.full = true;
                state.failure = Some(CloseReason::from_io(error));
                state.wake_driver(&mut wake);
            }
        }
        let done = state.full || !state.has_output();
        if mem::take(&mut state.read_due) || state.is_over() {
            state.wake_driver(&mut wake);
        }
        drop(state);
        wake.all();
        done
    }

    /// Calls `f` with the transport and the driver as the task to wake.
    fn with_writer(
        &self,
        driver: &Waker,
        f: impl FnOnce(Pin<&mut WriteHalf<Stream>>, &mut Context<'_>) -> (usize, io::Result<bool>),
    ) -> (usize, io::Result<bool>) {
        match self.writer().as_mut() {
            Some(writer) => f(Pin::new(writer), &mut Context::from_waker(driver)),
            None => (0, Err(hung_up())),
        }
    }

    /// Writes for a stream: straight to the transport if nobody else is waiting for it, else
    /// into the stream's queue.
    pub(super) fn poll_write(
        &self,
        id: u32,
        cx: &Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut state = self.state();
        if state.is_clear() {
            let taken = match state.session.bypass(id, buf.len().min(DIRECT)) {
                Ok(taken) => taken,
                Err(error) => return Poll::Ready(Err(self.stream_error(&state, error))),
            };
            if taken > 0
                && let Some(driver) = state.driver.clone()
            {
                let mut before = mem::take(&mut state.batch);
                state.session.transmit(&mut before);
                state.writing = true;
                let dialect = state.session.dialect();
                drop(state);
                let frames = Frames::new(dialect, id, &buf[..taken]);
                let written = self.bypass(before, &frames, &driver);
                if written > 0 {
                    return Poll::Ready(Ok(written));
                }
                state = self.state();
            }
        }
        let written = match state.session.write(id, buf) {
            Ok(0) => {
                state.wait_writable(id, cx);
                // The peer may have to be told that its allowance is used up.
                let mut wake = Woken::default();
                if state.session.has_output() && state.is_clear() {
                    state.wake_driver(&mut wake);
                }
                drop(state);
                wake.all();
                return Poll::Pending;
            }
            Ok(written) => written,
            Err(error) => return Poll::Ready(Err(self.stream_error(&state, error))),
        };
        let flush = state.is_clear();
        drop(state);
        if flush {
            self.flush();
        }
        Poll::Ready(Ok(written))
    }

    /// Writes frames past the queue, after the small ones of `before`. What the transport does not
    /// take of a frame that it has begun is kept. Gives the bytes of the frames that it has begun;
    /// the others are as if they had never been tried.
    fn bypass(&self, mut before: Batch, frames: &Frames<'_>, driver: &Waker) -> usize {
        let mut own = 0;
        let progress = self.with_writer(driver, |mut writer, cx| {
            let mut written = 0;
            while own < frames.len() {
                let mut slots = Batch::slots();
                let filled = before.slices(&mut slots).len();
                let mut end = filled;
                // Room is there unless a lot of small frames has to go first.
                if before.is_empty() || filled + Frames::SLICES <= slots.len() {
                    end += frames.slices(own, &mut slots[filled..]);
                }
                match writer.as_mut().poll_write_vectored(cx, &slots[..end]) {
                    Poll::Ready(Ok(0)) => return (written, Err(hung_up())),
                    Poll::Ready(Ok(n)) => {
                        written += n;
                        let first = n.min(before.len());
                        before.advance(first);
                        own += n - first;
                    }
                    Poll::Ready(Err(error)) => return (written, Err(error)),
                    Poll::Pending => return (written, Ok(true)),
                }
            }
            (written, flushed(writer, cx))
        });
        let (begun, rest) = frames.begun(own);
        let done = self.wrote(progress, |state| {
            rest.for_each(|slice| before.copy(slice));
            state.batch = before;
            state
                .session
                .not_bypassed(frames.id, frames.payload.len() - begun);
        });
        if !done {
            // Others have queued something meanwhile.
            self.update(|_| ());
        }
        begun
    }

    /// Hands bytes of the transport to the session. True if somebody waited for them.
    pub(super) fn receive(&self, input: &mut BytesMut) -> Result<bool, CloseReason> {
        let mut wake = Woken::default();
        let mut state = self.state();
        state.reading = false;
        let result = state.session.receive(input);
        state.take_woken(&mut wake);
        let farewell = state.farewell();
        let last = state.session.goodbye().map(|goodbye| goodbye.code);
        drop(state);
        if let Some(farewell) = &farewell {
            self.ending.set(farewell.clone());
        }
        let woken = wake.any();
        wake.all();
        match (result, farewell) {
            (Err(error), _) => Err(CloseReason::Frames(error)),
            (Ok(()), Some(farewell)) if last != Some(GoodbyeCode::Drain) => Err(farewell),
            (Ok(()), _) => Ok(woken),
        }
    }

    /// Ends the session for everyone at once; only the first reason counts. Gives the transport
    /// back to be closed, and what is left of frames that were begun.
    pub(super) fn end(&self, reason: CloseReason) -> Option<(WriteHalf<Stream>, Batch)> {
        let writer = self.writer().take();
        let mut wake = Woken::default();
        let mut state = self.state();
        self.ending.set(reason.clone());
        state.ended.get_or_insert(reason);
        state.open = false;
        state.may_open = false;
        state.session.end();
        let batch = mem::take(&mut state.batch);
        wake.add(state.acceptor.take());
        for wakers in state.wakers.values_mut() {
            wake.add(wakers.read.take());
            wake.add(wakers.write.take());
        }
        state.wake_driver(&mut wake);
        drop(state);
        wake.all();
        writer.map(|writer| (writer, batch))
    }

    /// A stream's error with the reason of the session's end in it.
    pub(super) fn stream_error(&self, state: &State, error: super::StreamError) -> io::Error {
        use super::StreamError::{Finished, PeerReset, Reset, SessionEnded, Stopped};
        let kind = match &error {
            SessionEnded => {
                let reason = state.ended.as_ref().map(ToString::to_string);
                let reason = reason.unwrap_or_default();
                return io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    format!("revdial session ended before the stream did: {reason}"),
                );
            }
            PeerReset(reset) if reset.code == ResetCode::Refused => {
                io::ErrorKind::ConnectionRefused
            }
            Reset | PeerReset(_) => io::ErrorKind::ConnectionReset,
            Finished | Stopped => io::ErrorKind::BrokenPipe,
        };
        io::Error::new(kind, error)
    }
}

fn hung_up() -> io::Error {
    io::ErrorKind::WriteZero.into()
}

/// TLS and buffered transports keep bytes back until they are flushed. True if they still do.
fn flushed(writer: Pin<&mut WriteHalf<Stream>>, cx: &mut Context<'_>) -> io::Result<bool> {
    match writer.poll_flush(cx) {
        Poll::Ready(Ok(())) => Ok(false),
        Poll::Ready(Err(error)) => Err(error),
        Poll::Pending => Ok(true),
    }
}

impl CloseReason {
    pub(super) fn from_io(error: io::Error) -> Self {
        if is_hang_up(&error) {
            Self::Peer(None)
        } else {
            Self::Io(Arc::new(error))
        }
    }
}
