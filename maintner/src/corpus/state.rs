use bytes::Bytes;

use super::{
    commits::{AddError, Commits, Waiting},
    gerrit, github,
};
use crate::{
    log::Position,
    store::{Full, Misplaced, Origin, Segments, saved},
};

/// All that a log says. A clone is a version that stays as it is, and costs next to nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) github: github::State,
    pub(super) commits: Commits,
    pub(super) gerrit: gerrit::State,
    pub(super) generation: u64,
    /// How often everything was forgotten and read anew.
    pub(super) epoch: u64,
    /// The end of the log that it was made of.
    pub(super) position: Position,
    /// Parts of mutations that were passed over because nobody can make anything of them.
    pub(super) skipped: u64,
}

impl State {
    /// Adds bytes of the log, for both halves ([`Segments::push`]).
    pub(super) fn push<'a>(
        &mut self,
        segment: u32,
        offset: u64,
        bytes: &'a Bytes,
    ) -> Result<Origin<'a>, Misplaced> {
        let mut segments = self.commits.texts().segments().clone();
        let origin = segments.push(segment, offset, bytes)?;
        self.set_segments(segments);
        Ok(origin)
    }

    fn set_segments(&mut self, segments: Segments) {
        self.github.texts_mut().set_segments(segments.clone());
        self.commits.texts_mut().set_segments(segments);
    }

    /// Bytes of each segment.
    pub(super) fn sizes(&self) -> impl Iterator<Item = u64> + Clone {
        self.commits.texts().segments().sizes()
    }

    pub(super) fn remap(&mut self, segment: u32, bytes: &Bytes) {
        let mut segments = self.commits.texts().segments().clone();
        segments.replace(segment, bytes.clone());
        self.set_segments(segments);
    }

    /// Makes up what has to be made up once a batch was applied.
    pub(super) fn finish(&mut self, waiting: &mut Waiting) {
        self.gerrit.finish(&mut self.commits, waiting);
    }
}

impl From<Full> for AddError {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

saved!(State {
    github,
    commits,
    gerrit,
    generation,
    epoch,
    position,
    skipped,
});

saved!(Position {
    bytes,
    segment,
    offset,
});
