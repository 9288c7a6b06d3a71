//! One request and its answer's head: connection, retry, limits, death.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, header, response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::builder::{Heartbeat, Timeouts};
use crate::connect::Connector;
use crate::error::{CommError, DeathReason, chain};
use crate::meter::{Meter, Moment};
use crate::monitor::Health;
use crate::pool::{Conn, Lane};
use crate::upload::{Payload, Phase, Progress, Upload};

/// Idle connections are closed after this time, as the original's client does.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// A request that cannot be repeated goes only over a connection used this recently: the worker closing an
/// idle connection at the very moment we use it would lose the request.
const FRESH: Duration = Duration::from_secs(5);
/// Connections tried for one request. A second one follows only if the first cannot have acted on it.
const ATTEMPTS: u32 = 3;
/// How much of a refusal's body is kept for people.
const MAX_REFUSAL: usize = 4 << 10;

/// A request.
pub(crate) struct Call {
    /// The path, which names the operation in errors.
    pub(crate) op: &'static str,
    pub(crate) method: Method,
    /// The encoded query, without `?`.
    pub(crate) query: Option<String>,
    pub(crate) form: bool,
    pub(crate) payload: Payload,
    pub(crate) limit: Limit,
    /// Whether doing it twice is the same as doing it once.
    pub(crate) repeatable: bool,
}

/// How long to wait for an answer's head.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// This long in all.
    Head(Duration),
    /// As long as the upload moves, and then as long as [`Timeouts::answer`] allows.
    Upload,
}

/// An answer with status 200 whose body is still to be read.
pub(crate) struct Answer {
    pub(crate) head: response::Parts,
    pub(crate) body: Incoming,
    pub(crate) conn: Conn,
    pub(crate) progress: Arc<Progress>,
}

/// All that the clones of a client, its answers in progress and its monitor share.
pub(crate) struct Core {
    pub(crate) worker: Arc<str>,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) timeouts: Timeouts,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) headers: HeaderMap,
    pub(crate) heard: Arc<Moment>,
    pub(crate) data: Lane,
    pub(crate) beats: Lane,
    pub(crate) dead: CancellationToken,
    pub(crate) reason: OnceLock<DeathReason>,
    pub(crate) health: watch::Sender<Health>,
}

impl Core {
    /// Declares the worker dead, unless it is already.
    pub(crate) fn die(&self, reason: DeathReason) {
        if self.reason.set(reason.clone()).is_err() {
            return;
        }
        tracing::debug!(worker = %self.worker, %reason, "worker is dead");
        self.health.send_replace(Health::Dead(reason));
        self.dead.cancel();
        self.data.clear();
        self.beats.clear();
    }

    pub(crate) fn death(&self) -> CommError {
        self.reason
            .get()
            .cloned()
            .map_or(CommError::Closed, CommError::from)
    }

    /// Gives `work` up as soon as the worker is dead.
    pub(crate) async fn alive<T>(
        &self,
        work: impl Future<Output = Result<T, CommError>>,
    ) -> Result<T, CommError> {
        tokio::select! {
            biased;
            () = self.dead.cancelled() => Err(self.death()),
            result = work => result,
        }
    }

    /// Sends a request and waits for the head of its answer. A status other than 200 is an error.
    pub(crate) async fn send(&self, lane: &Lane, call: Call) -> Result<Answer, CommError> {
        let Call {
            op,
            limit,
            repeatable,
            ..
        } = call;
        let parts = RequestParts::of(self, &call)?;
        let again = match &call.payload {
            Payload::Bytes(bytes) => Some(bytes.clone()),
            Payload::Reader(_) => None,
        };
        let mut request = parts.with(call.payload);
        let mut may_reuse = true;
        for attempt in 1.. {
            let max_age = if repeatable { IDLE_LIMIT } else { FRESH };
            let reused = if may_reuse { lane.take(max_age) } else { None };
            may_reuse = false;
            let fresh = reused.is_none();
            let mut conn = match reused {
                Some(conn) => conn,
                None => lane.open().await?,
            };
            let progress = request.body().progress();
            let received = conn.meter.received();
            let error = match self.head(&mut conn, request, &progress, op, limit).await {
                Ok(head) => {
                    let (head, body) = head.into_parts();
                    return self
                        .check(
                            lane,
                            op,
                            Answer {
                                head,
                                body,
                                conn,
                                progress,
                            },
                        )
                        .await;
                }
                Err(HeadError::Final(error)) => return Err(error),
                Err(HeadError::Unsent(unsent, _)) if attempt < ATTEMPTS => {
                    request = *unsent;
                    continue;
                }
                Err(HeadError::Unsent(_, error) | HeadError::Broken(error)) => error,
            };
            // The worker closed an idle connection as we began to use it. Nothing came back, so an operation that
            // may be done twice is simply done over a new connection.
            let silent = conn.meter.received() == received;
            match &again {
                Some(bytes) if repeatable && !fresh && silent && attempt < ATTEMPTS => {
                    request = parts.with(Payload::Bytes(bytes.clone()));
                }
                _ => return Err(error),
            }
        }
        Err(CommError::Closed)
    }

    async fn head(
        &self,
        conn: &mut Conn,
        request: Request<Upload>,
        progress: &Progress,
        op: &'static str,
        limit: Limit,
    ) -> Result<response::Response<Incoming>, HeadError> {
        let started = Instant::now();
        let Conn { sender, meter, .. } = conn;
        let exchange = async {
            // A connection whose answer was just read to its end needs a moment to be ready.
            if sender.ready().await.is_err() {
                return Err(HeadError::unsent(request, op));
            }
            sender
                .try_send_request(request)
                .await
                .map_err(|mut error| match error.take_message() {
                    Some(request) => HeadError::unsent(request, op),
                    None => HeadError::from_hyper(error.into_error(), progress, op),
                })
        };
        tokio::pin!(exchange);
        loop {
            let (deadline, late) = self.head_deadline(started, progress, meter, op, limit);
            tokio::select! {
                result = &mut exchange => return result,
                () = tokio::time::sleep_until(deadline) => {
                    if self.head_deadline(started, progress, meter, op, limit).0 <= deadline {
                        return Err(HeadError::Final(late));
                    }
                }
            }
        }
    }

    /// When to give up waiting as things stand now, and what to say then.
    fn head_deadline(
        &self,
        started: Instant,
        progress: &Progress,
        meter: &Meter,
        op: &'static str,
        limit: Limit,
    ) -> (Instant, CommError) {
        let moved = [Some(started), meter.moved(), progress.given()]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(started);
        match (limit, progress.phase()) {
            (Limit::Head(after), _) => (started + after, CommError::HeadTimeout { op, after }),
            (Limit::Upload, Phase::Sent) => {
                let after = self.timeouts.answer;
                (moved + after, CommError::HeadTimeout { op, after })
            }
            (Limit::Upload, Phase::Sending) => {
                let after = self.timeouts.idle;
                (moved + after, CommError::Stalled { op, after })
            }
            // Our own side is slow; the worker is not to blame.
            (Limit::Upload, Phase::Source) => {
                let after = self.timeouts.idle;
                (Instant::now() + after, CommError::Stalled { op, after })
            }
        }
    }

    /// Passes an answer with status 200, turns any other into an error.
    async fn check(
        &self,
        lane: &Lane,
        op: &'static str,
        answer: Answer,
    ) -> Result<Answer, CommError> {
        let status = answer.head.status;
        if status == http::StatusCode::OK {
            return Ok(answer);
        }
        let (text, whole) = refusal_text(answer.body, self.timeouts.head).await;
        if whole && answer.progress.phase() == Phase::Sent {
            lane.put(answer.conn);
        }
        Err(match status.as_u16() {
            401 | 403 => CommError::Auth { op, body: text },
            code => CommError::Status {
                op,
                code,
                status: status.to_string(),
                body: text,
            },
        })
    }
}

/// The first 4 KiB of a body, as far as they can be had (the answer is an error anyway), and whether that was all.
async fn refusal_text(mut body: Incoming, patience: Duration) -> (String, bool) {
    let mut text = Vec::new();
    let read = async {
        loop {
            match body.frame().await {
                None => return true,
                Some(Ok(frame)) => {
                    text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data))
                }
                Some(Err(_)) => return false,
            }
            if text.len() > MAX_REFUSAL {
                return false;
            }
        }
    };
    let whole = tokio::time::timeout(patience, read).await.unwrap_or(false);
    text.truncate(MAX_REFUSAL);
    (String::from_utf8_lossy(&text).trim_end().to_owned(), whole)
}

/// Why no head came.
enum HeadError {
    /// No other connection would help.
    Final(CommError),
    /// No byte of the request was sent.
    Unsent(Box<Request<Upload>>, CommError),
    /// The connection broke.
    Broken(CommError),
}

impl HeadError {
    fn unsent(request: Request<Upload>, op: &'static str) -> Self {
        let source = std::io::Error::new(
            std::io::ErrorKind::NotConnected,
            "connection was closed before use",
        );
        Self::Unsent(
            Box::new(request),
            CommError::Lost {
                op,
                source: Arc::new(source),
            },
        )
    }

    fn from_hyper(error: hyper::Error, progress: &Progress, op: &'static str) -> Self {
        if let Some(source) = progress.failed() {
            return Self::Final(CommError::Source(source));
        }
        if error.is_parse() {
            return Self::Final(CommError::Protocol {
                op,
                detail: chain(&error),
            });
        }
        Self::Broken(CommError::Lost {
            op,
            source: Arc::new(error),
        })
    }
}

/// A request without its body, to be sent more than once.
struct RequestParts {
    method: Method,
    target: http::Uri,
    headers: HeaderMap,
}

impl RequestParts {
    fn of(core: &Core, call: &Call) -> Result<Self, CommError> {
        let target = match &call.query {
            Some(query) => format!("{}?{query}", call.op).parse(),
            None => call.op.parse(),
        };
        let target = target
            .map_err(|_| CommError::Invalid(format!("parameters of {} are too long", call.op)))?;
        let mut headers = core.headers.clone();
        if call.form {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(header::CONTENT_TYPE, form);
        }
        // hyper says nothing about an empty body, where the original's client does.
        if call.method != Method::GET
            && matches!(&call.payload, Payload::Bytes(bytes) if bytes.is_empty())
        {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(Self {
            method: call.method.clone(),
            target,
            headers,
        })
    }

    fn with(&self, payload: Payload) -> Request<Upload> {
        let mut request = Request::new(Upload::new(payload));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}
