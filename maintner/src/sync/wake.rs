//! Wake-ups that are never lost.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

/// Wakes a poller. A wake-up that comes while it works is kept, and makes it look once more: the
/// original drops it, and the change waits for the next round.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// That nobody has woken yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes it, now or as soon as it waits. Many wake-ups are as good as one.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Returns when it has been woken since the last time it returned. May be dropped at any time.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}

/// Wakes for topics: `github:owner/repo`, `gerrit:host/project`. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Wakes(Arc<Mutex<HashMap<String, Wake>>>);

impl Wakes {
    /// For no topics yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a topic wakes.
    pub fn of(&self, topic: &str) -> Wake {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        topics.entry(topic.to_owned()).or_default().clone()
    }

    /// Wakes who waits for a topic, and tells whether there is somebody.
    pub fn fire(&self, topic: &str) -> bool {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).map(Wake::wake).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wake_ups_are_kept_and_topics_kept_apart() {
        let wakes = Wakes::new();
        let (go, net) = (wakes.of("gerrit:host/go"), wakes.of("gerrit:host/net"));
        assert!(wakes.fire("gerrit:host/go"));
        assert!(wakes.fire("gerrit:host/go"));
        assert!(!wakes.fire("gerrit:host/tools"), "nobody waits for it");
        go.woken().await;
        let second = timeout(Duration::from_secs(1), go.woken()).await;
        assert!(second.is_err(), "many are as good as one");
        assert!(timeout(Duration::from_secs(1), net.woken()).await.is_err());
    }
}
