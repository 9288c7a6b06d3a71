//! The mutlog program: looks into mutation logs, mends, converts and serves them.

mod cli;
mod convert;
mod dump;
mod files;
mod progress;
mod repair;
mod schema;
mod serve;
mod stats;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Good,
    /// The log is not what it should be.
    Damaged,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    example_cli::log("MUTLOG_LOG", "error");
    let result = match &cli.command {
        Command::Dump(args) => dump::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Repair(args) => repair::run(args),
        Command::Stats(args) => stats::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Completions { shell } => {
            example_cli::complete::<Cli>(*shell);
            Ok(Outcome::Good)
        }
    };
    match result {
        Ok(Outcome::Damaged) => ExitCode::from(3),
        result => example_cli::exit("mutlog", result.map(drop)),
    }
}
