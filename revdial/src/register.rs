//! The machine's side of a registration: connect, ask, agree on a version, listen.

use std::{io, time::Duration};

use tokio::time::timeout;

use crate::{
    Connect, Listener, ListenerConfig, OFFER_HEADER, Peer, Stream, VERSION_HEADER, Version,
    upgrade::{self, Request, ResponseHead, UpgradeError},
    v1::{self, SniffError, Sniffed},
};

/// Why a registration failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The server cannot be reached.
    #[error("server not reached")]
    Connect(#[source] io::Error),
    /// Connecting took longer than [`ListenerConfig::connect_timeout`].
    #[error("server not reached within {0:?}")]
    ConnectTimeout(Duration),
    /// The server refused, or what it said is no answer.
    #[error("registration failed")]
    Upgrade(#[from] UpgradeError),
    /// The server speaks a version that [`ListenerConfig::versions`] does not allow.
    #[error("server speaks {0}, which is not allowed here")]
    NotAllowed(Version),
    /// The server chose a version that nobody knows.
    #[error("server chose version {0:?}, which is not known")]
    UnknownVersion(String),
    /// The server took the registration and shows no version.
    #[error("server took the registration and then showed no known version")]
    Sniff(#[from] SniffError),
}

/// Registers with a server of any age and listens for its dials.
///
/// Opens a connection, sends `request` with the headers that ask for a version added, follows at
/// most one redirect, and speaks what the server speaks, without a round trip spent on asking:
///
/// * a server of this crate names its choice in the answer: the mux if both allow it, else 2;
/// * a Go server since 2019 names nothing and shows by its first line that it speaks version 2;
/// * a Go server of 2018 names nothing and shows by its first frame that it speaks version 1. It
///   sends one as soon as it wants something of the machine, so this function waits for it, up to
///   [`Limits::deadline`](upgrade::Limits::deadline).
///
/// Gives the head of the server's answer beside the listener. Cancelling closes the connection.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use revdial::{ListenerConfig, Stream, upgrade::Request};
/// use tokio::net::TcpStream;
///
/// let connect = || async {
///     let tcp = TcpStream::connect("farm.example:8119").await?;
///     tcp.set_nodelay(true)?;
///     Ok(Stream::new(tcp)) // TLS goes here
/// };
/// let request = Request::get("/reverse").header("X-Key", "secret");
/// let (mut listener, _) = revdial::register(connect, &request, ListenerConfig::default()).await?;
/// while let Ok(stream) = listener.accept().await {
///     // ...
/// #   drop(stream);
/// }
/// # Ok(())
/// # }
/// ```
pub async fn register(
    connect: impl Connect,
    request: &Request,
    config: ListenerConfig,
) -> Result<(Listener, ResponseHead), RegisterError> {
    let connected = timeout(config.connect_timeout, connect.connect()).await;
    let stream = connected
        .map_err(|_| RegisterError::ConnectTimeout(config.connect_timeout))?
        .map_err(RegisterError::Connect)?;
    let request = ask(request, &config);
    let (stream, head) = upgrade::request(stream, &request, &config.limits).await?;
    let (version, stream) = agreed(stream, &head, &config).await?;
    if !config.versions.contains(version) {
        return Err(RegisterError::NotAllowed(version));
    }
    let listener = match version {
        Version::V1 => Listener::v1(stream, config.mux),
        Version::V2 => Listener::new(stream, connect, config),
        Version::Mux => Listener::mux(stream, config.mux),
    };
    let peer = if request.host.is_empty() {
        Peer::default()
    } else {
        Peer::named(request.host)
    };
    Ok((listener.with_peer(peer), head))
}

/// The request with the versions in it. One that is willing to speak version 2 asks for that, as
/// Go machines do, and offers the mux beside it.
fn ask(request: &Request, config: &ListenerConfig) -> Request {
    let mut request = request.clone();
    request.headers.retain(|(name, _)| {
        !name.eq_ignore_ascii_case(VERSION_HEADER.as_str())
            && !name.eq_ignore_ascii_case(OFFER_HEADER.as_str())
    });
    let has = |version| config.versions.contains(version);
    let (asked, offered) = match (has(Version::V2), has(Version::Mux)) {
        (true, true) => (Some(Version::V2), Some(Version::Mux)),
        (true, false) => (Some(Version::V2), None),
        (false, true) => (Some(Version::Mux), None),
        // Who registers without the header speaks version 1.
        (false, false) => (None, None),
    };
    if let Some(version) = asked {
        request = request.header("X-Revdial-Version", version.number());
    }
    if let Some(version) = offered {
        request = request.header("X-Revdial-Offer", version.number());
    }
    request
}

/// What the server's answer, or else its first byte, says.
async fn agreed(
    stream: Stream,
    head: &ResponseHead,
    config: &ListenerConfig,
) -> Result<(Version, Stream), RegisterError> {
    if let Some(named) = head.header(VERSION_HEADER.as_str()) {
        return match Version::from_number(named) {
            Some(version) => Ok((version, stream)),
            None => Err(RegisterError::UnknownVersion(
                named.chars().take(40).collect(),
            )),
        };
    }
    match (
        config.versions.contains(Version::V1),
        config.versions.contains(Version::V2),
    ) {
        // Nothing to find out.
        (false, _) => Ok((Version::V2, stream)),
        (true, false) => Ok((Version::V1, stream)),
        (true, true) => match v1::sniff(stream, config.limits.deadline).await? {
            Sniffed::V1(stream) => Ok((Version::V1, stream)),
            Sniffed::V2(stream) => Ok((Version::V2, stream)),
        },
    }
}
