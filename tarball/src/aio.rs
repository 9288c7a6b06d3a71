//! The same for asynchronous readers and writers: file systems block, so the work is done by a blocking
//! thread of tokio, and only the bytes go through the task.

use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Spent, SyncSender as Spend, sync_channel};
use std::task::Poll;

use cap_std::fs::Dir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use crate::feed::Overdue;
use crate::unpack::{unpack_gz_then, unpack_then};
use crate::{
    FileList, FileListError, Limit, Limits, PackError, PackOptions, Packed, Tree, UnpackError,
    UnpackErrorKind, UnpackOptions, Unpacked,
};

/// As [`unpack`](crate::unpack()), from an asynchronous reader.
///
/// [`Limits::max_time`] and [`Limits::max_idle`] hold while the reader is silent, too.
///
/// # Cancellation safety
///
/// Dropping the future stops the unpacking at the next piece of input, as if the reader had failed there:
/// what was made stays or goes by [`UnpackOptions::on_failure`]. The thread that does it may need a moment
/// longer than the drop. The reader has then given up bytes that nobody will see.
///
/// # Errors
///
/// As [`unpack`](crate::unpack()).
///
/// # Panics
///
/// Outside a tokio runtime, and in one without a clock if there is a limit of time.
pub async fn unpack_async<R: AsyncRead + Unpin>(
    reader: R,
    into: &Dir,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    unpack_on_thread(reader, into, options, unpack_then).await
}

/// As [`unpack_async`], for a tar stream compressed with gzip.
///
/// # Errors
///
/// As [`unpack_gz`](crate::unpack_gz).
///
/// # Panics
///
/// As [`unpack_async`].
pub async fn unpack_gz_async<R: AsyncRead + Unpin>(
    reader: R,
    into: &Dir,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    unpack_on_thread(reader, into, options, unpack_gz_then).await
}

/// As [`pack`](crate::pack()), to an asynchronous writer.
///
/// # Cancellation safety
///
/// Dropping the future stops the packing at the next block. What the writer has by then is no whole
/// archive: it has no end mark.
///
/// # Errors
///
/// As [`pack`](crate::pack()).
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn pack_async<W: AsyncWrite + Unpin>(
    dir: &Dir,
    root: &str,
    writer: W,
    options: &PackOptions,
) -> Result<Packed, PackError> {
    open(dir, root).await?.pack_async(writer, options).await
}

/// As [`pack_async`], compressed with gzip.
///
/// # Errors
///
/// As [`pack_gz`](crate::pack_gz).
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn pack_gz_async<W: AsyncWrite + Unpin>(
    dir: &Dir,
    root: &str,
    writer: W,
    options: &PackOptions,
) -> Result<Packed, PackError> {
    open(dir, root).await?.pack_gz_async(writer, options).await
}

async fn open(dir: &Dir, root: &str) -> Result<Tree, PackError> {
    let failed = |source| PackError::Root {
        root: root.to_owned(),
        source,
    };
    let dir = dir.try_clone().map_err(failed)?;
    let name = root.to_owned();
    match spawn_blocking(move || Tree::open(&dir, &name)).await {
        Ok(tree) => tree,
        Err(error) => Err(failed(stopped(error))),
    }
}

impl Tree {
    /// As [`pack`](Self::pack), to an asynchronous writer; see [`pack_async`].
    ///
    /// # Errors
    ///
    /// As [`pack`](Self::pack).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn pack_async<W: AsyncWrite + Unpin>(
        self,
        mut writer: W,
        options: &PackOptions,
    ) -> Result<Packed, PackError> {
        let options = *options;
        let pack = move |blocks: Blocks| self.pack(blocks, &options);
        write_from_thread(&mut writer, pack, |source| PackError::Write { source }).await
    }

    /// As [`pack_gz`](Self::pack_gz), to an asynchronous writer; see [`pack_gz_async`].
    ///
    /// # Errors
    ///
    /// As [`pack`](Self::pack).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn pack_gz_async<W: AsyncWrite + Unpin>(
        self,
        mut writer: W,
        options: &PackOptions,
    ) -> Result<Packed, PackError> {
        let options = *options;
        let pack = move |blocks: Blocks| self.pack_gz(blocks, &options);
        write_from_thread(&mut writer, pack, |source| PackError::Write { source }).await
    }
}

impl FileList {
    /// As [`write_tar`](Self::write_tar), to an asynchronous writer. Content is read by a thread that may
    /// block. A dropped future leaves an archive without its end mark.
    ///
    /// # Errors
    ///
    /// As [`write_tar`](Self::write_tar).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn write_tar_async<W: AsyncWrite + Unpin>(
        &self,
        mut writer: W,
    ) -> Result<W, FileListError> {
        let list = self.clone();
        let write = move |blocks: Blocks| list.write_tar(blocks).map(drop);
        write_from_thread(&mut writer, write, |source| FileListError::Write { source }).await?;
        Ok(writer)
    }

    /// As [`write_tar_gz`](Self::write_tar_gz), to an asynchronous writer; see
    /// [`write_tar_async`](Self::write_tar_async).
    ///
    /// # Errors
    ///
    /// As [`write_tar_gz`](Self::write_tar_gz).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn write_tar_gz_async<W: AsyncWrite + Unpin>(
        &self,
        mut writer: W,
    ) -> Result<W, FileListError> {
        let list = self.clone();
        let write = move |blocks: Blocks| list.write_tar_gz(blocks).map(drop);
        write_from_thread(&mut writer, write, |source| FileListError::Write { source }).await?;
        Ok(writer)
    }
}

/// Either of the blocking ones.
type UnpackThen =
    fn(Pieces, &Dir, &UnpackOptions, &(dyn Fn() + Sync)) -> Result<Unpacked, UnpackError>;

async fn unpack_on_thread<R: AsyncRead + Unpin>(
    mut reader: R,
    into: &Dir,
    options: &UnpackOptions,
    unpack: UnpackThen,
) -> Result<Unpacked, UnpackError> {
    let failed = |error| {
        let kind = UnpackErrorKind::io("cannot unpack into", b".", error);
        UnpackError::new(kind, Unpacked::default())
    };
    let into = into.try_clone().map_err(failed)?;
    let options = *options;
    let (full, pieces) = channel(AHEAD);
    let (spend, spent) = sync_channel(AHEAD + 2);
    let reader_end = Pieces {
        pieces,
        spend,
        now: Vec::new(),
        pos: 0,
        ended: false,
    };
    let finished = Arc::new(Notify::new());
    let finish = Arc::clone(&finished);
    let thread =
        spawn_blocking(move || unpack(reader_end, &into, &options, &|| finish.notify_one()));
    pump(&mut reader, full, spent, &options.limits, &finished).await;
    match thread.await {
        Ok(result) => result,
        Err(error) => Err(failed(stopped(error))),
    }
}

/// Reads until the stream ends, time is up, or the other side wants no more.
async fn pump<R: AsyncRead + Unpin>(
    reader: &mut R,
    full: Sender<io::Result<Vec<u8>>>,
    spent: Spent<Vec<u8>>,
    limits: &Limits,
    finished: &Notify,
) {
    let end = Instant::now().checked_add(limits.max_time);
    loop {
        let idle = Instant::now().checked_add(limits.max_idle);
        let (until, overdue) = match (end, idle) {
            (Some(end), Some(idle)) if idle < end => {
                (Some(idle), Overdue(Limit::Idle, limits.max_idle))
            }
            (Some(end), _) => (Some(end), Overdue(Limit::Time, limits.max_time)),
            (None, idle) => (idle, Overdue(Limit::Idle, limits.max_idle)),
        };
        let mut buf = spent.try_recv().unwrap_or_default();
        buf.resize(PIECE, 0);
        let step = {
            let mut read = pin!(reader.read(&mut buf));
            let mut gone = pin!(finished.notified());
            let mut timer = pin!(async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            });
            poll_fn(|cx| {
                if gone.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Step::Gone);
                }
                if let Poll::Ready(result) = read.as_mut().poll(cx) {
                    return Poll::Ready(Step::Read(result));
                }
                timer.as_mut().poll(cx).map(|()| Step::Late)
            })
            .await
        };
        let piece = match step {
            Step::Read(Ok(n)) => {
                buf.truncate(n);
                Ok(buf)
            }
            Step::Read(Err(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
            Step::Read(Err(error)) => Err(error),
            Step::Gone => return,
            Step::Late => Err(io::Error::new(io::ErrorKind::TimedOut, overdue)),
        };
        // An empty piece is the end.
        let last = piece.as_ref().map_or(true, Vec::is_empty);
        if full.send(piece).await.is_err() || last {
            return;
        }
    }
}

/// What ended a wait for input.
enum Step {
    Read(io::Result<usize>),
    /// The other side wants no more.
    Gone,
    Late,
}

/// The thread's end of what is read.
struct Pieces {
    pieces: Receiver<io::Result<Vec<u8>>>,
    spend: Spend<Vec<u8>>,
    now: Vec<u8>,
    pos: usize,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.pos == self.now.len() && !self.ended {
            let Some(piece) = self.pieces.blocking_recv() else {
                // Without an end of its own: the future was dropped.
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    "unpacking was cancelled",
                ));
            };
            let spent = std::mem::replace(&mut self.now, piece?);
            drop(self.spend.try_send(spent));
            self.pos = 0;
            self.ended = self.now.is_empty();
        }
        let n = buf.len().min(self.now.len() - self.pos);
        buf[..n].copy_from_slice(&self.now[self.pos..self.pos + n]);
        self.pos += n;
        Ok(n)
    }
}

/// Writes what `make` makes on a thread.
async fn write_from_thread<W, T, E>(
    writer: &mut W,
    make: impl FnOnce(Blocks) -> Result<T, E> + Send + 'static,
    failed: impl Fn(io::Error) -> E,
) -> Result<T, E>
where
    W: AsyncWrite + Unpin,
    T: Send + 'static,
    E: Send + 'static,
{
    let (sender, mut blocks) = channel(AHEAD);
    let thread = spawn_blocking(move || make(Blocks(sender)));
    let mut written = Ok(());
    while let Some(block) = blocks.recv().await {
        written = writer.write_all(&block).await;
        if written.is_err() {
            break;
        }
    }
    // The thread fails at its next block, if it still runs.
    drop(blocks);
    let made = thread.await.map_err(|error| failed(stopped(error)));
    written.map_err(&failed)?;
    // Also after a failure: what there is of the stream shows that it is not whole.
    let flushed = writer.flush().await;
    let made = made??;
    flushed.map_err(failed)?;
    Ok(made)
}

/// The thread's end of what is written.
struct Blocks(Sender<Vec<u8>>);

impl Write for Blocks {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.0.blocking_send(buf.to_vec()) {
            Ok(()) => Ok(buf.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A panic goes on in the task; else the runtime is shutting down.
fn stopped(error: JoinError) -> io::Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => io::Error::new(io::ErrorKind::ConnectionAborted, error),
    }
}

const AHEAD: usize = 4;
const PIECE: usize = 64 << 10;
