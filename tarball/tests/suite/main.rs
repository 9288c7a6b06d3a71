//! Archives of every kind, against a directory whose surroundings are watched.

mod errors;
mod file_list;
mod gzip;
mod headers;
mod legit;
mod links;
mod pack;
mod paths;
mod race;
mod roundtrip;
mod support;
mod types;
mod volume;
