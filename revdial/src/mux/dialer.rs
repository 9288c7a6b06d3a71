//! The end that opens streams.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use super::{
    Config, driver,
    frame::Dialect,
    limits::{GoodbyeCode, OpenError, Role},
    link::Link,
    session::Session,
    stream,
};
use crate::{CloseReason, DialError, Stream};

/// Opens streams to the machine at the other end of a connection. Cheap to clone.
///
/// When the last clone is dropped, streams that are open live on; the connection is closed after
/// the last of them.
#[derive(Clone)]
pub struct Dialer {
    owner: Arc<Owner>,
}

/// Exists once, apart from what the streams share, so that its drop means nobody can dial.
struct Owner(Arc<Link>);

impl Drop for Owner {
    fn drop(&mut self) {
        close(&self.0, CloseReason::Local, "");
    }
}

/// No new streams from here on; the peer is told why.
pub(super) fn close(link: &Link, reason: CloseReason, text: &str) {
    link.ending.set(reason);
    link.update(|state| {
        if state.may_open {
            state.may_open = false;
            state.open = false;
            state.session.refuse_streams();
            state.session.go_away(GoodbyeCode::Drain, text);
        }
    });
}

/// Starts a session on its own task.
pub(super) fn start(dialect: Dialect, role: Role, transport: Stream, config: Config) -> Arc<Link> {
    let (reader, writer) = tokio::io::split(transport);
    let session = Session::new(dialect, role, config.limits.clone());
    let link = Link::new(session, config.bounded(), writer);
    crate::sync::spawn(driver::run(Arc::clone(&link), reader));
    link
}

impl Dialer {
    /// Takes a connection over, at the first byte after the HTTP exchange, on both sides, to
    /// speak the mux. Must be called within a tokio runtime.
    pub fn new(transport: Stream, config: Config) -> Self {
        Self::with(Dialect::Mux, transport, config)
    }

    /// The same in version 1: sends nothing before the first dial.
    pub fn v1(transport: Stream, config: Config) -> Self {
        Self::with(Dialect::V1, transport, config)
    }

    fn with(dialect: Dialect, transport: Stream, config: Config) -> Self {
        let link = start(dialect, Role::Dialer, transport, config);
        Self {
            owner: Arc::new(Owner(link)),
        }
    }

    /// Opens a stream. Does not wait for the listener. One that refuses says so in the mux, and
    /// reading and writing fail with [`ConnectionRefused`](std::io::ErrorKind::ConnectionRefused);
    /// in version 1 the stream ends without a byte.
    ///
    /// Cancel safe.
    pub async fn dial(&self) -> Result<Stream, DialError> {
        // Dialing in a loop must not keep other tasks from running.
        tokio::task::coop::consume_budget().await;
        let link = &self.owner.0;
        let opened = link.update(|state| {
            if state.open {
                state.session.open()
            } else {
                Err(OpenError::Ended)
            }
        });
        match opened {
            Ok(id) => Ok(stream::wrap(Arc::clone(link), id)),
            Err(OpenError::TooMany(limit)) => Err(DialError::TooManyStreams(limit)),
            Err(OpenError::Ended) => {
                let reason = link.ending.get().unwrap_or(CloseReason::Local);
                Err(DialError::Closed(reason))
            }
        }
    }

    /// Resolves when no stream can be opened any more, at once if so. The future keeps no clone
    /// of the dialer.
    pub fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        self.owner.0.ending.wait()
    }

    /// Whether no stream can be opened any more.
    pub fn is_closed(&self) -> bool {
        self.owner.0.ending.get().is_some()
    }

    /// Opens no more streams. Those that are open live on, and the connection with them.
    pub fn close(&self) {
        close(&self.owner.0, CloseReason::Local, "");
    }

    /// As [`close`](Self::close), and in the mux the peer is told `reason`, cut to 255 bytes.
    pub fn close_because(&self, reason: &str) {
        let local = CloseReason::LocalBecause(reason.to_owned());
        close(&self.owner.0, local, reason);
    }

    /// Ends everything at once: streams give what they have received, then an error. The Go
    /// original's `Close`.
    pub fn abort(&self) {
        self.owner.0.end(CloseReason::Local);
    }

    /// The streams that are open, those included that are dropped but have data to send.
    pub fn stream_count(&self) -> usize {
        self.owner.0.state().session.stream_count()
    }

    /// The time from here to the peer and back, smoothed over the last pings. `None` before the
    /// first answer, and always in version 1.
    pub fn rtt(&self) -> Option<Duration> {
        self.owner.0.state().rtt
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("closed", &self.owner.0.ending.get())
            .finish_non_exhaustive()
    }
}
