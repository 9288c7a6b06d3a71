//! A sequence of entries, each well-formed, as an archive; and what the crate `tar` reads in it.
//!
//! ```text
//! RUSTC_BOOTSTRAP=1 cargo fuzz run entries
//! ```

#![no_main]

#[path = "../../tests/suite/bodies.rs"]
#[expect(dead_code, reason = "the bodies of all targets are in one file")]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::entries(data));
