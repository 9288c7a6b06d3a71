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
    /// The caller is not inside a tokio runtime, so the work cannot be started.
    #[error("the caller runs outside of a tokio runtime")]
    NoRuntime,
    /// The caller is itself (part of) the work for this key and would wait for itself.
    #[error("the shared call waits for itself")]
    Reentrant,
}
