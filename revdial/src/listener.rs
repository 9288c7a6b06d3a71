//! The end that is given streams, in every version.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    CloseReason, Connect, Peer, Stats, Stream, Version, Versions, ledger::Ledger, mux,
    upgrade::Limits, v2,
};

/// How a [`Listener`] behaves. Take the default and change what differs.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// The versions that [`register`](crate::register()) accepts from a server. Default all:
    /// version 1 is what servers of 2018 speak without being asked.
    pub versions: Versions,
    /// The pause after which a keep-alive line is sent. Default 5 s; Go dialers ignore them. With
    /// more than 90 s this end is taken for dead, since no peer of this crate waits longer.
    pub keep_alive: Duration,
    /// The silence after which a dialer that announced its period counts as gone; stretched to
    /// three times that period, up to 90 s. A dialer that announced nothing (a Go one pauses up
    /// to 40 s) is always given 90 s. Default 15 s.
    pub idle_timeout: Duration,
    /// How long writing a control line may take before the dialer counts as gone. Default 10 s.
    pub write_timeout: Duration,
    /// Pickups under way at the same time. Default 64.
    pub max_pickups: usize,
    /// Further pickups that may wait for their turn; those beyond are refused. Default 1024.
    pub max_waiting: usize,
    /// Connections that may wait to be accepted; when full, pickups wait too. Default 64.
    pub accept_queue: usize,
    /// How long [`Connect::connect`] may take. Default 20 s.
    pub connect_timeout: Duration,
    /// Bounds of an HTTP exchange, of the registration and of a pickup, 30 s among them.
    pub limits: Limits,
    /// What a session whose streams share the connection may do: version 1 and the mux, to which
    /// the fields above do not apply.
    pub mux: mux::Config,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            versions: Versions::ALL,
            keep_alive: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(10),
            max_pickups: 64,
            max_waiting: 1024,
            accept_queue: 64,
            connect_timeout: Duration::from_secs(20),
            limits: Limits::default(),
            mux: mux::Config::default(),
        }
    }
}

/// Why [`Listener::accept`] gives no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The listener is closed.
    #[error("revdial: Listener closed: {0}")]
    Closed(CloseReason),
}

/// Accepts the streams that the dialer at the other end of a connection opens.
///
/// Made by [`register`](crate::register()), which agrees on a version with the server, or, where
/// the version is known, by [`Listener::new`] (version 2), [`Listener::mux`] or [`Listener::v1`].
///
/// Dropping it stops the listening; accepted streams live on. Where they share the connection, it
/// is closed after the last of them.
pub struct Listener {
    inner: Inner,
    ledger: Arc<Ledger>,
    /// Cancelled when the connection is closed.
    gone: CancellationToken,
}

enum Inner {
    V2(v2::Listener),
    Mux(mux::Listener),
}

impl Listener {
    /// Version 2: listens through `control`, the connection on which the server has just answered
    /// `101 Switching Protocols`. Connections are fetched with `connect`.
    ///
    /// Spawns a task (so this must be called within a tokio runtime) that ends when the peer
    /// goes away or the listener is closed or dropped.
    pub fn new(control: Stream, connect: impl Connect, config: ListenerConfig) -> Self {
        let (control, gone) = control.watched();
        Self {
            inner: Inner::V2(v2::Listener::new(control, connect, config)),
            ledger: Ledger::new(Version::V2, Peer::default()),
            gone,
        }
    }

    /// Version 1, on a connection that was just switched, at its first byte. For dialers of 2018.
    ///
    /// Spawns a task, so it must be called within a tokio runtime.
    pub fn v1(connection: Stream, config: mux::Config) -> Self {
        let (connection, gone) = connection.watched();
        Self::from_mux(Version::V1, mux::Listener::v1(connection, config), gone)
    }

    /// The mux, on a connection that was just switched, at its first byte. The other end must be
    /// a [`Dialer::mux`](crate::Dialer::mux).
    ///
    /// Spawns a task, so it must be called within a tokio runtime.
    pub fn mux(connection: Stream, config: mux::Config) -> Self {
        let (connection, gone) = connection.watched();
        Self::from_mux(Version::Mux, mux::Listener::new(connection, config), gone)
    }

    fn from_mux(version: Version, listener: mux::Listener, gone: CancellationToken) -> Self {
        Self {
            inner: Inner::Mux(listener),
            ledger: Ledger::new(version, Peer::default()),
            gone,
        }
    }

    /// The listener with what is known of its peer, which [`Stream::info`] and [`Stream::peer`]
    /// then tell. Counts begin anew: call it first.
    #[must_use]
    pub fn with_peer(mut self, peer: Peer) -> Self {
        self.ledger = Ledger::new(self.ledger.version, peer);
        self
    }

    /// Waits for the next stream. Cancel safe. After the end, streams that were already there are
    /// given out before the error.
    pub async fn accept(&mut self) -> Result<Stream, AcceptError> {
        let stream = match &mut self.inner {
            Inner::V2(listener) => listener.accept().await,
            Inner::Mux(listener) => listener.accept().await,
        }?;
        Ok(stream.with_member(self.ledger.enter()))
    }

    /// Resolves when no more streams will come, at once if so. The future does not borrow the
    /// listener.
    pub fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        let ending = match &self.inner {
            Inner::V2(listener) => Ok(listener.closed()),
            Inner::Mux(listener) => Err(listener.closed()),
        };
        async move {
            match ending {
                Ok(closed) => closed.await,
                Err(closed) => closed.await,
            }
        }
    }

    /// Resolves when the connection itself is closed, at once if so: later than
    /// [`closed`](Self::closed), after a second at most if nothing else keeps it. By then the peer
    /// was told, and where streams share the connection all of them are over and what was written
    /// to them has left. A program that is about to exit closes and then awaits this, with a limit:
    /// a shared connection stays as long as anybody holds one of its streams.
    pub fn disconnected(&self) -> impl Future<Output = ()> + Send + 'static {
        self.gone.clone().cancelled_owned()
    }

    /// Whether no more streams will come. Some may still wait to be accepted.
    pub fn is_closed(&self) -> bool {
        match &self.inner {
            Inner::V2(listener) => listener.is_closed(),
            Inner::Mux(listener) => listener.is_closed(),
        }
    }

    /// Stops listening. Pickups under way are given up. Accepted streams live on, and those that
    /// wait can still be accepted.
    pub fn close(&self) {
        self.close_as(CloseReason::Local);
    }

    /// As [`close`](Self::close), and tells the peer why, if it is of this crate: its `closed()`
    /// gives [`CloseReason::Peer`] with the text, cut at 1 KiB in version 2 and at 255 bytes in the
    /// mux. Version 1 has no words for it.
    pub fn close_because(&self, why: impl Into<String>) {
        self.close_as(CloseReason::LocalBecause(why.into()));
    }

    fn close_as(&self, reason: CloseReason) {
        match &self.inner {
            Inner::V2(listener) => listener.close(reason),
            Inner::Mux(listener) => match reason {
                CloseReason::LocalBecause(why) => listener.close_because(&why),
                _ => listener.close(),
            },
        }
    }

    /// The version it speaks.
    pub fn version(&self) -> Version {
        self.ledger.version
    }

    /// Who is at the other end, as far as [`with_peer`](Self::with_peer) or
    /// [`register`](crate::register()) told.
    pub fn peer(&self) -> &Peer {
        &self.ledger.peer
    }

    /// The session as if it were a stream with number 0.
    #[cfg(feature = "axum")]
    pub(crate) fn info(&self) -> crate::StreamInfo {
        crate::StreamInfo {
            version: self.ledger.version,
            number: 0,
            peer: self.ledger.peer.clone(),
        }
    }

    /// Counts of this listener.
    pub fn stats(&self) -> Stats {
        let mut stats = self.ledger.stats();
        if let Inner::Mux(listener) = &self.inner {
            stats.rtt = listener.rtt();
        }
        stats
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Listener");
        match &self.inner {
            Inner::V2(listener) => out.field("v2", listener),
            Inner::Mux(listener) => out.field("mux", listener),
        };
        out.field("version", &self.ledger.version)
            .field("peer", &self.ledger.peer)
            .finish()
    }
}
