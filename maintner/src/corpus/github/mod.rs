//! What a log says of GitHub.

use crate::{
    proto::view,
    store::{Origin, Texts},
};

/// All that a log says of GitHub. A clone is a version that stays as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    texts: Texts,
}

impl State {
    pub(super) fn texts_mut(&mut self) -> &mut Texts {
        &mut self.texts
    }

    #[expect(clippy::needless_pass_by_ref_mut, reason = "to be filled")]
    pub(super) fn apply(&mut self, _origin: Origin<'_>, _mutation: &view::GithubMutation<'_>) {}

    #[expect(clippy::needless_pass_by_ref_mut, reason = "to be filled")]
    pub(super) fn apply_issue(
        &mut self,
        _origin: Origin<'_>,
        _mutation: &view::GithubIssueMutation<'_>,
    ) {
    }
}

/// GitHub, as a version of a corpus knows it.
#[derive(Debug, Clone, Copy)]
pub struct GitHub<'a> {
    #[expect(dead_code, reason = "nothing can be asked yet")]
    state: &'a State,
}

impl<'a> GitHub<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        Self { state }
    }
}
