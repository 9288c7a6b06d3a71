//! How a listener reaches its server.

use std::{future::Future, io};

use crate::Stream;

/// Opens fresh connections to the server that holds the other end of the control connection.
///
/// Implemented for every `Fn() -> impl Future<Output = io::Result<Stream>>`. Implementations do
/// everything below HTTP: resolve, connect, TLS handshake (without offering HTTP/2 by ALPN),
/// `TCP_NODELAY`, TCP keep-alive. [`Listener`](crate::Listener) bounds the whole call in time and
/// drops the future when the time is over, so a connect must be safe to drop.
pub trait Connect: Send + Sync + 'static {
    /// Opens one connection.
    fn connect(&self) -> impl Future<Output = io::Result<Stream>> + Send;
}

impl<F, Fut> Connect for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<Stream>> + Send,
{
    fn connect(&self) -> impl Future<Output = io::Result<Stream>> + Send {
        self()
    }
}
