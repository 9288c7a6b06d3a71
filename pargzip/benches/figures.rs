//! Figures with their peers in the same run: `cargo bench -p pargzip --bench figures`.
//!
//! The input is made up: lines that look like a build log, words of a source tree, and noise. Rounds alternate between us
//! and the peer; the median counts.

use std::hint::black_box;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;

const SIZE: usize = 24 << 20;
const ROUNDS: usize = 3;

fn main() {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let text = text(SIZE);
    let noise = noise(SIZE);
    // One thread of the same codec is the base; perfect scaling would be the number of threads.
    let scaling = 0.8 * threads as f64;
    for (name, level, input, target) in [
        ("level1", 1, &text, scaling),
        ("level6", 6, &text, scaling),
        ("noise", 6, &noise, scaling),
    ] {
        compare(
            name,
            "flate2-1-thread",
            target,
            input,
            |data| ours(data, level, threads),
            |data| {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
                encoder.write_all(data)?;
                Ok(encoder.finish()?.len())
            },
        );
    }
    if Command::new("pigz").arg("--version").output().is_ok() {
        for level in [1, 6] {
            let name = format!("pigz-level{level}");
            compare(
                &name,
                "pigz",
                1.5,
                &text,
                |data| ours(data, level, threads),
                |data| pigz(data, level, threads),
            );
        }
    } else {
        println!("# SKIPPED: pigz is not installed");
    }
}

/// Prints megabytes of input a second, and the sizes as a comment.
fn compare(
    name: &str,
    peer: &str,
    target: f64,
    input: &[u8],
    mut ours: impl FnMut(&[u8]) -> io::Result<usize>,
    mut theirs: impl FnMut(&[u8]) -> io::Result<usize>,
) {
    let mut speeds = [Vec::new(), Vec::new()];
    let mut sizes = [0, 0];
    for _ in 0..ROUNDS {
        for (i, speeds) in speeds.iter_mut().enumerate() {
            let begun = Instant::now();
            let size = if i == 0 { ours(input) } else { theirs(input) };
            sizes[i] = black_box(size).expect("compressing into memory works");
            speeds.push(input.len() as f64 / 1e6 / begun.elapsed().as_secs_f64());
        }
    }
    let [ours, theirs] = speeds.map(|mut speeds| {
        speeds.sort_by(f64::total_cmp);
        speeds[ROUNDS / 2]
    });
    let ratio = ours / theirs;
    let verdict = if ratio >= target { "ok" } else { "SHORT" };
    println!(
        "figure pargzip-{name} ours={ours:.1} peer={theirs:.1}({peer}) unit=MB/s ratio={ratio:.2} target>={target:.2} {verdict}"
    );
    println!(
        "# sizes: ours {} peer {} of {}",
        sizes[0],
        sizes[1],
        input.len()
    );
}

fn ours(data: &[u8], level: u32, threads: usize) -> io::Result<usize> {
    let mut writer = pargzip::Builder::new()
        .level(level)
        .threads(threads)
        .build(Vec::new());
    writer.write_all(data)?;
    Ok(writer.finish()?.len())
}

fn pigz(data: &[u8], level: u32, threads: usize) -> io::Result<usize> {
    let mut child = Command::new("pigz")
        .args(["-c", &format!("-{level}"), "-p", &threads.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(data));
        Ok(child.wait_with_output()?.stdout.len())
    })
}

fn noise(len: usize) -> Vec<u8> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    (0..len).map(|_| random.next() as u8).collect()
}

/// Lines of words with a skewed frequency, some numbers, some hexadecimal.
fn text(len: usize) -> Vec<u8> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let words = (0..2000)
        .map(|_| {
            (0..3 + random.next() % 8)
                .map(|_| char::from(b'a' + (random.next() % 26) as u8))
                .collect()
        })
        .collect::<Vec<String>>();
    let mut text = Vec::with_capacity(len + 100);
    while text.len() < len {
        for _ in 0..4 + random.next() % 8 {
            let rank = (random.next() % 2000) * (random.next() % 2000) / 2000;
            text.extend_from_slice(words[rank as usize].as_bytes());
            text.push(b" ./("[(random.next() % 4) as usize]);
        }
        let _ = writeln!(
            text,
            "{} {:08x}",
            random.next() % 1000,
            random.next() as u32
        );
    }
    text.truncate(len);
    text
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }
}
