//! What the handles, the streams and the driver of one session share.

use std::{
    collections::HashMap,
    io, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::BytesMut;
use tokio::io::{AsyncWrite, WriteHalf};

use super::{
    Config,
    batch::Batch,
    frame::{HEADER_LEN, Header},
    session::{Event, Session},
};
use crate::{CloseReason, Stream, link::is_hang_up, reason::Ending};

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
    wakers: HashMap<u32, Wakers>,
    acceptor: Option<Waker>,
    driver: Option<Waker>,
    /// Taken out of the session and not yet written.
    batch: Batch,
    /// Some task is writing to the transport.
    writing: bool,
    /// The transport takes no more; it will wake the driver.
    full: bool,
    /// Somebody may still open or accept streams.
    pub(super) open: bool,
    /// Bytes written so far, to see progress.
    pub(super) written: u64,
    pub(super) failure: Option<CloseReason>,
    /// The end of the session, for all who still have a stream.
    pub(super) ended: Option<CloseReason>,
}

#[derive(Default)]
struct Wakers {
    read: Option<Waker>,
    write: Option<Waker>,
}

impl State {
    fn is_clear(&self) -> bool {
        !self.writing && !self.full && self.batch.is_empty() && self.driver.is_some()
    }

    pub(super) fn has_output(&self) -> bool {
        !self.batch.is_empty() || self.session.has_output()
    }

    /// Nobody is left who could use the session, and everything is sent.
    pub(super) fn is_over(&self) -> bool {
        !self.open && self.session.stream_count() == 0 && !self.has_output() && !self.writing
    }

    fn wake_driver(&self, wake: &mut Vec<Waker>) {
        wake.extend(self.driver.clone());
    }

    /// Those who wait for what has happened.
    fn take_woken(&mut self, wake: &mut Vec<Waker>) {
        while let Some(event) = self.session.next_event() {
            wake.extend(match event {
                Event::Readable(id) => self.wakers.get_mut(&id).and_then(|w| w.read.take()),
                Event::Writable(id) => self.wakers.get_mut(&id).and_then(|w| w.write.take()),
                Event::Acceptable => self.acceptor.take(),
            });
        }
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
    pub(super) fn new(session: Session, config: Config, writer: WriteHalf<Stream>) -> Arc<Self> {
        Arc::new(Self {
            ending: Ending::new(),
            config,
            state: Mutex::new(State {
                session,
                wakers: HashMap::new(),
                acceptor: None,
                driver: None,
                batch: Batch::new(),
                writing: false,
                full: false,
                open: true,
                written: 0,
                failure: None,
                ended: None,
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
    /// written at once if the transport takes it.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut wake = Vec::new();
        let mut state = self.state();
        let paused = !state.session.wants_input();
        let result = change(&mut state);
        let resumed = paused && state.session.wants_input();
        if resumed || state.is_over() {
            state.wake_driver(&mut wake);
        }
        let flush = state.session.has_output() && state.is_clear();
        state.take_woken(&mut wake);
        drop(state);
        wake.into_iter().for_each(Waker::wake);
        if flush {
            self.flush();
        }
        result
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
            let mut wake = Vec::new();
            let mut state = self.state();
            let Some(driver) = state.driver.clone() else {
                return;
            };
            if state.writing || state.full || state.ended.is_some() {
                return;
            }
            let mut batch = mem::take(&mut state.batch);
            state.session.transmit(&mut batch);
            state.writing = true;
            state.take_woken(&mut wake);
            drop(state);
            wake.into_iter().for_each(Waker::wake);

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
            let done = self.wrote(progress, |kept| *kept = batch);
            if done {
                return;
            }
        }
        let driver = self.state().driver.clone();
        driver.into_iter().for_each(Waker::wake);
    }

    /// Ends a turn at writing. True when there is nothing more to do for now.
    fn wrote(
        &self,
        (written, result): (usize, io::Result<bool>),
        keep: impl FnOnce(&mut Batch),
    ) -> bool {
        let mut wake = Vec::new();
        let mut state = self.state();
        state.writing = false;
        state.written += written as u64;
        keep(&mut state.batch);
        match result {
            Ok(full) => state.full = full,
            Err(error) => {
                state.full = true;
                state.failure = Some(CloseReason::from_io(error));
                state.wake_driver(&mut wake);
            }
        }
        let done = state.full || !state.has_output();
        if state.is_over() {
            state.wake_driver(&mut wake);
        }
        drop(state);
        wake.into_iter().for_each(Waker::wake);
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
        let header = match state.session.bypass(id, buf.len()) {
            Ok(header) => header.filter(|_| state.is_clear()),
            Err(error) => return Poll::Ready(Err(self.stream_error(&state, error))),
        };
        if let (Some(header), Some(driver)) = (header, state.driver.clone()) {
            state.writing = true;
            drop(state);
            let taken = self.bypass(header, &driver, &buf[..usize::from(header.len)]);
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
            state = self.state();
        }
        let written = match state.session.write(id, buf) {
            Ok(0) => {
                state.wait_writable(id, cx);
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

    /// Writes one frame past the queue. What the transport does not take of it is kept; if it
    /// takes nothing at all, nothing has happened.
    fn bypass(&self, header: Header, driver: &Waker, payload: &[u8]) -> usize {
        let head = header.to_bytes();
        let progress = self.with_writer(driver, |mut writer, cx| {
            let mut written = 0;
            while written < HEADER_LEN + payload.len() {
                let slices = [
                    io::IoSlice::new(&head[written.min(HEADER_LEN)..]),
                    io::IoSlice::new(&payload[written.saturating_sub(HEADER_LEN)..]),
                ];
                let from = usize::from(written >= HEADER_LEN);
                match writer.as_mut().poll_write_vectored(cx, &slices[from..]) {
                    Poll::Ready(Ok(0)) => return (written, Err(hung_up())),
                    Poll::Ready(Ok(n)) => written += n,
                    Poll::Ready(Err(error)) => return (written, Err(error)),
                    Poll::Pending => return (written, Ok(true)),
                }
            }
            (written, flushed(writer, cx))
        });
        let written = progress.0;
        let done = self.wrote(progress, |batch| {
            if written > 0 {
                batch.copy(&head[written.min(HEADER_LEN)..]);
                batch.copy(&payload[written.saturating_sub(HEADER_LEN)..]);
            }
        });
        if !done {
            // Others have queued something meanwhile.
            driver.wake_by_ref();
        }
        if written > 0 { payload.len() } else { 0 }
    }

    /// Hands bytes of the transport to the session.
    pub(super) fn receive(&self, input: &mut BytesMut) -> Result<(), CloseReason> {
        let mut wake = Vec::new();
        let mut state = self.state();
        let result = state.session.receive(input);
        state.take_woken(&mut wake);
        drop(state);
        wake.into_iter().for_each(Waker::wake);
        result.map_err(CloseReason::Frames)
    }

    /// Ends the session for everyone at once; only the first reason counts. Gives the transport
    /// back to be closed.
    pub(super) fn end(&self, reason: CloseReason) -> Option<WriteHalf<Stream>> {
        let mut state = self.state();
        self.ending.set(reason.clone());
        state.ended.get_or_insert(reason);
        state.open = false;
        state.session.end();
        state.batch = Batch::new();
        let mut wake: Vec<_> = state.acceptor.take().into_iter().collect();
        for wakers in state.wakers.values_mut() {
            wake.extend(wakers.read.take());
            wake.extend(wakers.write.take());
        }
        state.wake_driver(&mut wake);
        drop(state);
        wake.into_iter().for_each(Waker::wake);
        self.writer().take()
    }

    /// A stream's error with the reason of the session's end in it.
    pub(super) fn stream_error(&self, state: &State, error: super::StreamError) -> io::Error {
        use super::StreamError::{Finished, Reset, SessionEnded};
        let kind = match error {
            SessionEnded => {
                let reason = state.ended.as_ref().map(ToString::to_string);
                let reason = reason.unwrap_or_default();
                return io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    format!("revdial session ended before the stream did: {reason}"),
                );
            }
            Reset => io::ErrorKind::ConnectionReset,
            Finished => io::ErrorKind::BrokenPipe,
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
