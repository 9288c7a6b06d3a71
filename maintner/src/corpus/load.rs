use std::sync::Arc;

use super::commits::{AddError, Commits, Waiting};
use crate::{
    proto::{
        view::{self, View},
        wire::DecodeError,
    },
    reclog::{self, Records},
};

/// What a log says, and the one who reads it.
#[derive(Debug, Default)]
pub struct Corpus {
    commits: Commits,
    waiting: Waiting,
    skipped: u64,
}

/// Why a part of a log was not taken in. What stood before the trouble was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The framing is damaged.
    #[error(transparent)]
    Record(#[from] reclog::Error),
    /// A record's payload is no mutation.
    #[error("record at offset {offset} holds no mutation")]
    Mutation {
        /// Where the record begins.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// The corpus holds as much as it can.
    #[error("corpus is full")]
    Full,
}

impl Corpus {
    /// Knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the records of `bytes`, which begin at byte `offset` of their file.
    ///
    /// Keeps `bytes`: the corpus has the places of texts, not the texts. A commit that nobody can
    /// read is passed over and counted ([`skipped`](Self::skipped)), as the original does.
    pub fn load(
        &mut self,
        bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
        offset: u64,
    ) -> Result<(), LoadError> {
        let whole = self
            .commits
            .add_chunk(Arc::clone(&bytes))
            .map_err(|_| LoadError::Full)?;
        for record in Records::new((*bytes).as_ref(), offset) {
            let record = record?;
            let offset = record.offset;
            let wrong = |source| LoadError::Mutation { offset, source };
            let mutation = view::Mutation::decode(record.payload).map_err(wrong)?;
            let single = mutation.git.and_then(|git| git.commit);
            let many = mutation.gerrit.unwrap_or_default().commits;
            for commit in single.map(Ok).into_iter().chain(many) {
                let commit = commit.map_err(wrong)?;
                match self.commits.add(whole, &commit, &mut self.waiting) {
                    Ok(_) => {}
                    Err(AddError::Full) => return Err(LoadError::Full),
                    Err(error) => {
                        tracing::debug!(offset, %error, "passed over a commit");
                        self.skipped += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// All commits.
    pub fn commits(&self) -> &Commits {
        &self.commits
    }

    /// Commits that were passed over because nobody can read them.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::{
        corpus::Hash,
        proto::{GerritMutation, GitCommit, Mutation},
        reclog::Header,
        testing::History,
    };

    #[test]
    fn a_log_may_come_in_pieces() {
        let log = History::new(11).log(400_000);
        let mut whole = Corpus::new();
        whole.load(Arc::new(log.clone()), 0).unwrap();
        let ends: Vec<u64> = Records::new(&log, 0)
            .map(|record| record.unwrap().end())
            .collect();
        let mut pieces = Corpus::new();
        let mut from = 0;
        for end in ends.into_iter().step_by(50).chain([log.len() as u64]) {
            pieces
                .load(Arc::new(log[from..end as usize].to_vec()), from as u64)
                .unwrap();
            from = end as usize;
        }
        let (whole, pieces) = (whole.commits(), pieces.commits());
        assert!(whole.len() > 100);
        assert_eq!(whole.len(), pieces.len());
        for (a, b) in whole.iter().zip(pieces.iter()) {
            assert_eq!(
                (a.name(), a.message(), a.author()),
                (b.name(), b.message(), b.author())
            );
            assert!(a.files().eq(b.files()) && a.parents().eq(b.parents()));
        }
    }

    #[test]
    fn bad_commits_are_passed_over_and_bad_logs_are_not() {
        let bad = GitCommit {
            sha1: "01".repeat(20),
            raw: b"no commit".to_vec(),
            diff_tree: None,
        };
        let payload = Mutation {
            gerrit: Some(GerritMutation {
                commits: vec![bad],
                ..Default::default()
            }),
            ..Default::default()
        }
        .encode_to_vec();
        let mut log = Header::new(0, payload.len() as u64).to_vec();
        log.extend(payload);
        let mut corpus = Corpus::new();
        corpus.load(Arc::new(log), 0).unwrap();
        assert_eq!((corpus.skipped(), corpus.commits().len()), (1, 0));
        assert!(corpus.commits().get(Hash([1; 20])).is_none());

        let torn = corpus.load(Arc::new(b"REC@0+5=".to_vec()), 0).unwrap_err();
        assert!(matches!(torn, LoadError::Record(_)));
        let garbage = corpus
            .load(Arc::new(b"REC@7+1=\xff".to_vec()), 7)
            .unwrap_err();
        assert_eq!(garbage.to_string(), "record at offset 7 holds no mutation");
    }
}
