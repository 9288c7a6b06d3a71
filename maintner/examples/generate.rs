//! Writes a log of a history that never happened, as large as wanted, as segments in a directory:
//! `cargo run --release -p maintner --features testing --example generate -- --seed 1 --size 692M DIR`.

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Instant,
};

use maintner::{log::Sha224Sum, testing::History};

const USAGE: &str = "usage: generate [--seed NUMBER] [--size BYTES[K|M|G]] DIR";

fn main() -> Result<(), Box<dyn Error>> {
    let (mut seed, mut size, mut dir) = (1, 100_000_000, None);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--seed" => seed = arguments.next().ok_or(USAGE)?.parse()?,
            "--size" => size = bytes(&arguments.next().ok_or(USAGE)?)?,
            _ if argument.starts_with('-') || dir.is_some() => return Err(USAGE.into()),
            _ => dir = Some(PathBuf::from(argument)),
        }
    }
    let dir = dir.ok_or(USAGE)?;
    fs::create_dir_all(&dir)?;
    if fs::read_dir(&dir)?.next().is_some() {
        return Err(format!("{} is not empty", dir.display()).into());
    }
    let start = Instant::now();
    let (give, take) = mpsc::sync_channel(1);
    let written = thread::scope(|scope| {
        // Sums and files take as long as what is in them.
        let writer = scope.spawn(|| write(&dir, size, take));
        for segment in History::new(seed).segments(size) {
            // The writer stops at the first error.
            if give.send(segment).is_err() {
                break;
            }
        }
        drop(give);
        writer.join().map_err(|_| "the writer panicked")
    })??;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{written} bytes in {seconds:.1} s: {:.0} MB/s",
        written as f64 / 1e6 / seconds
    );
    Ok(())
}

/// Writes segments of a log of `size` bytes; gives how many there are.
fn write(dir: &Path, size: u64, segments: mpsc::Receiver<Vec<u8>>) -> io::Result<u64> {
    let mut written = 0;
    for (number, segment) in segments.into_iter().enumerate() {
        written += segment.len() as u64;
        let name = if written < size {
            format!("{number:04}.{}.mutlog", Sha224Sum::of(&segment))
        } else {
            format!("{number:04}.growing.mutlog")
        };
        fs::write(dir.join(name), segment)?;
    }
    Ok(written)
}

fn bytes(text: &str) -> Result<u64, Box<dyn Error>> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return Err(USAGE.into()),
    };
    let bytes = digits.parse::<u64>()?.checked_mul(unit);
    Ok(bytes.ok_or("more than there is")?)
}
