//! The coordinator program: one command builds every commit of a repository, on this machine and on all that join.

mod cli;
mod data;
mod init;
mod local;
mod progress;
mod serve;
mod worker;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter =
        EnvFilter::try_from_env("BUILDFARM_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let result = match cli.command {
        None => block_on(serve::run(cli.run)),
        Some(Command::Init(args)) => init::init(&args),
        Some(Command::Check(args)) => init::check(&args),
        Some(Command::Worker(args)) => block_on(worker::run(args)),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "coordinator",
                &mut std::io::stdout(),
            );
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("coordinator: {error:#}");
            let configuration = error.is::<buildfarm_dashboard::ConfigErrors>()
                || error.is::<buildfarm_dashboard::LoadError>();
            ExitCode::from(if configuration { 2 } else { 1 })
        }
    }
}

fn block_on(task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(task);
    // Somebody packing a huge tree is not waited for; it would be packed again.
    runtime.shutdown_timeout(Duration::from_millis(250));
    result
}
