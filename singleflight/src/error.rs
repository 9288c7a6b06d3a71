use std::any::Any;
use std::sync::Arc;

/// Why a call gave no value. Every caller that waited for it gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Aborted {
    /// The work panicked; the panic's message, if it was text.
    #[error("the shared call panicked: {0}")]
    Panicked(Arc<str>),
    /// The work was stopped before it ended: its runtime is shutting down.
    #[error("the shared call was cancelled")]
    Cancelled,
    /// The work took longer than the one who started it allowed, and was stopped.
    #[error("the shared call took longer than its limit")]
    TimedOut,
    /// The work has to wait, and the caller that started it is not inside a tokio runtime.
    #[error("the caller runs outside of a tokio runtime")]
    NoRuntime,
    /// The caller is itself (part of) the work for this key and would wait for itself.
    #[error("the shared call waits for itself")]
    Reentrant,
}

impl Aborted {
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::Panicked(message.unwrap_or("(no message)").into())
    }
}

/// Why work that can fail gave no value. Every caller that waited for it gets the same answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TryError<E> {
    /// The work failed. All callers share its error.
    #[error("the shared call failed")]
    Failed(#[source] Arc<E>),
    /// The work did not come to an end.
    #[error(transparent)]
    Aborted(#[from] Aborted),
}

impl<E> TryError<E> {
    /// The error of the work itself, if it came to that.
    pub fn failure(&self) -> Option<&E> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Aborted(_) => None,
        }
    }
}

impl<E> Clone for TryError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(error.clone()),
            Self::Aborted(aborted) => Self::Aborted(aborted.clone()),
        }
    }
}
