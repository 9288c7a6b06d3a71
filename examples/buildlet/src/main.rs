//! The worker program. `buildlet --help` tells what it does; the work is done by the `buildlet` crate.

mod args;
mod fresh;
mod join;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use buildlet::reverse::{self, Event, Registration};
use buildlet::{Buildlet, Config, EnvPolicy, stdin_closed};
use clap::Parser as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::args::Args;

/// Longest time from Ctrl-C to the end.
const PATIENCE: Duration = Duration::from_millis(1800);

fn main() -> ExitCode {
    let args = Args::parse_from(args::from_go(std::env::args_os()));
    if let Some(shell) = args.completions {
        example_cli::complete::<Args>(shell);
        return ExitCode::SUCCESS;
    }
    if args.version {
        example_cli::say(format_args!(
            "buildlet {} (protocol {}) {}",
            env!("CARGO_PKG_VERSION"),
            buildlet::VERSION,
            buildlet::go_platform()
        ));
        return ExitCode::SUCCESS;
    }
    let level = match args.verbose {
        0 => "warn",
        1 => "buildlet=info,revdial=info",
        _ => "debug",
    };
    example_cli::log("BUILDLET_LOG", level);
    // Commands of the same user could otherwise read this process's memory and environment, and the key in them.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
    example_cli::exit("buildlet", example_cli::block_on(work(&args)))
}

/// One line of progress.
pub(crate) fn say(text: &str) {
    example_cli::note(format_args!("buildlet: {text}"));
}

/// What the worker does for a living.
enum Job {
    Join(Box<Registration>),
    Listen(TcpListener),
}

async fn work(args: &Args) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let password = password(args)?;
    let job = match args.listen {
        Some(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))?;
            Job::Listen(listener)
        }
        None => Job::Join(Box::new(join::registration(args)?)),
    };
    let temporary = args.workdir.is_none();
    let dir = match &args.workdir {
        Some(dir) => dir.clone(),
        None => {
            fresh::clear_stale().await;
            fresh::make()?
        }
    };
    let mut config = Config::new(&dir);
    config.password = password;
    config.env = EnvPolicy::inherit(std::env::vars_os()).without(&args.hide_env);
    config.kill.grace = args.kill_grace;
    config.adopt_orphans = true;
    let buildlet = Buildlet::new(config).map_err(anyhow::Error::from)?;
    say(&format!("working in {}", buildlet.work_dir().display()));

    let stop = CancellationToken::new();
    let ended = tokio::select! {
        ended = run(job, &buildlet, &stop) => ended,
        () = asked_to_end(&mut interrupt, &mut terminate, args.while_stdin) => Ok(()),
    };
    stop.cancel();
    let cleaned = timeout(PATIENCE, clean(&buildlet, temporary.then_some(&dir)));
    tokio::select! {
        cleaned = cleaned => if cleaned.is_err() {
            say(&format!("some processes or files may be left in {}", dir.display()));
        },
        _ = interrupt.recv() => say("ended at once"),
    }
    ended?;
    if args.halt || args.reboot {
        power(args.reboot, &buildlet).await?;
    }
    Ok(())
}

async fn run(job: Job, buildlet: &Buildlet, stop: &CancellationToken) -> Result<()> {
    match job {
        Job::Join(registration) => {
            say(&format!(
                "offering {} as {}",
                registration.host_type, registration.hostname
            ));
            reverse::run(*registration, buildlet.clone(), stop.clone(), |event| {
                tell(&event);
            })
            .await?;
        }
        Job::Listen(listener) => listen(&listener, buildlet, stop).await?,
    }
    say("halted");
    Ok(())
}

fn tell(event: &Event) {
    match event {
        Event::Connecting { coordinator } => say(&format!("connecting to {coordinator}")),
        Event::Registered => say("registered, waiting for work"),
        Event::Unreachable { reason } => say(reason),
        Event::Refused { status, text } => {
            say(&format!(
                "the coordinator refused this worker: {text} (status {status})"
            ));
        }
        Event::Lost { reason } => say(&format!("connection to the coordinator lost: {reason}")),
        Event::RetryIn(pause) => say(&format!("trying again in {:.1} s", pause.as_secs_f64())),
        _ => {}
    }
}

async fn listen(
    listener: &TcpListener,
    buildlet: &Buildlet,
    stop: &CancellationToken,
) -> Result<()> {
    say(&format!("listening on http://{}", listener.local_addr()?));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = buildlet.halted() => return Ok(()),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let (buildlet, stop) = (buildlet.clone(), stop.clone());
                    connections.spawn(async move { buildlet.serve_connection(stream, stop).await });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: there will be some again.
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

async fn asked_to_end(interrupt: &mut Signal, terminate: &mut Signal, while_stdin: bool) {
    tokio::select! {
        _ = interrupt.recv() => say("interrupted, ending"),
        _ = terminate.recv() => say("terminated, ending"),
        () = stdin_closed(), if while_stdin => say("standard input closed, ending"),
    }
}

async fn clean(buildlet: &Buildlet, temporary: Option<&PathBuf>) {
    buildlet.shutdown().await;
    let Some(dir) = temporary else { return };
    let removed = match buildlet.empty_work_dir().await {
        Ok(()) => tokio::fs::remove_dir(dir).await,
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        say(&format!("cannot remove {}: {error}", dir.display()));
    }
}

fn password(args: &Args) -> Result<Option<String>> {
    if let Some(path) = &args.password_file {
        return join::read_word(path).map(Some);
    }
    match args.listen {
        Some(address) if !address.ip().is_loopback() && !args.danger_no_password => bail!(
            "anyone who reaches {address} could run commands here: give --password-file PATH, \
             listen on 127.0.0.1, or say --danger-no-password"
        ),
        _ => Ok(None),
    }
}

/// Ends or restarts the machine, if it was a client that ended the worker.
async fn power(reboot: bool, buildlet: &Buildlet) -> Result<()> {
    if timeout(Duration::ZERO, buildlet.halted()).await.is_err() {
        return Ok(());
    }
    let words: &[&str] = match (reboot, std::env::consts::OS) {
        (true, _) => &["reboot"],
        (false, "linux") => &["/bin/halt", "-n", "-f", "-p"],
        (false, "freebsd") => &["shutdown", "-p", "-o", "now"],
        (false, "openbsd") => &["halt", "-q", "-n", "-p"],
        (false, other) => bail!("do not know how to power off {other}"),
    };
    let [program, rest @ ..] = words else {
        return Ok(());
    };
    say(&format!("running {}", words.join(" ")));
    let status = tokio::process::Command::new(program)
        .args(rest)
        .status()
        .await
        .with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("{program} failed: {status}");
    }
    Ok(())
}
