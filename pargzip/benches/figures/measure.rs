//! Running a compressor as a process of its own, and what it took.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use bytes::Bytes;
use flate2::write::GzEncoder;
use gzp::deflate::Mgzip;
use gzp::par::compress::ParCompressBuilder;
use gzp::{Compression, ZWriter};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Tool {
    Ours(u32),
    /// The crate `gzp`, its format with libdeflate.
    Gzp(u32),
    /// The crate `flate2` on zlib-rs, one thread.
    Flate2(u32),
    Program(&'static str, u32),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    input: f64,
    output: f64,
    wall: f64,
    cpu: f64,
    /// MB; ours only.
    pub(crate) peak_memory: f64,
}

impl Run {
    pub(crate) fn cpu_speed(&self) -> f64 {
        self.input / 1e6 / self.cpu
    }

    pub(crate) fn wall_speed(&self) -> f64 {
        self.input / 1e6 / self.wall
    }

    pub(crate) fn size(&self) -> f64 {
        self.output
    }

    pub(crate) fn ratio(&self) -> f64 {
        self.input / self.output
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self {
            Self::Ours(level) => format!("pargzip -{level}"),
            Self::Gzp(level) => format!("crate gzp -{level}"),
            Self::Flate2(level) => format!("crate flate2 -{level}"),
            Self::Program(name, level) => format!("{name} -{level}"),
        })
    }
}

/// The programs among the peers that are there.
pub(crate) fn installed() -> Vec<&'static str> {
    ["pigz", "gzip", "igzip", "bgzip", "libdeflate-gzip"]
        .into_iter()
        .filter(|name| {
            let output = Command::new(name).arg("-h").stdin(Stdio::null()).output();
            output.is_ok()
        })
        .collect()
}

/// The shortest times of some rounds, in which the tools take turns.
pub(crate) fn best_of<const N: usize>(
    rounds: usize,
    tools: [Tool; N],
    threads: usize,
    input: &Path,
) -> [Run; N] {
    let mut best = [None::<Run>; N];
    for _ in 0..rounds {
        for (tool, best) in tools.iter().zip(&mut best) {
            let run = tool.run(threads, input).expect("the tool runs");
            let best = best.get_or_insert(run);
            best.wall = best.wall.min(run.wall);
            best.cpu = best.cpu.min(run.cpu);
        }
    }
    best.map(|best| best.expect("there was a round"))
}

impl Tool {
    fn run(self, threads: usize, input: &Path) -> io::Result<Run> {
        let output = input.with_extension("out");
        let mut command = self.command(threads, input, &output)?;
        let before = children_cpu();
        let begun = Instant::now();
        let done = command.spawn()?.wait_with_output()?;
        let (wall, cpu) = (begun.elapsed().as_secs_f64(), children_cpu() - before);
        if !done.status.success() {
            return Err(io::Error::other(format!(
                "{self}: {}",
                String::from_utf8_lossy(&done.stderr)
            )));
        }
        let run = Run {
            input: fs::metadata(input)?.len() as f64,
            output: fs::metadata(&output)?.len() as f64,
            wall,
            cpu,
            peak_memory: String::from_utf8_lossy(&done.stderr)
                .trim()
                .parse()
                .unwrap_or(0.0),
        };
        fs::remove_file(output)?;
        Ok(run)
    }

    /// Compresses a file to another.
    fn command(self, threads: usize, input: &Path, output: &Path) -> io::Result<Command> {
        let child_of_ours = |name: &str, level: u32| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([CHILD, name, &level.to_string(), &threads.to_string()]);
            io::Result::Ok(command)
        };
        let mut command = match self {
            Self::Ours(level) => child_of_ours("ours", level)?,
            Self::Gzp(level) => child_of_ours("gzp", level)?,
            Self::Flate2(level) => child_of_ours("flate2", level)?,
            Self::Program(name, level) => {
                let mut command = Command::new(name);
                match name {
                    "pigz" => command
                        .args(["-p", &threads.to_string(), "-c"])
                        .arg(format!("-{level}")),
                    "bgzip" => command
                        .args(["-@", &threads.to_string(), "-c", "-l"])
                        .arg(level.to_string()),
                    _ => command.arg("-c").arg(format!("-{level}")),
                };
                command
            }
        };
        command
            .stdin(File::open(input)?)
            .stdout(File::create(output)?)
            .stderr(Stdio::piped());
        Ok(command)
    }
}

/// MB of input a second, by the clock, of two processes with one thread each.
pub(crate) fn two_at_once(tool: Tool, input: &Path) -> io::Result<f64> {
    let outputs = ["out-a", "out-b"].map(|name| input.with_extension(name));
    let begun = Instant::now();
    let mut running = Vec::new();
    for output in &outputs {
        running.push(tool.command(1, input, output)?.spawn()?);
    }
    for process in running {
        process.wait_with_output()?;
    }
    let wall = begun.elapsed().as_secs_f64();
    for output in outputs {
        fs::remove_file(output)?;
    }
    Ok(2.0 * fs::metadata(input)?.len() as f64 / 1e6 / wall)
}

/// User and system time of the children that have ended.
fn children_cpu() -> f64 {
    cpu(UsageWho::RUSAGE_CHILDREN)
}

/// MB of input by CPU second of compressing what is in memory already, in this thread: handed over, and copied.
pub(crate) fn shared_and_copied(level: u32, input: &Path) -> io::Result<[f64; 2]> {
    let input = Bytes::from(fs::read(input)?);
    let megabytes = input.len() as f64 / 1e6;
    let mut best = [0.0_f64; 2];
    for _ in 0..5 {
        for (shared, best) in [true, false].into_iter().zip(&mut best) {
            let before = cpu(UsageWho::RUSAGE_SELF);
            let mut writer = pargzip::Builder::new()
                .level(level)
                .threads(1)
                .build(io::sink());
            if shared {
                writer.write_bytes(input.clone())?;
            } else {
                io::Write::write_all(&mut writer, &input)?;
            }
            writer.finish()?;
            *best = best.max(megabytes / (cpu(UsageWho::RUSAGE_SELF) - before));
        }
    }
    Ok(best)
}

fn cpu(who: UsageWho) -> f64 {
    let usage = getrusage(who).expect("is there");
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
}

const CHILD: &str = "--compress";

/// Compresses, if this is the process for that.
pub(crate) fn run_as_child() -> Option<()> {
    let args = std::env::args().collect::<Vec<_>>();
    let [_, child, name, level, threads] = &args[..] else {
        return None;
    };
    if child != CHILD {
        return None;
    }
    let level = level.parse().expect("a level");
    let threads = threads.parse().expect("a number of threads");
    compress(name, level, threads).expect("compressing works");
    Some(())
}

fn compress(name: &str, level: u32, threads: usize) -> io::Result<()> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    match name {
        "ours" => {
            let mut writer = pargzip::Builder::new()
                .level(level)
                .threads(threads)
                .build(output);
            writer.read_from(&mut input)?;
            writer.finish()?;
            eprintln!("{}", peak_memory()?);
        }
        "gzp" => {
            let mut writer = ParCompressBuilder::<Mgzip>::new()
                .num_threads(threads)
                .and_then(|builder| builder.buffer_size(1 << 20))
                .map_err(io::Error::other)?
                .compression_level(Compression::new(level))
                .from_writer(output);
            io::copy(&mut input, &mut writer)?;
            writer.finish().map_err(io::Error::other)?;
        }
        _ => {
            let mut writer = GzEncoder::new(output, Compression::new(level));
            let mut buffer = vec![0; 256 << 10];
            loop {
                match input.read(&mut buffer)? {
                    0 => break,
                    read => io::Write::write_all(&mut writer, &buffer[..read])?,
                }
            }
            writer.finish()?;
        }
    }
    Ok(())
}

/// The most resident memory of this process so far, in MB.
fn peak_memory() -> io::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kilobytes.unwrap_or(0.0) * 1024.0 / 1e6)
}

/// Size of the chunks' members if all are compressed.
pub(crate) fn without_stored_test(level: i32, input: &Path) -> f64 {
    let level = libdeflater::CompressionLvl::new(level).expect("a level");
    let mut engine = libdeflater::Compressor::new(level);
    let input = fs::read(input).expect("is there");
    let mut output = vec![0; 2 << 20];
    let deflated = |chunk| {
        engine
            .deflate_compress(chunk, &mut output)
            .expect("there is room")
            + 28
    };
    input.chunks(1 << 20).map(deflated).sum::<usize>() as f64
}
