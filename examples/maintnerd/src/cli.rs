//! What can be said on the command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use example_cli::Tls;

const EXAMPLES: &str = "\
Examples:
  maintnerd --git .                          mirror the repository you stand in, follow it, show it
  maintnerd --git ../go=go.googlesource.com/go --git ../net
                                             several, one under a name of its own
  maintnerd --git . --sync-and-quit          bring the log up to date, and no more
  maintnerd --data-dir /srv/maintner         serve and show a log that is there
  maintnerd --git . --listen 0.0.0.0:6343    for other machines, too: they follow over TLS";

const AFTER: &str = "\
Exit status:
  0  stopped as asked
  1  could not start, or could not go on
  2  wrong command line

What is served:
  /                   pages: repositories, branches, commits, issues, changes, search
  /logs, /logs/N      the log, for followers: also those of golang.org/x/build/maintner
  /healthz, /status   whether it lives; how each repository is doing, as JSON
  gRPC                apipb.MaintnerService, as the Go program answers it; maintq asks

MAINTNERD_LOG=info tells more of what happens inside.";

/// Mirrors git repositories into a mutation log, follows them live, serves the log and shows it.
#[derive(Debug, Parser)]
#[command(name = "maintnerd", version, before_help = EXAMPLES, after_help = AFTER, args_conflicts_with_subcommands = true, styles = example_cli::styles())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Git repository to mirror, and what its project is called [default: local/ and the folder's name]; repeatable
    #[arg(long, value_name = "PATH[=HOST/PROJECT]")]
    pub(crate) git: Vec<String>,
    /// Folder for the log [default: one in the cache folder, for the first repository]
    #[arg(long, value_name = "DIR", env = "MAINTNERD_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Bucket for the log instead of the folder, such as s3://bucket/folder, gs://… or az://…; copies of its segments
    /// are kept in a subfolder of its own, bucket-XXXXXXXX. Keys and the like are taken from AWS_*, GOOGLE_* or AZURE_*
    #[cfg(feature = "object-store")]
    #[arg(long, value_name = "URL", env = "MAINTNERD_LOG_URL")]
    pub(crate) log: Option<String>,
    /// Where anybody may fetch sealed segments: the public address of the bucket, or of a copy of the folder. Followers are
    /// sent there; those of the Go program want BUCKET at storage.googleapis.com, by https
    #[arg(long, value_name = "URL", env = "MAINTNERD_SEGMENTS_URL", value_parser = http_url)]
    pub(crate) segments_url: Option<String>,
    /// Address for browsers and followers; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:6343",
        env = "MAINTNERD_LISTEN"
    )]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) tls: Tls,
    /// Bring the log up to date, check it, and stop
    #[arg(long)]
    pub(crate) sync_and_quit: bool,
    /// Load the log, tell what is in it, and stop
    #[arg(long, conflicts_with = "sync_and_quit")]
    pub(crate) init_and_quit: bool,
}

/// An address without a slash at its end.
fn http_url(text: &str) -> Result<String, &'static str> {
    let url = text.trim_end_matches('/');
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() => Ok(url.to_owned()),
        _ => Err("it looks like https://bucket.example.org/folder"),
    }
}

/// Flags of the Go program have one dash.
pub(crate) fn from_go(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let with_two = |arg: OsString| match arg.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => {
            format!("-{text}").into()
        }
        _ => arg,
    };
    args.into_iter().map(with_two).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_the_go_program_are_understood() {
        let args = [
            "maintnerd",
            "-sync-and-quit",
            "-data-dir",
            "-",
            "--git",
            ".",
            "-h",
        ];
        let args = from_go(args.map(OsString::from));
        let expected = [
            "maintnerd",
            "--sync-and-quit",
            "--data-dir",
            "-",
            "--git",
            ".",
            "-h",
        ];
        assert_eq!(args, expected.map(OsString::from));
    }
}
