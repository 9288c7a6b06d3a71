//! What the programs have in common on the command line: colours of the help, logging, output, completions, how they stop
//! and how they end.
//!
//! Features: `tls`, the flags of a server with TLS; `loading`, how far a log is; `testing`, what tests of programs share.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{CommandFactory, builder::styling};
use clap_complete::Shell;
use tracing_subscriber::EnvFilter;

#[cfg(feature = "loading")]
mod loading;
mod output;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "loading")]
pub use loading::{loading, loading_among};
pub use output::{note, say, stdout};
#[cfg(feature = "tls")]
pub use tls::{Reach, Tls};

/// How long work on other threads, such as packing a tree, may hold up the end of a program.
const LAST_WORK: Duration = Duration::from_millis(250);

/// The colours of the help.
pub const fn styles() -> styling::Styles {
    styling::Styles::styled()
        .header(styling::AnsiColor::Green.on_default().bold())
        .usage(styling::AnsiColor::Green.on_default().bold())
        .literal(styling::AnsiColor::Cyan.on_default().bold())
        .placeholder(styling::AnsiColor::Cyan.on_default())
}

/// Logs to the standard error output what the environment variable says, or `otherwise`.
pub fn log(variable: &str, otherwise: &str) {
    let filter = EnvFilter::try_from_env(variable).unwrap_or_else(|_| EnvFilter::new(otherwise));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // Of what cannot be written, nothing can be said either.
        .log_internal_errors(false)
        .init();
}

/// Prints completions for a shell.
pub fn complete<C: CommandFactory>(shell: Shell) {
    let mut command = C::command();
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    // Whoever reads may have seen enough.
    let _ = std::io::stdout().write_all(&text);
}

/// Runs a program to its end. Work on other threads is not waited for then: what must be done, the program waits for.
///
/// # Errors
///
/// Those of the program, or if there is no runtime.
pub fn block_on<T>(program: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(program);
    runtime.shutdown_timeout(LAST_WORK);
    result
}

/// How a program ends: 0, or 1 and the error with its causes. That nobody reads the rest of its [output](stdout) is none.
pub fn exit(name: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        Err(error) if !output::was_enough(&error) => {
            note(format_args!("{name}: {error:#}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Returns when somebody wants the program to stop: Ctrl-C, or SIGTERM.
///
/// # Errors
///
/// If the system does not tell of signals.
pub async fn stop_signal() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}
