//! From the command's pipe to the client.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::http1::{Abort, Output};

/// Most output held at a time.
const BUFFER: usize = 64 * 1024;
/// Output that comes faster than this is gathered, so that a chatty command does not cost a packet per line.
const GATHER: Duration = Duration::from_millis(2);

/// How long the end of the pipe is awaited when everybody who could write to it should be dead.
const LAST_CALL: Duration = Duration::from_millis(200);

/// Copies until the end of the pipe, or until shortly after `enough` is set. The first output after a pause goes
/// out immediately.
pub(super) async fn pump<T>(
    mut pipe: impl AsyncRead + Unpin,
    output: &mut Output<'_, T>,
    enough: &CancellationToken,
) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite,
{
    let mut buf = BytesMut::with_capacity(BUFFER);
    let mut due = Instant::now();
    let mut last_call = None;
    let mut ended = false;
    while !ended {
        let send = tokio::select! {
            biased;
            read = pipe.read_buf(&mut buf) => {
                // An error of the pipe ends it, like its end.
                ended = matches!(read, Ok(0) | Err(_));
                ended || buf.len() >= BUFFER / 2 || Instant::now() >= due
            }
            () = sleep_until(due), if !buf.is_empty() => true,
            () = enough.cancelled(), if last_call.is_none() => {
                last_call = Some(Instant::now() + LAST_CALL);
                false
            }
            () = sleep_until(last_call.unwrap_or(due)), if last_call.is_some() => {
                ended = true;
                true
            }
        };
        if send {
            output.write(&buf).await?;
            buf.clear();
            due = Instant::now() + GATHER;
        }
    }
    Ok(())
}
