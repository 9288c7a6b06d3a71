//! Everything a worker answers but commands.

pub(crate) mod archive;
pub(crate) mod files;
pub(crate) mod info;
pub(crate) mod list;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::http1::{Abort, Exchange, Reply};
use crate::path::PathError;

/// Refuses a path parameter in the words of the Go worker.
pub(crate) async fn bad_path<T>(
    exchange: &mut Exchange<T>,
    parameter: &str,
    error: &PathError,
) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let text = format!("invalid '{parameter}' parameter: {error}");
    exchange.reply(Reply::error(400, &text)).await
}

/// Result of work on a blocking thread; a panic there is an error like any other.
pub(crate) async fn joined<R>(task: tokio::task::JoinHandle<io::Result<R>>) -> io::Result<R> {
    task.await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}
