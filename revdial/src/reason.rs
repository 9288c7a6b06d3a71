//! Why a session ended.

use std::{fmt, future::Future, io, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::control::ProtocolError;

/// Why a [`Dialer`](crate::Dialer) or [`Listener`](crate::Listener) came to its end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it, or dropped the last handle.
    Local,
    /// This side closed it and told the peer why.
    LocalBecause(String),
    /// The peer ended the session. The text is what it said of its reason: peers of this crate
    /// say something unless there was nothing wrong; Go peers never do.
    Peer(Option<String>),
    /// The peer sent nothing for this long.
    Idle(Duration),
    /// The peer did not take what was sent within this time.
    WriteTimeout(Duration),
    /// The peer sent something that is no control line.
    Protocol(ProtocolError),
    /// The peer of a multiplexed session sent frames that it must not send.
    Frames(crate::mux::ProtocolError),
    /// The control connection failed.
    Io(Arc<io::Error>),
    /// The session could not start: no randomness for its id, or an unusable base path.
    Setup(String),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("closed by this side"),
            Self::LocalBecause(why) => write!(f, "closed by this side: {why}"),
            Self::Peer(None) => f.write_str("closed by the peer"),
            Self::Peer(Some(why)) => write!(f, "closed by the peer: {why}"),
            Self::Idle(limit) => write!(f, "peer sent nothing for {limit:?}"),
            Self::WriteTimeout(limit) => {
                write!(f, "peer took nothing of what was sent for {limit:?}")
            }
            Self::Protocol(error) => write!(f, "peer broke the protocol: {error}"),
            Self::Frames(error) => write!(f, "peer broke the protocol: {error}"),
            Self::Io(error) => write!(f, "control connection failed: {error}"),
            Self::Setup(why) => write!(f, "session could not start: {why}"),
        }
    }
}

impl CloseReason {
    /// What the peer is told: words that are true when *it* reads them, since it will put "closed
    /// by the peer" in front. Empty when nothing was wrong.
    pub(crate) fn farewell(&self) -> String {
        match self {
            Self::Local | Self::Peer(_) => String::new(),
            Self::LocalBecause(why) => why.clone(),
            Self::Idle(limit) => format!("heard nothing for {limit:?}"),
            Self::WriteTimeout(limit) => format!("could send nothing for {limit:?}"),
            Self::Protocol(error) => format!("got what breaks the protocol: {error}"),
            Self::Frames(error) => format!("got what breaks the protocol: {error}"),
            Self::Io(error) => format!("connection failed: {error}"),
            Self::Setup(why) => format!("session could not start: {why}"),
        }
    }
}

/// A value that is set at most once and can be awaited by many.
#[derive(Debug)]
pub(crate) struct Ending(watch::Sender<Option<CloseReason>>);

impl Ending {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Records `reason` unless one is recorded already; true for the first.
    pub(crate) fn set(&self, reason: CloseReason) -> bool {
        self.0.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                *slot = Some(reason);
            }
            first
        })
    }

    pub(crate) fn get(&self) -> Option<CloseReason> {
        self.0.borrow().clone()
    }

    /// Resolves once a reason is recorded. Owns what it needs, so it keeps no session alive.
    pub(crate) fn wait(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        let mut changes = self.0.subscribe();
        async move {
            match changes.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone().unwrap_or(CloseReason::Local),
                // The session went away without a word; only dropping it here can do that.
                Err(_) => CloseReason::Local,
            }
        }
    }
}
