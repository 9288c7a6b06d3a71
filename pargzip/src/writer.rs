use std::fmt;
use std::io::{self, Read, Write};

use bytes::Bytes;

use crate::chunker::Chunker;
use crate::failure::Failure;
use crate::member::{Chunk, Compressor, Output};
use crate::pipeline::{Exit, Pipeline, Settings};
use crate::tail::Tail;

/// Compresses what is written to it, in parallel, into a sink. Made by [`Builder::build`](crate::Builder::build).
///
/// **Call [`finish`](Self::finish) when all has been written.** A writer that is dropped without stops compressing and
/// writing as soon as the present chunk allows, logs an error through `tracing`, and leaves a file that every gunzip
/// reports as cut off: the end of each member is held back until the next one follows (or a
/// [`flush`](Write::flush) wants it). It does not panic.
///
/// With one thread, everything happens in the caller's. With more, whoever has finished a chunk writes it to the sink, one
/// at a time, in order; the caller's thread compresses and writes, too, while as many chunks are under way as allowed.
#[must_use = "what is not finished is cut off"]
pub struct Writer<W: Write + Send + 'static> {
    stage: Stage<W>,
    chunker: Chunker,
    settings: Settings,
}

enum Stage<W: Write + Send + 'static> {
    /// In the caller's thread: there is to be no other, or nothing has been handed over yet.
    Here(Box<Here<W>>),
    Parallel(Pipeline<Sink<W>>),
    Failed(Failure),
    /// While one becomes another.
    Done,
}

/// The sink, and what is held back from it.
struct Sink<W> {
    sink: W,
    tail: Tail,
}

struct Here<W> {
    sink: Sink<W>,
    /// Made when there is something to compress.
    compressor: Option<(Compressor, Output)>,
}

impl<W: Write + Send + 'static> Exit for Sink<W> {
    fn write(&mut self, output: &mut Output) -> io::Result<()> {
        let range = self.tail.follow(output);
        self.sink.write_all(output.bytes(range))
    }
}

impl<W: Write> Sink<W> {
    /// Makes all that came readable.
    fn flush(&mut self) -> io::Result<()> {
        let rest = self.tail.settle();
        self.end_with(&rest)
    }

    fn finish(&mut self) -> io::Result<()> {
        let rest = self.tail.end();
        self.end_with(&rest)
    }

    fn end_with(&mut self, rest: &[u8]) -> io::Result<()> {
        if !rest.is_empty() {
            self.sink.write_all(rest)?;
        }
        self.sink.flush()
    }
}

impl<W: Write + Send + 'static> Here<W> {
    fn compress(&mut self, chunk: &Chunk, settings: Settings) -> io::Result<()> {
        let (compressor, output) = self.compressor.get_or_insert_with(|| {
            (
                Compressor::new(settings.level, settings.layout),
                Output::default(),
            )
        });
        compressor.compress(chunk, output);
        self.sink.write(output)
    }
}

impl<W: Write + Send + 'static> Writer<W> {
    pub(crate) fn new(sink: W, settings: Settings) -> Self {
        let tail = Tail::new(settings.layout, settings.empty_output);
        Self {
            stage: Stage::Here(Box::new(Here {
                sink: Sink { sink, tail },
                compressor: None,
            })),
            chunker: Chunker::new(settings),
            settings,
        }
    }

    /// Compresses and writes what is left, flushes the sink, and gives it back.
    ///
    /// # Errors
    ///
    /// The first error of the sink, even if a write has returned it before (then with the same kind and text).
    pub fn finish(mut self) -> io::Result<W> {
        self.chunker.finished();
        if let Some(chunk) = self.chunker.last() {
            match &mut self.stage {
                Stage::Here(here) => here.compress(&chunk, self.settings)?,
                Stage::Parallel(pipeline) => drop(pipeline.submit(chunk)?),
                Stage::Failed(_) | Stage::Done => {}
            }
        }
        match self.stage {
            Stage::Here(mut here) => {
                here.sink.finish()?;
                Ok(here.sink.sink)
            }
            Stage::Parallel(mut pipeline) => {
                pipeline.visit(Sink::finish)?;
                let sink = pipeline.finish().ok_or_else(gone)?;
                Ok(sink.sink)
            }
            Stage::Failed(mut failure) => Err(failure.error()),
            Stage::Done => Err(gone()),
        }
    }

    /// Writes all that `reader` has, until its end, and tells how many bytes that were. Saves a copy of every byte, as
    /// against [`io::copy`].
    ///
    /// # Errors
    ///
    /// An error of the reader or of the sink. After one of the reader, writing can go on behind what was read before it.
    pub fn read_from(&mut self, reader: &mut (impl Read + ?Sized)) -> io::Result<u64> {
        let mut total = 0;
        loop {
            self.check()?;
            let read = self.chunker.read(reader);
            if self.chunker.is_full() {
                self.submit()?;
            }
            match read? {
                0 => return Ok(total),
                read => total += read,
            }
        }
    }

    /// Accepts all of `bytes`; saves a copy of every byte of whole chunks, as against
    /// [`write_all`](Write::write_all), and the memory for it.
    ///
    /// What is shared so is let go of chunk by chunk, as soon as each has been compressed.
    ///
    /// # Errors
    ///
    /// An error of the sink, as told by [`write`](Write::write).
    pub fn write_bytes(&mut self, mut bytes: Bytes) -> io::Result<()> {
        self.check()?;
        while !bytes.is_empty() {
            self.chunker.share(&mut bytes);
            if self.chunker.is_full() {
                self.submit()?;
            }
        }
        Ok(())
    }

    /// Bytes accepted so far.
    pub fn total_in(&self) -> u64 {
        self.chunker.total()
    }

    fn check(&mut self) -> io::Result<()> {
        match &mut self.stage {
            Stage::Here(_) => Ok(()),
            Stage::Parallel(pipeline) => pipeline.check(),
            Stage::Failed(failure) => Err(failure.error()),
            Stage::Done => Err(gone()),
        }
    }

    /// Hands the present chunk over.
    fn submit(&mut self) -> io::Result<()> {
        if self.settings.threads > 1 && matches!(self.stage, Stage::Here(_)) {
            self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Here(here) => Stage::Parallel(Pipeline::new(self.settings, Some(here.sink))),
                other => other,
            };
        }
        match &mut self.stage {
            Stage::Here(here) => {
                let result = here.compress(self.chunker.chunk(), self.settings);
                self.chunker.reuse();
                self.kept(result)
            }
            Stage::Parallel(pipeline) => {
                let chunk = self.chunker.take();
                self.chunker.give(pipeline.submit(chunk)?);
                Ok(())
            }
            Stage::Failed(failure) => Err(failure.error()),
            Stage::Done => Err(gone()),
        }
    }

    /// Keeps an error of the caller's thread for the calls to come.
    fn kept(&mut self, result: io::Result<()>) -> io::Result<()> {
        result.map_err(|error| {
            let mut failure = Failure::new(error);
            let error = failure.error();
            self.stage = Stage::Failed(failure);
            error
        })
    }
}

/// An error of the sink is returned by the first call that comes after it, and by all that follow; what has been accepted
/// since is lost.
impl<W: Write + Send + 'static> Write for Writer<W> {
    /// Accepts bytes; compresses a chunk or waits while those under way are as many as allowed.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.check()?;
        let accepted = self.chunker.extend(data);
        if self.chunker.is_full() {
            self.submit()?;
        }
        Ok(accepted)
    }

    /// Ends the present chunk, waits until it and all before it have been written, and flushes the sink.
    ///
    /// A reader then gets everything written so far. Each flush costs compression, so use it sparingly. A writer dropped
    /// right after a flush leaves a file that looks whole.
    fn flush(&mut self) -> io::Result<()> {
        if !self.chunker.is_empty() {
            self.submit()?;
        }
        match &mut self.stage {
            Stage::Here(here) => {
                let result = here.sink.flush();
                self.kept(result)
            }
            Stage::Parallel(pipeline) => pipeline.visit(Sink::flush),
            Stage::Failed(failure) => Err(failure.error()),
            Stage::Done => Err(gone()),
        }
    }
}

impl<W: Write + Send + 'static> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("settings", &self.settings)
            .field("total_in", &self.chunker.total())
            .finish_non_exhaustive()
    }
}

fn gone() -> io::Error {
    io::Error::other("the sink is gone after a panic")
}
