use std::fmt;
use std::io::{self, Write};

use crate::member::Members;
use crate::pipeline::{Pipeline, Settings};

/// Below this a chunk's buffer grows with its content; above, it is allocated whole.
const SMALL: usize = 64 << 10;

/// Compresses what is written to it, in parallel, into a sink. Made by [`Builder::build`](crate::Builder::build).
///
/// **Call [`finish`](Self::finish) when all has been written.** A writer that is dropped stops compressing and writing as
/// soon as the present chunk allows, says nothing and never panics; see the [crate documentation](crate) for what the sink
/// then holds.
pub struct Writer<W: Write + Send + 'static> {
    stage: Stage<W>,
    chunk: Vec<u8>,
    settings: Settings,
    empty_output: bool,
}

enum Stage<W> {
    /// Nothing has been handed over yet.
    Collecting(W),
    Running(Pipeline<W>),
    /// The threads could not be started, which an earlier call has said.
    Failed,
}

impl<W: Write + Send + 'static> Writer<W> {
    pub(crate) fn new(sink: W, settings: Settings, empty_output: bool) -> Self {
        Self {
            stage: Stage::Collecting(sink),
            chunk: Vec::new(),
            settings,
            empty_output,
        }
    }

    /// Compresses and writes what is left, flushes the sink, and gives it back.
    ///
    /// # Errors
    ///
    /// The first error of the sink, even if a write has returned it before (then with the same kind and text).
    pub fn finish(mut self) -> io::Result<W> {
        match self.stage {
            Stage::Collecting(mut sink) => {
                if !self.chunk.is_empty() || !self.empty_output {
                    let mut member = Vec::new();
                    Members::new(self.settings.level).write(&self.chunk, &mut member)?;
                    sink.write_all(&member)?;
                }
                sink.flush()?;
                Ok(sink)
            }
            Stage::Running(mut pipeline) => {
                if !self.chunk.is_empty() {
                    pipeline.submit(std::mem::take(&mut self.chunk))?;
                }
                pipeline.finish()
            }
            Stage::Failed => Err(threads_failed()),
        }
    }

    fn submit(&mut self) -> io::Result<()> {
        if let Stage::Collecting(_) = self.stage
            && let Stage::Collecting(sink) = std::mem::replace(&mut self.stage, Stage::Failed)
        {
            self.stage = Stage::Running(Pipeline::start(sink, self.settings)?);
        }
        match &mut self.stage {
            Stage::Running(pipeline) => {
                self.chunk = pipeline.submit(std::mem::take(&mut self.chunk))?;
                Ok(())
            }
            _ => Err(threads_failed()),
        }
    }
}

/// A sink error is returned by the first call that comes after it; what has been accepted since is lost.
impl<W: Write + Send + 'static> Write for Writer<W> {
    /// Accepts bytes; blocks while the chunks under way are as many as allowed.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &self.stage {
            Stage::Collecting(_) => {}
            Stage::Running(pipeline) => pipeline.check()?,
            Stage::Failed => return Err(threads_failed()),
        }
        let room = self.settings.chunk_size - self.chunk.len();
        let now = &data[..data.len().min(room)];
        if self.chunk.len() + now.len() > SMALL {
            self.chunk.reserve_exact(room);
        }
        self.chunk.extend_from_slice(now);
        if self.chunk.len() == self.settings.chunk_size {
            self.submit()?;
        }
        Ok(now.len())
    }

    /// Ends the present member, waits until it and all before it have been written, and flushes the sink.
    ///
    /// A reader then gets everything written so far. Each flush costs compression, so use it sparingly.
    fn flush(&mut self) -> io::Result<()> {
        if !self.chunk.is_empty() {
            self.submit()?;
        }
        match &mut self.stage {
            Stage::Collecting(sink) => sink.flush(),
            Stage::Running(pipeline) => pipeline.flush(),
            Stage::Failed => Err(threads_failed()),
        }
    }
}

impl<W: Write + Send + 'static> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("settings", &self.settings)
            .field("collected", &self.chunk.len())
            .finish_non_exhaustive()
    }
}

fn threads_failed() -> io::Error {
    io::Error::other("the compressing threads could not be started")
}
