//! The client and its operations.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use revdial::Dialer;
use serde_json::{Map, Value};
use tokio::io::AsyncRead;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::body::{Body, Download};
use crate::builder::Builder;
use crate::call::{Call, Core, Limit};
use crate::connect::{Connector, RevdialConnector, TcpConnector};
use crate::error::{CommError, DeathReason};
use crate::exec::{Exec, Running};
use crate::listing::{DirList, ListOptions};
use crate::monitor::{self, Health};
use crate::upload::Payload;
use crate::wire::{Form, go_mode};

/// How long a worker is given to answer [`Client::close`].
const HALT_LIMIT: Duration = Duration::from_secs(2);
/// Workers of the original read a larger form as an empty one.
const MAX_FORM: usize = 10 << 20;
/// The most a short text answer may say.
const MAX_TEXT: usize = 64 << 10;

/// A client of one worker. Clones share its connections and its heartbeat.
///
/// Every operation may be cancelled by dropping its future: the connection in use is closed, and what the worker has
/// done by then stays done. Every operation fails with [`CommError::PeerDead`] as soon as the worker is known to be dead.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What lives as long as any clone of a client or any answer of it that is still being read.
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) monitor: OnceLock<AbortOnDropHandle<()>>,
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The version of the worker protocol, 17 in mid-2018 and 29 in 2026.
    pub version: u32,
    /// All other keys: extensions, which a worker need not have.
    pub extra: Map<String, Value>,
}

/// What became of an archive to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// It was fetched and unpacked.
    Written,
    /// The worker has it already and fetched nothing.
    Skipped,
}

impl Client {
    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A client of the worker that listens at `addr` (`host:port`), without a password.
    pub fn tcp(addr: impl Into<String>) -> Self {
        let connector = TcpConnector::new(addr);
        let addr = connector.addr().to_owned();
        let host = addr.strip_suffix(":80").unwrap_or(&addr).to_owned();
        Self::builder(connector).name(addr).host(host).build()
    }

    /// A client of the worker registered behind `dialer`, called `name` in errors and logs. It is dead at once
    /// when the dialer is closed.
    pub fn over(name: impl Into<String>, dialer: Dialer) -> Self {
        let name = name.into();
        Self::builder(RevdialConnector::new(dialer))
            .host(name.clone())
            .name(name)
            .build()
    }

    /// A client with settings of its own.
    pub fn builder(connector: impl Connector) -> Builder {
        Builder::new(Arc::new(connector))
    }

    /// What the worker is called.
    pub fn name(&self) -> &str {
        &self.shared.core.worker
    }

    /// Unpacks the gzip-compressed tar archive read from `archive` into `dir` (relative to the work directory, made
    /// if missing; empty for the work directory itself).
    ///
    /// # Errors
    /// [`CommError::Source`] if `archive` fails, in which case the worker sees a broken upload; a
    /// failed upload leaves what was unpacked before.
    pub async fn put_tar(
        &self,
        dir: &str,
        archive: impl AsyncRead + Send + 'static,
    ) -> Result<(), CommError> {
        let query = Form::new().with("dir", dir).encode();
        let call = Call {
            payload: Payload::Reader(Box::pin(archive)),
            repeatable: false,
            ..call("/writetgz", Method::PUT, Some(query), Limit::Upload)
        };
        self.text(call).await.map(drop)
    }

    /// Lets the worker fetch a `.tar.gz` from `url` and unpack it into `dir`.
    ///
    /// # Errors
    /// [`CommError::Status`] with code 500 if the worker cannot fetch it.
    pub async fn put_tar_from_url(&self, dir: &str, url: &str) -> Result<PutOutcome, CommError> {
        let query = Form::new().with("dir", dir).encode();
        let form = Form::new().with("url", url).encode();
        let call = Call {
            query: Some(query),
            ..form_call("/writetgz", form, Limit::Upload)?
        };
        let answer = self.text(call).await?;
        Ok(if answer.trim_end() == "SKIP" {
            PutOutcome::Skipped
        } else {
            PutOutcome::Written
        })
    }

    /// Writes the file `path` (relative to the work directory; parents are made) with Unix mode bits `mode`, such
    /// as `0o644` or `0o4755`.
    ///
    /// # Errors
    /// Any [`CommError`]. A worker of the original may leave half a file behind.
    pub async fn put(
        &self,
        path: &str,
        mode: u32,
        contents: impl Into<Bytes>,
    ) -> Result<(), CommError> {
        self.write(path, mode, Payload::Bytes(contents.into()), true)
            .await
    }

    /// As [`put`](Self::put), with contents of unknown length.
    ///
    /// # Errors
    /// [`CommError::Source`] if `contents` fails.
    pub async fn put_reader(
        &self,
        path: &str,
        mode: u32,
        contents: impl AsyncRead + Send + 'static,
    ) -> Result<(), CommError> {
        self.write(path, mode, Payload::Reader(Box::pin(contents)), false)
            .await
    }

    async fn write(
        &self,
        path: &str,
        mode: u32,
        payload: Payload,
        repeatable: bool,
    ) -> Result<(), CommError> {
        let query = Form::new()
            .with("mode", go_mode(mode).to_string())
            .with("path", path)
            .encode();
        let call = Call {
            payload,
            repeatable,
            ..call("/write", Method::PUT, Some(query), Limit::Upload)
        };
        self.text(call).await.map(drop)
    }

    /// The directory `dir` as a gzip-compressed tar archive, of possibly many gzip members. A regular file
    /// gives an archive of one entry with an empty name.
    ///
    /// # Errors
    /// An archive that the worker fails to complete ends with an error, not with a clean end.
    pub async fn get_tar(&self, dir: &str) -> Result<Download, CommError> {
        self.download_tar(Form::new().with("dir", dir)).await
    }

    /// As [`get_tar`](Self::get_tar), compressed as one gzip member for readers that know no more. Workers of
    /// 2020 and later ignore the wish.
    ///
    /// # Errors
    /// As [`get_tar`](Self::get_tar).
    pub async fn get_tar_single_member(&self, dir: &str) -> Result<Download, CommError> {
        self.download_tar(Form::new().with("dir", dir).with("pargzip", "0"))
            .await
    }

    async fn download_tar(&self, query: Form) -> Result<Download, CommError> {
        let idle = self.shared.core.timeouts.idle;
        let call = call("/tgz", Method::GET, Some(query.encode()), Limit::Head(idle));
        Ok(Download::new(self.send(call, Some(idle)).await?))
    }

    /// Starts a command. The future resolves when the worker has begun to answer, usually before
    /// the command has begun to run.
    ///
    /// # Errors
    /// A [`CommError`] says nothing of the command. The request is never sent twice.
    pub async fn exec(&self, exec: Exec) -> Result<Running, CommError> {
        let limit = exec.timeout.map(|after| (after, Instant::now() + after));
        let head = self.shared.core.timeouts.head;
        let call = Call {
            repeatable: false,
            ..form_call("/exec", exec.form(), Limit::Head(head))?
        };
        let sent = self.send(call, None);
        let body = match limit {
            None => sent.await?,
            Some((after, at)) => match tokio::time::timeout_at(at, sent).await {
                Ok(body) => body?,
                Err(_) => return Err(CommError::LocalTimeout { after }),
            },
        };
        Ok(Running::new(body, limit))
    }

    /// Removes files and trees, each relative to the work directory; `.` empties it. An empty list is
    /// done without asking the worker.
    ///
    /// # Errors
    /// The first failure; paths named before it are gone.
    pub async fn remove_all(&self, paths: &[&str]) -> Result<(), CommError> {
        if paths.is_empty() {
            return Ok(());
        }
        let form = Form::new().with_all("path", paths.iter().copied()).encode();
        self.text(form_call("/removeall", form, Limit::Upload)?)
            .await
            .map(drop)
    }

    /// Asks the worker for its status.
    ///
    /// # Errors
    /// [`CommError::Protocol`] if the answer is not an object with a `Version`.
    pub async fn status(&self) -> Result<Status, CommError> {
        let text = self.text(self.small("/status")).await?;
        parse_status(&text).ok_or_else(|| CommError::Protocol {
            op: "/status",
            detail: "status without a version".to_owned(),
        })
    }

    /// The worker's work directory, absolute and in its system's own form.
    ///
    /// # Errors
    /// Any [`CommError`].
    pub async fn work_dir(&self) -> Result<String, CommError> {
        self.text(self.small("/workdir")).await
    }

    /// Lists the directory `dir`, in lexical order and without `dir` itself.
    ///
    /// # Errors
    /// Errors after the first entry come from [`DirList::next`].
    pub async fn list_dir(&self, dir: &str, options: &ListOptions) -> Result<DirList, CommError> {
        let query = Form::new()
            .with("dir", dir)
            .with("recursive", options.recursive.to_string())
            .with("digest", options.digest.to_string())
            .with_all("skip", &options.skip)
            .encode();
        let idle = self.shared.core.timeouts.idle;
        let call = call("/ls", Method::GET, Some(query), Limit::Head(idle));
        Ok(DirList::new(self.send(call, Some(idle)).await?))
    }

    /// Tells the worker to halt, waits at most 2 s for it to say so, and ends this client and its
    /// clones: calls in progress and later ones fail with [`CommError::Closed`]. Failure to reach the worker
    /// is not an error.
    pub async fn close(&self) {
        let core = &self.shared.core;
        if !core.dead.is_cancelled() {
            let halt = Call {
                repeatable: false,
                ..call("/halt", Method::POST, None, Limit::Head(HALT_LIMIT))
            };
            if let Ok(Err(error)) =
                tokio::time::timeout(HALT_LIMIT, Box::pin(core.send(&core.data, halt))).await
            {
                tracing::debug!(worker = %core.worker, %error, "halt was not confirmed");
            }
        }
        core.die(DeathReason::Closed);
    }

    /// Declares the worker dead for a reason of the caller's: calls in progress and later ones fail.
    ///
    /// The original does so by itself after any failed exec; here the caller decides.
    pub fn mark_broken(&self, why: impl Into<String>) {
        self.shared.core.die(DeathReason::Marked(why.into()));
    }

    /// Whether the worker is known to be dead.
    pub fn is_dead(&self) -> bool {
        self.shared.core.dead.is_cancelled()
    }

    /// Resolves when the worker is known to be dead. Starts the heartbeat if no call has.
    pub async fn dead(&self) -> DeathReason {
        self.start_monitor();
        let core = &self.shared.core;
        core.dead.cancelled().await;
        core.reason.get().cloned().unwrap_or(DeathReason::Closed)
    }

    /// How long ago the worker was last heard of, by any call or heartbeat; `None` before the first answer.
    pub fn last_heard(&self) -> Option<Duration> {
        self.shared.core.heard.last().map(|at| at.elapsed())
    }

    /// What the heartbeats found, as it changes.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.core.health.subscribe()
    }

    fn start_monitor(&self) {
        self.shared.monitor.get_or_init(|| {
            AbortOnDropHandle::new(tokio::spawn(monitor::run(self.shared.core.clone())))
        });
    }

    fn small(&self, op: &'static str) -> Call {
        call(
            op,
            Method::GET,
            None,
            Limit::Head(self.shared.core.timeouts.head),
        )
    }

    /// An answer's body, to be read under the idle limit given.
    async fn send(&self, call: Call, idle: Option<Duration>) -> Result<Body, CommError> {
        self.start_monitor();
        let core = &self.shared.core;
        let op = call.op;
        // Boxed, so that the futures of all operations stay small.
        let answer = core.alive(Box::pin(core.send(&core.data, call))).await?;
        Body::new(op, answer, self.shared.clone(), idle)
    }

    async fn text(&self, call: Call) -> Result<String, CommError> {
        let idle = match call.limit {
            Limit::Head(head) => head,
            Limit::Upload => self.shared.core.timeouts.idle,
        };
        self.send(call, Some(idle)).await?.text(MAX_TEXT).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.shared.core;
        f.debug_struct("Client")
            .field("name", &core.worker)
            .field("health", &*core.health.borrow())
            .finish()
    }
}

/// A request without a body that may be repeated.
fn call(op: &'static str, method: Method, query: Option<String>, limit: Limit) -> Call {
    Call {
        op,
        method,
        query,
        form: false,
        payload: Payload::empty(),
        limit,
        repeatable: true,
    }
}

/// A form that may be repeated.
fn form_call(op: &'static str, form: String, limit: Limit) -> Result<Call, CommError> {
    if form.len() > MAX_FORM {
        return Err(CommError::Invalid(format!(
            "parameters of {op} exceed 10 MiB"
        )));
    }
    let payload = Payload::Bytes(form.into());
    Ok(Call {
        form: true,
        payload,
        ..call(op, Method::POST, None, limit)
    })
}

/// Keys match in any case, as Go's decoder has it.
fn parse_status(text: &str) -> Option<Status> {
    let mut extra: Map<String, Value> = serde_json::from_str(text).ok()?;
    let key = extra
        .keys()
        .find(|key| key.eq_ignore_ascii_case("version"))?
        .clone();
    let version = extra.remove(&key)?.as_u64()?.try_into().ok()?;
    Some(Status { version, extra })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_may_have_extra_keys() {
        let status = parse_status(r#"{"Version":17}"#).unwrap();
        assert_eq!((status.version, status.extra.len()), (17, 0));
        let status = parse_status(r#"{"version":29,"Features":["x"],"Load":0.5}"#).unwrap();
        assert_eq!((status.version, status.extra.len()), (29, 2));
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"Version":"17"}"#,
            r#"{"Version":-1}"#,
            "not json",
        ] {
            assert_eq!(parse_status(bad), None, "{bad}");
        }
    }
}
