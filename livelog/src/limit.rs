use bytes::Bytes;

use crate::config::{GO_MARKER, GO_MAX_BYTES, Limit};

/// The running state of a [`Limit`].
#[derive(Debug)]
pub(crate) struct Limiter {
    /// Bytes that may still be appended; `None`: any number.
    room: Option<u64>,
    /// Taken when the log is cut.
    marker: Option<Bytes>,
}

/// What becomes of one append.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// How many bytes from the start of the append are kept.
    pub(crate) keep: usize,
    /// What follows them, if this append is the one that exceeds the limit.
    pub(crate) marker: Option<Bytes>,
}

impl Limiter {
    pub(crate) fn new(limit: &Limit) -> Self {
        let (max, mut marker) = match limit {
            Limit::Unlimited | Limit::HeadAndTail { .. } => {
                return Self {
                    room: None,
                    marker: None,
                };
            }
            Limit::HeadOnly { max, marker } => (*max, marker.clone()),
            Limit::GoMarker => (GO_MAX_BYTES, Bytes::from_static(GO_MARKER)),
        };
        marker.truncate(usize::try_from(max).unwrap_or(usize::MAX));
        Self {
            room: Some(max - marker.len() as u64),
            marker: Some(marker),
        }
    }

    pub(crate) fn admit(&mut self, len: usize) -> Admitted {
        let Some(room) = &mut self.room else {
            return Admitted {
                keep: len,
                marker: None,
            };
        };
        if len as u64 <= *room && self.marker.is_some() {
            *room -= len as u64;
            return Admitted {
                keep: len,
                marker: None,
            };
        }
        // `room` is less than `len` here, or the log has been cut already and `room` is 0.
        let keep = usize::try_from(*room).unwrap_or(len).min(len);
        *room = 0;
        Admitted {
            keep,
            marker: self.marker.take(),
        }
    }
}
