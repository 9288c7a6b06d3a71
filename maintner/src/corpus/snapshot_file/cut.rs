//! What a saved corpus has of a log, and what it lacks.

use sha2::{Digest, Sha224};

use super::Reason;
use crate::{
    log::{Batch, Segment},
    store::Segments,
};

/// Divides a log, of which `segments` tell what it is and `batches` are the bytes: into what stands
/// in `saved`, and the rest. Fails unless `saved` is a beginning of the log.
pub(super) fn cut(
    saved: &[Segment],
    segments: &[Segment],
    batches: &[Batch],
) -> Result<(Segments, Vec<Batch>), Reason> {
    let mut known = Segments::new();
    let mut rest = Vec::new();
    // Bytes of each saved segment that have come so far.
    let mut sizes = vec![0; saved.len()];
    let mut sum = Sha224::new();
    for (number, &part) in (0..).zip(saved) {
        let diverged = Reason::Diverged { segment: number };
        let Some(whole) = segments.get(number as usize) else {
            return Err(diverged);
        };
        let is_last = number as usize + 1 == saved.len();
        let is_same = if part.size < whole.size {
            is_last
        } else {
            part.size == whole.size && part.sha224 == whole.sha224
        };
        if part.number != number || whole.number != number || !is_same {
            return Err(diverged);
        }
    }
    let partial = saved.len().checked_sub(1).filter(|&last| {
        let whole = segments.get(last).map_or(0, |segment| segment.size);
        saved[last].size < whole
    });
    for batch in batches {
        let number = batch.segment as usize;
        let end = saved.get(number).map_or(0, |segment| segment.size);
        if batch.offset >= end {
            rest.push(batch.clone());
            continue;
        }
        let diverged = Reason::Diverged {
            segment: batch.segment,
        };
        let split = (end - batch.offset).min(batch.bytes.len() as u64) as usize;
        let bytes = batch.bytes.slice(..split);
        if sizes[number] != batch.offset {
            return Err(diverged);
        }
        sizes[number] += split as u64;
        if partial == Some(number) {
            sum.update(&bytes);
        }
        known
            .push(batch.segment, batch.offset, &bytes)
            .map_err(|_| diverged)?;
        if split < batch.bytes.len() {
            rest.push(Batch {
                segment: batch.segment,
                offset: end,
                bytes: batch.bytes.slice(split..),
            });
        }
    }
    for (segment, size) in saved.iter().zip(sizes) {
        let diverged = Reason::Diverged {
            segment: segment.number,
        };
        if segment.size != size {
            return Err(diverged);
        }
    }
    if let Some(last) = partial
        && saved[last].sha224.0[..] != sum.finalize()[..]
    {
        let segment = saved[last].number;
        return Err(Reason::Diverged { segment });
    }
    Ok((known, rest))
}
