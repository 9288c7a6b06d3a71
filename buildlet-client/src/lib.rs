//! Drive one build worker over HTTP/1.1: put trees on it, run commands, watch their output, fetch results.
//!
//! A worker is a machine that runs the `buildlet` server, ours or the Go project's. A [`Client`] reaches it
//! over TCP ([`Client::tcp`]), over a connection that the worker itself opened from behind NAT ([`Client::over`]), or
//! over anything that implements [`Connector`].
//!
//! ```no_run
//! # async fn demo() -> Result<(), buildlet_client::CommError> {
//! use buildlet_client::{Client, Exec};
//!
//! let worker = Client::tcp("build7.example:5936");
//! worker.put("hello.sh", 0o755, "#!/bin/sh\necho hello\n").await?;
//! let mut hello = worker.exec(Exec::new("hello.sh")).await?;
//! while let Some(output) = hello.next_output().await {
//!     print!("{}", String::from_utf8_lossy(&output?));
//! }
//! let outcome = hello.wait().await?;
//! println!("{outcome}");
//! # Ok(())
//! # }
//! ```
//!
//! # Two kinds of failure
//!
//! An [`ExecOutcome`] says how a command ended, and is what a build's result is made of. A [`CommError`] says that
//! the command could not be run or its end not be observed; it says nothing of the command, and is what may be
//! tried again ([`CommError::is_retryable`]).
//!
//! # Dead workers
//!
//! From its first call on a client sends heartbeats over a connection of their own. A worker that
//! misses them, or whose transport is gone, is dead for good: [`Client::dead`] resolves, and every call in progress
//! fails at once ([`Heartbeat`] has the rules). The task stops with the last clone of the client.
//!
//! # Limits
//!
//! Small requests have a limit for the whole answer, transfers one for standing still, commands none unless the
//! caller sets [`Exec::timeout`]; see [`Timeouts`].
//!
//! # What this crate does not do
//!
//! It does not make or find workers, does not speak TLS itself (bring a [`Connector`]), and opens no shells.

mod body;
mod builder;
mod call;
mod client;
mod connect;
mod error;
mod exec;
mod listing;
mod meter;
mod monitor;
mod outcome;
mod pool;
mod upload;
mod wire;

pub use body::Download;
pub use builder::{Builder, Heartbeat, Timeouts};
pub use client::{Client, PutOutcome, Status};
pub use connect::{BoxFuture, Connector, RevdialConnector, TcpConnector};
pub use error::{Cause, CommError, DeathReason};
pub use exec::{Exec, Running};
pub use listing::{DirEntry, DirList, EntryKind, ListOptions};
pub use monitor::Health;
pub use outcome::ExecOutcome;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
