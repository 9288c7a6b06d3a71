//! Response bodies, read only to be shown in an error or to get them out of the way.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::{ResponseHead, UpgradeError};
use crate::Stream;

/// The longest chunk-size or trailer line, in bytes.
const MAX_LINE: usize = 4096;

/// A connection and what was read of it but not yet used.
pub(super) struct Buffered {
    stream: Stream,
    buf: BytesMut,
}

impl Buffered {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            buf: BytesMut::new(),
        }
    }

    pub(super) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// The connection with everything unused back in front.
    pub(super) fn into_stream(self) -> Stream {
        if self.buf.is_empty() {
            self.stream
        } else {
            self.stream.unread(self.buf.freeze())
        }
    }

    /// Reads some more; false at the end.
    async fn fill(&mut self) -> io::Result<bool> {
        self.buf.reserve(4096);
        Ok(self.stream.read_buf(&mut self.buf).await? > 0)
    }

    pub(super) async fn head(&mut self, limit: usize) -> Result<ResponseHead, UpgradeError> {
        loop {
            match ResponseHead::parse(&self.buf[..self.buf.len().min(limit)])
                .map_err(UpgradeError::Malformed)?
            {
                Some((head, len)) => {
                    self.buf.advance(len);
                    return Ok(head);
                }
                None if self.buf.len() >= limit => return Err(UpgradeError::HeadTooLarge(limit)),
                None => {
                    if !self.fill().await.map_err(UpgradeError::Read)? {
                        return Err(UpgradeError::Read(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
            }
        }
    }

    /// The body that follows `head`, at most `limit` bytes of it. With [`Rest::Unread`] the
    /// connection is of no further use.
    pub(super) async fn body(
        &mut self,
        head: &ResponseHead,
        limit: usize,
    ) -> io::Result<(Bytes, Rest)> {
        if matches!(head.status, 100..=199 | 204 | 304) {
            return Ok((Bytes::new(), Rest::Done));
        }
        let coding = head.header("transfer-encoding").unwrap_or_default();
        if coding.to_ascii_lowercase().trim_end().ends_with("chunked") {
            return self.chunked(limit).await;
        }
        match head.header("content-length") {
            Some(len) => {
                let len: u64 = len
                    .parse()
                    .map_err(|_| bad("peer sent an unreadable Content-Length"))?;
                let whole = len <= limit as u64;
                let take = usize::try_from(len).unwrap_or(limit).min(limit);
                let body = self.take(take).await?;
                let rest = if whole && body.len() == take {
                    Rest::Done
                } else {
                    Rest::Unread
                };
                Ok((body, rest))
            }
            None => Ok((self.take(limit).await?, Rest::Unread)),
        }
    }

    /// The next `n` bytes, fewer at the end of the connection.
    async fn take(&mut self, n: usize) -> io::Result<Bytes> {
        while self.buf.len() < n && self.fill().await? {}
        let n = n.min(self.buf.len());
        Ok(self.buf.split_to(n).freeze())
    }

    async fn chunked(&mut self, limit: usize) -> io::Result<(Bytes, Rest)> {
        let mut body = BytesMut::new();
        loop {
            let line = self.line().await?;
            let digits = line
                .split(|&b| b == b';')
                .next()
                .unwrap_or_default()
                .trim_ascii();
            let size = std::str::from_utf8(digits)
                .ok()
                .filter(|text| !text.starts_with('+'));
            let size = size.and_then(|text| usize::from_str_radix(text, 16).ok());
            let size = size.ok_or_else(|| bad("peer sent a malformed chunk size"))?;
            if size == 0 {
                break;
            }
            if size > limit - body.len() {
                let room = limit - body.len();
                body.extend_from_slice(&self.take(room).await?);
                return Ok((body.freeze(), Rest::Unread));
            }
            let chunk = self.take(size).await?;
            body.extend_from_slice(&chunk);
            if chunk.len() < size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !self.line().await?.is_empty() {
                return Err(bad("peer sent a chunk without its end"));
            }
        }
        for _ in 0..64 {
            if self.line().await?.is_empty() {
                return Ok((body.freeze(), Rest::Done));
            }
        }
        Err(bad("peer sent too many trailer lines"))
    }

    async fn line(&mut self) -> io::Result<Bytes> {
        loop {
            let window = &self.buf[..self.buf.len().min(MAX_LINE)];
            if let Some(end) = window.iter().position(|&b| b == b'\n') {
                let line = self.buf.split_to(end + 1).freeze();
                let line = line.slice(..end);
                return Ok(if line.ends_with(b"\r") {
                    line.slice(..end - 1)
                } else {
                    line
                });
            }
            if window.len() == MAX_LINE {
                return Err(bad("peer sent an endless line in a chunked body"));
            }
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Whether a body was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Done,
    Unread,
}

fn bad(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
