//! Writing to the transport: by the driver, and by whoever writes to a stream.

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncWrite, WriteHalf};

use super::{Link, State};
use crate::{
    CloseReason, Stream,
    mux::{
        StreamError,
        batch::Batch,
        direct::{DIRECT, Frames},
        woken::Woken,
    },
    sync::{MUCH, MutexGuard},
};

/// Batches a task writes for others before it leaves the rest to the driver.
const ROUNDS: usize = 4;

/// Up to so many bytes are put together for one plain write: a vectored one of a few small pieces
/// takes the system a microsecond longer.
const SMALL: usize = 1024;

/// How much must have left, while that is not known.
pub(in crate::mux) const UNKNOWN: u64 = u64::MAX;

impl Link {
    /// Writes what is queued, as far as the transport takes it now. Leaves it to another task
    /// that is writing already, or to the driver.
    pub(super) fn flush(&self) {
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
            // Whoever waits for what is under way is not made to wait for more.
            if state.flushers.is_empty() || state.flushed == state.taken {
                state.session.transmit(&mut batch);
            }
            state.taken = state.written + batch.len() as u64;
            state.writing = true;
            state.take_woken(&mut wake);
            drop(state);
            wake.all();

            let progress = self.with_writer(&driver, |mut writer, cx| {
                let mut written = 0;
                while !batch.is_empty() {
                    let mut slots = Batch::slots();
                    let slices = batch.slices(&mut slots);
                    match write(writer.as_mut(), cx, slices) {
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
        state.taken = state.written + state.batch.len() as u64;
        state.full = true;
        match result {
            Ok(true) => {}
            Ok(false) => {
                state.full = false;
                state.set_flushed(&mut wake);
            }
            Err(error) => {
                state.failure = Some(CloseReason::from_io(error));
                state.wake_driver(&mut wake);
            }
        }
        let done = state.full || !state.has_output();
        let missed = mem::take(&mut state.missed) && state.full;
        if mem::take(&mut state.read_due) || missed || state.is_over() {
            state.wake_driver(&mut wake);
        }
        if done {
            state.give_turn(&mut wake);
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
    /// into the stream's queue, or waits for its turn if it is much. Gives how much, and whether
    /// all of that has left.
    pub(in crate::mux) fn poll_write(
        &self,
        id: u32,
        cx: &Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<(usize, bool)>> {
        if buf.is_empty() {
            return Poll::Ready(Ok((0, false)));
        }
        let mut state = self.state();
        let much = buf.len() >= MUCH;
        let mut begins = state.may_begin(id, much);
        if begins {
            let taken = match state.session.bypass(id, buf.len().min(DIRECT)) {
                Ok(taken) => taken,
                Err(error) => return self.cannot_write(id, state, error),
            };
            if taken > 0
                && let Some(driver) = state.driver.clone()
            {
                let mut before = mem::take(&mut state.batch);
                state.session.transmit(&mut before);
                state.taken = state.written + before.len() as u64;
                state.writing = true;
                state.leave_turns(id);
                let dialect = state.session.dialect();
                let mut wake = Woken::default();
                state.take_woken(&mut wake);
                drop(state);
                wake.all();
                let frames = Frames::new(dialect, id, &buf[..taken]);
                let (written, left) = self.bypass(before, &frames, &driver);
                if written > 0 {
                    return Poll::Ready(Ok((written, left)));
                }
                state = self.state();
                begins = state.is_clear();
            }
        }
        if much && !begins && state.session.may_wait(id) {
            let mut wake = Woken::default();
            state.wait_turn(id, cx, &mut wake);
            drop(state);
            wake.all();
            return Poll::Pending;
        }
        let written = match state.session.write(id, buf) {
            Ok(0) => {
                state.leave_turns(id);
                state.wait_writable(id, cx);
                // The peer may have to be told that its allowance is used up.
                let mut wake = Woken::default();
                if state.session.has_output() && state.is_clear() {
                    state.wake_driver(&mut wake);
                }
                state.give_turn(&mut wake);
                drop(state);
                wake.all();
                return Poll::Pending;
            }
            Ok(written) => written,
            Err(error) => return self.cannot_write(id, state, error),
        };
        state.leave_turns(id);
        let flush = state.is_clear();
        drop(state);
        if flush {
            self.flush();
        }
        Poll::Ready(Ok((written, false)))
    }

    /// Fails, and lets the next one write.
    fn cannot_write(
        &self,
        id: u32,
        mut state: MutexGuard<'_, State>,
        error: StreamError,
    ) -> Poll<io::Result<(usize, bool)>> {
        let error = self.stream_error(&state, error);
        let mut wake = Woken::default();
        state.leave_turns(id);
        state.give_turn(&mut wake);
        drop(state);
        wake.all();
        Poll::Ready(Err(error))
    }

    /// Writes frames past the queue, after the small ones of `before`. What the transport does not
    /// take of a frame that it has begun is kept. Gives the bytes of the frames that it has begun;
    /// the others are as if they had never been tried. And whether the transport has passed all
    /// on.
    fn bypass(&self, mut before: Batch, frames: &Frames<'_>, driver: &Waker) -> (usize, bool) {
        let mut own = 0;
        let progress = self.with_writer(driver, |mut writer, cx| {
            let mut written = 0;
            if before.is_empty() && frames.len() <= SMALL {
                let mut together = [0; SMALL];
                let len = frames.copy_to(&mut together);
                match writer.as_mut().poll_write(cx, &together[..len]) {
                    Poll::Ready(Ok(0)) => return (written, Err(hung_up())),
                    Poll::Ready(Ok(n)) => (own, written) = (n, n),
                    Poll::Ready(Err(error)) => return (written, Err(error)),
                    Poll::Pending => return (written, Ok(true)),
                }
            }
            while own < frames.len() {
                let mut slots = Batch::slots();
                let filled = before.slices(&mut slots).len();
                let mut end = filled;
                // Room is there unless a lot of small frames has to go first.
                if before.is_empty() || filled + Frames::SLICES <= slots.len() {
                    end += frames.slices(own, &mut slots[filled..]);
                }
                match write(writer.as_mut(), cx, &slots[..end]) {
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
        let left = matches!(progress, (_, Ok(false)));
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
        (begun, left)
    }

    /// Waits until everything that was written to a stream has left for the system's own queue,
    /// and with `finish` its end too. `point` belongs to the stream's handle: how much must have
    /// left, once it is known.
    pub(in crate::mux) fn poll_flush(
        &self,
        id: u32,
        cx: &Context<'_>,
        point: &mut u64,
        finish: bool,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if finish {
            state.session.finish(id);
        }
        if state.session.has_output() && state.is_clear() {
            drop(state);
            self.flush();
            state = self.state();
        }
        if *point == UNKNOWN && state.session.is_sent(id) {
            *point = state.taken;
        }
        if *point <= state.flushed {
            *point = UNKNOWN;
            return Poll::Ready(Ok(()));
        }
        if state.ended.is_some() {
            let error = StreamError::SessionEnded;
            return Poll::Ready(Err(self.stream_error(&state, error)));
        }
        if *point == UNKNOWN {
            state.wait_writable(id, cx);
        } else {
            state.flushers.insert(id, (*point, cx.waker().clone()));
        }
        Poll::Pending
    }
}

/// One write of the slices, as far as the transport takes them.
fn write(
    writer: Pin<&mut WriteHalf<Stream>>,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let len: usize = slices.iter().map(|slice| slice.len()).sum();
    if len > SMALL {
        return writer.poll_write_vectored(cx, slices);
    }
    let mut together = [0; SMALL];
    let mut end = 0;
    for slice in slices {
        together[end..end + slice.len()].copy_from_slice(slice);
        end += slice.len();
    }
    writer.poll_write(cx, &together[..end])
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
