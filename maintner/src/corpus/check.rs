use std::fmt;

use super::{Hash, Snapshot};

/// Something that a log should have told and did not; what [`Snapshot::check`] finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem<'a> {
    /// A commit that others have for a parent.
    MissingCommit(Hash),
    /// A ref that leads to a commit some of whose ancestors are missing.
    IncompleteRef {
        /// The project, with its server.
        project: &'a str,
        /// The whole name of the ref.
        name: &'a str,
    },
    /// A change without a patch set, without meta commits, or some of whose meta commits are missing.
    IncompleteChange {
        /// The project, with its server.
        project: &'a str,
        /// The change's number.
        number: i32,
    },
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingCommit(name) => {
                write!(f, "commit {name} is missing, from which others descend")
            }
            Self::IncompleteRef { project, name } => {
                write!(f, "{project}: {name} leads to commits that are missing")
            }
            Self::IncompleteChange { project, number } => write!(
                f,
                "{project}: change {number} has no patch set, or not all of its meta commits"
            ),
        }
    }
}

impl Snapshot {
    /// What is missing of commits and changes. Looks at all of them.
    pub fn check(&self) -> Vec<Problem<'_>> {
        let missing = self.commits().missing_names().map(Problem::MissingCommit);
        missing.chain(self.gerrit().problems()).collect()
    }
}
