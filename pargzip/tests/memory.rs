//! Peak memory, in a process that does nothing else.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{self, Write};

use pargzip::Builder;

/// The most resident memory of this process so far, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok())
        .expect("is there")
        * 1024
}

/// The default settings, at two threads: 14 MB for everything, of which the process itself has some 4.
#[test]
fn two_threads_stay_within_14_mb() {
    let mut block = vec![0; 64 << 10];
    let mut state = 1_u64;
    let mut writer = Builder::new().threads(2).build(io::sink());
    // Noise first, whose chunks are the largest; then text.
    for round in 0..800 {
        for byte in &mut block {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = if round < 400 {
                (state >> 24) as u8
            } else {
                b'a' + (state >> 61) as u8
            };
        }
        writer.write_all(&block).expect("a sink takes everything");
    }
    writer.finish().expect("a sink takes everything");
    let peak = peak();
    assert!(peak <= 14_000_000, "{peak} bytes");
}
