//! Any rules over any names.
//!
//! ```text
//! RUSTC_BOOTSTRAP=1 cargo fuzz run ignore
//! ```

#![no_main]

#[path = "../../tests/suite/bodies.rs"]
#[expect(dead_code, reason = "the bodies of all targets are in one file")]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::ignore(data));
