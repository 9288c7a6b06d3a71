use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use clap_complete::Shell;
use pargzip::Layout;

/// Compress or decompress files, on all CPUs.
///
/// FILE becomes FILE.gz, or with -d the other way round, with the same mode and time; the original is removed unless -k.
/// Without FILE, or for -, standard input goes to standard output.
#[derive(Debug, Parser)]
#[command(name = "pargzip", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// What to compress or decompress
    pub(crate) files: Vec<PathBuf>,

    /// Decompress
    #[arg(short, long, visible_alias = "uncompress")]
    pub(crate) decompress: bool,

    /// Decompress, but write nothing: test
    #[arg(short, long, conflicts_with_all = ["list", "output"])]
    pub(crate) test: bool,

    /// List sizes and ratios (decompresses to know them)
    #[arg(short, long, conflicts_with = "output")]
    pub(crate) list: bool,

    /// Write to standard output, keep files
    #[arg(
        short = 'c',
        long,
        visible_alias = "to-stdout",
        conflicts_with = "output"
    )]
    pub(crate) stdout: bool,

    /// Keep files
    #[arg(short, long)]
    pub(crate) keep: bool,

    /// Overwrite; write compressed data to a terminal; follow symbolic links
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Write to this file (one input)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Threads; 0 means one for each CPU
    #[arg(short = 'p', long = "processes", value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,

    /// From 0 (store) and 1 (fast) to 12 (small); also -0 to -12
    #[arg(long, value_name = "N", default_value_t = pargzip::DEFAULT_LEVEL, overrides_with_all = ["level", "fast", "best"])]
    level: u32,

    /// As -1
    #[arg(long)]
    fast: bool,

    /// As -9
    #[arg(long)]
    best: bool,

    /// How members lie in the file
    #[arg(long, value_enum, default_value = "sized")]
    layout: LayoutArg,

    /// KiB of input in a member
    #[arg(short, long, value_name = "KIB", default_value_t = pargzip::DEFAULT_CHUNK_SIZE >> 10)]
    blocksize: usize,

    /// Stop decompressing after so many bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_output: Option<u64>,

    /// Stop decompressing beyond so many bytes of output for each of input
    #[arg(long, value_name = "N")]
    pub(crate) max_ratio: Option<u32>,

    /// No warnings, no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Say what became of each file
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Measure ourselves and whichever of gzip, pigz, igzip, bgzip are installed on this file
    #[arg(
        long,
        help_heading = "Measuring",
        value_name = "FILE",
        conflicts_with = "files"
    )]
    pub(crate) bench: Option<PathBuf>,

    /// With --bench: levels of ours to measure
    #[arg(long, help_heading = "Measuring", value_name = "N,N,...", value_delimiter = ',', default_values_t = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12])]
    pub(crate) bench_levels: Vec<u32>,

    /// With --bench: runs of each, of which the fastest counts
    #[arg(
        long,
        help_heading = "Measuring",
        value_name = "N",
        default_value_t = 1
    )]
    pub(crate) rounds: usize,

    /// With --bench: draw ratio against speed
    #[arg(
        long,
        help_heading = "Measuring",
        value_name = "OUT.svg",
        requires = "bench"
    )]
    pub(crate) plot: Option<PathBuf>,

    /// Print completions for a shell
    #[arg(long, value_name = "SHELL")]
    pub(crate) completions: Option<Shell>,

    /// Run a command and print what it used; for --bench
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true)]
    pub(crate) measure: Option<Vec<OsString>>,
}

const AFTER_HELP: &str = "\
Ends with 0 if all went well, 1 after an error, 2 after a warning. Output appears under its name when it is whole; an error
or Ctrl-C leaves nothing behind. Options and exit codes are those of gzip and pigz where they have them.";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutArg {
    /// Members that tell their length: decompressed in parallel by this program
    Sized,
    /// Plain members
    Members,
    /// As bgzip
    Bgzf,
    /// One member
    Single,
}

impl Args {
    pub(crate) fn writer(&self) -> pargzip::Builder {
        let level = match (self.fast, self.best) {
            (true, _) => 1,
            (_, true) => 9,
            _ => self.level,
        };
        let layout = match self.layout {
            LayoutArg::Sized => Layout::Sized,
            LayoutArg::Members => Layout::Members,
            LayoutArg::Bgzf => Layout::Bgzf,
            LayoutArg::Single => Layout::Single,
        };
        pargzip::Builder::new()
            .level(level)
            .threads(self.threads)
            .layout(layout)
            .chunk_size(self.blocksize.saturating_mul(1024))
    }

    pub(crate) fn reader(&self) -> pargzip::ReaderBuilder {
        let mut builder = pargzip::ReaderBuilder::new()
            .threads(self.threads)
            .trailing(pargzip::Trailing::Ignore);
        if let Some(bytes) = self.max_output {
            builder = builder.max_output(bytes);
        }
        if let Some(ratio) = self.max_ratio {
            builder = builder.max_ratio(ratio);
        }
        builder
    }
}

/// Makes `--level=N` of the digits in clusters of short options, as in `-9`, `-12` and `-9k`.
pub(crate) fn levels(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut changed = Vec::new();
    let mut options = true;
    for (i, arg) in args.enumerate() {
        let cluster = arg
            .to_str()
            .and_then(|arg| arg.strip_prefix('-'))
            .filter(|rest| options && i > 0 && !rest.is_empty() && !rest.starts_with('-'));
        options &= arg != "--" && arg != "--measure";
        let Some(cluster) = cluster else {
            changed.push(arg);
            continue;
        };
        let mut others = String::from("-");
        let mut level = String::new();
        for (at, option) in cluster.char_indices() {
            match option {
                '0'..='9' => level.push(option),
                // The rest is its value.
                'p' | 'o' | 'b' => {
                    others.push_str(&cluster[at..]);
                    break;
                }
                _ => others.push(option),
            }
        }
        if !level.is_empty() {
            changed.push(format!("--level={level}").into());
        }
        if others.len() > 1 {
            changed.push(others.into());
        }
    }
    changed
}
