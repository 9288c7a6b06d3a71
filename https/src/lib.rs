//! Start a server: plain HTTP and TLS on one port, certificate files or a per-machine development certificate, graceful stop.
//!
//! ```no_run
//! use axum::{Extension, Router, routing::get};
//! use buildfarm_https::{Identity, Peer, Server};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let app = Router::new().route("/", get(async |Extension(peer): Extension<Peer>| format!("hello {}\n", peer.addr)));
//! let identity = Identity::dev(".buildfarm", &[])?;
//! let server = Server::bind("127.0.0.1:8119").await?.identity(identity);
//! println!("https://{}", server.local_addr());
//! server.serve(app, CancellationToken::new()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The first byte of a connection tells TLS from plain HTTP, so one port serves both; [`Plain`] says who may go without.
//! Clients that trust such a server by its key are in [`client`].
//!
//! # What it does not do
//!
//! HTTP/2 unless asked to (a handler can take an HTTP/1.1 connection over, see [`revdial::server`], and the build farm's
//! protocols do), HTTP/3, ACME, client certificates, the PROXY protocol, several identities on one port.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `http2` | off | `Server::http2`: HTTP/2 for those who ask for it |
//! | `system-roots` | off | `client::system_roots`: trust what the operating system trusts |

mod accept;
pub mod client;
mod connection;
mod dev;
#[cfg(feature = "http2")]
mod http2;
mod identity;
mod provider;
mod redirect;
mod server;

pub use identity::{Identity, IdentityError, MAX_PEM};
pub use revdial::server::ServeConfig;
pub use server::{BindError, Limits, Peer, Plain, ServeError, Server};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
