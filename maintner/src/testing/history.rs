use prost::Message;

use super::{dice::Dice, forge::Forge, review::Review, words::Words};
use crate::{proto::Mutation, reclog::Header};

/// 2009-11-10 23:00 UTC.
const BEGINNING: i64 = 1_257_894_000;

/// Where the original begins another segment.
const SEGMENT: usize = 16 << 20;

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
    pub fn log(mut self, bytes: usize) -> Vec<u8> {
        self.segment(bytes, false)
    }

    /// What happens next, as segments of a log, as many as `bytes` bytes fill: each of whole records
    /// and at most 16 MiB, as the original seals them. However long the log, there is one of them in
    /// memory at a time.
    ///
    /// ```
    /// use maintner::testing::History;
    ///
    /// let mut history = History::new(1);
    /// let sizes: Vec<usize> = history.segments(40 << 20).map(|segment| segment.len()).collect();
    /// assert_eq!(sizes.len(), 3);
    /// assert!(sizes[..2].iter().all(|size| (15 << 20..=16 << 20).contains(size)));
    /// ```
    pub fn segments(&mut self, bytes: u64) -> impl Iterator<Item = Vec<u8>> {
        let mut left = bytes;
        std::iter::from_fn(move || {
            let len = usize::try_from(left).unwrap_or(SEGMENT).min(SEGMENT);
            let segment = (len > 0).then(|| self.segment(len, len == SEGMENT))?;
            left = left.saturating_sub(segment.len() as u64);
            Some(segment)
        })
    }

    /// Records until there are `bytes` bytes or more; if `strictly`, no more than that.
    fn segment(&mut self, bytes: usize, strictly: bool) -> Vec<u8> {
        let mut log = Vec::with_capacity(bytes + if strictly { 0 } else { 64 << 10 });
        while log.len() < bytes
            && let Some(mutation) = self.next()
        {
            let len = mutation.encoded_len();
            let header = Header::new(log.len() as u64, len as u64);
            if strictly && log.len() + header.len() + len > bytes {
                self.pending.push(mutation);
                break;
            }
            log.extend_from_slice(&header);
            mutation.encode_raw(&mut log);
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
        match dice.below(687) {
            0..26 => pending.extend(forge.open(dice, words, now)),
            26..171 => pending.extend(forge.comment(dice, words, now)),
            171..316 => pending.extend(forge.events(dice, words, now)),
            316..461 => pending.extend(forge.update(dice, words, now)),
            461..597 => pending.extend(review.upload(dice, words, now, issues)),
            597..633 => pending.extend(review.discuss(dice, words, now)),
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
        parse::{commit, line},
        proto::view::{self, View},
    };

    #[test]
    fn one_seed_is_one_history() {
        assert_eq!(History::new(7).log(200_000), History::new(7).log(200_000));
        assert_ne!(History::new(7).log(2_000), History::new(8).log(2_000));
        let (short, long) = (History::new(7).log(50_000), History::new(7).log(100_000));
        assert!(long.starts_with(&short));
    }

    /// Records and bytes of each kind there is.
    #[derive(Default)]
    struct Mix {
        metas: (usize, usize),
        patch_sets: (usize, usize),
        submitted: (usize, usize),
        refs: (usize, usize),
        issues: (usize, usize),
        comments: (usize, usize),
        events: (usize, usize),
        updates: (usize, usize),
    }

    #[test]
    fn what_followers_rely_on_holds() {
        let mut known: HashSet<String> = HashSet::new();
        let mut issues = HashSet::new();
        for mutation in History::new(3).take(8000) {
            let bytes = mutation.encode_to_vec();
            view::Mutation::decode(&bytes).unwrap();
            for label in mutation.github.iter().flat_map(|github| &github.labels) {
                assert!(label.id != 0);
            }
            if let Some(issue) = mutation.github_issue {
                let number = (issue.owner, issue.repo, issue.number);
                assert!(!issues.insert(number) || issue.created.is_some() || issue.not_exist);
                assert!(issue.number > 0 && issue.add_label.iter().all(|label| label.id != 0));
                assert!(issue.comment.iter().all(|comment| comment.id != 0));
            }
            let gerrit = mutation.gerrit.unwrap_or_default();
            for git in gerrit.commits {
                let parsed = commit::parse(&git.raw).unwrap();
                assert!(
                    parsed.parents().all(|parent| known.contains(parent)),
                    "parents come first"
                );
                let message = std::str::from_utf8(parsed.message).unwrap();
                if line::find(message, "Patch-set:").is_some() {
                    assert!(parsed.parents().count() <= 1);
                    assert!(message.ends_with('\n'));
                }
                assert_eq!(git.sha1, git.sha1.to_lowercase());
                known.insert(git.sha1);
            }
            for git_ref in gerrit.refs {
                assert!(known.contains(&git_ref.sha1), "commits come before refs");
            }
        }
    }

    #[test]
    fn the_mix_is_that_of_a_real_log() {
        let (mut mix, mut log) = (Mix::default(), 0);
        for mutation in History::new(4).take(60_000) {
            let bytes = mutation.encoded_len() + 12;
            log += bytes;
            let kind = if let Some(gerrit) = &mutation.gerrit {
                match &gerrit.commits[..] {
                    [] => &mut mix.refs,
                    [git, ..] => {
                        let message = String::from_utf8_lossy(&git.raw);
                        if message.contains("\nPatch-set: ") {
                            &mut mix.metas
                        } else if message.contains("\nReviewed-on: ") {
                            &mut mix.submitted
                        } else {
                            &mut mix.patch_sets
                        }
                    }
                }
            } else {
                let issue = mutation.github_issue.unwrap_or_default();
                match () {
                    () if issue.created.is_some() => &mut mix.issues,
                    () if !issue.comment.is_empty() => &mut mix.comments,
                    () if !issue.event.is_empty() => &mut mix.events,
                    () => &mut mix.updates,
                }
            };
            kind.0 += 1;
            kind.1 += bytes;
        }
        // As measured of a log of 692 MB: thousands of records, and MB.
        let real = [
            ("meta commits", mix.metas, 527, 324),
            ("patch sets", mix.patch_sets, 136, 137),
            ("submitted", mix.submitted, 45, 48),
            ("refs", mix.refs, 226, 25),
            ("issues", mix.issues, 26, 41),
            ("comments", mix.comments, 145, 94),
            ("events", mix.events, 145, 12),
            ("updates", mix.updates, 145, 11),
        ];
        let mut wrong: Vec<&str> = Vec::new();
        for (name, (records, bytes), real_records, real_bytes) in real {
            let records = records as f64 * 692e6 / log as f64 / 1e3;
            let bytes = bytes as f64 * 692.0 / log as f64;
            println!(
                "{name:13} {records:6.0} k of {real_records} k, {bytes:5.0} MB of {real_bytes} MB"
            );
            let near = |ours: f64, real: i32| (0.8..1.25).contains(&(ours / f64::from(real)));
            if !near(records, real_records) || real_bytes > 30 && !near(bytes, real_bytes) {
                wrong.push(name);
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
