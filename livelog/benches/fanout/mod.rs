//! The same job for this crate and for what one would write without it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use livelog::{Backing, Config};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, broadcast};
use tokio::task::{JoinSet, yield_now};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) readers: usize,
    pub(crate) chunk: usize,
    pub(crate) chunks: usize,
}

impl Load {
    /// Bytes in the log.
    pub(crate) fn written(self) -> usize {
        self.chunk * self.chunks
    }

    /// Bytes that all readers get together.
    pub(crate) fn delivered(self) -> usize {
        self.written() * self.readers
    }
}

/// Seconds from the first append.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) written: f64,
    pub(crate) all: f64,
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Readers first run until they wait, as those of a build that has just begun.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

async fn finish(load: Load, begun: Instant, written: f64, readers: JoinSet<usize>) -> Times {
    for read in readers.join_all().await {
        assert_eq!(read, load.written());
    }
    Times {
        written,
        all: begun.elapsed().as_secs_f64(),
    }
}

/// The writer gives way now and then, as one that reads from a socket does.
async fn pace(i: usize) {
    if i.is_multiple_of(16) {
        yield_now().await;
    }
}

pub(crate) async fn ours(load: Load, on_file: bool) -> Times {
    let backing = if on_file {
        let file = tempfile::tempfile().expect("a temporary file");
        Backing::File(file, livelog::DEFAULT_MEMORY_TAIL)
    } else {
        Backing::Memory
    };
    let (mut writer, log) = livelog::log(Config {
        backing,
        ..Config::default()
    });
    let mut readers = JoinSet::new();
    for _ in 0..load.readers {
        let mut reader = log.reader();
        readers.spawn(async move {
            let mut read = 0;
            while let Ok(Some(chunk)) = reader.next().await {
                read += chunk.data.len();
            }
            read
        });
    }
    settle().await;
    let data = Bytes::from(vec![b'x'; load.chunk]);
    let begun = Instant::now();
    let writing = tokio::spawn(async move {
        for i in 0..load.chunks {
            writer.append(data.clone()).expect("there is room");
            pace(i).await;
        }
        writer.finish();
        begun.elapsed().as_secs_f64()
    });
    let written = writing.await.expect("the writer does not panic");
    finish(load, begun, written, readers).await
}

/// The ring holds the whole log, so that nobody is told to have lagged.
pub(crate) async fn broadcast(load: Load) -> Times {
    let (sender, _) = broadcast::channel::<Bytes>(load.chunks);
    let mut readers = JoinSet::new();
    for _ in 0..load.readers {
        let mut receiver = sender.subscribe();
        readers.spawn(async move {
            let mut read = 0;
            while let Ok(data) = receiver.recv().await {
                read += data.len();
            }
            read
        });
    }
    settle().await;
    let data = Bytes::from(vec![b'x'; load.chunk]);
    let begun = Instant::now();
    let writing = tokio::spawn(async move {
        for i in 0..load.chunks {
            sender.send(data.clone()).expect("readers are there");
            pace(i).await;
        }
        drop(sender);
        begun.elapsed().as_secs_f64()
    });
    let written = writing.await.expect("the writer does not panic");
    finish(load, begun, written, readers).await
}

/// The obvious buffer, shaped like the Go original: one vector behind a lock; readers copy up to 32 KiB at a time.
pub(crate) async fn locked_vec(load: Load) -> Times {
    struct Buffer {
        state: Mutex<(Vec<u8>, bool)>,
        grown: Notify,
    }
    let buffer = Arc::new(Buffer {
        state: Mutex::default(),
        grown: Notify::new(),
    });
    let mut readers = JoinSet::new();
    for _ in 0..load.readers {
        let buffer = buffer.clone();
        readers.spawn(async move {
            let mut own = vec![0; 32 << 10];
            let mut read = 0;
            loop {
                let grown = buffer.grown.notified();
                let (now, closed) = {
                    let state = buffer.state.lock().unwrap_or_else(PoisonError::into_inner);
                    let now = (state.0.len() - read).min(own.len());
                    own[..now].copy_from_slice(&state.0[read..read + now]);
                    (now, state.1)
                };
                read += now;
                match (now, closed) {
                    (0, true) => return read,
                    (0, false) => grown.await,
                    _ => tokio::task::consume_budget().await,
                }
            }
        });
    }
    settle().await;
    let data = vec![b'x'; load.chunk];
    let begun = Instant::now();
    let writing = tokio::spawn(async move {
        let close = |last| {
            let mut state = buffer.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0.extend_from_slice(if last { &[] } else { &data });
            state.1 = last;
            drop(state);
            buffer.grown.notify_waiters();
        };
        for i in 0..load.chunks {
            close(false);
            pace(i).await;
        }
        close(true);
        begun.elapsed().as_secs_f64()
    });
    let written = writing.await.expect("the writer does not panic");
    finish(load, begun, written, readers).await
}
