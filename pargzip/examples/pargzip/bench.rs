use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::args::Args;
use crate::plot::{self, Series};

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    wall: f64,
    cpu: f64,
    /// Resident, MiB.
    memory: f64,
}

/// A run with its result.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) level: u32,
    pub(crate) ratio: f64,
    /// Megabytes of uncompressed data a second: by the clock, and by the time of all CPUs.
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    memory: f64,
}

impl Point {
    /// How many CPUs were at work: fewer than threads if something else kept them busy, so that the clock tells nothing.
    fn busy(&self) -> f64 {
        self.wall / self.cpu
    }
}

/// A program, how it is told the level and the threads, and which levels it has.
struct Tool {
    name: &'static str,
    program: PathBuf,
    threads: Option<&'static str>,
    levels: Vec<u32>,
}

/// Compresses and decompresses `args.bench` with whatever there is, and prints tables.
pub(crate) fn run(args: &Args) -> io::Result<()> {
    let Some(file) = &args.bench else {
        return Ok(());
    };
    let threads = match args.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let size = fs::metadata(file)?.len();
    let tools = tools(args)?;
    let folder = tempfile::tempdir()?;
    // Once, so that everybody finds it in memory.
    io::copy(&mut File::open(file)?, &mut io::sink())?;
    println!(
        "{} bytes, {threads} threads, fastest of {}; MB/s of uncompressed data, by the clock and by CPU time\n",
        size,
        args.rounds.max(1)
    );
    println!("| compress | level | ratio | MB/s | MB/s per CPU | CPUs busy | peak MiB |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let mut series = Vec::new();
    for tool in &tools {
        let mut points = Vec::new();
        for &level in &tool.levels {
            let output = folder.path().join(format!("{}-{level}.gz", tool.name));
            let mut command = vec![
                tool.program.clone().into(),
                format!("-{level}").into(),
                "-c".into(),
            ];
            if let Some(option) = tool.threads {
                command.extend([option.into(), threads.to_string().into()]);
            }
            command.push(file.into());
            let point = fastest(args, &command, &output, size, level)?;
            println!(
                "| {} | {level} | {:.3} | {:.0} | {:.0} | {:.2} | {:.1} |",
                tool.name,
                point.ratio,
                point.wall,
                point.cpu,
                point.busy(),
                point.memory
            );
            points.push(point);
            // Of each tool one file is kept, to be decompressed.
            if level != kept_level(tool) {
                fs::remove_file(output)?;
            }
        }
        series.push(Series {
            name: tool.name.to_owned(),
            points,
        });
    }
    decompress(args, &tools, folder.path(), threads, size)?;
    if let Some(path) = &args.plot {
        let title = format!("{:.0} MB, {threads} threads", size as f64 / 1e6);
        fs::write(path, plot::svg(&title, &series))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

fn kept_level(tool: &Tool) -> u32 {
    if tool.levels.contains(&6) {
        6
    } else {
        tool.levels.last().copied().unwrap_or(1)
    }
}

fn decompress(
    args: &Args,
    tools: &[Tool],
    folder: &Path,
    threads: usize,
    size: u64,
) -> io::Result<()> {
    println!("\n| decompress | file by | threads | MB/s | MB/s per CPU | CPUs busy | peak MiB |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    let null = Path::new("/dev/null");
    for by in tools {
        let file = folder.join(format!("{}-{}.gz", by.name, kept_level(by)));
        for tool in tools {
            // bgzip reads its own; the others' programs have nothing to gain from more threads.
            if tool.name == "bgzip" && by.name != "bgzip" {
                continue;
            }
            let mut counts = vec![1];
            if tool.threads.is_some() && threads > 1 {
                counts.push(threads);
            }
            for threads in counts {
                let mut command: Vec<OsString> = vec![tool.program.clone().into(), "-dc".into()];
                if let Some(option) = tool.threads {
                    command.extend([option.into(), threads.to_string().into()]);
                }
                command.push(file.clone().into());
                let point = fastest(args, &command, null, size, 0)?;
                println!(
                    "| {} | {} | {threads} | {:.0} | {:.0} | {:.2} | {:.1} |",
                    tool.name,
                    by.name,
                    point.wall,
                    point.cpu,
                    point.busy(),
                    point.memory
                );
            }
        }
    }
    Ok(())
}

fn tools(args: &Args) -> io::Result<Vec<Tool>> {
    let mut tools = vec![Tool {
        name: "pargzip",
        program: std::env::current_exe()?,
        threads: Some("-p"),
        levels: args.bench_levels.clone(),
    }];
    for (name, threads, levels) in [
        ("gzip", None, &[1, 3, 6, 9][..]),
        ("pigz", Some("-p"), &[1, 3, 6, 9]),
        ("igzip", None, &[0, 1, 2, 3]),
        ("bgzip", Some("-@"), &[1, 6, 9]),
    ] {
        let found = Command::new(name)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if found.is_ok() {
            // bgzip knows its level only as -l.
            let levels = levels.to_vec();
            tools.push(Tool {
                name,
                program: name.into(),
                threads,
                levels,
            });
        } else {
            eprintln!("SKIPPED: {name} is not installed");
        }
    }
    Ok(tools)
}

fn fastest(
    args: &Args,
    command: &[OsString],
    output: &Path,
    size: u64,
    level: u32,
) -> io::Result<Point> {
    let mut best: Option<Cost> = None;
    for _ in 0..args.rounds.max(1) {
        let cost = measure(command, output)?;
        if best.is_none_or(|best| cost.wall < best.wall) {
            best = Some(cost);
        }
    }
    let cost = best.ok_or(io::ErrorKind::Other)?;
    let packed = fs::metadata(output)?.len();
    let megabytes = size as f64 / 1e6;
    Ok(Point {
        level,
        ratio: size as f64 / packed.max(1) as f64,
        wall: megabytes / cost.wall,
        cpu: megabytes / cost.cpu.max(1e-3),
        memory: cost.memory,
    })
}

/// Runs a command below a process of its own, whose only child it is, because only so is its peak of memory known.
fn measure(command: &[OsString], output: &Path) -> io::Result<Cost> {
    let mut command = command.to_vec();
    if command[0] == "bgzip"
        && let Some(level) = command.iter().position(|arg| {
            arg.to_str()
                .is_some_and(|arg| arg[1..].parse::<u32>().is_ok() && arg.starts_with('-'))
        })
    {
        let number = command[level].to_string_lossy()[1..].to_owned();
        command.splice(level..=level, ["-l".into(), number.into()]);
    }
    let child = Command::new(std::env::current_exe()?)
        .arg("--measure")
        .args(&command)
        .stdin(Stdio::null())
        .stdout(File::create(output)?)
        .stderr(Stdio::piped())
        .output()?;
    let text = String::from_utf8_lossy(&child.stderr);
    let numbers: Option<Vec<f64>> = text
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("measured "))
        .and_then(|line| line.split(' ').map(|number| number.parse().ok()).collect());
    match numbers.as_deref() {
        Some(&[wall, cpu, memory]) if child.status.success() => Ok(Cost { wall, cpu, memory }),
        _ => Err(io::Error::other(format!(
            "{} failed: {text}",
            command[0].to_string_lossy()
        ))),
    }
}

/// The process in between.
pub(crate) fn measure_child(command: &[OsString]) -> ExitCode {
    let Some((program, args)) = command.split_first() else {
        return ExitCode::FAILURE;
    };
    let begun = Instant::now();
    let status = Command::new(program).args(args).status();
    let wall = begun.elapsed().as_secs_f64();
    let (Ok(status), Ok(usage)) = (status, getrusage(UsageWho::RUSAGE_CHILDREN)) else {
        return ExitCode::FAILURE;
    };
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    // Linux counts in KiB.
    let memory = usage.max_rss() as f64 / 1024.0;
    eprintln!("measured {wall} {cpu} {memory}");
    if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
