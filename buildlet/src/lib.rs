//! A build worker: a service that takes trees, runs commands in them and streams what they print.
//!
//! It speaks the HTTP/1.1 protocol of the Go project's *buildlet*, so Go coordinators and clients can drive it, and it
//! can dial home from behind NAT ([`reverse`]).
//!
//! ```no_run
//! use buildlet::{Buildlet, Config, EnvPolicy};
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::new("/tmp/work");
//! config.env = EnvPolicy::inherit(std::env::vars_os());
//! let buildlet = Buildlet::new(config)?;
//! let listener = tokio::net::TcpListener::bind("localhost:5936").await?;
//! loop {
//!     let (stream, _) = listener.accept().await?;
//!     let buildlet = buildlet.clone();
//!     tokio::spawn(async move { buildlet.serve_connection(stream, CancellationToken::new()).await });
//! }
//! # }
//! ```
//!
//! # What it promises
//!
//! * **A command leaves nothing behind.** When its client goes away, when it ends, when the worker shuts down: every
//!   process it started is killed, those that left its session too (on Linux; elsewhere its process group).
//! * **Paths stay inside.** Names are checked, then resolved so that no symbolic link leads out of the work directory.
//! * **Files are whole or absent**: written under another name, then renamed.
//! * **Secrets stay out**: commands inherit only what [`EnvPolicy`] lets through.
//! * **Everything has a bound**, see [`Limits`] and [`http1::Limits`].
//!
//! # What it does not do
//!
//! It is not a sandbox: a command can do what the worker's user can. It opens no shell (`/connect-ssh`), fetches no URLs,
//! limits no memory or processor time, and runs on Unix only. It reads no environment variables and no files but those of
//! its work directory.
//!
//! # Features
//!
//! None.

mod bridge;
mod config;
mod exec;
pub mod form;
mod gomode;
mod handlers;
pub mod http1;
mod parent;
mod path;
pub mod reverse;
mod service;
mod tree;
mod workdir;

pub use config::{Config, HaltPolicy, KillPolicy, Limits, StartError, VERSION};
pub use exec::EnvPolicy;
pub use gomode::GoMode;
pub use handlers::info::go_platform;
pub use parent::stdin_closed;
pub use path::{PathError, RelPath};
pub use service::Buildlet;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
