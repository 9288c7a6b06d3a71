//! Inputs, decoders and sinks that several tests use.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::bufread::GzDecoder;
use flate2::read::MultiGzDecoder;

pub(crate) fn decode(compressed: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    MultiGzDecoder::new(compressed)
        .read_to_end(&mut decoded)
        .unwrap();
    decoded
}

/// The input held by each member; also checks that nothing follows the last.
pub(crate) fn members(mut compressed: &[u8]) -> Vec<Vec<u8>> {
    let mut members = Vec::new();
    while !compressed.is_empty() {
        let mut member = Vec::new();
        let mut decoder = GzDecoder::new(compressed);
        decoder.read_to_end(&mut member).unwrap();
        compressed = decoder.into_inner();
        members.push(member);
    }
    members
}

/// What `gzip -d` makes of it; `None` if that fails, or there is no gzip.
pub(crate) fn gunzip(compressed: &[u8]) -> Option<Vec<u8>> {
    let mut gzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = gzip.stdin.take()?;
    let compressed = compressed.to_vec();
    let feeding = thread::spawn(move || drop(stdin.write_all(&compressed)));
    let output = gzip.wait_with_output().ok()?;
    feeding.join().ok()?;
    output.status.success().then_some(output.stdout)
}

/// Hardly compressible, the same for every run.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(next).collect()
}

/// Numbered lines, now and then noise.
pub(crate) fn mixed(len: usize) -> Vec<u8> {
    let noise = noise(5000);
    let mut mixed = Vec::with_capacity(len + 6000);
    for i in 0.. {
        if mixed.len() >= len {
            break;
        }
        writeln!(mixed, "{i}: line {} of {} lines", i * i % 1009, i % 17).unwrap();
        if i % 700 == 699 {
            mixed.extend_from_slice(&noise);
        }
    }
    mixed.truncate(len);
    mixed
}

/// A sink whose content can be looked at meanwhile.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    /// Until this is the only handle.
    pub(crate) fn wait_until_dropped(&self) {
        while Arc::strong_count(&self.0) > 1 {
            thread::yield_now();
        }
    }
}

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
