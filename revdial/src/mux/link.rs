//! What the handles, the streams and the driver of one session share.

use std::{
    io, mem,
    sync::{Arc, PoisonError},
    task::{Context, Waker},
    time::Duration,
};

use bytes::BytesMut;
use tokio::io::WriteHalf;

use super::{
    Config,
    batch::Batch,
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

mod turns;
mod write;

use turns::Turns;

pub(super) use write::UNKNOWN;

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
    turns: Turns,
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
    /// The driver ran while somebody was writing. If that is what the transport woke it for, nobody
    /// had told it yet that the transport was full.
    missed: bool,
    /// The transport takes no more; it will wake the driver.
    full: bool,
    /// This end has not been closed.
    pub(super) may_open: bool,
    /// Streams may still be opened or come in.
    pub(super) open: bool,
    /// Bytes written so far, to see progress.
    pub(super) written: u64,
    /// The same with those of the batch.
    taken: u64,
    /// What `taken` was when the transport had last passed everything on.
    flushed: u64,
    /// Writers that wait for `flushed` to reach a point.
    flushers: ById<(u64, Waker)>,
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

    /// Whether the driver has to look around: something has happened that is not only data.
    fn needs_care(&self) -> bool {
        self.has_output()
            || self.full
            || self.session.has_pong()
            || self.ended.is_some()
            || self.failure.is_some()
            || self.is_over()
            || self.wants_watch()
    }

    /// Gives the turn at reading out, if it is free.
    fn next_turn(&mut self, at_once: bool) -> Turn {
        if !self.session.wants_input() {
            Turn::Unwanted
        } else if self.writing && !at_once {
            self.read_due = true;
            Turn::Later
        } else {
            self.reading = true;
            Turn::Now
        }
    }

    /// Everything that was taken has left.
    fn set_flushed(&mut self, wake: &mut Woken) {
        self.flushed = self.taken;
        for (_, (_, waker)) in self
            .flushers
            .extract_if(|_, (point, _)| *point <= self.flushed)
        {
            wake.add(Some(waker));
        }
    }

    /// Forgets a stream's wakers with its handle.
    pub(super) fn release(&mut self, id: u32) {
        self.wakers.remove(&id);
        self.flushers.remove(&id);
        self.skip_turn(Some(id));
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
                turns: Turns::default(),
                driver: None,
                driver_runs: true,
                batch: Batch::new(),
                writing: false,
                reading: false,
                read_due: false,
                missed: false,
                full: false,
                may_open: true,
                open: true,
                written: 0,
                taken: 0,
                flushed: 0,
                flushers: ById::default(),
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
        state.give_turn(&mut wake);
        state.take_woken(&mut wake);
        drop(state);
        wake.all();
        result
    }

    /// The driver runs: writes what is due, since the transport may take bytes again, and gives it
    /// its turn at reading. What others write meanwhile is left to it. If somebody is writing it is
    /// woken afterwards, instead of keeping a thread waiting; but with `at_once` it reads as soon
    /// as that write is over, and nobody can get in between again.
    pub(super) fn begin_read(&self, cx: &Context<'_>, at_once: bool) -> Turn {
        let mut state = self.state();
        set(&mut state.driver, cx);
        state.driver_runs = false;
        state.missed |= state.writing;
        if mem::take(&mut state.full) || state.has_output() {
            drop(state);
            self.flush();
            state = self.state();
        }
        state.next_turn(at_once)
    }

    /// Nothing was read. Whether there is something to look after.
    pub(super) fn end_read(&self) -> bool {
        let mut state = self.state();
        state.reading = false;
        if state.has_output() {
            drop(state);
            self.flush();
            return true;
        }
        let mut wake = Woken::default();
        state.give_turn(&mut wake);
        let care = state.needs_care();
        drop(state);
        wake.all();
        care
    }

    /// Hands bytes of the transport to the session, writes what that has called for, and gives
    /// the next turn at reading. True if somebody waited for the bytes.
    pub(super) fn receive(&self, input: &mut BytesMut) -> Result<(bool, Turn), CloseReason> {
        let mut wake = Woken::default();
        let mut state = self.state();
        state.reading = false;
        let result = state.session.receive(input);
        state.take_woken(&mut wake);
        let farewell = state.farewell();
        let last = state.session.goodbye().map(|goodbye| goodbye.code);
        let due = state.has_output();
        let mut turn = Turn::Later;
        if result.is_ok() && !due {
            turn = state.next_turn(false);
        }
        drop(state);
        if let Some(farewell) = &farewell {
            self.ending.set(farewell.clone());
        }
        let woken = wake.any();
        wake.all();
        match (result, farewell) {
            (Err(error), _) => return Err(CloseReason::Frames(error)),
            (Ok(()), Some(farewell)) if last != Some(GoodbyeCode::Drain) => return Err(farewell),
            (Ok(()), _) => {}
        }
        if due {
            self.flush();
            turn = self.state().next_turn(false);
        }
        Ok((woken, turn))
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
        for (_, (_, waker)) in state.flushers.drain() {
            wake.add(Some(waker));
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

impl CloseReason {
    pub(super) fn from_io(error: io::Error) -> Self {
        if is_hang_up(&error) {
            Self::Peer(None)
        } else {
            Self::Io(Arc::new(error))
        }
    }
}
