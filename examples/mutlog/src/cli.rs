//! What can be said on the command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  mutlog stats ~/.cache/golang-maintner      what is in a log
  mutlog dump log/ | less                    every mutation, as text
  mutlog dump --json --only golang/go#3 log/ | jq .mutation
  mutlog verify log/                         is it whole?
  mutlog repair log/                         cut off what a crash left at its end
  mutlog convert --to segments log/ out/     a disk log as segments
  mutlog serve log/                          for followers: http://127.0.0.1:6344/logs";

const AFTER: &str = "\
Exit status:
  0  done; for verify: nothing is wrong
  1  could not be done
  2  wrong command line
  3  verify, dump, stats: the log is damaged

A log is one file of records, or a folder of them: maintner-YYYY-MM-DD.mutlog as the disk log
has them, or NNNN.SHA224.mutlog and NNNN.growing.mutlog as the log server and followers do.";

/// Looks into mutation logs, mends, converts and serves them.
#[derive(Debug, Parser)]
#[command(name = "mutlog", version, before_help = EXAMPLES, after_help = AFTER, styles = example_cli::styles())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the mutations of a log
    Dump(Dump),
    /// Look all of a log over: framing, checksums, messages, and what would stop a Go reader
    Verify(Verify),
    /// Cut off what an interrupted append left at the end; with --drop-damaged, leave out damage anywhere
    Repair(Repair),
    /// Count records and bytes: by kind, by repository
    Stats(Stats),
    /// Write a log anew, record for record, as segments, as a disk log or as one file
    Convert(Convert),
    /// Serve a log to followers, of the Go program's kind too, as it is and as others append to it
    Serve(Serve),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// Files or folders, in the order of the log
    #[arg(required = true, value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    /// One JSON object a line: file, offset, size, mutation (as protobuf's JSON has it)
    #[arg(long)]
    pub(crate) json: bool,
    /// Only of this kind; repeatable
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Vec<Kind>,
    /// Only about `owner/repo`, `owner/repo#number`, or a Gerrit project `host/project`; repeatable
    #[arg(long, value_name = "WHAT")]
    pub(crate) only: Vec<String>,
    /// Stop after so many
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Begin at this offset, which must be the beginning of a record of the first file; 0x for hex
    #[arg(long, value_name = "OFFSET", default_value = "0", value_parser = offset)]
    pub(crate) from: u64,
}

/// What a mutation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// An issue or pull request on GitHub
    Issue,
    /// Labels and milestones of a repository on GitHub
    Github,
    /// A commit read directly from git
    Git,
    /// Commits and refs of a Gerrit project
    Gerrit,
    /// Nothing at all
    Empty,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Files or folders
    #[arg(required = true, value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    /// Say nothing about files that are good
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// Files or folders
    #[arg(required = true, value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    /// Where good records follow damage, write the file anew without the damage, and keep the old
    /// one as NAME.damaged. Followers of the log will have to read it again from its beginning
    #[arg(long)]
    pub(crate) drop_damaged: bool,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Files or folders
    #[arg(required = true, value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Repositories and projects to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// What to make of it
    #[arg(long, value_name = "FORM")]
    pub(crate) to: Form,
    /// Files or folders, in the order of the log
    #[arg(required = true, value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    /// Folder to write to, which must be empty or not there; with `--to file`, the file
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Date of the disk log's file [default: the date of the last file of a disk log, else today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    pub(crate) date: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Folder of the log. It is only read; what another program appends is served, too
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Address for followers; port 0 takes a free one
    #[arg(
        long,
        alias = "addr",
        value_name = "ADDR",
        default_value = "127.0.0.1:6344"
    )]
    pub(crate) listen: SocketAddr,
}

/// A form of a log on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// NNNN.SHA224.mutlog of 16 MiB each, the last one growing: what a log server serves
    Segments,
    /// maintner-YYYY-MM-DD.mutlog
    Disk,
    /// One file of records
    File,
}

fn offset(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "not a number of bytes, such as 4096 or 0x1000".to_owned())
}

fn date(text: &str) -> Result<String, String> {
    let date: Result<jiff::civil::Date, _> = text.parse();
    date.map(|date| date.to_string())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
