//! The life of one attempt at a build, as a state machine without I/O or clock.
//!
//! The runner tells it what happened and how long the attempt has taken; it answers with what to do next. All time limits live
//! here: after every call the runner asks [`Life::wake`] when to come back with [`Event::Tick`]. Time is time taken, not the time
//! of day: setting the clock ends no build.
//!
//! ```text
//!  Leased ─► source ─► tree ─► step 0 ─► step 1 … ─► End(passed)
//!               │        │        │
//!               │        │        ├─ exits otherwise than 0 ──────► End(failed)
//!               │        │        └─ passes its limit ─► Stop ────► End(timed out)
//!               └────────┴─ trouble: ours, not the command's ─────► End(infra failed) ─► retried within a budget
//! ```

use std::time::Duration;

use buildfarm_dashboard::record::Outcome;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::store::Next;

/// Shortest pause after a failure of the coordinator's own means.
const OWN_PAUSE: Duration = Duration::from_secs(1);

/// One attempt, from the lease of its worker to its end.
#[derive(Debug)]
pub struct Life {
    steps: Vec<(String, Option<Duration>)>,
    timeout: Duration,
    deadline: Option<Duration>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Source,
    Tree,
    Step {
        index: usize,
        deadline: Option<Duration>,
    },
    Over,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker is ours.
    Leased,
    /// The source archive is at hand.
    SourceReady,
    /// The worker has unpacked the tree.
    TreeReady,
    /// The running command ended by itself.
    Exited(Exit),
    /// We could not run the build, or could not see what became of it.
    Trouble(Trouble),
    /// The time that [`Life::wake`] named has come.
    Tick,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Status(i32),
    /// By this signal, in the words of the worker: `killed`, `segmentation fault (core dumped)`.
    Signal(String),
    /// In some other way, in the words of the worker.
    Other(String),
}

/// Something that is not the build's own fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The worker, or the way to it, failed; another try, possibly elsewhere, may succeed.
    Worker(String),
    /// The tree of the commit is not to be had; another try may succeed. The worker is as good as before.
    Source(String),
    /// The coordinator's own means failed, a full disk for example. The build waits until they are back, and nothing is held
    /// against it or the worker.
    Own(String),
    /// The coordinator itself stops. The build is run again as soon as it is back, and nothing is held against it.
    Interrupted,
}

/// What the runner has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Get the source archive; answer with [`Event::SourceReady`].
    FetchSource,
    /// Unpack it on the worker; answer with [`Event::TreeReady`].
    PutTree,
    /// Record that the step begins, run its command; answer with [`Event::Exited`].
    Run(usize),
    /// Record how the step ended.
    EndStep(usize, Outcome, String),
    /// Abandon whatever is under way. A running command's whole process tree dies.
    Stop,
    /// Seal the log and record the end of the attempt. Always the last effect.
    End(Ending),
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How.
    pub outcome: Outcome,
    /// Why, in words.
    pub reason: String,
    /// Whether the worker did all that was asked of it, and may be used again.
    pub worker_sound: bool,
    /// Whose doing it is, which decides on another attempt.
    pub cause: Cause,
}

/// Whose doing the end of an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The build's: it ran, and this is its result.
    Build,
    /// The infrastructure's: it is tried again within a budget.
    Infrastructure,
    /// The coordinator's own: it is tried again for as long as it takes.
    Coordinator,
    /// The coordinator stops: it is run again at the next start.
    Interruption,
}

impl Ending {
    /// An attempt that the coordinator's own means failed.
    pub(crate) fn own(reason: String) -> Self {
        Self {
            outcome: Outcome::InfraFailed,
            reason,
            worker_sound: true,
            cause: Cause::Coordinator,
        }
    }
}

impl Life {
    /// An attempt at `plan` that has no worker yet.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            steps: plan
                .steps
                .iter()
                .map(|s| (s.name.clone(), s.timeout))
                .collect(),
            timeout: plan.timeout,
            deadline: None,
            phase: Phase::Waiting,
        }
    }

    /// Takes in what happened when the attempt had taken `now`, and says what to do.
    ///
    /// Events that make no sense in the present state, such as an exit when no command runs, change nothing.
    pub fn on(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        if self.phase == Phase::Over {
            return Vec::new();
        }
        match (self.phase, event) {
            (Phase::Waiting, Event::Leased) => {
                self.deadline = Some(now.saturating_add(self.timeout));
                self.phase = Phase::Source;
                vec![Effect::FetchSource]
            }
            (Phase::Source, Event::SourceReady) => {
                self.phase = Phase::Tree;
                vec![Effect::PutTree]
            }
            (Phase::Tree, Event::TreeReady) => {
                // The time up to here was ours; the commands have all of theirs.
                self.deadline = Some(now.saturating_add(self.timeout));
                self.begin(0, now)
            }
            (Phase::Step { index, .. }, Event::Exited(exit)) => self.exited(index, &exit, now),
            (_, Event::Tick) => self.tick(now),
            (_, Event::Trouble(trouble)) => self.give_up(trouble),
            _ => Vec::new(),
        }
    }

    /// When to come back with [`Event::Tick`], on the clock of [`Life::on`]; `None` while nothing is limited in time.
    #[must_use]
    pub fn wake(&self) -> Option<Duration> {
        match self.phase {
            Phase::Waiting | Phase::Over => None,
            Phase::Step {
                deadline: Some(step),
                ..
            } => self.deadline.map_or(Some(step), |all| Some(all.min(step))),
            _ => self.deadline,
        }
    }

    fn begin(&mut self, index: usize, now: Duration) -> Vec<Effect> {
        let Some((_, timeout)) = self.steps.get(index) else {
            self.phase = Phase::Over;
            let reason = match self.steps.len() {
                0 => "nothing to run".to_owned(),
                1 => "1 step passed".to_owned(),
                n => format!("{n} steps passed"),
            };
            return vec![end(Outcome::Passed, reason)];
        };
        self.phase = Phase::Step {
            index,
            deadline: timeout.map(|t| now.saturating_add(t)),
        };
        vec![Effect::Run(index)]
    }

    fn exited(&mut self, index: usize, exit: &Exit, now: Duration) -> Vec<Effect> {
        let status = match exit {
            Exit::Status(0) => {
                let mut effects = vec![Effect::EndStep(index, Outcome::Passed, "ok".to_owned())];
                effects.extend(self.begin(index + 1, now));
                return effects;
            }
            Exit::Status(code) => format!("exit status {code}"),
            Exit::Signal(signal) => format!("signal: {signal}"),
            Exit::Other(text) => text.clone(),
        };
        self.phase = Phase::Over;
        let reason = format!("step {} failed: {status}", self.steps[index].0);
        vec![
            Effect::EndStep(index, Outcome::Failed, status),
            end(Outcome::Failed, reason),
        ]
    }

    fn tick(&mut self, now: Duration) -> Vec<Effect> {
        let build_is_late = self.deadline.is_some_and(|d| now >= d);
        match self.phase {
            Phase::Step { index, deadline }
                if build_is_late || deadline.is_some_and(|d| now >= d) =>
            {
                let (name, step_timeout) = &self.steps[index];
                let limit = match step_timeout {
                    Some(timeout) if deadline.is_some_and(|d| now >= d) => {
                        format!("its limit of {}", words(*timeout))
                    }
                    _ => format!("the build's limit of {}", words(self.timeout)),
                };
                let reason = format!("step {name} passed {limit} and was killed");
                self.phase = Phase::Over;
                vec![
                    Effect::Stop,
                    Effect::EndStep(index, Outcome::TimedOut, format!("killed: passed {limit}")),
                    end(Outcome::TimedOut, reason),
                ]
            }
            // No command of the build's has run yet, so the delay is ours.
            Phase::Source if build_is_late => {
                let limit = words(self.timeout);
                self.give_up(Trouble::Source(format!(
                    "fetching the source took longer than {limit}"
                )))
            }
            Phase::Tree if build_is_late => {
                let limit = words(self.timeout);
                self.give_up(Trouble::Worker(format!(
                    "unpacking the source on the worker took longer than {limit}"
                )))
            }
            _ => Vec::new(),
        }
    }

    fn give_up(&mut self, trouble: Trouble) -> Vec<Effect> {
        self.phase = Phase::Over;
        let (reason, worker_sound, cause) = match trouble {
            Trouble::Worker(reason) => (reason, false, Cause::Infrastructure),
            Trouble::Source(reason) => (reason, true, Cause::Infrastructure),
            Trouble::Own(reason) => (reason, true, Cause::Coordinator),
            Trouble::Interrupted => (
                "the coordinator stopped while it ran".to_owned(),
                false,
                Cause::Interruption,
            ),
        };
        let outcome = Outcome::InfraFailed;
        vec![
            Effect::Stop,
            Effect::End(Ending {
                outcome,
                reason,
                worker_sound,
                cause,
            }),
        ]
    }
}

/// How often infrastructure failures are retried, and how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Failures that are followed by another attempt.
    pub budget: u32,
    /// Pause before the first retry; doubled for each further one.
    pub first: Duration,
    /// Longest pause.
    pub most: Duration,
}

impl RetryPolicy {
    /// What becomes of a build when an attempt ended and `failures` earlier ones were charged to its budget.
    #[must_use]
    pub fn decide(&self, ending: &Ending, failures: u32, now: Timestamp) -> Next {
        match ending.cause {
            Cause::Interruption => Next::Requeue {
                not_before: None,
                charge: false,
            },
            Cause::Coordinator => Next::Requeue {
                not_before: Some(after(now, self.most.max(OWN_PAUSE))),
                charge: false,
            },
            Cause::Infrastructure if failures < self.budget => {
                let pause = self
                    .first
                    .saturating_mul(2_u32.saturating_pow(failures))
                    .min(self.most);
                Next::Requeue {
                    not_before: Some(after(now, pause)),
                    charge: true,
                }
            }
            Cause::Infrastructure | Cause::Build => Next::Final,
        }
    }
}

fn end(outcome: Outcome, reason: String) -> Effect {
    Effect::End(Ending {
        outcome,
        reason,
        worker_sound: true,
        cause: Cause::Build,
    })
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

fn words(duration: Duration) -> String {
    let (s, ms) = (duration.as_secs(), duration.subsec_millis());
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, 0) => format!("{ms} ms"),
        (0, 0, s) if ms > 0 => format!("{s}.{:01} s", ms / 100),
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, 0, 0) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::PlanStep;

    const MINUTE: Duration = Duration::from_secs(60);

    fn plan(steps: &[Option<Duration>]) -> Plan {
        Plan {
            shell: vec!["sh".into(), "-c".into()],
            dir: String::new(),
            env: Default::default(),
            timeout: 10 * MINUTE,
            retry: RetryPolicy {
                budget: 0,
                first: Duration::ZERO,
                most: Duration::ZERO,
            },
            log_limit: 1 << 20,
            steps: steps
                .iter()
                .enumerate()
                .map(|(i, timeout)| PlanStep {
                    name: format!("s{i}"),
                    run: "true".into(),
                    dir: None,
                    env: Default::default(),
                    timeout: *timeout,
                })
                .collect(),
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn clock(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    /// An attempt whose first command runs since second 2.
    fn running(steps: &[Option<Duration>]) -> Life {
        let mut life = Life::new(&plan(steps));
        assert_eq!(life.on(Event::Leased, at(0)), [Effect::FetchSource]);
        assert_eq!(life.on(Event::SourceReady, at(1)), [Effect::PutTree]);
        assert_eq!(life.on(Event::TreeReady, at(2)), [Effect::Run(0)]);
        life
    }

    fn ending(effects: &[Effect]) -> Ending {
        match effects.last() {
            Some(Effect::End(ending)) => ending.clone(),
            other => panic!("no end: {other:?}"),
        }
    }

    #[test]
    fn steps_run_in_order_and_the_build_passes() {
        let mut life = running(&[None, None]);
        let effects = life.on(Event::Exited(Exit::Status(0)), at(3));
        assert_eq!(
            effects,
            [
                Effect::EndStep(0, Outcome::Passed, "ok".into()),
                Effect::Run(1)
            ]
        );
        let effects = life.on(Event::Exited(Exit::Status(0)), at(4));
        assert_eq!(ending(&effects).outcome, Outcome::Passed);
        assert_eq!(life.wake(), None);
        assert_eq!(life.on(Event::Tick, at(9999)), []);
    }

    #[test]
    fn the_first_failing_step_ends_the_build_and_is_named() {
        let mut life = running(&[None, None]);
        let end = ending(&life.on(Event::Exited(Exit::Status(3)), at(3)));
        assert_eq!(
            (end.outcome, end.reason.as_str(), end.worker_sound),
            (Outcome::Failed, "step s0 failed: exit status 3", true)
        );
    }

    #[test]
    fn a_step_past_its_limit_is_killed_and_says_which_limit() {
        let mut life = running(&[Some(Duration::from_secs(5))]);
        assert_eq!(life.wake(), Some(at(7)));
        assert_eq!(life.on(Event::Tick, at(6)), []);
        let effects = life.on(Event::Tick, at(7));
        assert_eq!(effects[0], Effect::Stop);
        assert_eq!(
            ending(&effects).reason,
            "step s0 passed its limit of 5 s and was killed"
        );
        assert_eq!(ending(&effects).outcome, Outcome::TimedOut);
    }

    #[test]
    fn the_whole_build_has_a_limit_too() {
        let mut life = running(&[Some(60 * MINUTE)]);
        assert_eq!(life.wake(), Some(at(602)));
        let end = ending(&life.on(Event::Tick, at(602)));
        assert_eq!(
            end.reason,
            "step s0 passed the build's limit of 10 min and was killed"
        );
    }

    #[test]
    fn slow_source_is_ours_not_the_builds() {
        let mut life = Life::new(&plan(&[None]));
        life.on(Event::Leased, at(0));
        let end = ending(&life.on(Event::Tick, at(600)));
        assert_eq!(
            (end.outcome, end.worker_sound),
            (Outcome::InfraFailed, true)
        );
    }

    #[test]
    fn the_commands_have_their_whole_time_however_long_the_source_took() {
        let mut life = Life::new(&plan(&[None]));
        life.on(Event::Leased, at(0));
        life.on(Event::SourceReady, at(500));
        life.on(Event::TreeReady, at(599));
        assert_eq!(life.on(Event::Tick, at(600)), []);
        assert_eq!(life.wake(), Some(at(1199)));
    }

    #[test]
    fn a_lost_worker_is_retried_within_the_budget_and_an_interruption_is_free() {
        let policy = RetryPolicy {
            budget: 2,
            first: Duration::from_secs(1),
            most: Duration::from_secs(90),
        };
        let mut life = running(&[None]);
        let effects = life.on(
            Event::Trouble(Trouble::Worker("worker w1 vanished".into())),
            at(5),
        );
        assert_eq!(effects[0], Effect::Stop);
        let lost = ending(&effects);
        assert!(!lost.worker_sound);
        assert_eq!(
            policy.decide(&lost, 0, clock(5)),
            Next::Requeue {
                not_before: Some(clock(6)),
                charge: true
            }
        );
        assert_eq!(
            policy.decide(&lost, 1, clock(5)),
            Next::Requeue {
                not_before: Some(clock(7)),
                charge: true
            }
        );
        assert_eq!(policy.decide(&lost, 2, clock(5)), Next::Final);

        let mut life = running(&[None]);
        let interrupted = ending(&life.on(Event::Trouble(Trouble::Interrupted), at(5)));
        assert_eq!(
            policy.decide(&interrupted, 99, clock(5)),
            Next::Requeue {
                not_before: None,
                charge: false
            }
        );
        assert_eq!(
            policy.decide(&Ending::own("disk full".into()), 99, clock(5)),
            Next::Requeue {
                not_before: Some(clock(95)),
                charge: false
            }
        );
    }

    #[test]
    fn the_builds_own_failures_are_never_retried() {
        let policy = RetryPolicy {
            budget: 9,
            first: Duration::ZERO,
            most: Duration::ZERO,
        };
        for outcome in [
            Outcome::Passed,
            Outcome::Failed,
            Outcome::TimedOut,
            Outcome::Canceled,
        ] {
            let ending = Ending {
                outcome,
                reason: String::new(),
                worker_sound: true,
                cause: Cause::Build,
            };
            assert_eq!(policy.decide(&ending, 0, clock(0)), Next::Final);
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Leased),
            Just(Event::SourceReady),
            Just(Event::TreeReady),
            (0..3).prop_map(|code| Event::Exited(Exit::Status(code))),
            Just(Event::Trouble(Trouble::Worker("x".into()))),
            Just(Event::Trouble(Trouble::Source("x".into()))),
            Just(Event::Trouble(Trouble::Own("x".into()))),
            Just(Event::Trouble(Trouble::Interrupted)),
            Just(Event::Tick),
        ]
    }

    proptest! {
        /// Whatever comes, in whatever order: at most one end, it is the last effect, steps start in order and never twice,
        /// and no step ends that was not the one running.
        #[test]
        fn ends_once_and_keeps_order(events in proptest::collection::vec((any_event(), 0_u64..400), 0..60)) {
            let mut life = Life::new(&plan(&[None, Some(MINUTE), None]));
            let (mut now, mut ended, mut started, mut open) = (0, false, 0, None);
            for (event, pause) in events {
                now += pause;
                for effect in life.on(event.clone(), at(now)) {
                    prop_assert!(!ended, "an effect after the end");
                    match effect {
                        Effect::Run(step) => {
                            prop_assert_eq!(step, started);
                            prop_assert!(open.replace(step).is_none());
                            started += 1;
                        }
                        Effect::EndStep(step, ..) => prop_assert_eq!(open.take(), Some(step)),
                        Effect::End(_) => ended = true,
                        _ => {}
                    }
                }
                prop_assert!(!(ended && life.wake().is_some()));
            }
        }
    }
}
