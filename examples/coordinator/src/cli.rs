//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use example_cli::Tls;

const EXAMPLES: &str = "\
Examples:
  coordinator                                  build the repository you stand in
  coordinator --repo https://example.org/x.git build any other
  coordinator --workers 0 --listen 0.0.0.0:8119
                                               only machines that join from elsewhere
  coordinator init                             write farm.toml as a start
  coordinator check                            look farm.toml over";

const AFTER: &str = "\
Exit status:
  0  stopped as asked
  1  could not start, or could not go on
  2  wrong command line or configuration

BUILDFARM_LOG=info tells more of what happens inside.";

/// Build farm: builds every commit of a repository on every machine that joins.
#[derive(Debug, Parser)]
#[command(name = "coordinator", version, before_help = EXAMPLES, after_help = AFTER, args_conflicts_with_subcommands = true, styles = example_cli::styles())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write farm.toml for the repository, with the builders that would be used without it
    Init(Init),
    /// Check farm.toml and show what it says
    Check(Check),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// A worker on this machine; started by the coordinator itself
    #[command(hide = true)]
    Worker(Worker),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Repository to build: a folder or any URL git can fetch
    #[arg(
        long,
        value_name = "PATH|URL",
        default_value = ".",
        env = "BUILDFARM_REPO"
    )]
    pub(crate) repo: String,
    /// Configuration for all commits, instead of each commit's own farm.toml
    #[arg(long, value_name = "FILE", env = "BUILDFARM_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Address for browsers and workers alike; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:8119",
        env = "BUILDFARM_LISTEN"
    )]
    pub(crate) listen: SocketAddr,
    /// Folder for results, logs, keys and caches [default: .buildfarm in the repository, or here]
    #[arg(long, value_name = "DIR", env = "BUILDFARM_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Workers to run on this machine
    #[arg(long, value_name = "N", default_value_t = 1, env = "BUILDFARM_WORKERS")]
    pub(crate) workers: u16,
    /// Commits of the default branch to build at the first start [default: farm.toml's, or 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) recent: Option<u32>,
    #[command(flatten)]
    pub(crate) tls: Tls,
    /// Also admit workers that hold a key derived from this master key, as workers of golang/build do
    #[arg(long, value_name = "FILE")]
    pub(crate) legacy_master_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Folder of the repository
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) repo: PathBuf,
    /// Print it instead of writing it
    #[arg(long)]
    pub(crate) print: bool,
    /// Replace a farm.toml that is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file
    #[arg(default_value = "farm.toml")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Worker {
    #[arg(long)]
    pub(crate) coordinator: String,
    #[arg(long)]
    pub(crate) key_file: PathBuf,
    #[arg(long)]
    pub(crate) workdir: PathBuf,
    #[arg(long)]
    pub(crate) hostname: String,
    #[arg(long)]
    pub(crate) host_type: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
