//! Where machines come from.

mod register;
mod reverse;

use std::fmt;

use async_trait::async_trait;
use buildfarm_dashboard::record::Worker;
use tokio::sync::watch;

pub use register::{Gate, router};
pub use reverse::{Registration, ReversePool};

/// A source of machines: the workers that dialled in, a cluster, a cloud.
#[async_trait]
pub trait Pool: fmt::Debug + Send + Sync + 'static {
    /// Name on pages and in messages.
    fn name(&self) -> &str;

    /// Machines that could take a build now.
    fn offers(&self) -> Vec<Offer>;

    /// Takes up an offer. An offer that was taken or went away in the meantime is [`LeaseError::Gone`].
    async fn lease(&self, offer: &Offer, build: i64) -> Result<Lease, LeaseError>;

    /// Every machine, for people: working, idle, and lately lost.
    fn workers(&self) -> Vec<Worker>;

    /// Changes whenever [`Pool::offers`] or [`Pool::workers`] may answer otherwise than before.
    fn changed(&self) -> watch::Receiver<u64>;
}

/// A machine that could take a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Name of the worker.
    pub worker: String,
    /// Host type it serves.
    pub host_type: String,
}

/// A machine in the hands of one build. Dropping it without [`Lease::release`] gives the machine up as unusable.
#[derive(Debug)]
pub struct Lease {
    /// Name of the worker.
    pub worker: String,
    /// The way to it.
    pub client: buildlet_client::Client,
    hold: Box<dyn Hold>,
}

impl Lease {
    /// A lease on `worker`, reached through `client`; `hold` is told what becomes of it.
    #[must_use]
    pub fn new(worker: String, client: buildlet_client::Client, hold: Box<dyn Hold>) -> Self {
        Self {
            worker,
            client,
            hold,
        }
    }

    /// Gives the machine back. The pool cleans it before it offers it again.
    pub fn release(mut self) {
        self.hold.release();
    }
}

/// A pool's side of a lease. Dropped without a call to `release`, the machine is discarded.
pub trait Hold: fmt::Debug + Send + Sync {
    /// The build is over and the machine answered to its end.
    fn release(&mut self);
}

/// Why an offer could not be taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Somebody else has it, or it went away.
    #[error("worker {0} is gone or taken")]
    Gone(String),
}
