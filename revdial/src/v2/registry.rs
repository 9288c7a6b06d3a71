//! The table of live dialers and the pickups that find them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tracing::debug;

use super::{dialer, session::Session};
use crate::{
    Dialer, DialerConfig, Stream, Version,
    path::{DialerId, Wanted},
};

/// The table of live dialers of version 2: a value to be shared between the handler of registrations and the
/// handler of pickups. Clones are handles to the same table.
#[derive(Clone, Default)]
pub struct Registry {
    table: Arc<Table>,
}

#[derive(Default)]
pub(crate) struct Table(Mutex<HashMap<DialerId, Weak<Session>>>);

impl Table {
    fn sessions(&self) -> MutexGuard<'_, HashMap<DialerId, Weak<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn remove(&self, id: &DialerId) {
        self.sessions().remove(id);
    }
}

impl Registry {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns `control` around: from now on the returned [`Dialer`] opens connections to whoever
    /// is at its other end.
    ///
    /// `control` is the connection on which a `101 Switching Protocols` has just been written.
    /// A task is spawned for it (so this must be called within a tokio runtime); it ends, and the
    /// dialer leaves the table, when the peer goes away, when the dialer is closed, or when its
    /// last clone is dropped. Where the session cannot even start, the dialer returned is closed
    /// already, with [`CloseReason::Setup`](crate::CloseReason::Setup).
    pub fn register(&self, control: Stream, config: DialerConfig) -> Dialer {
        let table = Arc::downgrade(&self.table);
        let (control, gone) = control.watched();
        let dialer = dialer::Dialer::start(control, config, table, |session| {
            self.table
                .sessions()
                .insert(session.id, Arc::downgrade(session));
        });
        Dialer::from_v2(dialer, gone)
    }

    /// As [`register`](Self::register), for the version that was agreed on with
    /// [`negotiate`](crate::negotiate()). Only dialers of version 2 are in the table, since only
    /// they have pickups.
    pub fn register_as(&self, version: Version, control: Stream, config: DialerConfig) -> Dialer {
        match version {
            Version::V1 => Dialer::v1(control, config.mux),
            Version::V2 => self.register(control, config),
            Version::Mux => Dialer::mux(control, config.mux),
        }
    }

    /// Looks up which dialer a request for `path_and_query` wants to serve. Call this before
    /// answering; then answer `101 Switching Protocols`, and once that is on the wire call
    /// [`Pickup::deliver`].
    ///
    /// A pickup whose dial was given up meanwhile is accepted and dropped on delivery: a Go
    /// listener would report a refusal as the failure of some other dial.
    pub fn pickup(&self, path_and_query: &str) -> Result<Pickup, PickupError> {
        let wanted = Wanted::parse(path_and_query).ok_or(PickupError::UnknownDialer)?;
        let session = self
            .table
            .sessions()
            .get(&wanted.dialer)
            .and_then(Weak::upgrade);
        let session = session.ok_or(PickupError::UnknownDialer)?;
        Ok(Pickup {
            session: Some(session),
            dial: wanted.dial,
        })
    }

    /// How many dialers of version 2 are open.
    pub fn len(&self) -> usize {
        self.table.sessions().len()
    }

    /// Whether no dialer of version 2 is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("dialers", &self.len())
            .finish()
    }
}

/// Why a pickup request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickupError {
    /// The request names no dialer, or one that is closed.
    #[error("unknown dialer")]
    UnknownDialer,
}

impl PickupError {
    /// The HTTP status the Go original answers with; its body is the error's text.
    pub fn status(&self) -> u16 {
        400
    }
}

/// The claim of one pickup request on one dial. Dropped undelivered, it fails the dial at once.
#[derive(Debug)]
#[must_use = "the dial waits until the connection is delivered"]
pub struct Pickup {
    session: Option<Arc<Session>>,
    dial: Option<u64>,
}

impl Pickup {
    /// Hands `stream` to the dial that asked for it, or drops it when that dial is gone.
    pub fn deliver(mut self, stream: Stream) {
        if let Some(session) = self.session.take() {
            session.deliver(self.dial, stream);
        }
    }
}

impl Drop for Pickup {
    fn drop(&mut self) {
        if let (Some(session), Some(dial)) = (self.session.take(), self.dial) {
            debug!(dialer = ?session.id, dial, "pickup ended before its connection was handed over");
            session.fail(dial, "connection was lost during pickup".to_owned());
        }
    }
}
