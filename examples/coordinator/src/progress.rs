//! What the terminal shows while the farm works.

use anstyle::{AnsiColor, Style};
use buildfarm_coordinator::Event;
use buildfarm_dashboard::record::{Build, BuildState, Outcome, Worker, WorkerState};
use example_cli::say;
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Prints a line for each thing worth one, until the farm is gone.
pub(crate) async fn follow(mut events: Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(event) => {
                for line in lines(&event) {
                    let now = Timestamp::now()
                        .to_zoned(TimeZone::system())
                        .strftime("%H:%M:%S")
                        .to_string();
                    say(format_args!("{DIM}{now}{DIM:#}  {line}"));
                }
            }
            Err(RecvError::Lagged(missed)) => say(format_args!("…  {missed} events not shown")),
            Err(RecvError::Closed) => return,
        }
    }
}

const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();

/// What is worth telling of an event. Notices are not: they are in the log of the program already.
fn lines(event: &Event) -> Vec<String> {
    let one = match event {
        Event::Queued(builds) => return queued(builds),
        Event::Started(build) => {
            let again = if build.attempt > 1 {
                format!("  (attempt {})", build.attempt)
            } else {
                String::new()
            };
            let worker = build.worker.as_deref().unwrap_or("?");
            Some(format!("▶ started   {}  on {worker}{again}", what(build)))
        }
        Event::Retrying { build, reason } => Some(format!(
            "{YELLOW}↻ retrying{YELLOW:#}  {}  {}",
            what(build),
            plain(reason)
        )),
        Event::Finished(build) => Some(finished(build)),
        Event::Worker(worker) => worker_line(worker),
        _ => None,
    };
    one.into_iter().collect()
}

/// New builds: those that wait in one line, those that were over before they began in one each.
fn queued(builds: &[Build]) -> Vec<String> {
    let (over, waiting): (Vec<&Build>, Vec<&Build>) =
        builds.iter().partition(|b| b.state == BuildState::Done);
    let mut lines = match waiting[..] {
        [] => Vec::new(),
        [build] => vec![format!("+ queued    {}", what(build))],
        [first, .., last] if first.commit == last.commit => vec![format!(
            "+ queued    {} builders  {}",
            waiting.len(),
            commit(first)
        )],
        [.., last] => vec![format!(
            "+ queued    {} builds, newest {}",
            waiting.len(),
            commit(last)
        )],
    };
    lines.extend(over.into_iter().map(finished));
    lines
}

fn finished(build: &Build) -> String {
    let took = match (build.started_at, build.ended_at) {
        (Some(from), Some(to)) => format!("  {:.1} s", to.duration_since(from).as_secs_f64()),
        _ => String::new(),
    };
    let reason = build.reason.as_deref().unwrap_or_default();
    let reason = plain(reason.lines().next().unwrap_or_default());
    match build.outcome {
        Some(Outcome::Passed) => format!("{GREEN}✓ passed{GREEN:#}    {}{took}", what(build)),
        Some(Outcome::Failed) => format!("{RED}✗ failed{RED:#}    {}{took}  {reason}", what(build)),
        Some(Outcome::TimedOut) => {
            format!("{RED}✗ timed out{RED:#} {}{took}  {reason}", what(build))
        }
        Some(Outcome::InfraFailed) => {
            format!("{YELLOW}! gave up{YELLOW:#}   {}  {reason}", what(build))
        }
        Some(Outcome::Skipped) => format!("- skipped   {}  {reason}", what(build)),
        _ => format!("- over      {}  {reason}", what(build)),
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

/// Words of workers, commits and git on one line: a terminal obeys none of them.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(500).map(shown).collect()
}

fn what(build: &Build) -> String {
    format!("{:<12} {}", build.builder, commit(build))
}

fn commit(build: &Build) -> String {
    let subject: String = plain(&build.subject).chars().take(50).collect();
    format!(
        "{}  {subject}",
        build.commit.get(..8).unwrap_or(&build.commit)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_obeys_nobody_elses_words() {
        assert_eq!(
            plain("git said\n\u{1b}]0;title\u{7}"),
            "git said  ]0;title "
        );
    }
}
