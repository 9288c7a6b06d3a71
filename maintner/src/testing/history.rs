use prost::Message;

use super::{dice::Dice, forge::Forge, review::Review, words::Words};
use crate::{proto::Mutation, reclog::Header};

/// 2009-11-10 23:00 UTC.
const BEGINNING: i64 = 1_257_894_000;

/// An endless history, as an iterator over mutations.
///
/// Of its bytes about half are meta commits of Gerrit, a fifth patch sets, a seventh comments; the
/// average record has some 500 bytes. A follower of the original can load it.
#[derive(Debug, Clone)]
pub struct History {
    dice: Dice,
    words: Words,
    forge: Forge,
    review: Review,
    now: i64,
    /// Last first.
    pending: Vec<Mutation>,
}

impl History {
    /// The history that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            words: Words::new(),
            forge: Forge::default(),
            review: Review::default(),
            now: BEGINNING,
            pending: Vec::new(),
        }
    }

    /// Its beginning as a log of `bytes` bytes, or as many more as the last record needs.
    pub fn log(self, bytes: usize) -> Vec<u8> {
        let mut log = Vec::with_capacity(bytes + 64 * 1024);
        let mut payload = Vec::new();
        for mutation in self {
            if log.len() >= bytes {
                break;
            }
            payload.clear();
            if mutation.encode(&mut payload).is_ok() {
                log.extend_from_slice(&Header::new(log.len() as u64, payload.len() as u64));
                log.extend_from_slice(&payload);
            }
        }
        log
    }

    /// Something happens.
    fn happen(&mut self) {
        let Self {
            dice,
            words,
            forge,
            review,
            now,
            pending,
        } = self;
        *now += dice.few(2000) as i64;
        let now = *now;
        let issues = forge.issues();
        // In thousandths of what happens in a real log.
        match dice.below(831) {
            0..26 => pending.extend(forge.open(dice, words, now)),
            26..171 => pending.extend(forge.comment(dice, words, now)),
            171..316 => pending.extend(forge.events(dice, words, now)),
            316..461 => pending.extend(forge.update(dice, words, now)),
            461..597 => pending.extend(review.upload(dice, words, now, issues)),
            597..786 => pending.extend(review.discuss(dice, words, now)),
            _ => pending.extend(review.submit(dice, words, now)),
        }
        pending.reverse();
    }
}

impl Iterator for History {
    type Item = Mutation;

    fn next(&mut self) -> Option<Mutation> {
        loop {
            if let Some(mutation) = self.pending.pop() {
                return Some(mutation);
            }
            self.happen();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        parse::{commit, notedb},
        proto::view::{self, View},
        reclog::Records,
    };

    #[test]
    fn one_seed_is_one_history() {
        assert_eq!(History::new(7).log(200_000), History::new(7).log(200_000));
        assert_ne!(History::new(7).log(2_000), History::new(8).log(2_000));
        let (short, long) = (History::new(7).log(50_000), History::new(7).log(100_000));
        assert!(long.starts_with(&short));
    }

    #[test]
    fn what_followers_rely_on_holds() {
        let log = History::new(3).log(3_000_000);
        let mut known: HashSet<String> = HashSet::new();
        let (mut metas, mut patch_sets, mut comments, mut issues, mut refs) = (0, 0, 0, 0, 0);
        for record in Records::new(&log, 0) {
            let mutation = view::Mutation::decode(record.unwrap().payload).unwrap();
            let gerrit = mutation.gerrit.unwrap_or_default();
            for git in gerrit.commits.map(Result::unwrap) {
                let parsed = commit::parse(git.raw).unwrap();
                assert!(
                    parsed.parents().all(|parent| known.contains(parent)),
                    "parents come first"
                );
                let message = std::str::from_utf8(parsed.message).unwrap();
                if message.contains("\nPatch-set: ") {
                    metas += git.raw.len();
                    assert!(parsed.parents().count() <= 1);
                    let _ = notedb::message(message);
                } else {
                    patch_sets += git.raw.len();
                }
                known.insert(git.sha1.to_owned());
            }
            for git_ref in gerrit.refs.map(Result::unwrap) {
                refs += 1;
                assert!(known.contains(git_ref.sha1), "commits come before refs");
            }
            let issue = mutation.github_issue.unwrap_or_default();
            comments += issue
                .comment
                .map(|comment| comment.unwrap().body.len())
                .sum::<usize>();
            issues += usize::from(issue.created.is_some());
        }
        // Shares of a real log, roughly.
        let share = |part: usize| part * 100 / log.len();
        assert!((30..60).contains(&share(metas)), "{}", share(metas));
        assert!(
            (12..35).contains(&share(patch_sets)),
            "{}",
            share(patch_sets)
        );
        assert!((7..25).contains(&share(comments)), "{}", share(comments));
        assert!(issues > 50 && refs > 500, "{issues} {refs}");
    }
}
