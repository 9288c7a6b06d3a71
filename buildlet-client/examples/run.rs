//! Runs a command on a worker, shows its output as it comes, and exits as the command did.
//!
//! ```text
//! cargo run -p buildlet-client --example run -- 127.0.0.1:5936 sh -c 'echo hello; exit 3'
//! ```
//! With `BUILDLET_PASSWORD` set, it is sent. Interrupting the program ends the command on the worker too.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use buildlet_client::{Client, CommError, Exec, ExecOutcome, TcpConnector};

/// What people do not expect a command to exit with: the worker could not be asked.
const NO_WORKER: u8 = 125;
/// As a shell has it for a command that could not be started.
const NOT_STARTED: u8 = 127;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(addr), Some(cmd)) = (args.next(), args.next()) else {
        eprintln!("usage: run ADDR COMMAND [ARG...]");
        return ExitCode::from(NO_WORKER);
    };
    match run(addr, Exec::system(cmd).args(args)).await {
        Ok(ExecOutcome::Exited(code)) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Ok(ExecOutcome::NotStarted(why)) => {
            eprintln!("run: {why}");
            ExitCode::from(NOT_STARTED)
        }
        Ok(outcome) => {
            eprintln!("run: {outcome}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprint!("run: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::from(NO_WORKER)
        }
    }
}

async fn run(addr: String, exec: Exec) -> Result<ExecOutcome, CommError> {
    let password = std::env::var("BUILDLET_PASSWORD").unwrap_or_default();
    let worker = Client::builder(TcpConnector::new(&addr))
        .name(&addr)
        .host(addr)
        .password(password)
        .build();
    let mut running = worker.exec(exec).await?;
    let mut out = std::io::stdout().lock();
    while let Some(output) = running.next_output().await {
        let output = output?;
        if out.write_all(&output).and_then(|()| out.flush()).is_err() {
            // Nobody reads any more; dropping the command ends it, as a closed pipe would have.
            return Ok(ExecOutcome::Signaled {
                signal: "broken pipe".to_owned(),
                core: false,
            });
        }
    }
    running.wait().await
}
