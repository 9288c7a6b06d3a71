//! Settings of a client.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::call::Core;
use crate::client::{Client, Shared};
use crate::connect::Connector;
use crate::meter::Moment;
use crate::monitor::Health;
use crate::pool::Lane;

/// Idle connections kept to one worker, besides the heartbeats' one.
const MAX_IDLE: usize = 4;

/// Limits on each step of talking to a worker. None of them limits a transfer that moves or a command that runs.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Timeouts {
    /// For a connection to come about. Default: what the connector asks for
    /// ([`Connector::connect_timeout`]), 10 s over TCP and 45 s over revdial.
    pub connect: Duration,
    /// For the head of the answer to a small request (exec, status, work directory). Default 20 s; the original's
    /// worker sends the head of an exec before it starts the command.
    pub head: Duration,
    /// For nothing to move in either direction during a transfer that waits for the worker, and for the
    /// head of a download or listing. Default 2 min.
    pub idle: Duration,
    /// For the answer once an upload was taken in full, and to requests that make the worker work first:
    /// removals, fetching an archive. Default 10 min; a worker that dies is noticed much sooner.
    pub answer: Duration,
}

impl Timeouts {
    fn with_connect(connect: Duration) -> Self {
        Self {
            connect,
            head: Duration::from_secs(20),
            idle: Duration::from_secs(120),
            answer: Duration::from_secs(600),
        }
    }
}

/// How soon a silent worker is given up.
///
/// Heartbeats begin with the first call of a client, and stop with its last clone. By default one is sent 5 s
/// after the last was answered; the worker is dead after 3 failures in a row or 15 s in which nothing at all
/// was heard. Bytes received by any call count as heard, and so does progress of an upload that had
/// to wait for the worker, so that a link full of bulk data is not mistaken for a dead one.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat(Option<Rules>);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) interval: Duration,
    pub(crate) failures: u32,
    pub(crate) silence: Duration,
}

impl Rules {
    /// How long one heartbeat may take.
    pub(crate) fn patience(&self) -> Duration {
        self.silence
            .saturating_sub(self.interval)
            .max(self.interval)
    }
}

impl Heartbeat {
    /// A heartbeat `interval` after each answer; death after `failures` bad ones in a row (at least 1)
    /// or a silence of `silence` (at least two intervals).
    pub fn new(interval: Duration, failures: u32, silence: Duration) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        Self(Some(Rules {
            interval,
            failures: failures.max(1),
            silence: silence.max(interval * 2),
        }))
    }

    /// No heartbeats. Calls are then ended only by their own limits and by the transport.
    pub fn off() -> Self {
        Self(None)
    }

    pub(crate) fn rules(&self) -> Option<Rules> {
        self.0
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::new(Duration::from_secs(5), 3, Duration::from_secs(15))
    }
}

/// Makes a [`Client`].
pub struct Builder {
    connector: Arc<dyn Connector>,
    name: String,
    host: Option<String>,
    user: String,
    password: String,
    headers: HeaderMap,
    timeouts: Timeouts,
    heartbeat: Heartbeat,
}

impl Builder {
    pub(crate) fn new(connector: Arc<dyn Connector>) -> Self {
        let timeouts = Timeouts::with_connect(connector.connect_timeout());
        Self {
            connector,
            name: "(unnamed-buildlet)".to_owned(),
            host: None,
            user: "gomote".to_owned(),
            password: String::new(),
            headers: HeaderMap::new(),
            timeouts,
            heartbeat: Heartbeat::default(),
        }
    }

    /// What to call the worker in errors and logs.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The `Host` header; `buildlet` by default, and if this one cannot be sent.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The password of HTTP Basic authentication. An empty one, the default, is not sent.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = password.into();
        self
    }

    /// The user name that goes with the password: `gomote` by default. Workers ignore it, a
    /// coordinator that passes requests on does not.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// A header to send with every request, such as `X-Buildlet-Proxy` for a coordinator that passes requests on.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Changes the limits.
    pub fn timeouts(mut self, change: impl FnOnce(&mut Timeouts)) -> Self {
        change(&mut self.timeouts);
        self
    }

    /// Sets the heartbeat.
    pub fn heartbeat(mut self, heartbeat: Heartbeat) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// The client. It connects, and starts its one task, with the first call.
    pub fn build(self) -> Client {
        let worker: Arc<str> = self.name.into();
        let heard = Arc::new(Moment::never());
        let lane = |proves: bool, max_idle: usize| {
            Lane::new(
                self.connector.clone(),
                worker.clone(),
                self.timeouts.connect,
                heard.clone(),
                proves,
                max_idle,
            )
        };
        let mut headers = self.headers;
        let host = self.host.and_then(|host| HeaderValue::from_str(&host).ok());
        headers.insert(
            header::HOST,
            host.unwrap_or(HeaderValue::from_static("buildlet")),
        );
        if !headers.contains_key(header::USER_AGENT) {
            let agent = concat!("buildlet-client/", env!("CARGO_PKG_VERSION"));
            headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        }
        if !self.password.is_empty() {
            let pair = base64::engine::general_purpose::STANDARD
                .encode(format!("{}:{}", self.user, self.password));
            if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {pair}")) {
                value.set_sensitive(true);
                headers.insert(header::AUTHORIZATION, value);
            }
        }
        let core = Core {
            data: lane(true, MAX_IDLE),
            beats: lane(false, 1),
            worker: worker.clone(),
            connector: self.connector.clone(),
            timeouts: self.timeouts,
            heartbeat: self.heartbeat,
            headers,
            heard: heard.clone(),
            dead: CancellationToken::new(),
            reason: OnceLock::new(),
            health: watch::Sender::new(Health::Untried),
        };
        Client::new(Shared {
            core: Arc::new(core),
            monitor: OnceLock::new(),
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("timeouts", &self.timeouts)
            .field("heartbeat", &self.heartbeat)
            .finish_non_exhaustive()
    }
}
