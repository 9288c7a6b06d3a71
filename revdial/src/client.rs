//! HTTP clients whose connections are streams of a [`Dialer`].

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tower_service::Service;

use crate::{DialError, Dialer, Stream};

type Find = dyn Fn(&Uri) -> Option<Dialer> + Send + Sync;

/// A connector for hyper-util's pooling client: requests go to the machine behind a [`Dialer`].
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Empty;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use revdial::{Dialer, client::Connector};
///
/// async fn status(dialer: Dialer) -> Result<u16, Box<dyn std::error::Error>> {
///     let client = Client::builder(TokioExecutor::new())
///         .build::<_, Empty<Bytes>>(Connector::new(dialer));
///     let answer = client.get("http://laptop/status".parse()?).await?;
///     Ok(answer.status().as_u16())
/// }
/// ```
#[derive(Clone)]
pub struct Connector {
    find: Arc<Find>,
}

impl Connector {
    /// Every request goes to the one machine, whatever host its URI names.
    pub fn new(dialer: Dialer) -> Self {
        Self::choosing(move |_| Some(dialer.clone()))
    }

    /// `find` gives the machine that a URI means, for example by its host; `None` fails the
    /// request with [`ConnectError::NoMachine`]. It must not block.
    ///
    /// The client pools connections by scheme, host and port. So a host should always mean the
    /// same machine, as long as that is connected.
    pub fn choosing(find: impl Fn(&Uri) -> Option<Dialer> + Send + Sync + 'static) -> Self {
        Self {
            find: Arc::new(find),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

/// Why a request found no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No machine belongs to the URI's host.
    #[error("no machine is connected under the name {0:?}")]
    NoMachine(String),
    /// The machine could not be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let found = (self.find)(&uri);
        Box::pin(async move {
            let dialer = found.ok_or_else(|| {
                ConnectError::NoMachine(uri.host().unwrap_or_default().to_owned())
            })?;
            Ok(TokioIo::new(dialer.dial().await?))
        })
    }
}

/// Tells hyper-util's client nothing special: HTTP/1.1, no proxy in between.
impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
