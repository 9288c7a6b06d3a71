use std::time::Duration;

/// How a single call is to be made. See [`Group::run_with`](crate::Group::run_with).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct Options {
    pub(crate) linked: bool,
    pub(crate) limit: Option<Duration>,
}

impl Options {
    /// As [`Group::run`](crate::Group::run): the work goes on even if nobody waits, for as long as it takes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The work is stopped when the last caller that waits for it is cancelled, unless one of them is not linked.
    pub fn linked(mut self) -> Self {
        self.linked = true;
        self
    }

    /// The work may take that long in all. Then it is stopped, all callers get
    /// [`Aborted::TimedOut`](crate::Aborted::TimedOut), and the key is free.
    ///
    /// The limit of the call that starts the work is the one that counts. How long a caller is willing to wait
    /// is its own affair: cancel the call, for instance with [`tokio::time::timeout`]. Needs a runtime with its timers
    /// enabled; without them the callers get [`Aborted::Panicked`](crate::Aborted::Panicked). Takes effect where the
    /// work waits.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }
}
