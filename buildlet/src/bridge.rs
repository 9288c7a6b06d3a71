//! Bodies between the connection, which is asynchronous, and archives and files, which are not.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::http1::{BodyError, Exchange};

/// Pieces in flight; with pieces of at most 64 KiB, half a megabyte per transfer.
const IN_FLIGHT: usize = 8;
/// Size of the pieces a [`BlockWriter`] hands over.
const BLOCK: usize = 64 * 1024;

enum Message {
    Data(Bytes),
    End,
}

/// Asynchronous end of an upload.
pub(crate) struct BodySender(mpsc::Sender<Message>);

/// Blocking end of an upload. It ends properly only if the sender said so; a sender that vanished is an error,
/// so that half a body is never taken for a whole one.
pub(crate) struct BodyReader {
    receiver: mpsc::Receiver<Message>,
    current: Bytes,
    ended: bool,
}

pub(crate) fn upload() -> (BodySender, BodyReader) {
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let reader = BodyReader {
        receiver,
        current: Bytes::new(),
        ended: false,
    };
    (BodySender(sender), reader)
}

impl BodySender {
    /// Passes on the whole body of a request. Stops early, without error, if the reader has enough.
    pub(crate) async fn pump<T>(self, exchange: &mut Exchange<T>) -> Result<(), BodyError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let message = exchange.chunk().await?.map_or(Message::End, Message::Data);
            let last = matches!(message, Message::End);
            if self.0.send(message).await.is_err() || last {
                return Ok(());
            }
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            if self.ended {
                return Ok(0);
            }
            match self.receiver.blocking_recv() {
                Some(Message::Data(data)) => self.current = data,
                Some(Message::End) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buf.len().min(self.current.len());
        self.current
            .copy_to_slice(buf.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Blocking end of a download: gathers bytes into blocks, waits when the client is slow, fails when it is gone.
pub(crate) struct BlockWriter {
    sender: mpsc::Sender<Bytes>,
    block: Vec<u8>,
}

pub(crate) fn download() -> (BlockWriter, mpsc::Receiver<Bytes>) {
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let writer = BlockWriter {
        sender,
        block: Vec::new(),
    };
    (writer, receiver)
}

impl Write for BlockWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.block.extend_from_slice(data);
        if self.block.len() >= BLOCK {
            self.flush()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = Bytes::from(std::mem::take(&mut self.block));
        self.sender
            .blocking_send(block)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
