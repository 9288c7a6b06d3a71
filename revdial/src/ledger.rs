//! What all streams of one session have in common: who is at the other end, and the counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::Version;

/// Who is at the other end, as far as the program that made the session knows.
///
/// ```
/// let peer = revdial::Peer::named("laptop-7").at(([192, 0, 2, 1], 4711).into());
/// assert_eq!(peer.name.as_deref(), Some("laptop-7"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Peer {
    /// What it calls itself, or is called by its registration.
    pub name: Option<Arc<str>>,
    /// Where the connection that it registered on comes from.
    pub addr: Option<SocketAddr>,
}

impl Peer {
    /// A peer with a name.
    pub fn named(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: Some(name.into()),
            addr: None,
        }
    }

    /// The same peer with an address.
    #[must_use]
    pub fn at(mut self, addr: SocketAddr) -> Self {
        self.addr = Some(addr);
        self
    }
}

/// Where a [`Stream`](crate::Stream) comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StreamInfo {
    /// The version of the session that it belongs to.
    pub version: Version,
    /// Its number within the session, the same at both ends: the stream's id, or in version 2 the
    /// number of the dial. 0 where the peer gave none, as Go dialers do.
    pub number: u64,
    /// Who is at the other end.
    pub peer: Peer,
}

/// Counts of one [`Dialer`](crate::Dialer) or [`Listener`](crate::Listener), clones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Streams dialled or accepted so far.
    pub streams: u64,
    /// Those of them that still exist.
    pub open: u64,
    /// Dials that failed. Those that were dropped by their caller do not count.
    pub failures: u64,
    /// Bytes read from streams, those of streams that still exist included.
    pub bytes_read: u64,
    /// Bytes written to streams.
    pub bytes_written: u64,
    /// The last measured round trip to the peer and back. `None` in versions that cannot ask, and
    /// before the first answer.
    pub rtt: Option<Duration>,
}

/// Shared by a handle, its clones and its streams.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) version: Version,
    pub(crate) peer: Peer,
    opened: AtomicU64,
    closed: AtomicU64,
    pub(crate) failures: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
}

impl Ledger {
    pub(crate) fn new(version: Version, peer: Peer) -> Arc<Self> {
        Arc::new(Self {
            version,
            peer,
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
        })
    }

    pub(crate) fn stats(&self) -> Stats {
        // In this order, so that never more are closed than were opened.
        let closed = self.closed.load(Relaxed);
        let streams = self.opened.load(Relaxed);
        Stats {
            streams,
            open: streams.saturating_sub(closed),
            failures: self.failures.load(Relaxed),
            bytes_read: self.read.load(Relaxed),
            bytes_written: self.written.load(Relaxed),
            rtt: None,
        }
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Membership {
        self.opened.fetch_add(1, Relaxed);
        Membership(Arc::clone(self))
    }
}

/// A stream's entry in the ledger of its session, struck out when it is dropped.
#[derive(Debug)]
pub(crate) struct Membership(Arc<Ledger>);

impl Membership {
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0
    }

    pub(crate) fn read(&self, bytes: usize) {
        self.0.read.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.0.written.fetch_add(bytes as u64, Relaxed);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Relaxed);
    }
}
