//! Connections: opened, kept for a while when idle, closed at once when dropped in mid-use.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::connect::Connector;
use crate::error::CommError;
use crate::meter::{Meter, Metered, Moment};
use crate::upload::Upload;

/// Enough for answers of any speed; hyper's own default of 400 KiB is for each connection.
const MAX_BUFFER: usize = 256 << 10;

/// One connection. Dropping it closes it, whatever it is doing.
pub(crate) struct Conn {
    pub(crate) sender: http1::SendRequest<Upload>,
    pub(crate) meter: Arc<Meter>,
    task: AbortOnDropHandle<()>,
}

impl Conn {
    /// Closes the connection when used, wherever the connection is.
    pub(crate) fn abort_handle(&self) -> AbortHandle {
        self.task.abort_handle()
    }
}

/// The connections of one kind to one worker.
pub(crate) struct Lane {
    connector: Arc<dyn Connector>,
    worker: Arc<str>,
    connect_timeout: Duration,
    heard: Arc<Moment>,
    /// Whether traffic here proves that the worker lives.
    proves: bool,
    max_idle: usize,
    idle: Mutex<Vec<(Conn, Instant)>>,
}

impl Lane {
    pub(crate) fn new(
        connector: Arc<dyn Connector>,
        worker: Arc<str>,
        connect_timeout: Duration,
        heard: Arc<Moment>,
        proves: bool,
        max_idle: usize,
    ) -> Self {
        let idle = Mutex::default();
        Self {
            connector,
            worker,
            connect_timeout,
            heard,
            proves,
            max_idle,
            idle,
        }
    }

    /// The connection used last, if it is open and was used within `max_age`.
    pub(crate) fn take(&self, max_age: Duration) -> Option<Conn> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(conn, _)| !conn.sender.is_closed());
        idle.pop_if(|(_, since)| since.elapsed() <= max_age)
            .map(|(conn, _)| conn)
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(crate) fn put(&self, conn: Conn) {
        if conn.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((conn, Instant::now()));
        if idle.len() > self.max_idle {
            idle.remove(0);
        }
    }

    /// Closes the connections not used for `max_age`, and forgets those the worker closed.
    pub(crate) fn reap(&self, max_age: Duration) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(conn, since)| !conn.sender.is_closed() && since.elapsed() <= max_age);
    }

    pub(crate) fn clear(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    pub(crate) async fn open(&self) -> Result<Conn, CommError> {
        let failed = |source| CommError::Connect {
            worker: self.worker.clone(),
            source,
        };
        let stream =
            match tokio::time::timeout(self.connect_timeout, self.connector.connect()).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return Err(failed(Arc::new(error))),
                Err(_) => {
                    return Err(CommError::ConnectTimeout {
                        worker: self.worker.clone(),
                        after: self.connect_timeout,
                    });
                }
            };
        // The clock of silence starts with the first contact. Later ones prove little: a hung
        // worker's kernel still accepts connections.
        if self.heard.last().is_none() {
            self.heard.touch();
        }
        let meter = Meter::new(self.proves.then(|| self.heard.clone()));
        let io = TokioIo::new(Metered::new(stream, meter.clone()));
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_BUFFER)
            .title_case_headers(true)
            .handshake(io)
            .await
            .map_err(|error| failed(Arc::new(error)))?;
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            // Whoever uses the connection sees the error too, and knows what it means.
            if let Err(error) = connection.await {
                tracing::debug!(error = %crate::error::chain(&error), "connection to worker ended");
            }
        }));
        Ok(Conn {
            sender,
            meter,
            task,
        })
    }
}
