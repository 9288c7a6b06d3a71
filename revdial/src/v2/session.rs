//! What a dialer, its control task and its pickups share.

use std::{
    collections::BTreeMap,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{link::plain, registry::Table, spares::Spares};
use crate::{
    CloseReason, DialError, DialerConfig, Stream,
    control::Message,
    path::{DialerId, Wanted},
    reason::Ending,
};

pub(crate) type Handover = oneshot::Sender<Result<Stream, DialError>>;

pub(crate) struct Session {
    pub(crate) id: DialerId,
    pub(crate) config: DialerConfig,
    pub(crate) ending: Ending,
    pub(crate) stop: CancellationToken,
    /// Dial numbers for which a `conn-ready` is to be written.
    pub(crate) orders: mpsc::Sender<u64>,
    pub(crate) spares_changed: Notify,
    table: Weak<Table>,
    state: Mutex<State>,
}

struct State {
    open: bool,
    next: u64,
    /// Dials by number, so the oldest comes first.
    waiting: BTreeMap<u64, Handover>,
    spares: Spares,
}

impl Session {
    pub(crate) fn new(
        id: DialerId,
        config: DialerConfig,
        orders: mpsc::Sender<u64>,
        table: Weak<Table>,
    ) -> Self {
        let spares = Spares::new(config.spares, config.spare_lifetime, config.dial_timeout);
        Self {
            id,
            config,
            ending: Ending::new(),
            stop: CancellationToken::new(),
            orders,
            spares_changed: Notify::new(),
            table,
            state: Mutex::new(State {
                open: true,
                next: 1,
                waiting: BTreeMap::new(),
                spares,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn path(&self, dial: u64) -> String {
        self.id.conn_path(&self.config.base_path, dial)
    }

    /// Ends the session for everyone at once. Only the first call has an effect.
    pub(crate) fn close(&self, reason: CloseReason) {
        let (waiting, spares) = {
            let mut state = self.state();
            state.open = false;
            (mem::take(&mut state.waiting), state.spares.clear())
        };
        if let Some(table) = self.table.upgrade() {
            table.remove(&self.id);
        }
        if self.ending.set(reason.clone()) {
            debug!(dialer = ?self.id, %reason, "dialer closed");
        }
        self.stop.cancel();
        for handover in waiting.into_values() {
            // A dial that has just been dropped does not care.
            let _ = handover.send(Err(DialError::Closed(reason.clone())));
        }
        drop(spares);
    }

    pub(crate) fn reason(&self) -> CloseReason {
        self.ending.get().unwrap_or(CloseReason::Local)
    }

    /// Puts a new dial on the list.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Waiting, DialError> {
        let (handover, answer) = oneshot::channel();
        let mut state = self.state();
        if !state.open {
            drop(state);
            return Err(DialError::Closed(self.reason()));
        }
        if state.waiting.len() >= self.config.max_pending {
            return Err(DialError::TooManyPending(self.config.max_pending));
        }
        let dial = state.next;
        state.next += 1;
        state.waiting.insert(dial, handover);
        Ok(Waiting {
            session: Arc::clone(self),
            dial,
            answer,
        })
    }

    /// Whether a connection for `dial` would still be of use.
    pub(crate) fn is_wanted(&self, dial: u64) -> bool {
        let state = self.state();
        state.waiting.contains_key(&dial) || state.spares.is_ordered(dial)
    }

    /// Takes in a picked-up connection. One that nobody waits for any more is dropped here: it
    /// must never reach a later dial.
    pub(crate) fn deliver(&self, dial: Option<u64>, stream: Stream) {
        let now = Instant::now();
        let handover = {
            let mut state = self.state();
            match dial {
                Some(dial) => match state.waiting.remove(&dial) {
                    Some(handover) => Some((dial, handover)),
                    // Whichever comes first serves the dial that has waited longest.
                    None if state.spares.is_ordered(dial) && !state.waiting.is_empty() => {
                        let first = state.waiting.pop_first();
                        if let Some((instead, _)) = &first {
                            state.spares.exchange(dial, *instead);
                        }
                        first.map(|(_, handover)| (dial, handover))
                    }
                    None if state.spares.is_ordered(dial) => {
                        state.spares.arrived(dial, stream.with_number(dial), now);
                        drop(state);
                        self.spares_changed.notify_one();
                        return;
                    }
                    None => None,
                },
                None => state.waiting.pop_first(),
            }
        };
        match handover {
            Some((dial, handover)) => drop(handover.send(Ok(stream.with_number(dial)))),
            None => {
                debug!(dialer = ?self.id, dial, "dropped a connection that nobody waits for any more")
            }
        }
    }

    /// Fails the dial with this number, if it still waits.
    pub(crate) fn fail(&self, dial: u64, why: String) {
        let handover = {
            let mut state = self.state();
            state.spares.failed(dial, Instant::now());
            state.waiting.remove(&dial)
        };
        self.spares_changed.notify_one();
        if let Some(handover) = handover {
            let _ = handover.send(Err(DialError::PickupFailed(why)));
        }
    }

    pub(crate) fn on_message(&self, message: Message) {
        // Nothing here waits: the reader must stay free to notice the peer's end.
        let Message::PickupFailed { conn_path, err } = message else {
            return;
        };
        let why = plain(&err);
        let named = conn_path
            .and_then(|path| Wanted::parse(&path))
            .filter(|wanted| wanted.dialer == self.id);
        match named
            .and_then(|wanted| wanted.dial)
            .or_else(|| self.only_one_outstanding())
        {
            Some(dial) => self.fail(dial, why),
            // Go listeners often do not say which. Each dial still has its deadline.
            None => {
                debug!(dialer = ?self.id, why, "listener reported a failure that fits no single dial")
            }
        }
    }

    fn only_one_outstanding(&self) -> Option<u64> {
        let state = self.state();
        let mut outstanding = state.waiting.keys().copied().chain(state.spares.ordered());
        let first = outstanding.next()?;
        outstanding.next().is_none().then_some(first)
    }

    /// The newest spare that still lives. Dead ones met on the way are dropped.
    pub(crate) async fn take_spare(&self) -> Option<Stream> {
        if self.config.spares == 0 {
            return None;
        }
        loop {
            let mut stream = self.state().spares.take(Instant::now())?;
            self.spares_changed.notify_one();
            if stream.is_alive().await {
                return Some(stream);
            }
        }
    }

    /// Orders spares as needed, for ever. Part of the control task.
    pub(crate) async fn keep_spares(&self) {
        if self.config.spares == 0 {
            return std::future::pending().await;
        }
        loop {
            let (orders, wake) = {
                let mut state = self.state();
                let State { next, spares, .. } = &mut *state;
                let mut orders = Vec::new();
                let wake = spares.tend(Instant::now(), || {
                    orders.push(*next);
                    *next += 1;
                    *next - 1
                });
                (orders, wake)
            };
            for order in orders {
                if self.orders.send(order).await.is_err() {
                    return;
                }
            }
            let timer = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.spares_changed.notified() => {}
                () = timer => {}
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("closed", &self.ending.get())
            .finish_non_exhaustive()
    }
}

/// A dial on the list. Dropping it takes the dial off again.
pub(crate) struct Waiting {
    session: Arc<Session>,
    pub(crate) dial: u64,
    pub(crate) answer: oneshot::Receiver<Result<Stream, DialError>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.session.state().waiting.remove(&self.dial);
    }
}
