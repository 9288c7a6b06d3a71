//! Compressing on other threads what this one writes.

use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use flate2::{Compression, write::GzEncoder};

use crate::GzipLayout;

/// Compresses what `produce` writes, and writes that to `writer`, which therefore may be of any kind.
///
/// If anything fails, what was written is no whole gzip stream, whatever compressor and reader.
pub(crate) fn gzip<W: Write, T: Send, E: Send>(
    mut writer: W,
    level: u32,
    layout: GzipLayout,
    produce: impl FnOnce(&mut dyn Write) -> Result<T, E> + Send,
    failed: impl Fn(io::Error) -> E + Copy + Send,
) -> Result<T, E> {
    match layout {
        GzipLayout::Members => members(&mut writer, level, produce, failed),
        GzipLayout::Single => single(&mut writer, level, produce, failed),
    }
}

fn members<T: Send, E: Send>(
    writer: &mut impl Write,
    level: u32,
    produce: impl FnOnce(&mut dyn Write) -> Result<T, E> + Send,
    failed: impl Fn(io::Error) -> E + Copy + Send,
) -> Result<T, E> {
    let (send, blocks) = sync_channel(AHEAD);
    thread::scope(|scope| {
        let packing = thread::Builder::new()
            .name("tarball-pack".to_owned())
            .spawn_scoped(scope, move || {
                let mut gzip = pargzip::Builder::new().level(level).build(Sink(send));
                let made = produce(&mut gzip)?;
                gzip.finish().map_err(failed)?;
                Ok(made)
            })
            .map_err(failed)?;
        let mut broken = None;
        for block in &blocks {
            if let Err(error) = writer.write_all(&block) {
                broken = Some(error);
                break;
            }
        }
        // A compressor that still runs fails at this, and the packing with it.
        drop(blocks);
        let made = packing
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if let Some(error) = broken {
            return Err(failed(error));
        }
        match made {
            Ok(made) => {
                writer.flush().map_err(failed)?;
                Ok(made)
            }
            Err(error) => {
                // The members so far are complete in themselves; a header without its member says that
                // they are not all. If even that fails there is nothing left to say it to.
                drop(writer.write_all(LONE_HEADER).and_then(|()| writer.flush()));
                Err(error)
            }
        }
    })
}

fn single<T, E>(
    writer: &mut impl Write,
    level: u32,
    produce: impl FnOnce(&mut dyn Write) -> Result<T, E>,
    failed: impl Fn(io::Error) -> E,
) -> Result<T, E> {
    let gate = Gate { writer, open: true };
    let mut gzip = GzEncoder::new(gate, Compression::new(level));
    match produce(&mut gzip) {
        Ok(made) => {
            let gate = gzip.finish().map_err(&failed)?;
            gate.writer.flush().map_err(failed)?;
            Ok(made)
        }
        Err(error) => {
            gzip.get_mut().open = false;
            Err(error)
        }
    }
}

/// Hands blocks to the thread that has the writer.
struct Sink(SyncSender<Vec<u8>>);

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.0.send(buf.to_vec()) {
            Ok(()) => Ok(buf.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps an encoder that is dropped from ending its stream well after a failure.
struct Gate<'a, W> {
    writer: &'a mut W,
    open: bool,
}

impl<W: Write> Write for Gate<'_, W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if !self.open {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.writer.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

const AHEAD: usize = 2;
const LONE_HEADER: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\xff";
