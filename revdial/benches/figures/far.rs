//! The far end of every stream, the same for all systems.

use std::io;

use revdial::Io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Does what the first byte says: `e` echoes, `s` swallows and confirms, anything else holds the
/// stream. Each answers the first byte.
pub(crate) async fn behave(mut stream: impl Io) -> io::Result<()> {
    let what = stream.read_u8().await?;
    if what != b's' {
        stream.write_all(b"k").await?;
        stream.flush().await?;
    }
    match what {
        b's' => swallow(stream).await,
        b'e' => echo(stream).await,
        _ => stream.read_u8().await.map(drop),
    }
}

/// Boxed by nature of `async fn`s called last: only a busy stream has a buffer.
async fn swallow(mut stream: impl Io) -> io::Result<()> {
    let mut buf = vec![0; 64 * 1024];
    while stream.read(&mut buf).await? > 0 {}
    stream.write_all(b"k").await?;
    stream.shutdown().await
}

async fn echo(mut stream: impl Io) -> io::Result<()> {
    let mut buf = [0; 256];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..n]).await?;
        stream.flush().await?;
    }
}
