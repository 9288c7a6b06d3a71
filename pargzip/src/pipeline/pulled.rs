//! The pipeline of a task: it takes finished chunks itself, and never waits.

use std::io;
use std::task::{Poll, Waker};

use super::{Exit, Pipeline};
use crate::member::{Chunk, Output};

/// Chunks are taken by the writing side, with [`Pipeline::poll_take`].
pub(crate) enum Pulled {}

impl Exit for Pulled {
    fn write(&mut self, _: &mut Output) -> io::Result<()> {
        match *self {}
    }
}

impl Pipeline<Pulled> {
    /// Whether there is room for a chunk.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.lock().under_way < self.shared.settings.limit()
    }

    /// Hands a chunk over without waiting.
    pub(crate) fn submit_now(&mut self, chunk: Chunk) -> io::Result<Chunk> {
        let mut state = self.shared.lock();
        state.check()?;
        let (spare, more) = state.submit(chunk);
        drop(state);
        self.told(more, self.shared.settings.threads)?;
        Ok(spare)
    }

    /// The next finished chunk; `None` if none is under way.
    pub(crate) fn poll_take(&self, waker: &Waker) -> Poll<io::Result<Option<Output>>> {
        let mut state = self.shared.lock();
        state.check()?;
        if state.under_way == 0 {
            return Poll::Ready(Ok(None));
        }
        if let Some(output) = state.take() {
            return Poll::Ready(Ok(Some(output)));
        }
        match &mut state.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        Poll::Pending
    }

    /// What [`Self::poll_take`] gave has been written.
    pub(crate) fn written(&self, output: Output) {
        let mut state = self.shared.lock();
        state.under_way -= 1;
        state.spare_outputs.push(output);
    }
}
