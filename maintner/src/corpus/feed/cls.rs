//! What becomes of changes on Gerrit.

use super::changes::whats;
use crate::{
    corpus::{
        commits::{CommitId, Commits, NONE, Story},
        gerrit::StepRow,
    },
    parse::{Facts, line, notedb},
};

/// Meta commits that are looked at for one batch; one with a long message counts once more for each
/// [`LONG`] bytes of it. Of more, everything is said to have happened.
pub(super) const MOST: usize = 10_000;

/// Bytes of a message.
const LONG: usize = 1 << 10;

whats! {
    /// What happened to a change on Gerrit. More than one thing may have. Where one batch has more
    /// than some thousand meta commits, everything is said to have.
    ClWhat {
        /// It is new, or it was not to be seen before: a patch set or a meta commit was missing.
        CREATED created = 0,
        /// It has another patch set.
        UPLOADED uploaded = 1,
        /// Somebody said something.
        COMMENTED commented = 2,
        /// Votes were given or taken back. Those that went with an old patch set: see
        /// [`uploaded`](Self::uploaded).
        VOTED voted = 3,
        /// It was merged, abandoned, taken up again.
        STATUS_CHANGED status_changed = 4,
        /// People were asked to look at it, or need not any more.
        REVIEWERS_CHANGED reviewers_changed = 5,
        /// It has other hashtags.
        HASHTAGS_CHANGED hashtags_changed = 6,
        /// It belongs to another topic.
        TOPIC_CHANGED topic_changed = 7,
        /// It is to go to another branch.
        BRANCH_CHANGED branch_changed = 8,
        /// It was hidden from most people, or is not any more.
        PRIVACY_CHANGED privacy_changed = 9,
        /// Its author says that it is ready, or that it is not.
        READINESS_CHANGED readiness_changed = 10,
        /// Gerrit noted something, even if nothing above tells what.
        UPDATED updated = 11,
    }
}

impl ClWhat {
    /// What a step of a change brought. Depends on nothing that comes later in the log. Looks at no
    /// more than is `left` to be looked at.
    pub(super) fn of(commits: &Commits, is_compat: bool, step: &StepRow, left: &mut usize) -> Self {
        let is_new = step.before == NONE;
        if step.after == NONE {
            return Self::UPLOADED;
        }
        let story = |id| commits.story(id).unwrap_or_default();
        let (was, is) = (story(step.before), story(step.after));
        let status = |story: Story| match is_compat {
            true => story.status_in_text(),
            false => story.status(),
        };
        let privacy = |story: Story| match is_compat {
            true => story.was_private_in_text(),
            false => story.private(),
        };
        let changed = Self::those([
            (Self::CREATED, is_new),
            (Self::UPLOADED, is_new),
            (Self::UPDATED, true),
            (Self::STATUS_CHANGED, status(was) != status(is) && !is_new),
            (Self::HASHTAGS_CHANGED, was.hashtags != is.hashtags),
            (Self::TOPIC_CHANGED, was.topic != is.topic),
            (Self::BRANCH_CHANGED, was.branch != is.branch && !is_new),
            (Self::PRIVACY_CHANGED, privacy(was) != privacy(is)),
            (
                Self::READINESS_CHANGED,
                was.work_in_progress() != is.work_in_progress(),
            ),
        ]);
        Self(changed.0 | Self::of_metas(commits, step, left).0)
    }

    /// What is told by the meta commits that were not there before.
    fn of_metas(commits: &Commits, step: &StepRow, left: &mut usize) -> Self {
        let last = match step.before {
            NONE => None,
            before => commits.fork(before, step.after),
        };
        let new = std::iter::successors(Some(step.after), |&id| commits.first_parent(id));
        let mut what = Self::default();
        for id in new.take_while(|&id| Some(id) != last) {
            let Some(meta) = commits.at(CommitId(id)) else {
                continue;
            };
            let cost = 1 + meta.message_span().len() / LONG;
            let Some(rest) = left.checked_sub(cost) else {
                return Self(u32::MAX);
            };
            *left = rest;
            let message = meta.message();
            let mut keys = line::footer(message).lines();
            let people = ["Reviewer:", "CC:", "Removed:"];
            let is_of_people = |line: &str| people.iter().any(|key| line.starts_with(key));
            let has_votes = commits.facts(id).has(Facts::VOTES);
            let this = Self::those([
                (Self::COMMENTED, notedb::message(message).is_some()),
                (
                    Self::VOTED,
                    has_votes && notedb::votes(message).next().is_some(),
                ),
                (Self::REVIEWERS_CHANGED, keys.any(is_of_people)),
            ]);
            what.0 |= this.0;
        }
        what
    }
}
