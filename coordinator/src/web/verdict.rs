//! A build's state in one sentence.

use buildfarm_dashboard::record::{Attempt, BuildDetail, Outcome, Step};
use jiff::Timestamp;

use super::words::{Kind, clean, count, spoken, step_end};

/// Part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub text: String,
    /// Whether it is a name, set in another type.
    pub name: bool,
}

/// A sentence that names steps and workers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sentence(Vec<Piece>);

impl Sentence {
    fn say(mut self, text: impl Into<String>) -> Self {
        self.0.push(Piece {
            text: text.into(),
            name: false,
        });
        self
    }

    fn name(mut self, text: &str) -> Self {
        self.0.push(Piece {
            text: clean(text, 80),
            name: true,
        });
        self
    }

    fn because(self, reason: Option<&str>) -> Self {
        match reason {
            Some(reason) if !reason.is_empty() => self.say(format!(": {}", clean(reason, 300))),
            _ => self,
        }
    }

    /// Its parts in order.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.0
    }
}

/// What is to be said of a build.
pub(crate) fn verdict(detail: &BuildDetail, now: Timestamp) -> Sentence {
    let build = &detail.build;
    let attempt = detail.attempts.last();
    let said = Sentence::default();
    let reason = build.reason.as_deref();
    let took = |from: Option<Timestamp>| {
        from.map(|from| spoken(build.ended_at.unwrap_or(now).duration_since(from)))
            .unwrap_or_default()
    };
    match Kind::of(build) {
        Kind::Queued | Kind::Never => {
            let waited = took(Some(build.queued_at));
            match attempt {
                None => said
                    .say("Waiting for a worker of type ")
                    .name(&build.host_type)
                    .say(format!(", for {waited} so far")),
                Some(lost) => {
                    let reason = lost.reason.as_deref().or(reason);
                    said.say(format!(
                        "Waiting to run again: attempt {} was lost",
                        lost.number
                    ))
                    .because(reason)
                }
            }
        }
        Kind::Running => {
            let said = match attempt.and_then(current_step) {
                Some(step) => {
                    let so_far = took(step.started_at);
                    said.say("Running step ")
                        .name(&step.name)
                        .say(format!(" for {so_far}"))
                }
                None => said.say(format!("Running for {}", took(build.started_at))),
            };
            let said = match &build.worker {
                Some(worker) => said.say(" on ").name(worker),
                None => said,
            };
            if build.attempt > 1 {
                said.say(format!(", attempt {}", build.attempt))
            } else {
                said
            }
        }
        Kind::Done(Outcome::Passed) => {
            let said = said.say(if build.started_at.is_some() {
                format!("Passed in {}", took(build.started_at))
            } else {
                "Passed".into()
            });
            tries(said, build.attempt, detail.attempts.len())
        }
        Kind::Done(outcome @ (Outcome::Failed | Outcome::TimedOut)) => {
            let word = if outcome == Outcome::Failed {
                "Failed"
            } else {
                "Timed out"
            };
            let said = match attempt.and_then(failed_step) {
                Some(step) => {
                    let said = said.say(format!("{word}: step ")).name(&step.name);
                    let after = step_time(step, now)
                        .map(|time| format!(" after {time}"))
                        .unwrap_or_default();
                    match (&step.status, step.outcome) {
                        (_, Some(Outcome::TimedOut)) => {
                            said.say(format!(" passed its time limit and was stopped{after}"))
                        }
                        (Some(status), _) if outcome == Outcome::Failed => {
                            said.say(format!(" {}{after}", step_end(status)))
                        }
                        _ => said.say(after).because(reason),
                    }
                }
                None => said.say(word).because(reason),
            };
            tries(said, build.attempt, detail.attempts.len())
        }
        Kind::Done(Outcome::InfraFailed) => {
            let tried = count(detail.attempts.len(), "attempt", "attempts");
            said.say(format!("The farm could not run it, after {tried}"))
                .because(reason)
        }
        Kind::Done(Outcome::Canceled) => said.say("Canceled").because(reason),
        Kind::Done(Outcome::Skipped) => said.say("Skipped").because(reason),
    }
}

fn tries(said: Sentence, number: u32, of: usize) -> Sentence {
    if of > 1 {
        said.say(format!(", attempt {number} of {of}"))
    } else {
        said
    }
}

fn current_step(attempt: &Attempt) -> Option<&Step> {
    attempt
        .steps
        .iter()
        .rfind(|step| step.started_at.is_some() && step.ended_at.is_none())
}

fn failed_step(attempt: &Attempt) -> Option<&Step> {
    attempt
        .steps
        .iter()
        .find(|step| Kind::of_part(true, step.outcome).is_bad())
}

fn step_time(step: &Step, now: Timestamp) -> Option<String> {
    step.started_at
        .map(|from| spoken(step.ended_at.unwrap_or(now).duration_since(from)))
}

#[cfg(test)]
mod tests {
    use buildfarm_dashboard::record::{Build, BuildState};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn build(state: BuildState, outcome: Option<Outcome>) -> BuildDetail {
        BuildDetail {
            build: Build {
                id: 7,
                builder: "linux".into(),
                host_type: "linux-amd64".into(),
                commit: "c0ffee".into(),
                subject: "s".into(),
                author: "a".into(),
                branch: "main".into(),
                state,
                outcome,
                reason: None,
                attempt: 0,
                worker: None,
                queued_at: at(0),
                started_at: None,
                ended_at: None,
            },
            attempts: Vec::new(),
        }
    }

    fn attempt(
        number: u32,
        outcome: Option<Outcome>,
        step: (Option<Outcome>, Option<&str>),
    ) -> Attempt {
        Attempt {
            number,
            worker: "w1".into(),
            started_at: at(5),
            ended_at: outcome.map(|_| at(30)),
            outcome,
            reason: None,
            log_bytes: 0,
            log_sha256: None,
            steps: vec![Step {
                name: "test".into(),
                started_at: Some(at(10)),
                ended_at: step.0.map(|_| at(22)),
                outcome: step.0,
                status: step.1.map(Into::into),
                log_offset: Some(0),
            }],
        }
    }

    fn words(detail: &BuildDetail) -> String {
        let piece = |piece: &Piece| {
            if piece.name {
                format!("`{}`", piece.text)
            } else {
                piece.text.clone()
            }
        };
        verdict(detail, at(40))
            .pieces()
            .iter()
            .map(piece)
            .collect::<String>()
            .replace('\u{a0}', " ")
    }

    #[test]
    fn waiting() {
        let mut detail = build(BuildState::Queued, None);
        assert_eq!(
            words(&detail),
            "Waiting for a worker of type `linux-amd64`, for 40 s so far"
        );
        let mut lost = attempt(1, Some(Outcome::InfraFailed), (None, None));
        lost.reason = Some("worker w1 went away".into());
        detail.attempts.push(lost);
        assert_eq!(
            words(&detail),
            "Waiting to run again: attempt 1 was lost: worker w1 went away"
        );
    }

    #[test]
    fn running() {
        let mut detail = build(BuildState::Running, None);
        detail.build.started_at = Some(at(5));
        assert_eq!(words(&detail), "Running for 35 s");
        detail.build.worker = Some("w1".into());
        detail.build.attempt = 2;
        detail.attempts.push(attempt(2, None, (None, None)));
        assert_eq!(
            words(&detail),
            "Running step `test` for 30 s on `w1`, attempt 2"
        );
    }

    #[test]
    fn passed() {
        let mut detail = build(BuildState::Done, Some(Outcome::Passed));
        (detail.build.started_at, detail.build.ended_at) = (Some(at(5)), Some(at(77)));
        assert_eq!(words(&detail), "Passed in 1 min 12 s");
    }

    #[test]
    fn failed() {
        let mut detail = build(BuildState::Done, Some(Outcome::Failed));
        detail.build.attempt = 2;
        detail
            .attempts
            .push(attempt(1, Some(Outcome::InfraFailed), (None, None)));
        detail.attempts.push(attempt(
            2,
            Some(Outcome::Failed),
            (Some(Outcome::Failed), Some("exit status 1")),
        ));
        assert_eq!(
            words(&detail),
            "Failed: step `test` exited with status 1 after 12 s, attempt 2 of 2"
        );
        detail.attempts.clear();
        detail.build.reason = Some("farm.toml cannot be read".into());
        assert_eq!(words(&detail), "Failed: farm.toml cannot be read");
    }

    #[test]
    fn timed_out() {
        let mut detail = build(BuildState::Done, Some(Outcome::TimedOut));
        detail.attempts.push(attempt(
            1,
            Some(Outcome::TimedOut),
            (Some(Outcome::TimedOut), Some("signal: killed")),
        ));
        assert_eq!(
            words(&detail),
            "Timed out: step `test` passed its time limit and was stopped after 12 s"
        );
    }

    #[test]
    fn not_the_commits_fault() {
        let mut detail = build(BuildState::Done, Some(Outcome::InfraFailed));
        detail.build.reason = Some("worker w1 went away".into());
        detail
            .attempts
            .push(attempt(1, Some(Outcome::InfraFailed), (None, None)));
        assert_eq!(
            words(&detail),
            "The farm could not run it, after 1 attempt: worker w1 went away"
        );
        detail.build.outcome = Some(Outcome::Skipped);
        assert_eq!(words(&detail), "Skipped: worker w1 went away");
    }
}
