//! The coordinator program: one command builds every commit of a repository, on this machine and on all that join.

mod cli;
mod data;
mod init;
mod local;
mod progress;
mod serve;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    example_cli::log("BUILDFARM_LOG", "warn");
    let result = match cli.command {
        None => example_cli::block_on(serve::run(cli.run)),
        Some(Command::Init(args)) => init::init(&args),
        Some(Command::Check(args)) => init::check(&args),
        Some(Command::Worker(args)) => example_cli::block_on(worker::run(args)),
        Some(Command::Completions { shell }) => {
            example_cli::complete::<Cli>(shell);
            Ok(())
        }
    };
    // Of which error only its kind is told apart from the others.
    let is_configuration = result.as_ref().is_err_and(|error| {
        error.is::<buildfarm_dashboard::ConfigErrors>()
            || error.is::<buildfarm_dashboard::LoadError>()
    });
    match (example_cli::exit("coordinator", result), is_configuration) {
        (_, true) => ExitCode::from(2),
        (code, false) => code,
    }
}
