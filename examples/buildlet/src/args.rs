//! The command line, and that of the Go program.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};

const EXAMPLES: &str = "\
Examples:
  buildlet --coordinator farm.example:443 --key-file worker.key
        join a farm; the key is the one word, `farm1...`, in the file worker.key that
        the coordinator keeps in its data folder and names when it starts
  BUILDFARM_KEY=farm1... buildlet --coordinator farm.example:443
        the same, with the key in the environment
  buildlet
        join the coordinator on this machine, with the key in .buildfarm/worker.key
  buildlet --listen 127.0.0.1:5936
        no coordinator: serve whoever connects, then try
        curl -s http://127.0.0.1:5936/exec -d cmd=uname -d cmdArg=-a
";

const AFTER: &str = "\
Exit codes:
  0  ended as asked: halted by the coordinator, Ctrl-C, SIGTERM, or standard input closed
  1  could not start, or could not go on
  2  wrong command line

Flags of the Go buildlet are taken as well, with one dash or two: -coordinator, -reverse-type,
-hostname, -workdir, -listen, -halt, -reboot. Unlike there, /halt powers nothing off unless asked to.
";

/// Works for a build farm: takes trees, runs commands, streams what they print.
#[derive(Debug, Parser)]
#[command(name = "buildlet", before_help = EXAMPLES, after_help = AFTER, disable_version_flag = true, styles = example_cli::styles())]
pub(crate) struct Args {
    /// Coordinator to join [default: localhost:8119]
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "listen")]
    pub(crate) coordinator: Option<String>,

    /// Key to join with; visible to other users of this machine, so better --key-file
    #[arg(
        long,
        value_name = "KEY",
        env = "BUILDFARM_KEY",
        hide_env_values = true
    )]
    pub(crate) key: Option<String>,

    /// File the key is in; goes before --key [default: .buildfarm/worker.key, if there]
    #[arg(long, value_name = "PATH")]
    pub(crate) key_file: Option<PathBuf>,

    /// Kind of machine this is [default: this system's, such as linux-amd64]
    #[arg(long, value_name = "NAME", alias = "reverse-type")]
    pub(crate) host_type: Option<String>,

    /// Name of this worker [default: the machine's]
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,

    /// Directory to work in; kept at the end [default: a fresh one, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,

    /// Certificates to trust instead of the system's, if the key has no pin
    #[arg(long, value_name = "PATH", conflicts_with = "danger_no_verify")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Trust whatever answers, if the key has no pin: it will run what it likes here
    #[arg(long)]
    pub(crate) danger_no_verify: bool,

    /// Serve plain HTTP here instead of joining a coordinator
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,

    /// File with the password clients must send (with --listen)
    #[arg(long, value_name = "PATH", requires = "listen")]
    pub(crate) password_file: Option<PathBuf>,

    /// Serve other machines without a password: anyone who reaches the port runs commands here
    #[arg(long, requires = "listen")]
    pub(crate) danger_no_password: bool,

    /// Environment variable commands do not get, or `PREFIX*`; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) hide_env: Vec<String>,

    /// Seconds between SIGTERM and SIGKILL for a command nobody waits for
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub(crate) kill_grace: Duration,

    /// Power the machine off when the coordinator halts this worker
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_name = "BOOL", action = ArgAction::Set)]
    pub(crate) halt: bool,

    /// Reboot the machine when the coordinator halts this worker
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_name = "BOOL", action = ArgAction::Set)]
    pub(crate) reboot: bool,

    /// End when standard input does: for programs that start workers
    #[arg(long)]
    pub(crate) while_stdin: bool,

    /// Tell more; twice for even more
    #[arg(long, short, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Print a completion script for a shell and exit
    #[arg(long, value_name = "SHELL")]
    pub(crate) completions: Option<clap_complete::Shell>,

    /// Print the version and exit
    #[arg(long, short = 'V')]
    pub(crate) version: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| *time <= Duration::from_secs(3600))
        .ok_or_else(|| "not a number of seconds from 0 to 3600".to_owned())
}

/// Go flags with one dash become ours with two. Booleans of Go never take the next word.
pub(crate) fn from_go(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut over = false;
    args.into_iter()
        .map(|arg| {
            over |= arg == "--";
            arg.to_str()
                .filter(|_| !over)
                .and_then(translate)
                .map_or(arg, OsString::from)
        })
        .collect()
}

fn translate(arg: &str) -> Option<String> {
    let flag = arg
        .strip_prefix('-')
        .filter(|flag| !flag.starts_with('-'))?;
    let (name, value) = flag
        .split_once('=')
        .map_or((flag, None), |(name, value)| (name, Some(value)));
    let ours = match name {
        "reverse-type" => "host-type",
        "coordinator" | "hostname" | "workdir" | "listen" | "halt" | "reboot" | "version"
        | "help" => name,
        _ => return None,
    };
    // Go writes booleans in more ways than clap.
    let value = value.map(|value| match (name, value) {
        ("halt" | "reboot", "1" | "t" | "T" | "TRUE" | "True") => "true",
        ("halt" | "reboot", "0" | "f" | "F" | "FALSE" | "False") => "false",
        _ => value,
    });
    Some(value.map_or_else(|| format!("--{ours}"), |value| format!("--{ours}={value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Args {
        let args = line.split(' ').map(OsString::from);
        Args::try_parse_from(from_go(args)).unwrap()
    }

    #[test]
    fn go_flags() {
        let args = parse(
            "buildlet -coordinator=farm:443 -reverse-type host-x -halt=false -hostname h -workdir=/w -reboot",
        );
        assert_eq!(args.coordinator.as_deref(), Some("farm:443"));
        assert_eq!(args.host_type.as_deref(), Some("host-x"));
        assert_eq!(args.hostname.as_deref(), Some("h"));
        assert_eq!(args.workdir, Some(PathBuf::from("/w")));
        assert!(!args.halt);
        assert!(args.reboot);
        let args = parse("buildlet --reverse-type=y -halt -vv --reboot=false -listen=127.0.0.1:0");
        assert_eq!(args.host_type.as_deref(), Some("y"));
        assert!(args.halt && !args.reboot);
        assert_eq!(args.verbose, 2);
        assert!(!parse("buildlet").halt);
        assert!(parse("buildlet -halt=1").halt);
    }

    #[test]
    fn grace_is_a_number_of_seconds() {
        assert_eq!(
            parse("buildlet --kill-grace 1.5").kill_grace,
            Duration::from_millis(1500)
        );
        for bad in ["-1", "x", "1e9", "nan"] {
            let args = ["buildlet", "--kill-grace", bad];
            assert!(Args::try_parse_from(args).is_err(), "{bad}");
        }
    }

    #[test]
    fn is_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }
}
