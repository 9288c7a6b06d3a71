//! The side that is reached through a connection it opened.

use std::{error::Error as StdError, future::Future, sync::Arc};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::link::{Lines, Timing, UNANNOUNCED_IDLE, plain, read_lines};
use crate::{
    AcceptError, CloseReason, Connect, ListenerConfig, Stream,
    control::Message,
    path::{Wanted, check_target, redact_text},
    reason::Ending,
    redact,
    upgrade::{self, Request, UpgradeError},
};

/// Failure reports that may wait for the control connection.
const REPORT_QUEUE: usize = 64;

/// A [`crate::Listener`] of version 2.
#[derive(Debug)]
pub(crate) struct Listener {
    accepted: mpsc::Receiver<Stream>,
    ending: Arc<Ending>,
    stop: CancellationToken,
}

impl Listener {
    /// Listens through `control`, the connection on which the server has just answered
    /// `101 Switching Protocols`. Connections are fetched with `connect`.
    ///
    /// Spawns a task (so this must be called within a tokio runtime) that ends when the peer
    /// goes away or the listener is closed or dropped.
    pub(crate) fn new(control: Stream, connect: impl Connect, config: ListenerConfig) -> Self {
        let (queue, accepted) = mpsc::channel(config.accept_queue.clamp(1, Semaphore::MAX_PERMITS));
        let ending = Arc::new(Ending::new());
        let stop = CancellationToken::new();
        tokio::spawn(run(
            control,
            connect,
            config,
            queue,
            Arc::clone(&ending),
            stop.clone(),
        ));
        Self {
            accepted,
            ending,
            stop,
        }
    }

    /// Waits for the next connection. Cancel safe. After the end, connections that were already
    /// there are given out before the error.
    pub(crate) async fn accept(&mut self) -> Result<Stream, AcceptError> {
        match self.accepted.recv().await {
            Some(stream) => Ok(stream),
            None => Err(AcceptError::Closed(
                self.ending.get().unwrap_or(CloseReason::Local),
            )),
        }
    }

    /// Resolves when the listener is closed, at once if it is. The future does not borrow the
    /// listener.
    pub(crate) fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        self.ending.wait()
    }

    /// Whether the listener is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.ending.get().is_some()
    }

    /// Stops accepting and closes the control connection. Pickups under way are given up,
    /// accepted connections live on.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.ending.set(reason);
        self.stop.cancel();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close(CloseReason::Local);
    }
}

/// The control task. Owns the pickups under way: they end with it.
async fn run(
    control: Stream,
    connect: impl Connect,
    config: ListenerConfig,
    queue: mpsc::Sender<Stream>,
    ending: Arc<Ending>,
    stop: CancellationToken,
) {
    /// Whatever ends the task, a panic or the runtime included, ends the listening.
    struct Closes(Arc<Ending>);
    impl Drop for Closes {
        fn drop(&mut self) {
            self.0.set(CloseReason::Local);
        }
    }
    let closes = Closes(ending);
    let ending = &closes.0;
    let timing = Timing {
        keep_alive: config.keep_alive,
        idle: config.idle_timeout,
        write: config.write_timeout,
    };
    let (reader, writer) = tokio::io::split(control);
    let mut lines = Lines::new(writer, timing);
    let (reports, report_queue) = mpsc::channel::<Message>(REPORT_QUEUE);
    let mut pickups = Pickups {
        shared: Arc::new(Shared {
            connect,
            turns: Semaphore::new(config.max_pickups.clamp(1, Semaphore::MAX_PERMITS)),
            queue,
            reports,
            config,
        }),
        tasks: JoinSet::new(),
    };
    // Without `biased`: a peer that floods one branch must not starve the others.
    let reason = tokio::select! {
        () = stop.cancelled() => ending.get().unwrap_or(CloseReason::Local),
        reason = read_lines(reader, timing, Some(UNANNOUNCED_IDLE), |message| pickups.on_message(message)) => reason,
        reason = lines.run(report_queue, false, |message, out| message.encode(out)) => reason,
    };
    debug!(%reason, "listener closed");
    // The reason first: the accept queue ends when the last pickup is gone, and whoever sees its
    // end asks why.
    ending.set(reason.clone());
    drop(pickups);
    lines.goodbye(&reason).await;
}

struct Pickups<C> {
    shared: Arc<Shared<C>>,
    tasks: JoinSet<()>,
}

struct Shared<C> {
    connect: C,
    config: ListenerConfig,
    turns: Semaphore,
    queue: mpsc::Sender<Stream>,
    reports: mpsc::Sender<Message>,
}

impl<C: Connect> Pickups<C> {
    /// Never waits: the reader must stay free to notice the peer's end.
    fn on_message(&mut self, message: Message) {
        let Message::ConnReady { conn_path } = message else {
            return;
        };
        while self.tasks.try_join_next().is_some() {}
        let refusal = if let Err(error) = check_target(&conn_path) {
            Some(format!("refusing connPath: {error}"))
        } else if self.tasks.len()
            >= self
                .shared
                .config
                .max_pickups
                .saturating_add(self.shared.config.max_waiting)
        {
            Some("too many pickups under way".to_owned())
        } else {
            None
        };
        match refusal {
            Some(err) => {
                warn!(err, "pickup refused");
                // A peer that floods us gets as many answers as fit.
                let _ = self.shared.reports.try_send(failure(conn_path, err));
            }
            None => drop(
                self.tasks
                    .spawn(pick_up(Arc::clone(&self.shared), conn_path)),
            ),
        }
    }
}

fn failure(conn_path: String, err: String) -> Message {
    Message::PickupFailed {
        conn_path: Some(conn_path),
        err,
    }
}

/// One pickup, from its turn to the accept queue.
async fn pick_up<C: Connect>(shared: Arc<Shared<C>>, conn_path: String) {
    let Ok(_turn) = shared.turns.acquire().await else {
        return;
    };
    match fetch(&shared, &conn_path).await {
        // Fails only when the listener is gone, and the stream is closed with it.
        Ok(stream) => {
            let dial = Wanted::parse(&conn_path).and_then(|wanted| wanted.dial);
            let stream = stream.with_number(dial.unwrap_or(0));
            drop(shared.queue.send(stream).await);
        }
        Err(err) => {
            // May hold a whole page of the server's, with the dialer's secret in it.
            let said = plain(&redact_text(&err));
            warn!(path = redact(&conn_path), err = said, "pickup failed");
            // Fails only when the control connection is gone.
            let _ = shared.reports.send(failure(conn_path, err)).await;
        }
    }
}

async fn fetch<C: Connect>(shared: &Shared<C>, conn_path: &str) -> Result<Stream, String> {
    let config = &shared.config;
    let stream = match timeout(config.connect_timeout, shared.connect.connect()).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(with_causes(&error)),
        Err(_) => {
            return Err(format!(
                "connecting took longer than {:?}",
                config.connect_timeout
            ));
        }
    };
    let request = Request::get(conn_path);
    match upgrade::request(stream, &request, &config.limits).await {
        Ok((stream, _)) => Ok(stream),
        Err(error @ UpgradeError::TooManyRedirects) => Err(error.to_string()),
        Err(error) => Err(format!("switch failed: {}", with_causes(&error))),
    }
}

/// The error and its causes in one text: only text crosses the wire.
fn with_causes(error: &dyn StdError) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
