//! The side that reaches out through a connection it accepted.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::mpsc, time::timeout};
use tracing::debug;

use crate::{
    CloseReason, Stream,
    control::Message,
    link::{Lines, Timing, read_lines},
    path::{DialerId, check_target},
    registry::Table,
    session::Session,
};

/// Orders that may wait for the control connection before dials wait themselves.
const ORDER_QUEUE: usize = 64;

/// How a [`Dialer`] behaves. Take the default and change what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialerConfig {
    /// The path listeners ask for when they connect back, with or without a query.
    /// Default `/revdial`.
    pub base_path: String,
    /// How long a dial may take, everything included. Default 45 s: a Go listener may need 10 s
    /// to connect and 30 s more for TLS.
    pub dial_timeout: Duration,
    /// The pause after which a keep-alive line is sent. Default 5 s.
    pub keep_alive: Duration,
    /// The silence after which a listener counts as gone, once it has shown that it sends
    /// keep-alives (Go listeners do not). Stretched to three times the period a listener
    /// announces, up to 90 s. Default 15 s.
    pub idle_timeout: Duration,
    /// How long writing control lines may take before the listener counts as gone.
    /// Default 10 s.
    pub write_timeout: Duration,
    /// Dials that may wait at the same time. Default 1024.
    pub max_pending: usize,
    /// Connections picked up ahead of need, which makes a dial immediate. Default 0, because a
    /// spare costs the listener a connection every [`spare_lifetime`](Self::spare_lifetime).
    pub spares: usize,
    /// The age at which an unused spare is replaced. Default 60 s.
    pub spare_lifetime: Duration,
}

impl Default for DialerConfig {
    fn default() -> Self {
        Self {
            base_path: "/revdial".to_owned(),
            dial_timeout: Duration::from_secs(45),
            keep_alive: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(10),
            max_pending: 1024,
            spares: 0,
            spare_lifetime: Duration::from_secs(60),
        }
    }
}

/// Why a dial gave no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The dialer is closed, or was closed while waiting.
    #[error("revdial.Dialer closed: {0}")]
    Closed(CloseReason),
    /// The listener did not connect back in time.
    #[error("revdial listener did not connect back within {0:?}")]
    Timeout(Duration),
    /// The listener reported that it could not connect back.
    #[error("revdial listener failed to pick up connection: {0}")]
    PickupFailed(String),
    /// As many dials as configured are waiting already.
    #[error("too many dials are waiting: limit is {0}")]
    TooManyPending(usize),
    /// As many streams as a v1 session allows are open already.
    #[error("too many streams are open: limit is {0}")]
    TooManyStreams(usize),
}

/// Opens connections to the machine at the other end of a control connection. Cheap to clone;
/// dropping the last clone closes it. Connections opened earlier live on after that.
///
/// Made by [`Registry::register`](crate::Registry::register).
#[derive(Clone)]
pub struct Dialer {
    owner: Arc<Owner>,
}

/// Exists once per session, outside its tasks, so that its drop means nobody can dial any more.
struct Owner {
    session: Arc<Session>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.session.close(CloseReason::Local);
    }
}

impl Dialer {
    pub(crate) fn start(
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
    pub async fn dial(&self) -> Result<Stream, DialError> {
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
    pub fn closed(&self) -> impl Future<Output = CloseReason> + Send + 'static {
        self.owner.session.ending.wait()
    }

    /// Whether the dialer is closed.
    pub fn is_closed(&self) -> bool {
        self.owner.session.ending.get().is_some()
    }

    /// Closes the control connection and leaves the table. Waiting dials fail. Connections
    /// opened earlier live on.
    pub fn close(&self) {
        self.owner.session.close(CloseReason::Local);
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = &self.owner.session;
        f.debug_struct("Dialer")
            .field("id", &session.id)
            .field("closed", &session.ending.get())
            .finish()
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
