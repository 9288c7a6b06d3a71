//! `beside_flate2` with whatever the fuzzer makes up; `fuzz/README.md` tells how to run it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/read_support/beside_flate2.rs"]
mod body;

fuzz_target!(|bytes: &[u8]| body::beside_flate2(bytes));
