//! Peak memory of reading, each case in a process of its own that does nothing else.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

mod read_support;

use std::fs;
use std::io::{self, BufRead, Read};
use std::process::Command;

use pargzip::ReaderBuilder;
use read_support::*;

const CASE: &str = "PARGZIP_MEMORY_CASE";

/// A beginning, then one piece again and again.
struct Source {
    start: Vec<u8>,
    piece: Vec<u8>,
    at: usize,
    left: usize,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.start.is_empty() {
            let len = self.start.len().min(buffer.len());
            buffer[..len].copy_from_slice(&self.start[..len]);
            self.start.drain(..len);
            return Ok(len);
        }
        let mut done = 0;
        while done < buffer.len() && self.left > 0 {
            let rest = &self.piece[self.at % self.piece.len()..];
            let len = rest.len().min(buffer.len() - done).min(self.left);
            buffer[done..done + len].copy_from_slice(&rest[..len]);
            done += len;
            self.at += len;
            self.left -= len;
        }
        Ok(done)
    }
}

/// A member in which nothing is compressed, cheap to make.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut deflate = Vec::new();
    let mut blocks = data.chunks(65_535).peekable();
    while let Some(block) = blocks.next() {
        deflate.push(u8::from(blocks.peek().is_none()));
        deflate.extend((block.len() as u16).to_le_bytes());
        deflate.extend((!(block.len() as u16)).to_le_bytes());
        deflate.extend(block);
    }
    let mut member = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x08\0IG\x04\0\0\0\0\0".to_vec();
    let len = (member.len() + deflate.len() + 8) as u32;
    member[16..20].copy_from_slice(&len.to_le_bytes());
    member.extend(deflate);
    member.extend(crc(data).to_le_bytes());
    member.extend((data.len() as u32).to_le_bytes());
    member
}

/// What is read, and how many MB the whole process may take for it.
fn case(name: &str) -> Option<(Source, usize)> {
    let again = |piece: Vec<u8>, times: usize| Source {
        start: Vec::new(),
        left: piece.len() * times,
        piece,
        at: 0,
    };
    let after = |start: Vec<u8>, piece: &[u8]| Source {
        start,
        piece: piece.to_vec(),
        at: 0,
        left: 24 << 20,
    };
    // As our own writer makes them, of 1 MiB.
    let text = text(1 << 20);
    let endless_name = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03".to_vec();
    let claims_all = [sized(b"", Some(u32::MAX)), plain(b"")].concat();
    Some(match name {
        "our own" => (again(sized(&text, None), 30), 16),
        "our own, stored" => (again(stored(&text), 40), 20),
        "another's, one member" => (again(plain(&vec![0; 30 << 20]), 1), 8),
        "guessed members" => (again(plain(&text), 30), 16),
        // The largest that are decompressed whole.
        "bombs of the largest size" => (again(sized(&vec![0; 4 << 20], None), 20), 40),
        "the largest, stored" => (again(stored(&vec![7; 4 << 20]), 12), 64),
        "larger than the largest" => (again(stored(&vec![7; 5 << 20]), 8), 16),
        "tiny members" => (again(plain(b""), 100_000), 8),
        "a name without end" => (after(endless_name, b"x"), 8),
        "a claim of 4 GB" => (after(claims_all, b"\0"), 8),
        "zeros after the end" => (after(plain(b"data"), b"\0"), 8),
        "headers without end" => (
            after(Vec::new(), b"\x1f\x8b\x08\x04\0\0\0\0\0\x03\xff\xff"),
            8,
        ),
        _ => return None,
    })
}

const CASES: [&str; 12] = [
    "our own",
    "our own, stored",
    "another's, one member",
    "guessed members",
    "bombs of the largest size",
    "the largest, stored",
    "larger than the largest",
    "tiny members",
    "a name without end",
    "a claim of 4 GB",
    "zeros after the end",
    "headers without end",
];

fn status(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib: usize = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap();
    kib * 1024
}

/// Does nothing unless started by the other test.
#[test]
fn one_case() {
    let Ok(name) = std::env::var(CASE) else {
        return;
    };
    let (source, _) = case(&name).unwrap();
    let before = status("VmRSS:");
    // The peak of making the source does not count.
    if fs::write("/proc/self/clear_refs", "5").is_err() {
        println!("measured SKIPPED: the peak of memory cannot be reset here");
        return;
    }
    let mut reader = ReaderBuilder::new().threads(2).build(source);
    let mut total = 0_u64;
    let outcome = loop {
        match reader.fill_buf().map(<[u8]>::len) {
            Ok(0) => break "read".to_owned(),
            Err(error) => break error.to_string(),
            Ok(len) => {
                total += len as u64;
                reader.consume(len);
            }
        }
    };
    let peak = status("VmHWM:");
    println!("measured {peak} {before} {total} {outcome}");
}

#[test]
fn memory_is_bounded_whatever_the_input() {
    let program = std::env::current_exe().unwrap();
    for name in CASES {
        let output = Command::new(&program)
            .args(["--exact", "one_case", "--nocapture", "--test-threads=1"])
            .env(CASE, name)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {text}");
        let at = text.find("measured ").unwrap() + "measured ".len();
        let measured = text[at..].lines().next().unwrap();
        println!("{name}: {measured}");
        if measured.starts_with("SKIPPED") {
            return;
        }
        let peak: usize = measured.split(' ').next().unwrap().parse().unwrap();
        let (_, megabytes) = case(name).unwrap();
        assert!(peak <= megabytes * 1_000_000, "{name}: {measured}");
    }
}
