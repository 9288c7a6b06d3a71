//! What to do when `accept` fails.

use std::io;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

/// Waits between failed accepts. They grow while the failure lasts, as with all file descriptors in use.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The wait before the next try, or none if only the one connection failed.
    pub(crate) fn after(&mut self, error: &io::Error) -> Option<Duration> {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
        ) {
            return None;
        }
        let wait = self.last.map_or(FIRST, |last| (last * 2).min(LONGEST));
        if self.last.is_none() {
            tracing::warn!(%error, "cannot accept connections; trying again until it works");
        }
        self.last = Some(wait);
        Some(wait)
    }

    /// An accept worked.
    pub(crate) fn reset(&mut self) {
        if self.last.take().is_some() {
            tracing::info!("accepting connections again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_start_over() {
        let mut backoff = Backoff::default();
        let exhausted = io::Error::from_raw_os_error(24);
        let waits: Vec<_> = (0..9)
            .filter_map(|_| backoff.after(&exhausted))
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(
            backoff.after(&io::ErrorKind::ConnectionAborted.into()),
            None
        );
        backoff.reset();
        assert_eq!(backoff.after(&exhausted), Some(FIRST));
    }
}
