//! What is compressed: made on the spot.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// The least of each.
const SIZE: u64 = 210_000_000;
const SAMPLE: u64 = 64_000_000;
const PART: u64 = 20_000_000;

pub(crate) struct Corpora {
    _dir: tempfile::TempDir,
    /// A tar file of the sources of this repository's dependencies.
    pub(crate) source: PathBuf,
    pub(crate) source_sample: PathBuf,
    pub(crate) source_part: PathBuf,
    /// Lines as of build farms and test runs.
    pub(crate) log: PathBuf,
    pub(crate) log_sample: PathBuf,
    pub(crate) noise: PathBuf,
    pub(crate) noise_sample: PathBuf,
}

impl Corpora {
    pub(crate) fn make() -> Self {
        let memory = Path::new("/dev/shm");
        let dir = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        }
        .expect("there is room for temporary files");
        let path = |name: &str| dir.path().join(name);
        let source = path("source");
        source_tar(&source).expect("the sources can be packed");
        println!("# source: {} bytes", len(&source));
        let log = path("log");
        write(&log, log_lines);
        let noise = path("noise");
        write(&noise, noise_bytes);
        Self {
            source_sample: begin_of(&source, "sample", SAMPLE),
            source_part: begin_of(&source, "part", PART),
            log_sample: begin_of(&log, "sample", SAMPLE),
            noise_sample: begin_of(&noise, "sample", SAMPLE),
            source,
            log,
            noise,
            _dir: dir,
        }
    }
}

pub(crate) fn len(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

fn begin_of(path: &Path, name: &str, len: u64) -> PathBuf {
    let part = path.with_file_name(format!(
        "{}-{name}",
        path.file_name().unwrap_or_default().display()
    ));
    let copied =
        File::open(path).and_then(|file| io::copy(&mut file.take(len), &mut File::create(&part)?));
    copied.expect("there is room");
    part
}

fn write(path: &Path, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = Vec::with_capacity(SIZE as usize + 1000);
    fill(&mut bytes);
    fs::write(path, bytes).expect("there is room");
}

/// Packs the sources that cargo has unpacked, crate by crate in an order that mixes large and small, until it is enough.
fn source_tar(to: &Path) -> io::Result<()> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
        .ok_or(io::ErrorKind::NotFound)?;
    let mut crates = Vec::new();
    for registry in fs::read_dir(home.join("registry/src"))? {
        for dir in fs::read_dir(registry?.path())? {
            crates.push(dir?.path());
        }
    }
    let hash = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        })
    };
    crates.sort_by_key(hash);
    let mut tar = tar::Builder::new(BufWriter::new(File::create(to)?));
    tar.mode(tar::HeaderMode::Deterministic);
    for dir in crates {
        let name = dir.file_name().unwrap_or_default();
        tar.append_dir_all(name, &dir)?;
        tar.get_mut().flush()?;
        if len(to) >= SIZE {
            break;
        }
    }
    tar.finish()
}

/// Lines of several programs, some often, with times, names, numbers and hashes in them.
fn log_lines(log: &mut Vec<u8>) {
    const VERBS: [&str; 8] = [
        "started", "finished", "queued", "leased", "uploaded", "fetched", "retried", "verified",
    ];
    const HOSTS: [&str; 6] = [
        "linux-amd64",
        "linux-arm64",
        "freebsd-amd64",
        "windows-amd64",
        "darwin-arm64",
        "openbsd-386",
    ];
    const STEPS: [&str; 7] = [
        "checkout", "make", "test", "vet", "race", "package", "report",
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let names = (0..3000)
        .map(|_| {
            let syllables = 2 + random.below(4);
            (0..syllables)
                .map(|_| {
                    [
                        "con", "text", "re", "ad", "er", "map", "sync", "pool", "io", "net",
                        "parse", "enc", "buf", "tree", "lex",
                    ][random.below(15)]
                })
                .collect::<String>()
        })
        .collect::<Vec<_>>();
    let mut clock = 1_790_000_000_000_u64;
    while (log.len() as u64) < SIZE {
        clock += random.below(900) as u64;
        // Some names come much more often than others.
        let name = &names[random.below(3000) * random.below(3000) / 3000];
        let other = &names[random.below(60)];
        let (host, step) = (HOSTS[random.below(6)], STEPS[random.below(7)]);
        let done = match random.below(10) {
            0 => writeln!(
                log,
                "   Compiling {name} v{}.{}.{}",
                random.below(3),
                random.below(20),
                random.below(9)
            ),
            1 | 2 => writeln!(
                log,
                "test {other}::tests::{name}_{} ... ok",
                random.below(40)
            ),
            3 => writeln!(
                log,
                "=== RUN   Test{name}/{other}\n--- PASS: Test{name}/{other} ({}.{:02}s)",
                random.below(2),
                random.below(100)
            ),
            4 => writeln!(
                log,
                "ok  \texample.org/{other}/{name}\t{}.{:03}s",
                random.below(9),
                random.below(1000)
            ),
            5 => writeln!(
                log,
                "warning: unused variable: `{name}`\n  --> {other}/src/{name}.rs:{}:{}",
                random.below(900),
                random.below(80)
            ),
            6 => writeln!(
                log,
                "{clock} INFO farm::{other}: {} build={:016x} host={host} step={step}",
                VERBS[random.below(8)],
                random.next()
            ),
            _ => writeln!(
                log,
                "{clock} DEBUG farm::{other}: {} step={step} host={host} bytes={} ms={}",
                VERBS[random.below(8)],
                random.below(1_000_000),
                random.below(5000)
            ),
        };
        done.expect("memory takes everything");
    }
}

fn noise_bytes(noise: &mut Vec<u8>) {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    while (noise.len() as u64) < SIZE {
        noise.extend_from_slice(&random.next().to_le_bytes());
    }
}

/// Xorshift with a multiplication: the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }
}
