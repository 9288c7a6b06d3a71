//! The end that is given streams.

use std::{
    fmt,
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::{
    Config,
    dialer::{close, start},
    frame::Dialect,
    limits::Role,
    link::Link,
    stream,
};
use crate::{AcceptError, CloseReason, Stream};

/// Accepts the streams that the other end of a connection opens.
///
/// Dropping it closes streams that were not accepted. Accepted ones live on; the connection is
/// closed after the last of them.
pub struct Listener {
    link: Arc<Link>,
}

impl Listener {
    /// Takes a connection over, at the first byte after the HTTP exchange, to speak the mux. Must
    /// be called within a tokio runtime.
    pub fn new(transport: Stream, config: Config) -> Self {
        Self {
            link: start(Dialect::Mux, Role::Listener, transport, config),
        }
    }

    /// The same in version 1: sends nothing of its own but keep-alives.
    pub fn v1(transport: Stream, config: Config) -> Self {
        Self {
            link: start(Dialect::V1, Role::Listener, transport, config),
        }
    }

    /// Waits for the next stream. Cancel safe. After the end, streams that were already there
    /// are given out before the error.
    pub async fn accept(&mut self) -> Result<Stream, AcceptError> {
        tokio::task::coop::consume_budget().await;
        let accepted = poll_fn(|cx| {
            let mut state = self.link.state();
            if let Some(id) = state.session.accept() {
                return Poll::Ready(Ok(id));
            }
            if !state.open {
                let reason = self.link.ending.get().unwrap_or(CloseReason::Local);
                return Poll::Ready(Err(AcceptError::Closed(reason)));
            }
            state.wait_acceptable(cx);
            Poll::Pending
        });
        let id = accepted.await?;
        Ok(stream::wrap(Arc::clone(&self.link), id))
    }

    /// Resolves when no more streams will come, at once if so. The future does not borrow the
    /// listener.
    pub fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        self.link.ending.wait()
    }

    /// Whether no more streams will come. Some may still wait to be accepted.
    pub fn is_closed(&self) -> bool {
        self.link.ending.get().is_some()
    }

    /// Stops listening: streams that the peer opens from now on are refused. Those that
    /// exist live on, and the connection with them, as in the Go original.
    pub fn close(&self) {
        close(&self.link, CloseReason::Local, "");
    }

    /// As [`close`](Self::close), and in the mux the peer is told `reason`, cut to 255 bytes.
    pub fn close_because(&self, reason: &str) {
        let local = CloseReason::LocalBecause(reason.to_owned());
        close(&self.link, local, reason);
    }

    /// Ends everything at once: streams give what they have received, then an error.
    pub fn abort(&self) {
        self.link.end(CloseReason::Local);
    }

    /// The streams that exist: waiting to be accepted, open, or dropped with data left to send.
    pub fn stream_count(&self) -> usize {
        self.link.state().session.stream_count()
    }

    /// The time from here to the peer and back, smoothed over the last pings. `None` before the
    /// first answer, and always in version 1.
    pub fn rtt(&self) -> Option<Duration> {
        self.link.state().rtt
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        close(&self.link, CloseReason::Local, "");
        self.link.update(|state| {
            while let Some(id) = state.session.accept() {
                state.release(id);
            }
        });
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("closed", &self.link.ending.get())
            .finish_non_exhaustive()
    }
}
