//! The leader's task: one commit after another.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{AppendError, LeaderError, Request, catch_up, chain};
use crate::{
    corpus::{Snapshot, live::Follower},
    log::{
        Sink, SinkError, Source,
        check::{self, Refused},
    },
};

/// Requests that share a commit at most.
const TOGETHER: usize = 64;

/// How long to wait before a log that could not be written is tried again: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

pub(super) struct Committer<L, S> {
    pub(super) sink: L,
    pub(super) follower: Follower<S>,
    /// Of the log as it was when the leader began.
    pub(super) epoch: u64,
}

impl<L: Sink, S: Source> Committer<L, S> {
    pub(super) async fn run(
        mut self,
        mut queue: mpsc::Receiver<Request>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), LeaderError> {
        let mut taken = Vec::new();
        let for_commits = stop.clone();
        loop {
            tokio::select! {
                biased;
                // Whoever waits in the queue still gets in; nobody else does.
                () = told(&mut stop), if !queue.is_closed() => queue.close(),
                count = queue.recv_many(&mut taken, TOGETHER) => {
                    if count == 0 {
                        self.follower.shutdown().await;
                        return Ok(());
                    }
                    let taken = std::mem::take(&mut taken);
                    self.commit(taken, for_commits.clone()).await?;
                }
            }
        }
    }

    /// Brings requests into the log and the corpus, and answers them. A log that cannot be written
    /// is tried again and again, unless the leader is to stop.
    async fn commit(
        &mut self,
        mut requests: Vec<Request>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), LeaderError> {
        let mut pause = PAUSES.0;
        let mut hurry = false;
        while !requests.is_empty() {
            let payloads: Vec<Bytes> = requests
                .iter()
                .flat_map(|request| request.payloads.iter().cloned())
                .collect();
            let snapshot = self.follower.corpus().snapshot();
            if let Err((index, source)) = firsts(&payloads, &snapshot) {
                refuse(&mut requests, index, source);
                continue;
            }
            let error = match self.sink.append(&payloads).await {
                Ok(_) => {
                    self.answer(&mut requests, payloads.len()).await?;
                    continue;
                }
                Err(SinkError::Partly {
                    records, source, ..
                }) => {
                    self.answer(&mut requests, records).await?;
                    *source
                }
                Err(error) => error,
            };
            match error {
                SinkError::Refused { index, source } => refuse(&mut requests, index, source),
                error @ SinkError::Io { .. } if !hurry => {
                    let why = chain(&error);
                    tracing::warn!(error = why, "cannot write the log; trying again");
                    tokio::select! {
                        () = sleep(pause) => {}
                        // Once more at once, and then no more.
                        () = told(&mut stop) => hurry = true,
                    }
                    pause = (pause * 2).min(PAUSES.1);
                }
                error => return Err(LeaderError::Write(Arc::new(error))),
            }
        }
        Ok(())
    }

    /// The first `records` payloads are in the log. Takes them into the corpus, and answers those
    /// requests that have no others.
    async fn answer(
        &mut self,
        requests: &mut Vec<Request>,
        records: usize,
    ) -> Result<(), LeaderError> {
        let snapshot = catch_up(&mut self.follower, self.epoch).await?;
        let mut left = records;
        while let Some(first) = requests.first_mut() {
            if first.payloads.len() > left {
                first.payloads.drain(..left);
                return Ok(());
            }
            left -= first.payloads.len();
            let _ = requests.remove(0).answer.send(Ok(snapshot.clone()));
        }
        Ok(())
    }
}

/// Returns when the leader is to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Whether the first mutation of each issue says what it must; which payload does not.
fn firsts(payloads: &[Bytes], snapshot: &Snapshot) -> Result<(), (usize, Refused)> {
    let mut new = HashSet::new();
    for (index, payload) in payloads.iter().enumerate() {
        let has = |owner: &str, name: &str, number| {
            let repo = snapshot.github().repo(owner, name);
            // Other readers take another spelling for another repository.
            let repo = repo.filter(|repo| (repo.owner(), repo.name()) == (owner, name));
            repo.and_then(|repo| repo.issue(number)).is_some()
                || !new.insert((owner.to_owned(), name.to_owned(), number))
        };
        check::first_of_issue(payload, has).map_err(|source| (index, source))?;
    }
    Ok(())
}

/// Answers the request that the payload of number `index` belongs to.
fn refuse(requests: &mut Vec<Request>, mut index: usize, source: Refused) {
    for at in 0..requests.len() {
        let count = requests[at].payloads.len();
        if index < count {
            let refused = AppendError::Refused { index, source };
            let _ = requests.remove(at).answer.send(Err(refused));
            return;
        }
        index -= count;
    }
}
