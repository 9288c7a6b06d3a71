//! What the terminal shows while the farm works.

use anstyle::{AnsiColor, Style};
use buildfarm_coordinator::Event;
use buildfarm_dashboard::record::{Build, Outcome, Worker, WorkerState};
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Prints a line for each thing worth one, until the farm is gone.
pub(crate) async fn follow(mut events: Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Some(line) = line(&event) {
                    let now = Timestamp::now()
                        .to_zoned(TimeZone::system())
                        .strftime("%H:%M:%S")
                        .to_string();
                    anstream::println!("{DIM}{now}{DIM:#}  {line}");
                }
            }
            Err(RecvError::Lagged(missed)) => anstream::println!("…  {missed} events not shown"),
            Err(RecvError::Closed) => return,
        }
    }
}

const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();

fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Queued(builds) => match &builds[..] {
            [] => return None,
            [build] => format!("+ queued    {}", what(build)),
            [first, .., last] if first.commit == last.commit => {
                format!("+ queued    {} builders  {}", builds.len(), commit(first))
            }
            [.., last] => format!(
                "+ queued    {} builds, newest {}",
                builds.len(),
                commit(last)
            ),
        },
        Event::Started(build) => {
            let again = if build.attempt > 1 {
                format!("  (attempt {})", build.attempt)
            } else {
                String::new()
            };
            format!(
                "▶ started   {}  on {}{again}",
                what(build),
                build.worker.as_deref().unwrap_or("?")
            )
        }
        Event::Retrying { build, reason } => {
            format!("{YELLOW}↻ retrying{YELLOW:#}  {}  {reason}", what(build))
        }
        Event::Finished(build) => finished(build),
        Event::Worker(worker) => return worker_line(worker),
        Event::Notice(text) => format!("{YELLOW}! {text}{YELLOW:#}"),
        _ => return None,
    })
}

fn finished(build: &Build) -> String {
    let took = match (build.started_at, build.ended_at) {
        (Some(from), Some(to)) => format!("  {:.1} s", to.duration_since(from).as_secs_f64()),
        _ => String::new(),
    };
    let reason = build.reason.as_deref().unwrap_or_default();
    match build.outcome {
        Some(Outcome::Passed) => format!("{GREEN}✓ passed{GREEN:#}    {}{took}", what(build)),
        Some(Outcome::Failed) => format!("{RED}✗ failed{RED:#}    {}{took}  {reason}", what(build)),
        Some(Outcome::TimedOut) => {
            format!("{RED}✗ timed out{RED:#} {}{took}  {reason}", what(build))
        }
        Some(Outcome::InfraFailed) => {
            format!("{YELLOW}! gave up{YELLOW:#}   {}  {reason}", what(build))
        }
        _ => format!("- {}  {reason}", what(build)),
    }
}

fn worker_line(worker: &Worker) -> Option<String> {
    match worker.state {
        // A worker is cleaned when it registers; after a build its cleaning is not news.
        WorkerState::Cleaning
            if worker.builds_done == 0 && worker.connected_at == worker.last_seen =>
        {
            Some(format!(
                "⇄ worker {} joined ({}, from {})",
                worker.name, worker.host_type, worker.address
            ))
        }
        WorkerState::Lost => Some(format!(
            "{YELLOW}⇄ worker {} is gone{YELLOW:#}",
            worker.name
        )),
        _ => None,
    }
}

fn what(build: &Build) -> String {
    format!("{:<12} {}", build.builder, commit(build))
}

fn commit(build: &Build) -> String {
    let subject: String = build
        .subject
        .chars()
        .filter(|c| !c.is_control())
        .take(50)
        .collect();
    format!(
        "{}  {subject}",
        build.commit.get(..8).unwrap_or(&build.commit)
    )
}
