//! Reading on one thread and writing files on another.
//!
//! The caller's reader stays on the caller's thread, so it need not be `Send`; the files are written
//! by a thread of the same scope. Buffers go round: as many as [`AHEAD`] are filled before the writing
//! side takes them.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::buffered::UNPACKED;
use crate::feed::Feed;
use crate::{TarFault, UnpackErrorKind};

/// What is done with a stream, by whichever thread.
pub(crate) trait Work: Sync {
    type Done: Send;
    fn run(&self, feed: impl Feed) -> Self::Done;
}

/// Does the work on another thread, over what this one takes from `feed`.
pub(crate) fn piped<W: Work>(mut feed: impl Feed, work: &W) -> W::Done {
    let (fill, full) = sync_channel(AHEAD);
    let (spend, spent) = sync_channel(AHEAD + 2);
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("tarball-unpack".to_owned())
            .spawn_scoped(scope, move || {
                work.run(Piped {
                    full,
                    spend,
                    compressed: None,
                    ended: false,
                })
            });
        let Ok(worker) = worker else {
            // No thread to be had: one after the other, then.
            return work.run(feed);
        };
        pump(&mut feed, &fill, &spent);
        drop(fill);
        worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

enum Piece {
    Bytes {
        buf: Vec<u8>,
        len: usize,
        compressed: Option<u64>,
    },
    End,
    Fault(UnpackErrorKind),
}

/// Fills buffers until the stream ends or nobody wants them.
fn pump(feed: &mut impl Feed, fill: &SyncSender<Piece>, spent: &Receiver<Vec<u8>>) {
    loop {
        let mut buf = spent.try_recv().unwrap_or_else(|_| vec![0; UNPACKED]);
        let piece = match feed.fill(&mut buf) {
            Ok(0) => Piece::End,
            Ok(len) => Piece::Bytes {
                buf,
                len,
                compressed: feed.compressed(),
            },
            Err(kind) => Piece::Fault(kind),
        };
        let last = !matches!(piece, Piece::Bytes { .. });
        if fill.send(piece).is_err() || last {
            return;
        }
    }
}

/// The end of the pipe where the other thread takes what was filled.
struct Piped {
    full: Receiver<Piece>,
    spend: SyncSender<Vec<u8>>,
    compressed: Option<u64>,
    ended: bool,
}

impl Feed for Piped {
    fn fill(&mut self, buf: &mut Vec<u8>) -> Result<usize, UnpackErrorKind> {
        if self.ended {
            return Ok(0);
        }
        match self.full.recv() {
            Ok(Piece::Bytes {
                buf: filled,
                len,
                compressed,
            }) => {
                self.compressed = compressed;
                let spent = std::mem::replace(buf, filled);
                // If there are enough on their way back already, this one is not needed.
                drop(self.spend.try_send(spent));
                Ok(len)
            }
            Ok(Piece::End) => {
                self.ended = true;
                Ok(0)
            }
            Ok(Piece::Fault(kind)) => Err(kind),
            // The reading side panicked; nobody will see this.
            Err(_) => Err(TarFault::Read(io::ErrorKind::BrokenPipe.into()).into()),
        }
    }

    fn compressed(&self) -> Option<u64> {
        self.compressed
    }
}

const AHEAD: usize = 4;
