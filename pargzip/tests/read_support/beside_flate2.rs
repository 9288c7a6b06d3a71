//! Any bytes, read with and without threads and by flate2. The fuzz target `reader` and a test both use it.

use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use pargzip::{ReadError, ReaderBuilder};

const LIMIT: u64 = 1 << 20;

/// The first byte chooses how; the rest is the file. What flate2 reads we read the same. What it refuses we refuse.
///
/// # Panics
///
/// If it is not so.
pub(crate) fn beside_flate2(bytes: &[u8]) {
    let Some((&how, file)) = bytes.split_first() else {
        return;
    };
    let builder = ReaderBuilder::new()
        .max_output(LIMIT)
        .max_member(1 << (how >> 4))
        .threads(1 + usize::from(how & 3));
    let mut ours = Vec::new();
    // Repeated where little input would not be given to threads.
    let file = if how & 8 == 0 {
        file.to_vec()
    } else {
        file.repeat((200 << 10) / file.len().max(1) + 1)
    };
    let outcome = builder
        .build(Cursor::new(file.clone()))
        .read_to_end(&mut ours);
    let mut local = Vec::new();
    let same = builder.build_local(&file[..]).read_to_end(&mut local);
    let error = outcome.as_ref().err().and_then(ReadError::of).cloned();
    assert_eq!(outcome.is_ok(), same.is_ok());
    if !matches!(error, Some(ReadError::BadDeflate { .. })) {
        assert_eq!(error.as_ref(), same.as_ref().err().and_then(ReadError::of));
        assert!(ours == local);
    }
    if matches!(error, Some(ReadError::OutputLimit { .. })) {
        assert_eq!(ours.len() as u64, LIMIT);
        return;
    }
    let mut theirs = Vec::new();
    let reference = MultiGzDecoder::new(&file[..])
        .take(LIMIT + 1)
        .read_to_end(&mut theirs);
    match (outcome, reference) {
        (Ok(_), Ok(_)) => assert!(ours == theirs),
        // Two differences in what is a file at all: nothing, and zeros at the end.
        (Err(_), Ok(_)) => assert!(error == Some(ReadError::Empty) || file.is_empty()),
        (Ok(_), Err(_)) => assert!(file.ends_with(&[0])),
        (Err(_), Err(_)) => {}
    }
}
