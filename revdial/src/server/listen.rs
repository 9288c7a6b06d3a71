//! Serving HTTP on what a listener accepts.

use std::error::Error as StdError;

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{ServeConfig, serve_connection};
use crate::{CloseReason, Listener};

/// Serves HTTP/1 requests on every stream that `listener` accepts, until its session ends or
/// `shutdown` is cancelled; tells why it ended.
///
/// This is what a machine behind NAT runs to be an HTTP server. Any hyper service will do; wrap a
/// tower service, such as an axum `Router`, in `hyper_util::service::TowerToHyperService`.
///
/// At the end requests that have arrived are still answered, those on streams that wait to be
/// accepted included, and the future resolves after the last of them. Dropping the future closes everything at once.
pub async fn serve<S, B>(
    mut listener: Listener,
    service: S,
    config: ServeConfig,
    shutdown: CancellationToken,
) -> CloseReason
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let closed = listener.closed();
    let stop = shutdown.child_token();
    let mut connections = JoinSet::new();
    let mut stopping = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled(), if !stopping => {
                // What waits to be accepted is still served, then comes the end.
                stopping = true;
                listener.close();
            }
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok(stream) => {
                    let served = serve_connection(stream, service.clone(), config, stop.clone());
                    connections.spawn(async move {
                        if let Err(error) = served.await {
                            debug!(error = &error as &dyn StdError, "stream given up");
                        }
                    });
                }
                Err(_) => break,
            },
        }
    }
    stop.cancel();
    while connections.join_next().await.is_some() {}
    closed.await
}
