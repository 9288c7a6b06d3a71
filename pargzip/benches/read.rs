//! Reading beside `gzip -d` and others, in the same run: `cargo bench -p pargzip --bench read [-- CORPUS]`.
//!
//! The corpus is a file of text of at least 200 MB, such as a tar of sources; without one, a tar of the sources that Cargo
//! has downloaded is made. Programs read a file and write to nowhere, and so does ours, in this process. Rounds go through
//! all of them in turn; the median counts.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use pargzip::{Builder, Layout, ReaderBuilder};

const ROUNDS: usize = 5;
const SIZE: u64 = 222 << 20;

fn main() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let corpus = match std::env::args().nth(1).filter(|arg| !arg.starts_with('-')) {
        Some(path) => PathBuf::from(path),
        None => sources(folder.path())?,
    };
    let size = fs::metadata(&corpus)?.len();
    println!("# {size} bytes, median of {ROUNDS} rounds");
    let ours = |layout, name: &str| -> io::Result<PathBuf> {
        let path = folder.path().join(name);
        let builder = Builder::new().layout(layout);
        let mut writer = builder.build(File::create(&path)?);
        writer.read_from(&mut File::open(&corpus)?)?;
        writer.finish()?;
        Ok(path)
    };
    let sized = ours(Layout::Sized, "sized.gz")?;
    let members = ours(Layout::Members, "members.gz")?;
    let bgzf = ours(Layout::Bgzf, "bgzf.gz")?;
    let by_gzip = theirs("gzip", &corpus, &folder.path().join("gzip.gz"))?;
    let by_pigz = theirs("pigz", &corpus, &folder.path().join("pigz.gz"))?;
    let Some(by_gzip) = by_gzip else {
        println!("# SKIPPED: gzip is not installed, so there is nothing to compare with");
        return Ok(());
    };
    let mut runs: Vec<Run> = Vec::new();
    let own = |runs: &mut Vec<Run>, name, threads, file: &Path| {
        runs.push(Run::new(name, Reader::Ours(threads), file));
    };
    own(&mut runs, "sized-1", 1, &sized);
    own(&mut runs, "sized-2", 2, &sized);
    own(&mut runs, "members-1", 1, &members);
    own(&mut runs, "members-2", 2, &members);
    own(&mut runs, "bgzf-1", 1, &bgzf);
    own(&mut runs, "bgzf-2", 2, &bgzf);
    own(&mut runs, "of-gzip-1", 1, &by_gzip);
    own(&mut runs, "of-gzip-2", 2, &by_gzip);
    if let Some(by_pigz) = &by_pigz {
        own(&mut runs, "of-pigz-1", 1, by_pigz);
        own(&mut runs, "of-pigz-2", 2, by_pigz);
    }
    runs.push(Run::new("gzip", Reader::Program("gzip"), &by_gzip));
    for program in ["pigz", "igzip", "bgzip"] {
        if theirs(
            program,
            Path::new("/dev/null"),
            &folder.path().join("empty.gz"),
        )?
        .is_some()
        {
            let file = if program == "bgzip" { &bgzf } else { &by_gzip };
            runs.push(Run::new(program, Reader::Program(program), file));
        }
    }
    for _ in 0..ROUNDS {
        for run in &mut runs {
            run.once(size)?;
        }
    }
    let speed = |name: &str| {
        runs.iter()
            .find(|run| run.name == name)
            .map(|run| run.median(size))
    };
    let figure = |name: &str, ours: &str, peer: &str, target: f64| {
        if let (Some(mine), Some(peers)) = (speed(ours), speed(peer)) {
            let ratio = mine / peers;
            let verdict = if ratio >= target { "ok" } else { "SHORT" };
            println!(
                "figure pargzip-read-{name} ours={mine:.0} peer={peers:.0}({peer}) unit=MB/s ratio={ratio:.2} target>={target} {verdict}"
            );
        }
    };
    figure("sized-one-thread", "sized-1", "gzip", 4.5);
    figure("sized-two-threads", "sized-2", "sized-1", 1.8);
    figure("members-one-thread", "members-1", "gzip", 4.5);
    figure("members-two-threads", "members-2", "members-1", 1.5);
    figure("bgzf-two-threads", "bgzf-2", "bgzf-1", 1.5);
    figure("of-gzip", "of-gzip-2", "gzip", 2.5);
    figure("of-gzip-one-thread", "of-gzip-1", "gzip", 2.5);
    figure("of-pigz", "of-pigz-2", "gzip", 2.5);
    for run in &runs {
        println!("# {} {:.0} MB/s", run.name, run.median(size));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Reader {
    /// With so many threads.
    Ours(usize),
    Program(&'static str),
}

struct Run {
    name: &'static str,
    reader: Reader,
    file: PathBuf,
    seconds: Vec<f64>,
}

impl Run {
    fn new(name: &'static str, reader: Reader, file: &Path) -> Self {
        Self {
            name,
            reader,
            file: file.to_owned(),
            seconds: Vec::new(),
        }
    }

    fn once(&mut self, size: u64) -> io::Result<()> {
        let begun = Instant::now();
        match self.reader {
            Reader::Ours(threads) => {
                let builder = ReaderBuilder::new().threads(threads);
                let mut reader = builder.build(File::open(&self.file)?);
                let mut total = 0;
                loop {
                    let len = black_box(reader.fill_buf()?).len();
                    if len == 0 {
                        break;
                    }
                    total += len as u64;
                    reader.consume(len);
                }
                assert_eq!(total, size);
            }
            Reader::Program(program) => {
                let status = Command::new(program)
                    .arg("-dc")
                    .arg(&self.file)
                    .stdout(Stdio::null())
                    .status()?;
                assert!(status.success());
            }
        }
        self.seconds.push(begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Megabytes of output a second.
    fn median(&self, size: u64) -> f64 {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        size as f64 / 1e6 / seconds[seconds.len() / 2]
    }
}

/// What a program makes of the corpus; none if it is not installed.
fn theirs(program: &str, corpus: &Path, output: &Path) -> io::Result<Option<PathBuf>> {
    let status = Command::new(program)
        .arg("-c")
        .stdin(File::open(corpus)?)
        .stdout(File::create(output)?)
        .status();
    match status {
        Ok(status) if status.success() => Ok(Some(output.to_owned())),
        Ok(status) => Err(io::Error::other(format!("{program}: {status}"))),
        Err(_) => {
            println!("# SKIPPED: {program} is not installed");
            Ok(None)
        }
    }
}

/// Source files below Cargo's folder, one after the other, up to [`SIZE`].
fn sources(folder: &Path) -> io::Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    let path = folder.join("corpus");
    let mut corpus = io::BufWriter::new(File::create(&path)?);
    let mut left = SIZE;
    let mut folders = vec![home.join("registry/src")];
    while let Some(folder) = folders.pop() {
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if [".rs", ".c", ".h", ".md", ".toml"]
                .iter()
                .any(|end| name.ends_with(end))
            {
                left -= io::copy(&mut File::open(entry.path())?.take(left), &mut corpus)?;
            }
        }
    }
    corpus.flush()?;
    Ok(path)
}
