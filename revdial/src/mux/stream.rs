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

use super::{link::Link, session::Read};
use crate::Stream;

struct Io {
    link: Arc<Link>,
    id: u32,
    /// Taken from the session and not yet read.
    data: BytesMut,
}

/// Makes stream `id`, which nobody else holds, a [`Stream`].
pub(super) fn wrap(link: Arc<Link>, id: u32) -> Stream {
    let io = Io {
        link,
        id,
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
                let read = state.session.read(id);
                if read == Ok(Read::Blocked) {
                    state.wait_readable(id, cx);
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
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let turn = ready!(poll_proceed(cx));
        let written = ready!(self.link.poll_write(self.id, cx, buf));
        turn.made_progress();
        Poll::Ready(written)
    }

    /// Nothing to do: what is written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.update(|state| state.session.finish(self.id));
        Poll::Ready(Ok(()))
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.link.update(|state| state.release(self.id));
    }
}
