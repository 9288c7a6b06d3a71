//! A list as a stream.

use std::fmt;
use std::io::{self, Read, Write};

use super::{Content, FileList, FileListError, Item, ItemKind};
use crate::encode;

/// The tar stream of a [`FileList`], made as it is read.
///
/// Errors are [`FileListError`]s inside [`io::Error`], repeated on every later read: a stream that
/// failed never seems to end well.
pub struct TarStream {
    list: FileList,
    next: usize,
    /// Header or padding being handed out.
    chunk: Vec<u8>,
    pos: usize,
    body: Option<Body>,
    state: State,
}

struct Body {
    reader: Content,
    left: u64,
}

enum State {
    Entries,
    End,
    Failed,
}

impl Read for TarStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if self.pos < self.chunk.len() {
                let n = buf.len().min(self.chunk.len() - self.pos);
                buf[..n].copy_from_slice(&self.chunk[self.pos..self.pos + n]);
                self.pos += n;
                return Ok(n);
            }
            if let Some(body) = &mut self.body {
                match body.read(buf, &self.list.entries[self.next - 1]) {
                    Ok(Some(n)) => return Ok(n),
                    Ok(None) => self.end_body(),
                    Err(error) => return Err(self.fail(error)),
                }
                continue;
            }
            match self.state {
                State::Entries => {}
                State::End => return Ok(0),
                State::Failed => return Err(io::Error::other("the archive could not be made")),
            }
            if let Err(error) = self.begin() {
                return Err(self.fail(error));
            }
        }
    }
}

impl TarStream {
    pub(super) fn new(list: FileList) -> Self {
        Self {
            list,
            next: 0,
            chunk: Vec::new(),
            pos: 0,
            body: None,
            state: State::Entries,
        }
    }

    fn begin(&mut self) -> Result<(), FileListError> {
        self.chunk.clear();
        self.pos = 0;
        let Some(item) = self.list.entries.get(self.next) else {
            self.chunk.extend_from_slice(encode::end());
            self.state = State::End;
            return Ok(());
        };
        self.next += 1;
        item.header(&mut self.chunk);
        if let ItemKind::File(left, source) = &item.kind {
            let reader = source.open().map_err(|source| FileListError::Content {
                name: item.name.clone(),
                source,
            })?;
            self.body = Some(Body {
                reader,
                left: *left,
            });
        }
        Ok(())
    }

    fn end_body(&mut self) {
        self.body = None;
        self.pos = 0;
        self.chunk.clear();
        let size = self.list.entries[self.next - 1].size();
        self.chunk.extend_from_slice(encode::padding(size));
    }

    fn fail(&mut self, error: FileListError) -> io::Error {
        self.body = None;
        self.chunk.clear();
        self.pos = 0;
        self.state = State::Failed;
        io::Error::other(error)
    }
}

impl Body {
    /// `None` at the end, where it was meant to be.
    fn read(&mut self, buf: &mut [u8], item: &Item) -> Result<Option<usize>, FileListError> {
        let expected = item.size();
        // One more byte than declared is asked for, to find out whether there is one.
        let mut probe = [0];
        let room = match usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buf.len())
        {
            0 => &mut probe[..],
            n => &mut buf[..n],
        };
        let n = loop {
            match self.reader.read(room) {
                Ok(n) => break n.min(room.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(FileListError::Content {
                        name: item.name.clone(),
                        source,
                    });
                }
            }
        };
        match (n, self.left) {
            (0, 0) => Ok(None),
            (0, left) => Err(FileListError::Short {
                name: item.name.clone(),
                expected,
                actual: expected - left,
            }),
            (_, 0) => Err(FileListError::Long {
                name: item.name.clone(),
                expected,
            }),
            (n, _) => {
                self.left -= n as u64;
                Ok(Some(n))
            }
        }
    }
}

impl fmt::Debug for TarStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarStream")
            .field("entries", &self.list.len())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Not flushed: the writer may be a compressor.
pub(super) fn copy<W: Write>(mut stream: TarStream, mut writer: W) -> Result<W, FileListError> {
    let mut buf = vec![0; BUFFER];
    loop {
        let n = match stream.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) => return Err(unwrap(error)),
        };
        writer
            .write_all(&buf[..n])
            .map_err(|source| FileListError::Write { source })?;
    }
    Ok(writer)
}

/// The error a [`TarStream`] put into an [`io::Error`].
fn unwrap(error: io::Error) -> FileListError {
    match error.downcast() {
        Ok(error) => error,
        Err(source) => FileListError::Content {
            name: String::new(),
            source,
        },
    }
}

const BUFFER: usize = 64 << 10;
