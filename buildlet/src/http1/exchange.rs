//! One request and its answer.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::chunks::{BodyError, Decoder, Step};
use super::head::{BodyLength, Head};
use super::reply::{Framing, Reply, field};
use super::{Abort, Limits, Wire, write_all};

/// Most bytes of following requests kept while an answer is produced.
const READ_AHEAD: usize = 64 * 1024;

/// One request, whose body can be read and which is to be answered once.
#[derive(Debug)]
pub struct Exchange<T> {
    /// `None` once the connection is switched to another protocol.
    wire: Option<Wire<T>>,
    head: Head,
    decoder: Decoder,
    body_failed: bool,
    continue_owed: bool,
    close: bool,
    answer: Answer,
    limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    None,
    Begun,
    Complete,
}

pub(super) enum Next<T> {
    Again(Wire<T>),
    Close(Wire<T>),
    Switched,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Exchange<T> {
    pub(super) fn new(wire: Wire<T>, head: Head, limits: Limits) -> Self {
        Self {
            decoder: Decoder::new(head.body),
            continue_owed: head.expects_continue() && head.body != BodyLength::Sized(0),
            close: !head.keep_alive(),
            wire: Some(wire),
            head,
            body_failed: false,
            answer: Answer::None,
            limits,
        }
    }

    /// The request's head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answer != Answer::None
    }

    /// The next piece of the request body, `None` after the last. Asks for the body first if the client
    /// waits to be asked.
    ///
    /// Cancel safe: a dropped call loses no bytes.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        let result = self.next_chunk().await;
        self.body_failed |= result.is_err();
        result
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some(wire) = &mut self.wire else {
            return Err(BodyError::Truncated);
        };
        if self.continue_owed {
            self.continue_owed = false;
            let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
            if let Err(Abort::Io(error)) = write_all(&mut wire.writer, go_on, &self.limits).await {
                return Err(BodyError::Io(error));
            }
        }
        loop {
            match self.decoder.step(&mut wire.buf)? {
                Step::Data(data) => return Ok(Some(data)),
                Step::End => return Ok(None),
                Step::More if wire.eof => return Err(BodyError::Truncated),
                Step::More => {}
            }
            wire.buf.reserve(32 * 1024);
            match timeout(self.limits.body_idle, wire.reader.read_buf(&mut wire.buf)).await {
                Ok(Ok(0)) => wire.eof = true,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(BodyError::Io(error)),
                Err(_) => return Err(BodyError::Stalled),
            }
        }
    }

    /// Sends a whole answer.
    pub async fn reply(&mut self, reply: Reply) -> Result<(), Abort> {
        self.settle().await?;
        let wire = self.wire.as_mut().ok_or(Abort::Misuse)?;
        let bare = self.head.method == "HEAD";
        let bytes = reply.encode(Framing::Sized, bare, self.close);
        write_all(&mut wire.writer, &bytes, &self.limits).await?;
        self.answer = Answer::Complete;
        Ok(())
    }

    /// Sends the head of an answer at once and gives the two ends to go on with: where the body goes, and
    /// what tells that the client went away.
    pub async fn stream(&mut self, head: Reply) -> Result<(Output<'_, T>, Peer<'_, T>), Abort> {
        self.settle().await?;
        let framing = if self.head.http11 {
            Framing::Chunked
        } else {
            self.close = true;
            Framing::Close
        };
        let wire = self.wire.as_mut().ok_or(Abort::Misuse)?;
        let bytes = head.encode(framing, false, self.close);
        write_all(&mut wire.writer, &bytes, &self.limits).await?;
        self.answer = Answer::Begun;
        let output = Output {
            writer: &mut wire.writer,
            answer: &mut self.answer,
            limits: &self.limits,
            chunked: framing == Framing::Chunked,
            bare: self.head.method == "HEAD",
            scratch: Vec::new(),
        };
        let peer = Peer {
            reader: &mut wire.reader,
            buf: &mut wire.buf,
            eof: &mut wire.eof,
            discard: !self.decoder.is_done(),
        };
        Ok((output, peer))
    }

    /// Answers 101 with the given head and hands over the raw connection with the bytes read ahead.
    pub async fn switch(&mut self, head: Reply) -> Result<(T, Bytes), Abort>
    where
        T: Send + 'static,
    {
        if self.answer != Answer::None {
            return Err(Abort::Misuse);
        }
        let mut wire = self.wire.take().ok_or(Abort::Misuse)?;
        let bytes = head.encode(Framing::None, true, false);
        write_all(&mut wire.writer, &bytes, &self.limits).await?;
        self.answer = Answer::Complete;
        Ok((wire.reader.unsplit(wire.writer), wire.buf.freeze()))
    }

    /// Makes sure the connection is at the end of the request, or will be closed after the answer.
    async fn settle(&mut self) -> Result<(), Abort> {
        if self.answer != Answer::None {
            return Err(Abort::Misuse);
        }
        // A client that still waits for leave to send its body will now not send it, or send it into a
        // connection that closes: either way the end of this request cannot be found.
        if self.continue_owed || self.body_failed {
            self.close = true;
        }
        let mut left = self.limits.skip;
        while !self.close && !self.decoder.is_done() {
            match self.chunk().await {
                Ok(Some(data)) if data.len() <= left => left -= data.len(),
                Ok(None) => break,
                Ok(Some(_)) | Err(_) => self.close = true,
            }
        }
        Ok(())
    }

    pub(super) fn into_wire(self) -> Next<T> {
        match self.wire {
            None => Next::Switched,
            Some(wire) if self.close || self.answer != Answer::Complete || wire.eof => {
                Next::Close(wire)
            }
            Some(wire) => Next::Again(wire),
        }
    }
}

/// Where the body of a streamed answer goes.
#[derive(Debug)]
pub struct Output<'a, T> {
    writer: &'a mut WriteHalf<T>,
    answer: &'a mut Answer,
    limits: &'a Limits,
    chunked: bool,
    bare: bool,
    scratch: Vec<u8>,
}

impl<T: AsyncRead + AsyncWrite> Output<'_, T> {
    /// Sends bytes and flushes them. Empty input sends nothing.
    ///
    /// Not cancel safe: a dropped call may leave half a chunk on the wire, so cut the connection then.
    pub async fn write(&mut self, data: &[u8]) -> Result<(), Abort> {
        if data.is_empty() || self.bare {
            return Ok(());
        }
        if !self.chunked {
            return write_all(self.writer, data, self.limits).await;
        }
        // One copy is cheaper than three writes, each of which may become a TLS record of its own.
        self.scratch.clear();
        self.scratch
            .extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
        self.scratch.extend_from_slice(data);
        self.scratch.extend_from_slice(b"\r\n");
        write_all(self.writer, &self.scratch, self.limits).await
    }

    /// Ends the body and sends the trailers, asked for or not.
    pub async fn finish(self, trailers: &[(&str, String)]) -> Result<(), Abort> {
        if self.chunked && !self.bare {
            let mut end = b"0\r\n".to_vec();
            for (name, value) in trailers {
                field(&mut end, name, value);
            }
            end.extend_from_slice(b"\r\n");
            write_all(self.writer, &end, self.limits).await?;
        }
        *self.answer = Answer::Complete;
        Ok(())
    }
}

/// The client, watched while it is being answered.
#[derive(Debug)]
pub struct Peer<'a, T> {
    reader: &'a mut ReadHalf<T>,
    buf: &'a mut BytesMut,
    eof: &'a mut bool,
    discard: bool,
}

/// How a client went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It closed its side.
    Closed,
    /// The connection failed.
    Failed,
    /// It sent more than 64 KiB of further requests without waiting for this answer.
    Flood,
}

impl<T: AsyncRead + AsyncWrite> Peer<'_, T> {
    /// Waits until the client is gone. Bytes of a following request are kept.
    ///
    /// Cancel safe.
    pub async fn gone(&mut self) -> Gone {
        loop {
            if *self.eof {
                return Gone::Closed;
            }
            if self.discard {
                self.buf.clear();
            }
            if self.buf.len() >= READ_AHEAD {
                return Gone::Flood;
            }
            self.buf.reserve(4096);
            match self.reader.read_buf(self.buf).await {
                Ok(0) => *self.eof = true,
                Ok(_) => {}
                Err(_) => {
                    *self.eof = true;
                    return Gone::Failed;
                }
            }
        }
    }
}
