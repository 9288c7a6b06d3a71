//! Serving one connection.

use std::{
    error::Error as StdError,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    takeover::{self, Start},
    watch::{Watch, WatchedBody, WatchedIo},
};
use crate::{Io, Stream};

/// Bounds of one served connection. None of them applies after a handler has taken it over.
/// [`Duration::MAX`] switches a bound off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeConfig {
    /// How long a request head may take from its first byte to its last. Default 10 s.
    pub head_timeout: Duration,
    /// How long a connection may stay open between requests, and before the first. Default 120 s.
    pub idle_timeout: Duration,
    /// How long the peer may, in sum, keep a handler waiting for each KiB of a request body.
    /// Time that the handler does not read counts for nothing. Default 60 s.
    pub body_timeout: Duration,
    /// How long the peer may take nothing of an answer. Generous, because systems report room in
    /// large steps: a peer at 56 kbit/s can look stuck for a minute. Default 300 s.
    pub answer_timeout: Duration,
    /// The longest request head, in bytes; beyond it the answer is 431. Default 64 KiB.
    pub max_head: usize,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            body_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(300),
            max_head: 64 * 1024,
        }
    }
}

/// Why a connection was given up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The peer began a request head and did not finish it in time.
    #[error("peer took longer than {0:?} for a request head")]
    SlowHead(Duration),
    /// The peer sent no request.
    #[error("peer sent no request for {0:?}")]
    Idle(Duration),
    /// The peer began a request body and did not go on with it.
    #[error("peer took longer than {0:?} for a piece of a request body")]
    SlowBody(Duration),
    /// The peer does not read the answer.
    #[error("peer took nothing of an answer for {0:?}")]
    SlowReader(Duration),
    /// The peer broke HTTP, went away half-way, or the service failed.
    #[error("HTTP connection failed")]
    Http(#[source] hyper::Error),
}

type BoxError = Box<dyn StdError + Send + Sync>;
type Slot = Arc<Mutex<Option<Start>>>;

/// Serves HTTP/1 requests on `io` until the peer is done, a limit is reached, or a response made
/// by [`switching_protocols`](super::switching_protocols) hands the connection over; in that
/// case the future goes on to run what was handed over.
///
/// Once `shutdown` is cancelled, a request whose head has arrived is still answered and an idle
/// connection is closed; a connection that was handed over is not touched. Dropping the future closes
/// everything at once.
pub async fn serve_connection<S, B>(
    io: impl Io,
    service: S,
    config: ServeConfig,
    shutdown: CancellationToken,
) -> Result<(), ServeError>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let watch = Watch::new();
    let slot = Slot::default();
    let io = TokioIo::new(WatchedIo {
        io,
        watch: watch.clone(),
    });
    let service = Watched {
        service: Box::new(service),
        watch: watch.clone(),
        slot: Arc::clone(&slot),
    };
    let mut connection = http1::Builder::new()
        .half_close(false)
        .header_read_timeout(None)
        .max_header_size(config.max_head)
        .serve_connection(io, service);

    let mut stopping = false;
    let mut cancelled = std::pin::pin!(shutdown.cancelled());
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    let served = std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(done) = connection.poll_without_shutdown(cx) {
                return Poll::Ready(done.map_err(ServeError::Http));
            }
            if stopping || cancelled.as_mut().poll(cx).is_pending() {
                break;
            }
            // Only now: a request that has arrived is under way.
            stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        let Some((at, error)) = watch.deadline(&config) else {
            return Poll::Pending;
        };
        let timer = arm(&mut timer, at);
        timer.as_mut().poll(cx).map(|()| Err(error))
    })
    .await;
    if !matches!(served, Ok(()) | Err(ServeError::Http(_))) {
        return served;
    }

    let start = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let parts = connection.into_parts();
    let io = parts.io.into_inner().io;
    match start {
        Some(start) => start(Stream::with_read_ahead(io, parts.read_buf)).await,
        None => hang_up(io, served.is_err() || watch.is_in_request()).await,
    }
    served
}

/// Says goodbye properly (TLS close_notify). A peer that is still sending a request when it is
/// answered, as it happens with 413 and 431, is listened to for a while: closing with bytes unread
/// would destroy the answer on its way.
async fn hang_up(mut io: impl Io, unread: bool) {
    const GOODBYE_LIMIT: Duration = Duration::from_secs(1);
    const LINGER: Duration = Duration::from_secs(5);
    // A peer that is gone cannot hear it.
    let _ = timeout(GOODBYE_LIMIT, io.shutdown()).await;
    if unread {
        let mut sink = vec![0; 8 * 1024];
        let rest = async { while let Ok(1..) = io.read(&mut sink).await {} };
        let _ = timeout(LINGER, rest).await;
    }
}

/// The timer, set to `at`.
fn arm(timer: &mut Option<Pin<Box<Sleep>>>, at: Instant) -> &mut Pin<Box<Sleep>> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
    if timer.deadline() != at {
        timer.as_mut().reset(at);
    }
    timer
}

/// The caller's service; puts takeovers aside and keeps the watch informed.
struct Watched<S> {
    /// Boxed, because hyper must be able to move the connection.
    service: Box<S>,
    watch: Watch,
    slot: Slot,
}

impl<S, B> Service<Request<Incoming>> for Watched<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = Response<WatchedBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.watch.request_begins();
        let answer = self.service.call(request);
        let (watch, slot) = (self.watch.clone(), Arc::clone(&self.slot));
        Box::pin(async move {
            let mut response = answer.await?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = takeover::take(&mut response);
            Ok(response.map(|body| WatchedBody::new(body, watch)))
        })
    }
}
