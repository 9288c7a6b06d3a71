//! Dialling home: register with a coordinator, serve what it dials back, and come again when the connection is lost.
//!
//! The worker opens one TLS connection, asks for `GET /reverse` and turns it around with [`revdial`], in the best version
//! that the coordinator speaks: our own multiplexed one, version 2 as the Go original since 2019, or version 1 as in 2018.
//! Each stream the coordinator then opens is served like a connection. When the session ends, commands that run on it
//! are killed: the coordinator has given them up, or will.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use revdial::upgrade::{Request, UpgradeError};
use revdial::{AcceptError, Listener, ListenerConfig, RegisterError, Stream};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::Buildlet;

/// Who registers where, as what.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Registration {
    /// Host name or address of the coordinator, and port: `farm.example:443`, `[::1]:8119`.
    pub coordinator: String,
    /// Host type to serve, such as `linux-amd64`.
    pub host_type: String,
    /// Name of this worker. The coordinator makes it unique.
    pub hostname: String,
    /// Secret text that proves that this worker may join.
    pub key: Secret,
    /// Whom to trust. Protocols offered by ALPN are replaced with `http/1.1` alone.
    pub tls: Arc<rustls::ClientConfig>,
    /// When to come again.
    pub backoff: Backoff,
    /// Longest time for a TCP connection. Default 10 s.
    pub connect_timeout: Duration,
    /// Longest time for a TLS handshake. Default 30 s.
    pub handshake_timeout: Duration,
    /// Behaviour of the turned connection, and the versions that may be spoken on it.
    pub listener: ListenerConfig,
}

impl Registration {
    /// The defaults.
    pub fn new(
        coordinator: impl Into<String>,
        host_type: impl Into<String>,
        hostname: impl Into<String>,
        key: impl Into<String>,
        tls: Arc<rustls::ClientConfig>,
    ) -> Self {
        Self {
            coordinator: coordinator.into(),
            host_type: host_type.into(),
            hostname: hostname.into(),
            key: Secret(key.into()),
            tls,
            backoff: Backoff::default(),
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(30),
            listener: ListenerConfig::default(),
        }
    }
}

/// A text that is not printed.
#[derive(Clone)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Waits between attempts: doubling from `first` to `max`, each shortened by up to half at random so that a farm does
/// not come back all at once.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Backoff {
    /// First wait. Default 0.2 s.
    pub first: Duration,
    /// Longest wait. Default 10 s.
    pub max: Duration,
    /// Wait after the coordinator said no (status 4xx), which rarely changes by itself. Default 30 s.
    pub refused: Duration,
    /// A session that lasted this long starts the waits anew. Default 10 s.
    pub stable: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            max: Duration::from_secs(10),
            refused: Duration::from_secs(30),
            stable: Duration::from_secs(10),
        }
    }
}

/// What happens to a registration, for a program to print.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The coordinator is being dialled.
    Connecting {
        /// Its address.
        coordinator: String,
    },
    /// The coordinator took the worker.
    Registered,
    /// The coordinator was not reached, or not trusted.
    Unreachable {
        /// Why, with all causes.
        reason: String,
    },
    /// The coordinator said no.
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words, in one line of at most 1,000 characters.
        text: String,
    },
    /// The session ended; commands that ran are killed.
    Lost {
        /// Why.
        reason: String,
    },
    /// When the next attempt comes.
    RetryIn(Duration),
}

/// Why registration was given up for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReverseError {
    /// The coordinator's address is not `host:port`.
    #[error("coordinator address {0:?} is not HOST:PORT")]
    Address(String),
    /// Host type, host name or key cannot stand in a header line.
    #[error("registration cannot be sent: {0}")]
    Registration(&'static str),
}

/// Registers and serves, again and again, until `stop` is cancelled or the worker is halted; then `Ok`.
///
/// Dropping the future closes the session and kills its commands, in the background.
pub async fn run(
    registration: Registration,
    buildlet: Buildlet,
    stop: CancellationToken,
    on_event: impl Fn(Event) + Send + Sync,
) -> Result<(), ReverseError> {
    let home = Home::new(&registration)?;
    let forever = repeat(&registration, &home, &buildlet, &on_event);
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        () = buildlet.halted() => Ok(()),
        error = forever => error.map(|never| match never {}),
    }
}

async fn repeat(
    registration: &Registration,
    home: &Home,
    buildlet: &Buildlet,
    on_event: &(impl Fn(Event) + Sync),
) -> Result<Infallible, ReverseError> {
    let backoff = registration.backoff;
    let mut wait = backoff.first;
    loop {
        on_event(Event::Connecting {
            coordinator: registration.coordinator.clone(),
        });
        let pause = match register(registration, home, buildlet).await {
            Ok(listener) => {
                tracing::info!(version = %listener.version(), "turned the connection around");
                on_event(Event::Registered);
                let since = Instant::now();
                let reason = serve(buildlet, listener).await;
                on_event(Event::Lost { reason });
                if since.elapsed() >= backoff.stable {
                    wait = backoff.first;
                }
                wait
            }
            Err(RegisterError::Upgrade(UpgradeError::BadRequest(part))) => {
                return Err(ReverseError::Registration(part));
            }
            Err(RegisterError::Upgrade(UpgradeError::Refused { status, body, .. })) => {
                on_event(Event::Refused {
                    status,
                    text: one_line(&body),
                });
                if (400..500).contains(&status) {
                    backoff.refused
                } else {
                    wait
                }
            }
            Err(error) => {
                on_event(Event::Unreachable {
                    reason: in_farm_words(&error),
                });
                wait
            }
        };
        let pause = jittered(pause);
        on_event(Event::RetryIn(pause));
        sleep(pause).await;
        wait = (wait * 2).min(backoff.max);
    }
}

/// Where home is, checked once.
#[derive(Clone)]
struct Home {
    address: String,
    name: ServerName<'static>,
    tls: TlsConnector,
    connect_timeout: Duration,
    handshake_timeout: Duration,
}

impl Home {
    fn new(registration: &Registration) -> Result<Self, ReverseError> {
        let address = registration.coordinator.trim();
        let bad = || ReverseError::Address(address.to_owned());
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        port.parse::<u16>().map_err(|_| bad())?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| bad())?;
        let mut tls = rustls::ClientConfig::clone(&registration.tls);
        // HTTP/2 connections cannot be turned around.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            address: address.to_owned(),
            name,
            tls: TlsConnector::from(Arc::new(tls)),
            connect_timeout: registration.connect_timeout,
            handshake_timeout: registration.handshake_timeout,
        })
    }

    async fn dial(&self) -> io::Result<Stream> {
        let late = |what: &str, limit: Duration| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{what} took longer than {limit:?}"),
            )
        };
        let tcp = timeout(self.connect_timeout, TcpStream::connect(&self.address))
            .await
            .map_err(|_| late("connecting", self.connect_timeout))??;
        tcp.set_nodelay(true)?;
        let tls = timeout(
            self.handshake_timeout,
            self.tls.connect(self.name.clone(), tcp),
        )
        .await
        .map_err(|_| late("TLS handshake", self.handshake_timeout))?
        .map_err(in_words)?;
        Ok(Stream::new(tls))
    }
}

async fn register(
    registration: &Registration,
    home: &Home,
    buildlet: &Buildlet,
) -> Result<Listener, RegisterError> {
    let request = Request::get("/reverse")
        .header("X-Go-Builder-Hostname", &registration.hostname)
        .header("X-Go-Builder-Key", registration.key.0.trim())
        .header("X-Go-Builder-Version", buildlet.version().to_string())
        .header("X-Go-Host-Type", &registration.host_type);
    let home = home.clone();
    let dial = move || {
        let home = home.clone();
        async move { home.dial().await }
    };
    // The dial has limits of its own, step by step.
    let config = ListenerConfig {
        connect_timeout: registration.connect_timeout + registration.handshake_timeout,
        ..registration.listener.clone()
    };
    let (listener, _) = revdial::register(dial, &request, config).await?;
    Ok(listener)
}

/// Serves what is dialled back until the session ends; gives the reason.
async fn serve(buildlet: &Buildlet, mut listener: Listener) -> String {
    let closed = listener.closed();
    tokio::pin!(closed);
    // Ends connections, and with them their commands, however this future ends.
    let session = CancellationToken::new();
    let _guard = session.clone().drop_guard();
    let mut connections = JoinSet::new();
    let reason = loop {
        tokio::select! {
            // Before the queue: what is still in it belongs to a session that is over.
            biased;
            reason = &mut closed => break reason.to_string(),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok(stream) => {
                    let (buildlet, session) = (buildlet.clone(), session.clone());
                    connections.spawn(async move {
                        buildlet.serve_connection(stream, session).await;
                    });
                }
                Err(AcceptError::Closed(reason)) => break reason.to_string(),
                Err(other) => break other.to_string(),
            },
        }
    };
    session.cancel();
    connections.shutdown().await;
    reason
}

/// What anybody may have written, fit for a terminal: no control characters, no end of pages.
fn one_line(text: &str) -> String {
    let calm = text.replace(char::is_control, " ");
    let words: Vec<_> = calm.split_whitespace().collect();
    words.join(" ").chars().take(1000).collect()
}

/// Why nobody is registered, in one line, with the server called by its name in a farm.
fn in_farm_words(error: &RegisterError) -> String {
    match error {
        RegisterError::Connect(error) => format!("coordinator not reached: {}", chain(error)),
        RegisterError::ConnectTimeout(limit) => {
            format!("coordinator not reached within {limit:?}")
        }
        RegisterError::Upgrade(error) => {
            format!("coordinator registration failed: {}", chain(error))
        }
        other => format!("coordinator registration failed: {}", chain(other)),
    }
}

/// What a verifier of the program's own says of a certificate, which rustls only shows as a type.
fn in_words(error: io::Error) -> io::Error {
    let said = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))) => {
            format!("coordinator not trusted: {}", other.0)
        }
        _ => return error,
    };
    io::Error::new(error.kind(), said)
}

/// Between half of a wait and the whole.
fn jittered(wait: Duration) -> Duration {
    let share = getrandom::u32().map_or(1.0, |random| {
        0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX)
    });
    wait.mul_f64(share)
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // An io::Error around another error says the same as that one.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        let tls = Arc::new(tls);
        let home = |address: &str| {
            let registration = Registration::new(address, "h", "n", "k", Arc::clone(&tls));
            Home::new(&registration).map(|home| home.name.to_str().into_owned())
        };
        assert_eq!(home("farm.example:443").unwrap(), "farm.example");
        assert_eq!(home("127.0.0.1:8119").unwrap(), "127.0.0.1");
        assert_eq!(home("[::1]:8119").unwrap(), "::1");
        for bad in ["farm.example", "farm.example:https", ":443", "a b:1", ""] {
            assert_eq!(
                home(bad).unwrap_err(),
                ReverseError::Address(bad.to_owned())
            );
        }
    }

    #[test]
    fn refusals_are_fit_for_a_terminal() {
        assert_eq!(one_line("invalid build key\n"), "invalid build key");
        assert_eq!(one_line("<p>\r\n\x1b[31m no\t!"), "<p> [31m no !");
        assert_eq!(one_line(&"é".repeat(60_000)).chars().count(), 1000);
    }

    #[test]
    fn waits_stay_between_half_and_whole() {
        let wait = Duration::from_secs(10);
        for _ in 0..1000 {
            let pause = jittered(wait);
            assert!(pause >= wait / 2 && pause <= wait);
        }
    }
}
