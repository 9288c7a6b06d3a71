//! What happens in the farm, as it happens.

use buildfarm_dashboard::record::{Build, Worker};

use crate::store::AttemptId;

/// Something that changed. It is told after it became durable.
///
/// Events are hints for whoever watches: a watcher that falls behind misses some and reads the present state instead.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A commit was found and its builds queued; the builds are new in the store.
    Queued(Vec<Build>),
    /// A build got a worker.
    Started(Build),
    /// A step of the running attempt started.
    StepStarted {
        /// The attempt.
        attempt: AttemptId,
        /// Index of the step.
        step: usize,
        /// Its name.
        name: String,
    },
    /// An attempt was lost to the infrastructure; its build waits for the next one.
    Retrying {
        /// The build.
        build: Build,
        /// What went wrong.
        reason: String,
    },
    /// A build has its final result.
    Finished(Build),
    /// A worker came or went.
    Worker(Worker),
    /// Something a person should know, in words.
    Notice(String),
}
