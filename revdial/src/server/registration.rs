//! The handler of `/reverse`.

use std::future::Future;

use http::{Response, StatusCode, request::Parts};

use super::{error_response, switching_protocols};
use crate::{Dialer, DialerConfig, Peer, Registry, VERSION_HEADER, negotiate};

/// Answers a registration: agrees on a version, switches, and calls `then` with the [`Dialer`].
///
/// The version is the best one that [`DialerConfig::versions`] allows and the request asks for or
/// offers; if there is none, the answer is the Go original's error. `peer` is what streams and
/// the dialer will tell of the machine. The future of `then` runs on the connection's task and may
/// take as long as it likes; when the answer does not reach the machine, `then` is not called.
///
/// Check who is asking *before* this, and TLS: the Go original answers 500 without.
///
/// ```
/// use bytes::Bytes;
/// use http::{Response, request::Parts};
/// use http_body_util::Full;
/// use revdial::{Dialer, DialerConfig, Peer, Registry, server::answer_registration};
/// use tokio::sync::mpsc;
///
/// fn reverse(
///     request: &Parts,
///     registry: &Registry,
///     machines: mpsc::Sender<Dialer>,
/// ) -> Response<Full<Bytes>> {
///     let peer = Peer::named("laptop");
///     answer_registration(registry, request, DialerConfig::default(), peer, async move |dialer| {
///         // Fails when nobody wants machines any more; the dialer is then dropped.
///         let _ = machines.send(dialer).await;
///     })
/// }
/// ```
pub fn answer_registration<B, F, Fut>(
    registry: &Registry,
    request: &Parts,
    config: DialerConfig,
    peer: Peer,
    then: F,
) -> Response<B>
where
    B: Default + From<String>,
    F: FnOnce(Dialer) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let version = match negotiate(&request.headers, config.versions) {
        Ok(version) => version,
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
            return error_response(status, &error.to_string());
        }
    };
    let registry = registry.clone();
    let mut response = switching_protocols(move |control| {
        let dialer = registry.register_as(version, control, config);
        then(dialer.with_peer(peer))
    });
    response
        .headers_mut()
        .insert(VERSION_HEADER, version.header_value());
    response
}
