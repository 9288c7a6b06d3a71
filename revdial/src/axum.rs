//! [`axum::serve`] on a [`Listener`].

use std::{future::pending, io};

use axum::{extract::connect_info::Connected, serve::IncomingStream};

use crate::{Listener, Stream, StreamInfo};

/// `axum::serve(listener, router)` serves what the far server dials, until it is told to stop:
/// when the session ends no more streams come, so stop it then with
/// `.with_graceful_shutdown(closed)`, where `closed` is [`Listener::closed`], and register again.
///
/// ```
/// use axum::{Router, extract::ConnectInfo, routing::get};
/// use revdial::{Listener, StreamInfo};
///
/// async fn serve(listener: Listener) -> std::io::Result<()> {
///     let router = Router::new().route(
///         "/",
///         get(|ConnectInfo(info): ConnectInfo<StreamInfo>| async move {
///             format!("you came by {}", info.version)
///         }),
///     );
///     let closed = listener.closed();
///     axum::serve(listener, router.into_make_service_with_connect_info::<StreamInfo>())
///         .with_graceful_shutdown(async { drop(closed.await) })
///         .await
/// }
/// ```
impl axum::serve::Listener for Listener {
    type Io = Stream;
    type Addr = StreamInfo;

    async fn accept(&mut self) -> (Stream, StreamInfo) {
        match Self::accept(self).await {
            Ok(stream) => {
                let info = stream.info().unwrap_or_else(|| self.info());
                (stream, info)
            }
            // The trait knows no end.
            Err(_) => pending().await,
        }
    }

    /// The session, with number 0. Never fails.
    fn local_addr(&self) -> io::Result<StreamInfo> {
        Ok(self.info())
    }
}

impl Connected<IncomingStream<'_, Listener>> for StreamInfo {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.remote_addr().clone()
    }
}
