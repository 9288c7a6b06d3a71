//! The maintserve program: a project's whole history in a browser, offline.

use std::{ffi::OsString, net::SocketAddr, process::ExitCode};

use anyhow::Context;
use axum::{Router, routing::get};
use clap::Parser;
use clap_complete::Shell;
use godata::Options;
use maintner::pages::Pages;
use tokio::{net::TcpListener, time::Instant};

const EXAMPLES: &str = "\
Examples:
  maintserve                                 the Go project's history
  maintserve http://localhost:6343/logs      that of a maintnerd
  maintserve ~/logs/                         that in a folder";

const AFTER: &str = "\
Exit status:
  0  stopped as asked
  1  could not start
  2  wrong command line

The log is fetched once, into the cache folder; without network, pages show what is there.
MAINTSERVE_LOG=info tells more of what happens inside; GODATA_NO_SNAPSHOT=1 reads the log anew.";

/// Shows a project's history in a browser: repositories, issues, changes, commits, search.
#[derive(Debug, Parser)]
#[command(name = "maintserve", version, before_help = EXAMPLES, after_help = AFTER, styles = example_cli::styles())]
struct Cli {
    /// Address of a log, or a folder or file with one [default: the Go project's]
    #[arg(value_name = "LOG")]
    log: Option<String>,
    /// Address for browsers; port 0 takes a free one
    #[arg(
        long,
        alias = "http",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080",
        value_parser = address,
        env = "MAINTSERVE_LISTEN"
    )]
    listen: SocketAddr,
    /// Print completions for a shell and exit
    #[arg(long, value_name = "SHELL")]
    completions: Option<Shell>,
}

/// An address as Go writes it, too: `:8080`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let with_host = match text.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.replacen("localhost:", "127.0.0.1:", 1),
    };
    with_host
        .parse()
        .map_err(|_| "not an address such as 127.0.0.1:8080".to_owned())
}

/// Flags of the Go program have one dash.
fn from_go(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let with_two = |arg: OsString| match arg.to_str() {
        Some(text) if text.starts_with("-http") => format!("-{text}").into(),
        _ => arg,
    };
    args.into_iter().map(with_two).collect()
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(from_go(std::env::args_os()));
    example_cli::log("MAINTSERVE_LOG", "warn");
    let result = match cli.completions {
        Some(shell) => {
            example_cli::complete::<Cli>(shell);
            Ok(())
        }
        None => example_cli::block_on(serve(cli)),
    };
    example_cli::exit("maintserve", result)
}

async fn serve(cli: Cli) -> anyhow::Result<()> {
    // Before anything that takes long: who cannot listen should know at once.
    let listener = TcpListener::bind(cli.listen).await;
    let listener = listener.with_context(|| {
        format!(
            "cannot listen on {}: give it another address with --listen",
            cli.listen
        )
    })?;
    let address = listener.local_addr()?;
    let log = cli.log.as_deref().unwrap_or(godata::SERVER);
    example_cli::note(format_args!("reading {log}"));
    let began = Instant::now();
    let opening = Options::from_env().begin(log).await?;
    let corpus = opening.corpus().clone();
    let corpus = tokio::select! {
        opened = example_cli::loading(&corpus, opening.ready()) => opened?,
        signal = example_cli::stop_signal() => return signal,
    };
    let snapshot = corpus.snapshot();
    example_cli::note(format_args!(
        "{:.1} MB of log, {} commits, {} repositories, in {:.2} s",
        snapshot.log_bytes() as f64 / 1e6,
        snapshot.commits().len(),
        snapshot.github().repos().len(),
        began.elapsed().as_secs_f64()
    ));
    let link = anstyle::AnsiColor::Cyan.on_default().underline();
    example_cli::say(format_args!(
        "\n  open   {link}http://{address}/{link:#}\n  stop   Ctrl-C\n"
    ));
    let name = log.trim_end_matches('/').trim_end_matches("/logs");
    let name = name.rsplit('/').next().unwrap_or(name).to_owned();
    let pages = Pages::new((*corpus).clone()).title(name);
    let app = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .merge(pages.router());
    tokio::select! {
        served = axum::serve(listener, app).into_future() => served?,
        signal = example_cli::stop_signal() => signal?,
    }
    corpus.shutdown().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_command_line_of_the_go_program_is_understood() {
        let args = from_go(["maintserve", "-http", ":8081"].map(OsString::from));
        let cli = Cli::parse_from(args);
        assert_eq!(cli.listen, ([127, 0, 0, 1], 8081).into());
        assert!(address("localhost:1").is_ok() && address("x").is_err());
    }
}
