//! The worker itself: who may ask, what answers, and how it ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine as _;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::config::{Config, HaltPolicy, StartError};
use crate::handlers::{archive, files, info, joined, list};
use crate::http1::{self, Abort, BodyError, Exchange, Reply};
use crate::tree::{self, Processes};
use crate::workdir::{WorkDir, random_hex};
use crate::{exec, http1::Handler};

/// A build worker. Clones are the same worker.
///
/// It has no socket of its own: give every connection to [`serve_connection`](Self::serve_connection).
#[derive(Debug, Clone)]
pub struct Buildlet {
    worker: Arc<Worker>,
}

/// What all connections of a worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) config: Config,
    pub(crate) work_dir: WorkDir,
    pub(crate) processes: Arc<Processes>,
    pub(crate) tracker: TaskTracker,
    /// Cuts all connections and kills all commands.
    pub(crate) stop: CancellationToken,
    pub(crate) boot_id: String,
    halted: CancellationToken,
    closing: AtomicBool,
    execs: AtomicUsize,
    password: Option<[u8; 32]>,
    _reaper: Option<AbortOnDropHandle<()>>,
}

impl Buildlet {
    /// Makes a worker: takes the work directory and kills what an earlier worker left running in it.
    ///
    /// Must be called within a tokio runtime.
    pub fn new(config: Config) -> Result<Self, StartError> {
        let work_dir = WorkDir::open(&config.work_dir)?;
        let processes = Processes::new(config.adopt_orphans).map_err(StartError::Adopt)?;
        let strays = tree::kill_strays(work_dir.path(), config.kill.limit);
        if strays.killed > 0 {
            tracing::warn!(
                killed = strays.killed,
                left = strays.left,
                "killed processes of an earlier worker"
            );
        }
        let password = config.password.as_deref().filter(|text| !text.is_empty());
        let worker = Worker {
            password: password.map(|text| Sha256::digest(text).into()),
            work_dir,
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            boot_id: random_hex::<8>().map_err(StartError::Random)?,
            halted: CancellationToken::new(),
            closing: AtomicBool::new(false),
            execs: AtomicUsize::new(0),
            _reaper: reaper(&processes),
            processes,
            config,
        };
        Ok(Self {
            worker: Arc::new(worker),
        })
    }

    /// Serves requests on one connection until it ends, the worker shuts down, or `stop` is cancelled; a command
    /// running on it is killed in the last two cases, and when the future is dropped.
    pub async fn serve_connection<T>(&self, io: T, stop: CancellationToken)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Dropped after the command that may run here: a shutdown waits until all have begun to be killed.
        let _token = self.worker.tracker.token();
        let limits = &self.worker.config.limits.http;
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            () = self.worker.stop.cancelled() => return,
            ended = http1::serve(io, limits, &*self.worker) => ended,
        };
        match ended {
            Ok(_) | Err(Abort::Gone) => {}
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "connection cut")
            }
        }
    }

    /// Resolves once a client halted the worker ([`HaltPolicy::EndServing`]). Cancel safe.
    pub async fn halted(&self) {
        self.worker.halted.cancelled().await;
    }

    /// Cuts all connections, kills all commands, and waits until their processes are gone (for at most the time
    /// [`KillPolicy`](crate::KillPolicy) gives). The worker answers nothing afterwards.
    pub async fn shutdown(&self) {
        self.worker.closing.store(true, Ordering::Release);
        self.worker.stop.cancel();
        self.worker.tracker.close();
        self.worker.tracker.wait().await;
        let worker = Arc::clone(&self.worker);
        let limit = worker.config.kill.limit;
        let sweep = tokio::task::spawn_blocking(move || worker.processes.sweep_if_idle(limit));
        if let Err(error) = sweep.await {
            tracing::warn!(%error, "orphans not swept");
        }
    }

    /// Removes everything in the work directory, read-only or not. What commands still write may stay.
    pub async fn empty_work_dir(&self) -> io::Result<()> {
        let dir = self.worker.work_dir.dir()?;
        let task = tokio::task::spawn_blocking(move || files::empty_all(&dir));
        joined(task).await
    }

    /// Absolute path of the work directory.
    pub fn work_dir(&self) -> &std::path::Path {
        self.worker.work_dir.path()
    }

    /// Protocol version told to clients and at registration.
    pub fn version(&self) -> u32 {
        self.worker.config.version
    }

    /// Number of commands running now.
    pub fn running(&self) -> usize {
        self.worker.running()
    }
}

impl Worker {
    pub(crate) fn running(&self) -> usize {
        self.execs.load(Ordering::Acquire)
    }

    /// Leave to run one more command, given back when dropped.
    pub(crate) fn exec_slot(&self) -> Option<ExecSlot<'_>> {
        let slot = ExecSlot(&self.execs);
        let taken = self.execs.fetch_add(1, Ordering::AcqRel);
        let refused = taken >= self.config.limits.execs || self.closing.load(Ordering::Acquire);
        (!refused).then_some(slot)
    }

    fn may(&self, authorization: Option<&str>) -> bool {
        let Some(wanted) = &self.password else {
            return true;
        };
        let given = authorization
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, code)| {
                base64::engine::general_purpose::STANDARD
                    .decode(code.trim())
                    .ok()
            })
            .unwrap_or_default();
        // User name ignored. Digests, so that not even the length takes time to tell.
        let password = given
            .iter()
            .position(|&byte| byte == b':')
            .and_then(|at| given.get(at + 1..))
            .unwrap_or_default();
        let given: [u8; 32] = Sha256::digest(password).into();
        given.ct_eq(wanted).into()
    }

    async fn halt<T>(&self, exchange: &mut Exchange<T>) -> Result<(), Abort>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.config.halt == HaltPolicy::Refuse {
            return exchange
                .reply(Reply::error(403, "this worker does not halt"))
                .await;
        }
        self.closing.store(true, Ordering::Release);
        let (stop, halted, delay) = (
            self.stop.clone(),
            self.halted.clone(),
            self.config.halt_delay,
        );
        self.tracker.spawn(async move {
            // In the background: the client may hang up as soon as it has the answer.
            tokio::time::sleep(delay).await;
            stop.cancel();
            halted.cancel();
        });
        exchange.reply(Reply::new(200)).await
    }
}

/// Leave to run one command.
#[derive(Debug)]
pub(crate) struct ExecSlot<'a>(&'a AtomicUsize);

impl Drop for ExecSlot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<T> Handler<T> for Worker
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    async fn handle(&self, exchange: &mut Exchange<T>) -> Result<(), Abort> {
        let head = exchange.head();
        let method = head.method.clone();
        let path = String::from_utf8_lossy(&head.path).into_owned();
        match path.as_str() {
            "/" => return info::root(exchange).await,
            "/healthz" => return exchange.reply(Reply::text("ok\n")).await,
            "/debug/x" => return info::letters(exchange).await,
            _ => {}
        }
        let wanted: &[&str] = match path.as_str() {
            "/debug/goroutines" => &[],
            "/status" | "/workdir" | "/ls" | "/tgz" => &["GET"],
            "/exec" | "/removeall" | "/halt" => &["POST"],
            "/write" => &["PUT"],
            "/writetgz" => &["PUT", "POST"],
            _ => {
                let reply = Reply::error(404, "404 page not found");
                return exchange.reply(reply).await;
            }
        };
        if !self.may(head.header("authorization")) {
            let reply = Reply::error(403, "invalid password");
            return exchange.reply(reply).await;
        }
        if !wanted.is_empty() && !wanted.contains(&method.as_str()) {
            let text = format!("requires {} method", wanted.join(" or "));
            return exchange.reply(Reply::error(400, &text)).await;
        }
        match path.as_str() {
            "/status" => info::status(self, exchange).await,
            "/workdir" => info::work_dir(self, exchange).await,
            "/debug/goroutines" => info::tasks(self, exchange).await,
            "/ls" => list::handle(self, exchange).await,
            "/tgz" => archive::get(self, exchange).await,
            "/writetgz" => archive::put(self, exchange).await,
            "/write" => files::write(self, exchange).await,
            "/removeall" => files::remove_all(self, exchange).await,
            "/exec" => exec::handle(self, exchange).await,
            _ => self.halt(exchange).await,
        }
    }
}

/// Answers a request whose body could not be read, if there is still someone to answer.
pub(crate) async fn body_error<T>(
    exchange: &mut Exchange<T>,
    error: &BodyError,
) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match error {
        BodyError::Truncated | BodyError::Io(_) => Err(Abort::Gone),
        BodyError::Stalled => exchange.reply(Reply::error(408, &error.to_string())).await,
        _ => exchange.reply(Reply::error(400, &error.to_string())).await,
    }
}

/// Reaps adopted orphans as they end, so that long commands do not fill the process table with their dead.
fn reaper(processes: &Arc<Processes>) -> Option<AbortOnDropHandle<()>> {
    if !processes.adopts() {
        return None;
    }
    let kind = tokio::signal::unix::SignalKind::child();
    let mut ended = match tokio::signal::unix::signal(kind) {
        Ok(ended) => ended,
        Err(error) => {
            tracing::warn!(%error, "ended orphans are only reaped between commands");
            return None;
        }
    };
    let processes = Arc::clone(processes);
    let task = async move {
        while ended.recv().await.is_some() {
            processes.reap_orphans();
            // However many end, one look now and then is enough.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    Some(AbortOnDropHandle::new(tokio::spawn(task)))
}
