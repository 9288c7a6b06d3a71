//! Whether the worker lives: heartbeats, silence, and the word of the transport.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http_body_util::{BodyExt, Limited};
use tokio::time::Instant;

use crate::call::{Answer, Call, Core, IDLE_LIMIT, Limit};
use crate::error::{CommError, DeathReason, chain};
use crate::upload::Payload;

/// A timer this late means that we stood still, not the worker.
const LATE: Duration = Duration::from_secs(1);
/// The most a status may say.
pub(crate) const MAX_STATUS: usize = 64 << 10;

/// What is known of a worker's life.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// No heartbeat has been answered or missed yet.
    Untried,
    /// The last heartbeat was answered.
    Alive,
    /// So many heartbeats in a row failed; the worker is not given up yet.
    Suspect {
        /// How many.
        failures: u32,
    },
    /// Given up, for ever.
    Dead(DeathReason),
}

/// Runs until the worker is dead, or the last user of the client is gone and the task is aborted.
pub(crate) async fn run(core: Arc<Core>) {
    let reason = tokio::select! {
        biased;
        () = core.dead.cancelled() => return,
        why = core.connector.closed() => DeathReason::TransportClosed(why),
        reason = beat(&core) => reason,
        reason = silence(&core) => reason,
        () = reap(&core) => return,
    };
    core.die(reason);
}

/// Asks for the status again and again; ends when too many answers in a row were bad.
async fn beat(core: &Core) -> DeathReason {
    let Some(rules) = core.heartbeat.rules() else {
        return std::future::pending().await;
    };
    let mut failures = 0;
    let mut pause = rules.interval;
    loop {
        tokio::time::sleep(pause).await;
        let began = Instant::now();
        let failed = match probe(core, rules.patience()).await {
            Ok(()) => {
                core.heard.touch();
                core.health
                    .send_if_modified(|health| set(health, Health::Alive));
                (failures, pause) = (0, rules.interval);
                continue;
            }
            Err(failed) => failed,
        };
        // No answer means little while bytes arrive elsewhere; a wrong answer is one.
        let wrong = matches!(
            failed,
            CommError::Status { .. } | CommError::Auth { .. } | CommError::Protocol { .. }
        );
        if wrong {
            core.heard.touch();
        }
        failures = if wrong || !core.heard.since(began) {
            failures + 1
        } else {
            0
        };
        tracing::debug!(worker = %core.worker, failures, error = %chain(&failed), "heartbeat failed");
        if failures >= rules.failures {
            return DeathReason::HeartbeatsFailed {
                failures,
                last: chain(&failed),
            };
        }
        if failures > 0 {
            core.health
                .send_if_modified(|health| set(health, Health::Suspect { failures }));
        }
        // One that failed at once waits for the next turn, one that waited long enough does not.
        pause = rules.interval.saturating_sub(began.elapsed());
    }
}

fn set(health: &mut Health, to: Health) -> bool {
    let changes = *health != to && !matches!(health, Health::Dead(_));
    if changes {
        *health = to;
    }
    changes
}

/// One heartbeat, over a connection of its own so that bulk data cannot stand before it.
async fn probe(core: &Core, patience: Duration) -> Result<(), CommError> {
    let call = Call {
        op: "/status",
        method: Method::GET,
        query: None,
        form: false,
        payload: Payload::empty(),
        limit: Limit::Head(patience),
        repeatable: true,
    };
    let Answer { body, conn, .. } = Box::pin(core.send(&core.beats, call)).await?;
    let whole = Limited::new(body, MAX_STATUS).collect();
    match tokio::time::timeout(patience, whole).await {
        Ok(Ok(_)) => {
            core.beats.put(conn);
            Ok(())
        }
        Ok(Err(error)) => Err(CommError::BodyTruncated {
            op: "/status",
            source: Arc::from(error),
        }),
        Err(_) => Err(CommError::Stalled {
            op: "/status",
            after: patience,
        }),
    }
}

/// Ends when nothing at all was heard for too long since the first contact.
async fn silence(core: &Core) -> DeathReason {
    let Some(rules) = core.heartbeat.rules() else {
        return std::future::pending().await;
    };
    loop {
        let Some(heard) = core.heard.last() else {
            tokio::time::sleep(rules.interval).await;
            continue;
        };
        let deadline = heard + rules.silence;
        tokio::time::sleep_until(deadline).await;
        if core.heard.last() > Some(heard) {
            continue;
        }
        if deadline.elapsed() > LATE {
            core.heard.touch();
            continue;
        }
        return DeathReason::Silent(rules.silence);
    }
}

/// Closes connections that have been idle for long.
async fn reap(core: &Core) {
    loop {
        tokio::time::sleep(IDLE_LIMIT / 4).await;
        core.data.reap(IDLE_LIMIT);
    }
}
