//! Archives of every kind, against a directory whose surroundings are watched.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod errors;
mod extended;
mod file_list;
mod gzip;
mod headers;
mod hostile;
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
