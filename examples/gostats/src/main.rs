//! Figures about a project's history: `gostats --help`.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{BufWriter, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use maintner::corpus::Snapshot;

/// Projects that are named where none fits.
const SOME: usize = 8;

const EXAMPLES: &str = "\
Examples:
  gostats --time-load                                  how long the Go project's log takes, and what memory
  gostats --log http://localhost:6343/logs --time-load that of a maintnerd
  gostats --log logs/ --modified-files 10 --project review.example.org/compiler";

const AFTER: &str = "\
Exit status:
  0  done
  1  could not be done
  2  wrong command line

GOSTATS_LOG=info tells more of what happens inside.";

/// Prints figures about a project's history.
#[derive(Debug, Parser)]
#[command(name = "gostats", version, before_help = EXAMPLES, after_help = AFTER, arg_required_else_help = true, styles = example_cli::styles())]
struct Cli {
    /// The log: an address ending in /logs, or a folder
    #[arg(long, default_value = godata::SERVER)]
    log: String,
    /// Print how long the log took to load, and how much memory it takes
    #[arg(long)]
    time_load: bool,
    /// Print the N files that most changes of the project modify
    #[arg(long, value_name = "N")]
    modified_files: Option<usize>,
    /// The project whose changes are counted
    #[arg(long, default_value = "go.googlesource.com/go")]
    project: String,
    /// Print a script that completes this command's words in a shell
    #[arg(long, value_name = "SHELL", exclusive = true)]
    completions: Option<clap_complete::Shell>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    example_cli::log("GOSTATS_LOG", "warn");
    example_cli::exit("gostats", run(&cli))
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    if let Some(shell) = cli.completions {
        example_cli::complete::<Cli>(shell);
        return Ok(());
    }
    let begin = Instant::now();
    let (snapshot, took) = example_cli::block_on(async {
        let opening = godata::Options::from_env().begin(&cli.log).await?;
        let corpus = opening.corpus().clone();
        let corpus = example_cli::loading(&corpus, opening.ready()).await?;
        let (snapshot, took) = (corpus.snapshot(), begin.elapsed());
        corpus.shutdown().await;
        Ok((snapshot, took))
    })?;
    let mut out = BufWriter::new(example_cli::stdout());
    if cli.time_load {
        writeln!(out, "{}", loaded(&snapshot, took))?;
    }
    if let Some(most) = cli.modified_files {
        let (server, name) = cli.project.split_once('/').unwrap_or((&cli.project, ""));
        let project = snapshot.gerrit().project(server, name);
        anyhow::ensure!(
            project.is_some(),
            "the log has no project {}; --project names another: {}",
            cli.project,
            some_projects(&snapshot)
        );
        for (path, changes) in modified_files(&snapshot, server, name)
            .into_iter()
            .take(most)
        {
            writeln!(out, "{changes:6} {path}")?;
        }
    }
    Ok(out.flush()?)
}

/// Some of the projects there are.
fn some_projects(snapshot: &Snapshot) -> String {
    let projects = snapshot.gerrit().projects();
    let mut names: Vec<&str> = projects.map(|project| project.full_name()).collect();
    let more = names.len() > SOME;
    names.truncate(SOME);
    match (names.is_empty(), more) {
        (true, _) => "there is none".to_owned(),
        (false, false) => names.join(", "),
        (false, true) => format!("{}, …", names.join(", ")),
    }
}

fn loaded(snapshot: &Snapshot, took: Duration) -> String {
    let megabytes = snapshot.log_bytes() as f64 / 1e6;
    let memory = anonymous_memory().map_or_else(String::new, |bytes| {
        format!(", {:.1} MB of memory", bytes as f64 / 1e6)
    });
    format!("loaded {megabytes:.1} MB of log in {took:.1?}{memory}")
}

/// What this process has in memory that is in no file, where the system tells (Linux, proc(5)).
fn anonymous_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Files by the number of changes whose newest patch set modifies them, most first.
fn modified_files(snapshot: &Snapshot, server: &str, project: &str) -> Vec<(String, usize)> {
    let mut counts: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let project = snapshot.gerrit().project(server, project);
    for change in project
        .into_iter()
        .flat_map(|project| project.cls_unsorted())
    {
        for file in change.commit().files() {
            *counts.entry(present_name(file.path)).or_default() += 1;
        }
    }
    let counts = counts
        .into_iter()
        .map(|(path, count)| (path.into_owned(), count));
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

/// What a file of the Go project is called today: its folders moved twice.
fn present_name(path: &str) -> Cow<'_, str> {
    let rest = path.strip_prefix("src/pkg/");
    let path = rest.map_or(Cow::Borrowed(path), |rest| format!("src/{rest}").into());
    match path.strip_prefix("src/http/") {
        Some(rest) => format!("src/net/http/{rest}").into(),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use maintner::testing::History;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn files_are_known_by_their_present_names() {
        for (path, now) in [
            ("src/pkg/http/server.go", "src/net/http/server.go"),
            ("src/pkg/net/http/server.go", "src/net/http/server.go"),
            ("src/http/server.go", "src/net/http/server.go"),
            ("src/pkg/fmt/print.go", "src/fmt/print.go"),
            ("lib/src/pkg/x", "lib/src/pkg/x"),
        ] {
            assert_eq!(present_name(path), now);
        }
    }

    #[test]
    fn the_most_modified_come_first() {
        let snapshot = Snapshot::of_log(History::new(3).log(500_000)).unwrap();
        let gerrit = snapshot.gerrit();
        let project = gerrit
            .projects()
            .max_by_key(|project| project.cls().count())
            .unwrap();
        let files = modified_files(&snapshot, project.server(), project.name());
        let all: usize = project
            .cls()
            .map(|change| change.commit().files().count())
            .sum();
        assert_eq!(files.iter().map(|(_, count)| count).sum::<usize>(), all);
        assert!(all > 10 && files.is_sorted_by(|a, b| a.1 >= b.1));
    }

    #[test]
    fn a_log_in_a_folder_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let log = History::new(3).log(100_000);
        std::fs::write(dir.path().join("maintner-2018-07-09.mutlog"), &log).unwrap();
        let cli = Cli::parse_from([
            "gostats",
            "--time-load",
            "--log",
            dir.path().to_str().unwrap(),
        ]);
        run(&cli).unwrap();
        let missing = Cli::parse_from(["gostats", "--time-load", "--log", "/no/such/folder"]);
        assert!(
            run(&missing)
                .unwrap_err()
                .to_string()
                .contains("/no/such/folder")
        );
    }
}
