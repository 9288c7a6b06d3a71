use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::ring::Ring;
use crate::shared::Shared;
use crate::sync::{self, AtomicU64, Mutex, MutexGuard};

/// The largest piece that is read from the file at once. A reader that stalls holds one. Pieces end at multiples of this,
/// so that readers that are near each other soon ask for the same ones.
const FILE_PIECE: u64 = 128 << 10;

/// How many pieces are shared by readers that ask for them one shortly after the other: 1 MiB. A crowd that fell behind
/// together gets on together, without a read for each of them.
const RECENT: usize = 8;

/// Threads that read one log's file at the same time. The page cache answers most reads, at gigabytes a second; readers
/// that catch up should not take all CPUs from those who keep up.
const READ_WORKERS: usize = 1;

/// A log's file. All access is positioned; the file's own cursor is never used.
#[derive(Debug)]
pub(crate) struct FileStore {
    file: Arc<Placed>,
    queue: Arc<Mutex<Queue>>,
}

/// The file, and where in it the bytes of the log are.
#[derive(Debug)]
struct Placed {
    file: File,
    ring: Option<Ring>,
    /// In a ring, bytes below this offset (and not in the head) may be overwritten at any time.
    lost_end: AtomicU64,
}

/// Reads that readers wait for.
///
/// The first request starts a worker on a blocking thread, which goes on until the queue is empty. Requests belong to
/// the queue, not to the readers' futures: a reader that is no longer polled cannot keep others from being served.
#[derive(Debug, Default)]
struct Queue {
    requests: Vec<Request>,
    /// Those that are served now, by offset: one read after the other answers everybody who waits for the same piece. Later
    /// requests wait for the next round, so nobody is passed over for ever.
    round: VecDeque<Request>,
    workers: usize,
    /// What the workers have read last.
    recent: VecDeque<(u64, Bytes)>,
}

#[derive(Debug)]
struct Request {
    offset: u64,
    len: usize,
    reply: oneshot::Sender<io::Result<Bytes>>,
}

impl FileStore {
    pub(crate) fn new(file: File, ring: Option<Ring>) -> Self {
        let file = Placed {
            file,
            ring,
            lost_end: AtomicU64::new(0),
        };
        Self {
            file: Arc::new(file),
            queue: Arc::default(),
        }
    }

    /// Bytes before `lost_end` will be overwritten by the next write: reads of them that have begun count for nothing.
    pub(crate) fn lose(&self, lost_end: u64) {
        self.file.lost_end.store(lost_end, Ordering::SeqCst);
    }

    pub(crate) fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let file = &self.file.file;
        let Some(ring) = &self.file.ring else {
            return write(file, data, offset);
        };
        for span in ring.spans(offset, data.len()) {
            write(file, &data[span.data], span.at)?;
        }
        Ok(())
    }

    /// Writes what will be visible soon, at `offset`, which is the length of the log.
    pub(crate) fn append(&self, shared: &Shared, data: [&[u8]; 2], offset: u64) -> io::Result<()> {
        let [first, second] = data;
        let middle = offset + first.len() as u64;
        let len = middle + second.len() as u64;
        if let Some(lost_end) = shared.lock().kept.make_room(len) {
            self.lose(lost_end);
        }
        self.write_all_at(first, offset)?;
        self.write_all_at(second, middle)
    }

    /// Removes what a failed write left behind `len`, if the system lets us.
    pub(crate) fn cut_back(&self, len: u64) {
        if self.file.ring.is_none() {
            let _ = self.file.file.set_len(len);
        }
    }

    pub(crate) fn sync_blocking(&self) -> io::Result<()> {
        self.file.file.sync_data()
    }

    pub(crate) async fn sync(&self) -> io::Result<()> {
        let Ok(runtime) = Handle::try_current() else {
            return self.sync_blocking();
        };
        let file = self.file.clone();
        let synced = runtime.spawn_blocking(move || file.file.sync_data());
        synced.await.map_err(io::Error::other)?
    }

    /// Starts reading some of the next `len` bytes at `offset`; none means that they have been lost meanwhile. Dropping the
    /// receiver withdraws a request that has not begun.
    pub(crate) fn read(&self, offset: u64, len: u64) -> oneshot::Receiver<io::Result<Bytes>> {
        let (reply, receiver) = oneshot::channel();
        let mut len = len.min(FILE_PIECE - offset % FILE_PIECE);
        if let Some(ring) = &self.file.ring {
            len = len.min(ring.in_one_piece(offset));
        }
        let request = Request {
            offset,
            len: len as usize,
            reply,
        };
        let mut queue = lock(&self.queue);
        if let Some(data) = queue.recent(&request) {
            let _ = request.reply.send(Ok(data));
            return receiver;
        }
        queue.requests.push(request);
        if queue.workers < READ_WORKERS {
            queue.workers += 1;
            drop(queue);
            let worker = Worker {
                file: self.file.clone(),
                queue: self.queue.clone(),
                has_left: false,
            };
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn_blocking(move || worker.run())),
                // If no thread can be had, the worker is dropped, which fails the requests.
                Err(_) => drop(sync::spawn("livelog-read", move || worker.run())),
            }
        }
        receiver
    }
}

#[derive(Debug)]
struct Worker {
    file: Arc<Placed>,
    queue: Arc<Mutex<Queue>>,
    has_left: bool,
}

impl Worker {
    fn run(mut self) {
        loop {
            let mut queue = lock(&self.queue);
            let Some(request) = queue.pop() else {
                // Under the same lock: who adds a request now starts another worker.
                queue.workers -= 1;
                self.has_left = true;
                return;
            };
            let known = queue.recent(&request);
            drop(queue);
            if request.reply.is_closed() {
                continue;
            }
            let answer = match known {
                Some(data) => Ok(data),
                None => self.read(&request),
            };
            let _ = request.reply.send(answer);
        }
    }

    fn read(&self, request: &Request) -> io::Result<Bytes> {
        let Placed {
            file,
            ring,
            lost_end,
        } = &*self.file;
        let mut data = lock(&self.queue).buffer();
        data.resize(request.len, 0);
        match ring {
            None => read_piece(file, request.offset, &mut data)?,
            Some(ring) => {
                let read = read_piece(file, ring.place(request.offset), &mut data);
                // Asked after the read: the writer says what it will overwrite before it does.
                if ring.is_lost(request.offset, lost_end.load(Ordering::SeqCst)) {
                    return Ok(Bytes::new());
                }
                read?;
            }
        }
        let data = data.freeze();
        let recent = (request.offset, data.clone());
        lock(&self.queue).recent.push_back(recent);
        Ok(data)
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Request> {
        if self.round.is_empty() {
            self.requests.sort_by_key(|request| request.offset);
            self.round.extend(self.requests.drain(..));
        }
        self.round.pop_front()
    }

    /// For the next piece: that of one read before which nobody holds any more, or a new one.
    fn buffer(&mut self) -> BytesMut {
        if self.recent.len() < RECENT {
            return BytesMut::new();
        }
        let unused = self.recent.iter().position(|(_, data)| data.is_unique());
        let oldest = self.recent.remove(unused.unwrap_or(0));
        oldest
            .and_then(|(_, data)| data.try_into_mut().ok())
            .unwrap_or_default()
    }

    /// What was asked for, if it is part of what was just read.
    fn recent(&self, request: &Request) -> Option<Bytes> {
        self.recent.iter().rev().find_map(|(offset, data)| {
            let begin = usize::try_from(request.offset.checked_sub(*offset)?).ok()?;
            let end = begin.checked_add(request.len)?;
            (end <= data.len()).then(|| data.slice(begin..end))
        })
    }
}

/// For a worker that never had its turn because the runtime shuts down, or for which there was no thread.
impl Drop for Worker {
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        let mut queue = lock(&self.queue);
        queue.workers -= 1;
        if queue.workers == 0 {
            // Dropping the requests tells their readers.
            let abandoned = (
                std::mem::take(&mut queue.requests),
                std::mem::take(&mut queue.round),
            );
            drop(queue);
            drop(abandoned);
        }
    }
}

fn write(file: &File, data: &[u8], at: u64) -> io::Result<()> {
    sync::file_access();
    let written = os::write_all_at(file, data, at);
    sync::file_access();
    written
}

fn read_piece(file: &File, offset: u64, data: &mut [u8]) -> io::Result<()> {
    sync::file_access();
    let mut filled = 0;
    while filled < data.len() {
        match os::read_at(file, &mut data[filled..], offset + filled as u64) {
            // Somebody shortened the file.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    sync::file_access();
    Ok(())
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
mod os {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    pub(super) fn read_at(file: &File, data: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(data, offset)
    }

    pub(super) fn write_all_at(file: &File, data: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(data, offset)
    }
}

#[cfg(windows)]
mod os {
    use std::fs::File;
    use std::io;
    use std::os::windows::fs::FileExt;

    pub(super) fn read_at(file: &File, data: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(data, offset)
    }

    pub(super) fn write_all_at(file: &File, mut data: &[u8], mut offset: u64) -> io::Result<()> {
        while !data.is_empty() {
            match file.seek_write(data, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    data = &data[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(content: &[u8]) -> FileStore {
        let store = FileStore::new(tempfile::tempfile().unwrap(), None);
        store.write_all_at(content, 0).unwrap();
        store
    }

    fn worker(store: &FileStore) -> Worker {
        Worker {
            file: store.file.clone(),
            queue: store.queue.clone(),
            has_left: false,
        }
    }

    /// What happens when the runtime stops before it begins with a worker.
    #[test]
    fn workers_that_never_run_fail_their_requests() {
        let store = store(b"0123456789");
        lock(&store.queue).workers = READ_WORKERS;
        let mut answer = store.read(0, 10);
        assert!(matches!(
            answer.try_recv(),
            Err(oneshot::error::TryRecvError::Empty)
        ));
        drop(worker(&store));
        assert!(matches!(
            answer.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        ));
        // The next request starts a new one.
        let answer = store.read(3, 10);
        assert!(
            answer.blocking_recv().unwrap().is_err(),
            "longer than the file"
        );
        let answer = store.read(3, 7);
        assert_eq!(answer.blocking_recv().unwrap().unwrap(), "3456789");
    }

    /// A request that came while the last worker was leaving used to be dropped with it.
    #[test]
    fn requests_while_workers_leave() {
        let store = store(&[7; 1000]);
        for i in 0..5000 {
            // Not among those read last, so a worker is needed.
            let len = 1 + i % 900;
            let answer = store.read(i % 100, len).blocking_recv();
            assert_eq!(answer.unwrap().unwrap().len() as u64, len);
            lock(&store.queue).recent.clear();
        }
    }

    #[test]
    fn equal_requests_share_one_read() {
        let store = store(b"0123456789");
        lock(&store.queue).workers = READ_WORKERS;
        let long = store.read(2, 5);
        let short = store.read(2, 3);
        let other = store.read(3, 3);
        drop(store.read(0, 10));
        worker(&store).run();
        let data =
            |answer: oneshot::Receiver<io::Result<Bytes>>| answer.blocking_recv().unwrap().unwrap();
        let (long, short, other) = (data(long), data(short), data(other));
        assert_eq!(
            (&long[..], &short[..], &other[..]),
            (&b"23456"[..], &b"234"[..], &b"345"[..])
        );
        assert_eq!(long.as_ptr(), short.as_ptr());
        assert_eq!(lock(&store.queue).workers, READ_WORKERS - 1);
        // Known already: no worker is needed.
        let mut known = store.read(4, 2);
        assert_eq!(known.try_recv().unwrap().unwrap(), "45");
    }

    #[test]
    fn requests_are_served_in_rounds_by_offset() {
        let store = store(b"");
        lock(&store.queue).workers = READ_WORKERS;
        let mut answers = Vec::from([7, 3, 5].map(|offset| store.read(offset, 1)));
        let mut order = Vec::new();
        loop {
            let next = lock(&store.queue).pop();
            let Some(request) = next else {
                break;
            };
            order.push(request.offset);
            if order.len() == 1 {
                answers.extend([4, 1].map(|offset| store.read(offset, 1)));
            }
        }
        assert_eq!(order, [3, 5, 7, 1, 4]);
    }
}
