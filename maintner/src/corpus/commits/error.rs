use super::{CommitId, Hash};
use crate::{parse::commit::CommitError, proto::wire::DecodeError};

/// Why a commit was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Its name is not 40 hex digits.
    #[error("commit has no valid name: {0:?}")]
    Name(String),
    /// It is no commit object.
    #[error("commit {name} cannot be read")]
    Object {
        /// Its name.
        name: Hash,
        /// Why.
        #[source]
        source: CommitError,
    },
    /// It is no message of the schema.
    #[error("commit cannot be decoded")]
    Message(#[from] DecodeError),
    /// Its list of files cannot be read.
    #[error("commit {name} has an unreadable list of files")]
    Files {
        /// Its name.
        name: Hash,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// The corpus has as many rows of a kind as it can have: 2^32 - 1.
    #[error("corpus is full")]
    Full,
}

/// Counts a commit that was not taken in, unless the corpus is full.
pub(in crate::corpus) fn passed_over(
    added: Result<CommitId, AddError>,
    skipped: &mut u64,
) -> Result<(), AddError> {
    match added {
        Ok(_) => Ok(()),
        Err(AddError::Full) => Err(AddError::Full),
        Err(error) => {
            tracing::debug!(%error, "passed over a commit");
            *skipped += 1;
            Ok(())
        }
    }
}
