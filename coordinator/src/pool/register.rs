//! `/reverse` and `/revdial`: how workers get in.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::any;
use buildfarm_dashboard::keys;
use buildfarm_https::Peer;
use buildlet_client::Client;
use revdial::server::{answer_pickup, answer_registration, error_response};
use revdial::{Dialer, DialerConfig, Registry, negotiate};

use super::reverse::{Registration, ReversePool};
use crate::store::Store;

/// Oldest buildlet that speaks revdial version 2. Older ones, of version 1, are not taken, although revdial knows it: what
/// they do with builds is not known to us.
const OLDEST_VERSION: u32 = 23;
/// Longest host name or host type a worker may give, in bytes.
const MAX_NAME: usize = 128;
/// How long a worker has to answer the first question after it registered.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// What registration needs.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Where admitted workers go.
    pub pool: ReversePool,
    /// Where valid keys are.
    pub store: Arc<dyn Store>,
    /// Open sessions, waiting for their data connections.
    pub registry: Registry,
    /// Master key of the Go original's builder keys, for old workers; `None` refuses them.
    pub legacy_master: Option<Arc<keys::MasterKey>>,
}

/// The two paths that workers use.
pub fn router(gate: Gate) -> Router {
    Router::new()
        .route("/reverse", any(reverse))
        .route("/revdial", any(revdial_pickup))
        .with_state(gate)
}

async fn reverse(State(gate): State<Gate>, request: Request) -> Response {
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        return error_response(
            StatusCode::INTERNAL_SERVER_ERROR,
            "connection has no address",
        );
    };
    if !peer.tls {
        return error_response(
            StatusCode::INTERNAL_SERVER_ERROR,
            "buildlet registration requires SSL",
        );
    }
    let request = request.into_parts().0;
    let headers = &request.headers;
    // Version 2, or our own multiplexed one. First of all, as in the original.
    let config = DialerConfig::default();
    if let Err(error) = negotiate(headers, config.versions) {
        return error_response(StatusCode::BAD_REQUEST, &error.to_string());
    }
    let Some(hostname) = name(headers, "X-Go-Builder-Hostname") else {
        return error_response(
            StatusCode::BAD_REQUEST,
            "missing X-Go-Builder-Hostname header",
        );
    };
    let Some(host_type) = name(headers, "X-Go-Host-Type") else {
        return error_response(
            StatusCode::BAD_REQUEST,
            "missing X-Go-Host-Type; old buildlet binary?",
        );
    };
    let key = text(headers, "X-Go-Builder-Key").unwrap_or_default();
    match gate.admits(key, &host_type).await {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!(%hostname, %host_type, address = %peer.addr, "refused a worker: invalid build key");
            return error_response(StatusCode::PRECONDITION_FAILED, "invalid build key");
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "worker keys cannot be read"
            );
            return error_response(
                StatusCode::SERVICE_UNAVAILABLE,
                "keys cannot be checked now",
            );
        }
    }
    let registry = gate.registry.clone();
    let machine = revdial::Peer::named(&*hostname).at(peer.addr);
    answer_registration(&registry, &request, config, machine, async move |dialer| {
        gate.welcome(dialer, hostname, host_type, peer).await;
    })
}

async fn revdial_pickup(State(gate): State<Gate>, request: Request) -> Response {
    let tls = request
        .extensions()
        .get::<Peer>()
        .is_some_and(|peer| peer.tls);
    answer_pickup(&gate.registry, &request.into_parts().0, tls)
}

impl Gate {
    /// Whether `key` opens the farm to a worker of this host type.
    async fn admits(&self, key: &str, host_type: &str) -> Result<bool, crate::store::StoreError> {
        if let Some(master) = &self.legacy_master
            && master.verify(host_type, key)
        {
            return Ok(true);
        }
        let known = self.store.worker_keys().await?;
        // Every key is compared, so that the time taken tells nothing.
        Ok(known
            .iter()
            .filter(|k| k.scope == "*" || k.scope == host_type)
            .fold(false, |ok, k| {
                ok | keys::KeyHash::from_bytes(k.hash).verify(key)
            }))
    }

    /// Makes a worker of a connection that was turned around, if whoever is at the other end answers like one.
    async fn welcome(&self, dialer: Dialer, hostname: String, host_type: String, peer: Peer) {
        let version = dialer.version();
        let client = Client::over(&*hostname, dialer.clone());
        let status = tokio::time::timeout(FIRST_ANSWER, client.status()).await;
        match status {
            Ok(Ok(status)) if status.version >= OLDEST_VERSION => {
                tracing::debug!(%hostname, %version, "took a worker in");
                self.pool.add(
                    client,
                    dialer,
                    Registration {
                        hostname,
                        host_type,
                        version: status.version,
                        address: peer.addr,
                    },
                );
            }
            Ok(Ok(status)) => {
                tracing::warn!(%hostname, version = status.version, "refused a worker: its buildlet is too old");
                dialer.close_because("the buildlet is too old");
            }
            Ok(Err(error)) => {
                tracing::warn!(%hostname, error = &error as &dyn std::error::Error, "refused a worker: it does not answer");
                dialer.close_because("the worker does not answer as a buildlet does");
            }
            Err(_) => {
                tracing::warn!(%hostname, "refused a worker: it does not answer in time");
                dialer.close_because("the worker did not answer in time");
            }
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
}

/// A name that may be shown on pages and in logs: not empty, not long, printable.
fn name(headers: &HeaderMap, header: &str) -> Option<String> {
    text(headers, header)
        .filter(|text| {
            !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(|b| b.is_ascii_graphic())
        })
        .map(str::to_owned)
}
