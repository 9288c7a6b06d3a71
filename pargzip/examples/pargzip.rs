//! Compresses a file, as `gzip -k` does: `cargo run -p pargzip --release --example pargzip -- FILE` makes FILE.gz.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let (Some(file), level, None) = (args.next(), args.next(), args.next()) else {
        eprintln!("usage: pargzip FILE [LEVEL]");
        return ExitCode::from(2);
    };
    let level = match level.as_deref().unwrap_or("6").parse() {
        Ok(level) => level,
        Err(error) => {
            eprintln!("pargzip: level: {error}");
            return ExitCode::from(2);
        }
    };
    match compress(&file, level) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pargzip: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compress(name: &str, level: u32) -> io::Result<()> {
    let begun = Instant::now();
    let of = |file: String| {
        move |error: io::Error| io::Error::new(error.kind(), format!("{file}: {error}"))
    };
    let mut input = File::open(name).map_err(of(name.to_owned()))?;
    let output = format!("{name}.gz");
    let output = File::create_new(&output).map_err(of(output))?;
    let mut writer = pargzip::Builder::new().level(level).build(output);
    let mut buffer = vec![0; 256 << 10];
    let mut read = 0;
    loop {
        let n = input.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        io::Write::write_all(&mut writer, &buffer[..n])?;
        read += n as u64;
    }
    let written = writer.finish()?.metadata()?.len();
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{name}.gz: {read} -> {written} bytes, ratio {:.3}, {:.0} MB/s",
        read as f64 / written.max(1) as f64,
        read as f64 / 1e6 / seconds
    );
    Ok(())
}
