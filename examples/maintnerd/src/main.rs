//! The maintnerd program: mirrors git repositories into a mutation log, follows them live, serves the log to followers and
//! shows all of it in a browser.

mod cli;
mod data;
mod progress;
mod serve;

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse_from(cli::from_go(std::env::args_os()));
    let filter =
        EnvFilter::try_from_env("MAINTNERD_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let result = match cli.command {
        Some(Command::Completions { shell }) => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "maintnerd", &mut std::io::stdout());
            Ok(())
        }
        None => block_on(serve::run(cli.run)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("maintnerd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(task);
    runtime.shutdown_timeout(Duration::from_millis(250));
    result
}
