use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  maintq query is:open label:NeedsFix            what a maintnerd on this machine has of it
  maintq query --log logs/ is:cl file:net/       in a folder, without a server
  maintq query --json is:issue author:gopher | jq .title
  maintq get-ref net refs/heads/master           what a branch points to
  maintq --server farm.example list-releases     another server, over TLS";

const AFTER: &str = "\
Exit status:
  0  answered, if only that there is nothing
  1  could not ask, or no answer
  2  wrong command line

MAINTQ_LOG=info tells more of what happens inside.";

/// Asks about a project's history.
#[derive(Debug, Parser)]
#[command(name = "maintq", version, before_help = EXAMPLES, after_help = AFTER, arg_required_else_help = true, styles = example_cli::styles())]
pub(crate) struct Cli {
    /// The maintnerd to ask: HOST, HOST:PORT or a URL. A name without a scheme is asked over TLS
    /// unless it is this machine's.
    #[arg(
        long,
        global = true,
        env = "MAINTQ_SERVER",
        default_value = "localhost:6343"
    )]
    pub(crate) server: String,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find issues and changes: maintq query 'is:open label:NeedsFix sort:updated-desc'
    #[command(after_help = QUERIES)]
    Query {
        /// Words and terms, as in GitHub's search; all of them have to hold
        #[arg(required = true)]
        query: Vec<String>,
        /// Read this log instead of the server's: an address ending in /logs, or a folder
        #[arg(long)]
        log: Option<String>,
        /// Print no more than this many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Tell whether a commit descends from another
    HasAncestor {
        /// 40 hex digits
        commit: String,
        /// 40 hex digits
        ancestor: String,
    },
    /// Print what a ref of a project points to
    GetRef {
        /// The project: "net"
        project: String,
        /// The ref: "refs/heads/master"
        name: String,
        /// The Gerrit server that has the project
        #[arg(long, default_value = "go.googlesource.com")]
        gerrit: String,
    },
    /// List the changes that wait for a try run
    TryWork {
        /// The word "staging", for the staging coordinator
        #[arg(value_parser = ["staging"])]
        staging: Option<String>,
    },
    /// List the supported releases of Go
    ListReleases,
    /// Print what a results board shows
    GetDashboard(Dashboard),
    /// Print a script that completes this command's words in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What can be asked, in short.
const QUERIES: &str = "\
Terms:
  is:open is:closed is:issue is:pr is:cl is:merged is:abandoned is:wip
  repo:OWNER/NAME label:NAME milestone:TITLE author:LOGIN assignee:LOGIN
  no:label no:milestone no:assignee created:2018-01-01..2018-07-09 updated:>2018-07-01
  project:NAME branch:NAME owner:TEXT file:PATH hashtag:NAME issue:OWNER/NAME#N
  in:title sort:updated-desc, and - in front of a term for what must not hold

A term that begins with - comes after --: maintq query -- is:open -label:NeedsFix";

#[derive(Debug, Args)]
pub(crate) struct Dashboard {
    /// The page, from 0
    #[arg(long, default_value_t = 0)]
    pub(crate) page: i32,
    /// The branch; "mixed" for all
    #[arg(long, default_value = "master")]
    pub(crate) branch: String,
    /// The import path of a repository: "golang.org/x/net"; empty for Go itself
    #[arg(long, default_value = "")]
    pub(crate) repo: String,
    /// Commits of a page; 0 leaves that to the server
    #[arg(long, default_value_t = 0)]
    pub(crate) max_commits: i32,
}
