//! What must never be written, because it stops the Go readers of a log.

/// Why a payload must not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The payload is no mutation.
    #[error("not a mutation")]
    Malformed(#[source] crate::proto::wire::DecodeError),
}

/// Looks at one payload.
///
/// # Errors
/// What is wrong with it.
pub fn check(payload: &[u8]) -> Result<(), Refused> {
    use crate::proto::view::View;
    crate::proto::view::Mutation::decode(payload)
        .map(drop)
        .map_err(Refused::Malformed)
}

/// [`check`] for each of `payloads`.
pub(super) fn all(payloads: &[bytes::Bytes]) -> Result<(), super::SinkError> {
    for (index, payload) in payloads.iter().enumerate() {
        check(payload).map_err(|source| super::SinkError::Refused { index, source })?;
    }
    Ok(())
}
