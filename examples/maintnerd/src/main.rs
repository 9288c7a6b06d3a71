//! The maintnerd program: mirrors git repositories into a mutation log, follows them live, serves the log to followers and
//! shows all of it in a browser.

mod cli;
mod data;
mod progress;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse_from(cli::from_go(std::env::args_os()));
    example_cli::log("MAINTNERD_LOG", "warn");
    let result = match cli.command {
        Some(Command::Completions { shell }) => {
            example_cli::complete::<Cli>(shell);
            Ok(())
        }
        None => example_cli::block_on(serve::run(cli.run)),
    };
    example_cli::exit("maintnerd", result)
}
