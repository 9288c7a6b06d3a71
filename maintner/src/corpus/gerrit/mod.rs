//! What a log says of Gerrit.

use super::commits::{AddError, Commits, Waiting};
use crate::{proto::view, store::Origin};

/// All that a log says of Gerrit but the commits. A clone is a version that stays as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct State {}

impl State {
    #[expect(clippy::needless_pass_by_ref_mut, reason = "to be filled")]
    pub(super) fn apply(
        &mut self,
        commits: &mut Commits,
        waiting: &mut Waiting,
        origin: Origin<'_>,
        mutation: &view::GerritMutation<'_>,
        skipped: &mut u64,
    ) -> Result<(), AddError> {
        for commit in mutation.commits {
            let added = match commit {
                Ok(commit) => commits.add(origin, &commit, waiting),
                Err(_) => continue,
            };
            match added {
                Ok(_) => {}
                Err(AddError::Full) => return Err(AddError::Full),
                Err(error) => {
                    tracing::debug!(%error, "passed over a commit");
                    *skipped += 1;
                }
            }
        }
        Ok(())
    }

    /// Makes up what has to be made up once a batch was applied.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "to be filled")]
    pub(super) fn finish(&mut self, _commits: &Commits) {}
}

/// Gerrit, as a version of a corpus knows it.
#[derive(Debug, Clone, Copy)]
pub struct Gerrit<'a> {
    #[expect(dead_code, reason = "nothing can be asked yet")]
    state: &'a State,
    #[expect(dead_code, reason = "nothing can be asked yet")]
    commits: &'a Commits,
}

impl<'a> Gerrit<'a> {
    pub(super) fn new(state: &'a State, commits: &'a Commits) -> Self {
        Self { state, commits }
    }
}
