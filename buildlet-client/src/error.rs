//! What can go wrong between us and a worker, apart from the command failing.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The underlying cause of an error, shared so that errors can be cloned to every caller they concern.
pub type Cause = Arc<dyn Error + Send + Sync + 'static>;

/// A request could not be made, or its result not be observed.
///
/// Nothing here says anything about the command that was run: that is [`ExecOutcome`](crate::ExecOutcome).
/// Values are cheap to clone, because one dead worker fails many calls.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommError {
    /// No connection to the worker could be made.
    #[error("worker {worker}: cannot connect")]
    Connect {
        /// The client's name for the worker.
        worker: Arc<str>,
        /// What the connector said.
        #[source]
        source: Cause,
    },
    /// No connection to the worker came about in time.
    #[error("worker {worker}: no connection within {after:?}")]
    ConnectTimeout {
        /// The client's name for the worker.
        worker: Arc<str>,
        /// The limit ([`Timeouts::connect`](crate::Timeouts::connect)).
        after: Duration,
    },
    /// The worker refused our password (403 or 401).
    #[error("worker refused {op}: {body}")]
    Auth {
        /// The operation, by its path.
        op: &'static str,
        /// The first 4 KiB of what the worker said.
        body: String,
    },
    /// The worker answered with another status than 200.
    #[error("worker answered {op} with {status}; body: {body}")]
    Status {
        /// The operation, by its path.
        op: &'static str,
        /// The status code.
        code: u16,
        /// Code and reason phrase, such as `500 Internal Server Error`.
        status: String,
        /// The first 4 KiB of the answer's body.
        body: String,
    },
    /// The worker took the request and did not begin an answer in time.
    #[error("worker did not begin to answer {op} within {after:?}")]
    HeadTimeout {
        /// The operation, by its path.
        op: &'static str,
        /// The limit.
        after: Duration,
    },
    /// A transfer stood still: no byte moved in either direction although we were ready.
    #[error("worker stalled during {op}: nothing moved for {after:?}")]
    Stalled {
        /// The operation, by its path.
        op: &'static str,
        /// The limit ([`Timeouts::idle`](crate::Timeouts::idle)).
        after: Duration,
    },
    /// The connection broke before an answer began. Whether the worker acted on the request is not known.
    #[error("worker cut the connection before answering {op}")]
    Lost {
        /// The operation, by its path.
        op: &'static str,
        /// What the connection said.
        #[source]
        source: Cause,
    },
    /// The answer ended before its end: the worker gave up half way, or the connection broke.
    #[error("worker cut the answer to {op} short")]
    BodyTruncated {
        /// The operation, by its path.
        op: &'static str,
        /// What the connection said.
        #[source]
        source: Cause,
    },
    /// An exec ended without saying how the command ended.
    #[error("worker sent no Process-State trailer")]
    MissingTrailer,
    /// The worker said something that is not in the protocol.
    #[error("worker broke the protocol in {op}: {detail}")]
    Protocol {
        /// The operation, by its path.
        op: &'static str,
        /// The rule broken.
        detail: String,
    },
    /// The worker is dead; every call fails so from now on.
    #[error("worker is dead: {0}")]
    PeerDead(DeathReason),
    /// The caller's own limit for the command ran out. The connection is closed, so the worker ends the command.
    #[error("caller's time limit of {after:?} ran out")]
    LocalTimeout {
        /// The limit given in [`Exec::timeout`](crate::Exec::timeout).
        after: Duration,
    },
    /// The caller's reader, whose bytes were being uploaded, failed.
    #[error("caller's upload source failed")]
    Source(#[source] Cause),
    /// The caller asked for something that cannot be put in a request.
    #[error("caller's request is not possible: {0}")]
    Invalid(String),
    /// [`Client::close`](crate::Client::close) was called.
    #[error("caller closed the client")]
    Closed,
}

impl CommError {
    /// Whether the same work may succeed if tried again, on this worker or (after
    /// [`PeerDead`](Self::PeerDead)) on another.
    ///
    /// False for what the caller decided or got wrong: a refused password, a 4xx answer, a failed upload
    /// source, the caller's own time limit, a closed client. Only a caller that knows its command to be
    /// repeatable should act on a true answer after an exec has begun.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::HeadTimeout { .. }
            | Self::Stalled { .. }
            | Self::Lost { .. }
            | Self::BodyTruncated { .. }
            | Self::MissingTrailer
            | Self::Protocol { .. } => true,
            Self::PeerDead(reason) => *reason != DeathReason::Closed,
            Self::Status { code, .. } => *code >= 500 || matches!(code, 408 | 425 | 429),
            Self::Auth { .. }
            | Self::LocalTimeout { .. }
            | Self::Source(_)
            | Self::Invalid(_)
            | Self::Closed => false,
        }
    }

    pub(crate) fn kind(&self) -> std::io::ErrorKind {
        use std::io::ErrorKind;
        match self {
            Self::BodyTruncated { .. } | Self::MissingTrailer => ErrorKind::UnexpectedEof,
            Self::ConnectTimeout { .. }
            | Self::HeadTimeout { .. }
            | Self::Stalled { .. }
            | Self::LocalTimeout { .. } => ErrorKind::TimedOut,
            Self::Protocol { .. } => ErrorKind::InvalidData,
            Self::Auth { .. } => ErrorKind::PermissionDenied,
            Self::Invalid(_) => ErrorKind::InvalidInput,
            Self::PeerDead(_) | Self::Lost { .. } => ErrorKind::ConnectionAborted,
            _ => ErrorKind::Other,
        }
    }
}

/// Chosen by the variant: a truncated body is `UnexpectedEof`, a limit is `TimedOut`, and so on; the
/// `CommError` is the inner error.
impl From<CommError> for std::io::Error {
    fn from(error: CommError) -> Self {
        Self::new(error.kind(), error)
    }
}

impl From<DeathReason> for CommError {
    fn from(reason: DeathReason) -> Self {
        match reason {
            DeathReason::Closed => Self::Closed,
            other => Self::PeerDead(other),
        }
    }
}

/// Why a client considers its worker dead. Death is final: a new client is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeathReason {
    /// The transport itself ended, for example the worker's reverse registration.
    TransportClosed(String),
    /// So many heartbeats in a row failed.
    HeartbeatsFailed {
        /// How many.
        failures: u32,
        /// What the last one said.
        last: String,
    },
    /// Nothing was heard for this long, although heartbeats were sent.
    Silent(Duration),
    /// [`Client::mark_broken`](crate::Client::mark_broken) was called with this reason.
    Marked(String),
    /// [`Client::close`](crate::Client::close) was called.
    Closed,
}

impl fmt::Display for DeathReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TransportClosed(why) => write!(f, "transport closed: {why}"),
            Self::HeartbeatsFailed { failures, last } => {
                write!(
                    f,
                    "{failures} heartbeats in a row failed, the last with: {last}"
                )
            }
            Self::Silent(time) => write!(f, "nothing heard for {time:?}"),
            Self::Marked(why) => write!(f, "marked broken: {why}"),
            Self::Closed => f.write_str("client closed"),
        }
    }
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_try_could_change_is_retryable() {
        let status = |code| CommError::Status {
            op: "/exec",
            code,
            status: String::new(),
            body: String::new(),
        };
        assert!(status(500).is_retryable());
        assert!(status(502).is_retryable());
        assert!(status(429).is_retryable());
        assert!(!status(400).is_retryable());
        assert!(!status(422).is_retryable());
        assert!(CommError::MissingTrailer.is_retryable());
        assert!(CommError::from(DeathReason::Silent(Duration::from_secs(15))).is_retryable());
        assert!(!CommError::from(DeathReason::Closed).is_retryable());
        let limit = CommError::LocalTimeout {
            after: Duration::from_secs(1),
        };
        assert!(!limit.is_retryable());
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = CommError::Connect {
            worker: "w1".into(),
            source: Arc::new(std::io::Error::other("refused")),
        };
        assert_eq!(chain(&error), "worker w1: cannot connect: refused");
    }
}
