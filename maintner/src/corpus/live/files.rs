//! The snapshot files of a corpus that follows its log: where it begins, and when there is a new one.

use std::sync::Weak;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::{
    corpus::{ApplyError, Writer, snapshot_file::SnapshotDir},
    log::{Batch, Segment, total},
};

/// A file is made while the log is followed when it has grown by this part of its length: together,
/// files take no more writing than the log.
const FOLLOWING: u64 = 4;

/// A file is made at the start and at the end when there is more than this part of the log that the
/// last one does not know.
const RESTING: u64 = 20;

/// What a log said until it had said all, not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) batches: Vec<Batch>,
    /// Mappings that come in the place of pieces.
    pub(super) mapped: Vec<(u32, Bytes)>,
}

/// Where a writer begins, and when its next file is due.
#[derive(Debug)]
pub(super) struct Files {
    dir: SnapshotDir,
    /// Bytes of the log that the last file knows, or was to know.
    known: u64,
    /// All there was, when there was no more.
    segments: Vec<Segment>,
    saving: Option<JoinHandle<()>>,
}

impl Files {
    pub(super) fn new(dir: SnapshotDir) -> Self {
        Self {
            dir,
            known: 0,
            segments: Vec::new(),
            saving: None,
        }
    }

    /// Where to hold what a log says until it has said all, if there may be a file that knows it.
    pub(super) fn hold(&self) -> Option<Held> {
        self.dir.has_some().then(Held::default)
    }

    /// Lets the writer know all that was held of a log, with the help of a file if there is one that
    /// fits. Whether it does: it ends early when nobody waits any more. Blocks.
    pub(super) fn load(
        &mut self,
        writer: &mut Writer,
        held: Held,
        segments: &[Segment],
        waits: &Weak<()>,
    ) -> Result<bool, ApplyError> {
        let rest = match self.dir.find(segments, &held.batches) {
            Ok((checkpoint, rest, file)) => {
                tracing::debug!(file = %file.display(), "beginning with a snapshot file");
                writer.adopt(checkpoint);
                rest
            }
            Err(reason) => {
                tracing::debug!(%reason, "reading all of the log");
                held.batches
            }
        };
        self.known = writer.log_bytes();
        for batch in rest {
            if waits.strong_count() == 0 {
                return Ok(false);
            }
            writer.apply(batch.segment, batch.offset, &batch.bytes)?;
        }
        for (segment, bytes) in held.mapped {
            writer.remap(segment, &bytes);
        }
        Ok(true)
    }

    /// The writer knows all of this log for the first time, and has published it.
    pub(super) fn loaded(&mut self, writer: &Writer, segments: Vec<Segment>) {
        self.segments = segments;
        self.save_if_due(writer, RESTING);
    }

    /// The writer knows all of this log, and has published it.
    pub(super) fn caught_up(&mut self, writer: &Writer, segments: Vec<Segment>) {
        self.segments = segments;
        self.save_if_due(writer, FOLLOWING);
    }

    /// The log is another one.
    pub(super) fn split(&mut self) {
        self.known = 0;
        self.segments.clear();
    }

    /// Saves what the next start would miss. Returns when all that is being saved is.
    pub(super) async fn finish(&mut self, writer: &Writer) {
        self.saved().await;
        self.save_if_due(writer, RESTING);
        self.saved().await;
    }

    async fn saved(&mut self) {
        if let Some(saving) = &mut self.saving {
            // If it panicked, there is no file.
            let _ = saving.await;
            self.saving = None;
        }
    }

    fn save_if_due(&mut self, writer: &Writer, part: u64) {
        let bytes = total(&self.segments);
        let is_due = self.dir.is_worth(bytes)
            && bytes.saturating_sub(self.known) > bytes / part
            && bytes == writer.log_bytes();
        let is_free = self.saving.as_ref().is_none_or(JoinHandle::is_finished);
        if !is_due || !is_free {
            return;
        }
        // If it fails, that is no reason to try again at once.
        self.known = bytes;
        let (dir, checkpoint) = (self.dir.clone(), writer.checkpoint());
        let segments = self.segments.clone();
        let save = move || match dir.save(&checkpoint, &segments) {
            Ok(file) => tracing::debug!(file = %file.display(), "saved a snapshot file"),
            // The next start takes longer; nothing else depends on it.
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot save a snapshot file"
            ),
        };
        self.saving = Some(tokio::task::spawn_blocking(save));
    }
}

#[cfg(test)]
mod tests;
