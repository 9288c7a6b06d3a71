use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{ApplyError, Commits, Gerrit, GitHub, Writer, state::State};
use crate::{log::Position, store::Segments};

/// A corpus as it was at one moment: it never changes, and any number of threads may read it.
#[derive(Clone, Default)]
pub struct Snapshot(Arc<State>);

impl Snapshot {
    pub(super) fn new(state: State) -> Self {
        Self(Arc::new(state))
    }

    /// What a whole log says, which has a single segment.
    ///
    /// # Errors
    ///
    /// Fails if the log is damaged.
    pub fn of_log(log: impl Into<Bytes>) -> Result<Self, ApplyError> {
        let mut writer = Writer::new();
        writer.apply(0, 0, &log.into())?;
        Ok(writer.publish())
    }

    /// Issues, pull requests and all about them.
    pub fn github(&self) -> GitHub<'_> {
        GitHub::new(&self.0.github)
    }

    /// Changes under review and all about them.
    pub fn gerrit(&self) -> Gerrit<'_> {
        Gerrit::new(&self.0.gerrit, &self.0.commits)
    }

    /// All commits.
    pub fn commits(&self) -> &Commits {
        &self.0.commits
    }

    /// Grows by one with each snapshot that a writer publishes.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Another number than before once the log was another one than before, so that nothing that was
    /// known has to be true any more.
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// The end of the log that it was made of.
    pub fn position(&self) -> Position {
        self.0.position
    }

    /// Bytes of the log that it was made of.
    pub fn log_bytes(&self) -> u64 {
        self.0.position.bytes
    }

    /// The log that it was made of.
    pub(super) fn segments(&self) -> &Segments {
        self.0.github.texts().segments()
    }

    /// Parts of the log that were passed over because nobody can make anything of them.
    pub fn skipped(&self) -> u64 {
        self.0.skipped
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation())
            .field("log_bytes", &self.log_bytes())
            .finish_non_exhaustive()
    }
}
