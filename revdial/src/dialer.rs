//! The end that opens streams, in every version.

use std::{
    fmt,
    future::Future,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{CloseReason, Peer, Stats, Stream, Version, Versions, ledger::Ledger, mux, v2};

/// How a [`Dialer`] behaves. Take the default and change what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialerConfig {
    /// The versions that a machine which registers may choose from
    /// ([`negotiate`](crate::negotiate())). Default [`Versions::default`].
    pub versions: Versions,
    /// The path listeners ask for when they connect back, with or without a query.
    /// Default `/revdial`.
    pub base_path: String,
    /// How long a dial may take, everything included. Default 45 s: a Go listener may need 10 s
    /// to connect and 30 s more for TLS.
    pub dial_timeout: Duration,
    /// The pause after which a keep-alive line is sent. Default 5 s. With more than 90 s this end
    /// is taken for dead, since no peer of this crate waits longer.
    pub keep_alive: Duration,
    /// The silence after which a listener counts as gone, once it has shown that it sends
    /// keep-alives (Go listeners do not). Stretched to three times the period a listener
    /// announces, up to 90 s. Default 15 s.
    pub idle_timeout: Duration,
    /// How long writing control lines may take before the listener counts as gone.
    /// Default 10 s.
    pub write_timeout: Duration,
    /// Dials that may wait at the same time. Default 1024.
    pub max_pending: usize,
    /// Connections picked up ahead of need, which makes a dial immediate. Default 0, because a
    /// spare costs the listener a connection every [`spare_lifetime`](Self::spare_lifetime).
    pub spares: usize,
    /// The age at which an unused spare is replaced. Default 60 s.
    pub spare_lifetime: Duration,
    /// What a session whose streams share the connection may do: version 1 and the mux, to which
    /// the fields above do not apply.
    pub mux: mux::Config,
}

impl Default for DialerConfig {
    fn default() -> Self {
        Self {
            versions: Versions::default(),
            base_path: "/revdial".to_owned(),
            dial_timeout: Duration::from_secs(45),
            keep_alive: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(10),
            max_pending: 1024,
            spares: 0,
            spare_lifetime: Duration::from_secs(60),
            mux: mux::Config::default(),
        }
    }
}

/// Why a dial gave no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The dialer is closed, or was closed while waiting.
    #[error("revdial.Dialer closed: {0}")]
    Closed(CloseReason),
    /// The listener did not connect back in time.
    #[error("revdial listener did not connect back within {0:?}")]
    Timeout(Duration),
    /// The listener reported that it could not connect back.
    #[error("revdial listener failed to pick up connection: {0}")]
    PickupFailed(String),
    /// As many dials as configured are waiting already.
    #[error("too many dials are waiting: limit is {0}")]
    TooManyPending(usize),
    /// As many streams as a session of version 1 or the mux allows are open already.
    #[error("too many streams are open: limit is {0}")]
    TooManyStreams(usize),
}

/// Opens streams to the machine at the other end of a connection. Cheap to clone.
///
/// Made by `server::answer_registration`, which agrees on a version with the machine, or, where
/// the version is known, by [`Registry::register`](crate::Registry::register) (version 2),
/// [`Dialer::mux`] or [`Dialer::v1`].
///
/// Dropping the last clone closes it. Streams opened earlier live on after that; where they
/// share the connection, it is closed after the last of them.
#[derive(Clone)]
pub struct Dialer {
    inner: Inner,
    ledger: Arc<Ledger>,
    /// Cancelled when the connection is closed.
    gone: CancellationToken,
}

#[derive(Clone)]
enum Inner {
    V2(v2::Dialer),
    Mux(mux::Dialer),
}

impl Dialer {
    /// Version 1, on a connection that was just switched, at its first byte. For listeners of
    /// 2018; sends nothing before the first dial.
    ///
    /// Spawns a task, so it must be called within a tokio runtime.
    pub fn v1(connection: Stream, config: mux::Config) -> Self {
        let (connection, gone) = connection.watched();
        Self::from_mux(Version::V1, mux::Dialer::v1(connection, config), gone)
    }

    /// The mux, on a connection that was just switched, at its first byte. The other end must be
    /// a [`Listener::mux`](crate::Listener::mux).
    ///
    /// Spawns a task, so it must be called within a tokio runtime.
    pub fn mux(connection: Stream, config: mux::Config) -> Self {
        let (connection, gone) = connection.watched();
        Self::from_mux(Version::Mux, mux::Dialer::new(connection, config), gone)
    }

    fn from_mux(version: Version, dialer: mux::Dialer, gone: CancellationToken) -> Self {
        Self {
            inner: Inner::Mux(dialer),
            ledger: Ledger::new(version, Peer::default()),
            gone,
        }
    }

    pub(crate) fn from_v2(dialer: v2::Dialer, gone: CancellationToken) -> Self {
        Self {
            inner: Inner::V2(dialer),
            ledger: Ledger::new(Version::V2, Peer::default()),
            gone,
        }
    }

    /// The dialer with what is known of its peer, which [`Stream::info`] and [`Stream::peer`] then
    /// tell. Counts begin anew: call it first.
    #[must_use]
    pub fn with_peer(mut self, peer: Peer) -> Self {
        self.ledger = Ledger::new(self.ledger.version, peer);
        self
    }

    /// Opens a stream to the listener.
    ///
    /// In version 2 this takes a connection, so up to [`DialerConfig::dial_timeout`], unless a
    /// spare one is there. Where streams share the connection it takes no time: whether the
    /// listener accepts shows when the stream is used.
    ///
    /// Cancel safe: a dial that is dropped is forgotten, and a connection that arrives for it
    /// later is closed.
    pub async fn dial(&self) -> Result<Stream, DialError> {
        let dialled = match &self.inner {
            Inner::V2(dialer) => dialer.dial().await,
            Inner::Mux(dialer) => dialer.dial().await,
        };
        match dialled {
            Ok(stream) => Ok(stream.with_member(self.ledger.enter())),
            Err(error) => {
                self.ledger.failures.fetch_add(1, Relaxed);
                Err(error)
            }
        }
    }

    /// Resolves when no stream can be opened any more, at once if so. The future keeps no clone
    /// of the dialer, so it may outlive it.
    pub fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        let ending = match &self.inner {
            Inner::V2(dialer) => Ok(dialer.closed()),
            Inner::Mux(dialer) => Err(dialer.closed()),
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

    /// Whether no stream can be opened any more.
    pub fn is_closed(&self) -> bool {
        match &self.inner {
            Inner::V2(dialer) => dialer.is_closed(),
            Inner::Mux(dialer) => dialer.is_closed(),
        }
    }

    /// Opens no more streams. Waiting dials fail; streams opened earlier live on.
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
            Inner::V2(dialer) => dialer.close(reason),
            Inner::Mux(dialer) => match reason {
                CloseReason::LocalBecause(why) => dialer.close_because(&why),
                _ => dialer.close(),
            },
        }
    }

    /// The version it speaks.
    pub fn version(&self) -> Version {
        self.ledger.version
    }

    /// Who is at the other end, as far as [`with_peer`](Self::with_peer) told.
    pub fn peer(&self) -> &Peer {
        &self.ledger.peer
    }

    /// Counts of this dialer and its clones.
    pub fn stats(&self) -> Stats {
        let mut stats = self.ledger.stats();
        if let Inner::Mux(dialer) = &self.inner {
            stats.rtt = dialer.rtt();
        }
        stats
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Dialer");
        match &self.inner {
            Inner::V2(dialer) => out.field("v2", dialer),
            Inner::Mux(dialer) => out.field("mux", dialer),
        };
        out.field("version", &self.ledger.version)
            .field("peer", &self.ledger.peer)
            .finish()
    }
}
