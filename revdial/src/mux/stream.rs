//! One stream of a session, as something to read from and write to.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop::poll_proceed,
};

use super::{
    link::{Link, UNKNOWN},
    session::Read,
};
use crate::Stream;

/// Up to so many bytes are given to the reader at once, without being taken out of the session.
const FEW: usize = 2048;

pub(crate) struct Io {
    link: Arc<Link>,
    id: u32,
    /// Everything that was written has left.
    flushed: bool,
    finished: bool,
    /// How much must have left, for whoever waits for that.
    point: u64,
    /// Taken from the session and not yet read.
    data: BytesMut,
}

impl Io {
    /// Ends both directions at once and tells the peer why.
    pub(crate) fn reset(&self, reason: &str) {
        self.link
            .update(|state| state.session.abort(self.id, reason));
    }
}

/// Makes stream `id`, which nobody else holds, a [`Stream`].
pub(super) fn wrap(link: Arc<Link>, id: u32) -> Stream {
    let io = Io {
        link,
        id,
        flushed: true,
        finished: false,
        point: UNKNOWN,
        data: BytesMut::new(),
    };
    Stream::numbered(io, id.into())
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let turn = ready!(poll_proceed(cx));
        if self.data.is_empty() {
            let id = self.id;
            let read = self.link.update(|state| {
                let mut read = state.session.read(id);
                match &mut read {
                    Ok(Read::Blocked) => state.wait_readable(id, cx),
                    Ok(Read::Data(data)) if data.len() <= FEW.min(buf.remaining()) => {
                        buf.put_slice(data);
                        // Lets go of the read buffer that it may share.
                        *data = BytesMut::new();
                        state.session.consumed(id);
                    }
                    _ => {}
                }
                read.map_err(|error| self.link.stream_error(state, error))
            });
            match read {
                Ok(Read::Data(data)) => self.data = data,
                Ok(Read::Blocked) => return Poll::Pending,
                Ok(Read::End) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        turn.made_progress();
        if self.data.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let n = self.data.len().min(buf.remaining());
        buf.put_slice(&self.data[..n]);
        self.data.advance(n);
        if self.data.is_empty() {
            // Lets go of a read buffer that it may share.
            self.data = BytesMut::new();
            self.link.update(|state| state.session.consumed(self.id));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let turn = ready!(poll_proceed(cx));
        let written = ready!(self.link.poll_write(self.id, cx, buf));
        turn.made_progress();
        Poll::Ready(written.map(|(written, left)| {
            self.flushed = left;
            self.point = UNKNOWN;
            written
        }))
    }

    /// Waits until everything has left. That is so already unless many write at once or the
    /// transport is full, so flushing after each write costs next to nothing.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.flushed {
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        ready!(this.link.poll_flush(this.id, cx, &mut this.point, false))?;
        this.flushed = true;
        Poll::Ready(Ok(()))
    }

    /// The same with the end of the stream.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.finished {
            this.finished = true;
            this.flushed = false;
            this.point = UNKNOWN;
        }
        this.link.poll_flush(this.id, cx, &mut this.point, true)
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.link.update(|state| state.release(self.id));
    }
}
