//! Archives of every kind, against a directory whose surroundings are watched.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

#[cfg(feature = "tokio")]
mod asynchronous;
mod bodies;
mod errors;
mod extended;
mod failing;
mod file_list;
mod fuzzed;
mod gzip;
mod headers;
mod hostile;
mod ignore;
mod legit;
mod links;
mod pack;
mod paths;
mod peers;
mod race;
mod roundtrip;
mod support;
mod types;
mod volume;
