//! `gzip`, on all CPUs: `cargo run --release -p pargzip --example pargzip -- FILE`. See `--help`.
//!
//! As `gzip` it ends with 0 if all went well, 1 after an error, 2 after a warning.

mod args;
mod bench;
mod file;
mod plot;
mod progress;
mod stream;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::Args;

fn main() -> ExitCode {
    let args = Args::parse_from(args::levels(std::env::args_os()));
    if let Some(shell) = args.completions {
        clap_complete::generate(shell, &mut Args::command(), "pargzip", &mut io::stdout());
        return ExitCode::SUCCESS;
    }
    if let Some(command) = &args.measure {
        return bench::measure_child(command);
    }
    if args.bench.is_some() {
        return match bench::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("pargzip: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if let Err(error) = file::remove_on_signals() {
        eprintln!("pargzip: cannot watch for signals: {error}");
    }
    let mut worst = 0;
    let stdin = ["-".into()];
    let files = if args.files.is_empty() {
        &stdin[..]
    } else {
        &args.files
    };
    for file in files {
        let outcome = file::process(file, &args);
        let code = match &outcome {
            Ok(()) => 0,
            Err(file::Trouble::Warning(text)) => {
                if !args.quiet {
                    eprintln!("pargzip: {}: {text}", name(file));
                }
                2
            }
            // Whoever read our output has had enough.
            Err(file::Trouble::Error(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::FAILURE;
            }
            Err(file::Trouble::Error(error)) => {
                eprintln!("pargzip: {}: {error}", name(file));
                1
            }
        };
        // An error outranks a warning.
        worst = match (worst, code) {
            (1, _) | (_, 1) => 1,
            (a, b) => a.max(b),
        };
    }
    ExitCode::from(worst)
}

fn name(file: &std::path::Path) -> std::path::Display<'_> {
    let shown = if file.as_os_str() == "-" {
        std::path::Path::new("stdin")
    } else {
        file
    };
    shown.display()
}

/// Whether somebody is watching.
fn watched(args: &Args) -> bool {
    !args.quiet && io::stderr().is_terminal()
}
