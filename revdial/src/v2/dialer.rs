//! The side that reaches out through a connection it accepted.

use std::{
    future::Future,
    sync::{Arc, Weak},
};

use tokio::{sync::mpsc, time::timeout};
use tracing::debug;

use super::{
    link::{Lines, Timing, read_lines},
    registry::Table,
    session::Session,
};
use crate::{
    CloseReason, DialError, DialerConfig, Stream,
    control::Message,
    path::{DialerId, check_target},
};

/// Orders that may wait for the control connection before dials wait themselves.
const ORDER_QUEUE: usize = 64;

/// A [`crate::Dialer`] of version 2.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    owner: Arc<Owner>,
}

/// Exists once per session, outside its tasks, so that its drop means nobody can dial any more.
#[derive(Debug)]
struct Owner {
    session: Arc<Session>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.session.close(CloseReason::Local);
    }
}

impl Dialer {
    pub(super) fn start(
        control: Stream,
        config: DialerConfig,
        table: Weak<Table>,
        publish: impl FnOnce(&Arc<Session>),
    ) -> Self {
        let (id, fault) = match DialerId::random() {
            Ok(id) => (id, None),
            Err(error) => (
                DialerId::NONE,
                Some(format!("no randomness for an id: {error}")),
            ),
        };
        let fault = fault.or_else(|| base_path_fault(&config.base_path));
        let (orders, order_queue) = mpsc::channel(ORDER_QUEUE);
        let session = Arc::new(Session::new(id, config, orders, table));
        if let Some(why) = fault {
            session.close(CloseReason::Setup(why));
        } else {
            publish(&session);
            tokio::spawn(run(Arc::clone(&session), control, order_queue));
        }
        Self {
            owner: Arc::new(Owner { session }),
        }
    }

    /// Opens a connection to the listener.
    ///
    /// Takes at most [`DialerConfig::dial_timeout`]. Cancel safe: a dial that is dropped is
    /// forgotten, and a connection that arrives for it later is closed.
    pub(crate) async fn dial(&self) -> Result<Stream, DialError> {
        let session = &self.owner.session;
        if let Some(stream) = session.take_spare().await {
            return Ok(stream);
        }
        let mut waiting = session.begin()?;
        let answer = async {
            if session.orders.send(waiting.dial).await.is_err() {
                return Err(DialError::Closed(session.reason()));
            }
            match (&mut waiting.answer).await {
                Ok(answer) => answer,
                Err(_) => Err(DialError::Closed(session.reason())),
            }
        };
        let limit = session.config.dial_timeout;
        timeout(limit, answer)
            .await
            .unwrap_or(Err(DialError::Timeout(limit)))
    }

    /// Resolves when the dialer is closed, at once if it is. The future keeps no clone of the
    /// dialer, so it may outlive it.
    pub(crate) fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        self.owner.session.ending.wait()
    }

    /// Whether the dialer is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.owner.session.ending.get().is_some()
    }

    /// Closes the control connection and leaves the table. Waiting dials fail. Connections
    /// opened earlier live on.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.owner.session.close(reason);
    }
}

/// Both must hold for the longest dial number, or dials would fail one by one.
fn base_path_fault(base: &str) -> Option<String> {
    let path = DialerId::NONE.conn_path(base, u64::MAX);
    if let Err(error) = check_target(&path) {
        return Some(format!("base path is unusable: {error}"));
    }
    let line = Message::ConnReady { conn_path: path }.to_line();
    let fits = line.windows(10).any(|window| window == b"\"connPath\"");
    (!fits).then(|| "base path is unusable: it does not fit into a control line".to_owned())
}

/// The control task.
async fn run(session: Arc<Session>, control: Stream, orders: mpsc::Receiver<u64>) {
    /// Whatever ends the task, a panic or the runtime included, ends the session.
    struct Closes(Arc<Session>);
    impl Drop for Closes {
        fn drop(&mut self) {
            self.0.close(CloseReason::Local);
        }
    }
    let closes = Closes(session);
    let session = &closes.0;
    let config = &session.config;
    let timing = Timing {
        keep_alive: config.keep_alive,
        idle: config.idle_timeout,
        write: config.write_timeout,
    };
    debug!(dialer = ?session.id, "dialer opened");

    let (reader, writer) = tokio::io::split(control);
    let mut lines = Lines::new(writer, timing);
    let write = lines.run(orders, true, |dial, out| {
        if session.is_wanted(dial) {
            Message::ConnReady {
                conn_path: session.path(dial),
            }
            .encode(out);
        }
    });
    // Without `biased`: a peer that floods one branch must not starve the others.
    let reason = tokio::select! {
        () = session.stop.cancelled() => session.reason(),
        reason = read_lines(reader, timing, None, |message| session.on_message(message)) => reason,
        reason = write => reason,
        () = session.keep_spares() => CloseReason::Local,
    };
    session.close(reason.clone());
    lines.goodbye(&reason).await;
}
