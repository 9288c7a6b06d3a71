//! What records say has changed.

use std::collections::HashMap;

use super::{
    super::{Hash, LabelId, MilestoneId, Snapshot, github::GitHub},
    cls::{self, ClWhat},
};
use crate::{
    log::Position,
    proto::{Text, view},
    store::{Origin, Span},
};

/// Declares a set of things that may have happened, and a question for each.
macro_rules! whats {
    ($(#[$doc:meta])* $what:ident { $($(#[$one:meta])* $constant:ident $name:ident = $bit:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub struct $what(pub(super) u32);

        impl $what {
            $(
                pub(super) const $constant: Self = Self(1 << $bit);

                $(#[$one])*
                pub fn $name(self) -> bool {
                    self.0 & Self::$constant.0 != 0
                }
            )*

            /// What happened, in words.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                let all = [$((Self::$constant, stringify!($name))),*];
                all.into_iter().filter(move |(what, _)| self.0 & what.0 != 0).map(|(_, name)| name)
            }

            /// Those of `all` that are so.
            pub(super) fn those<const N: usize>(all: [(Self, bool); N]) -> Self {
                let all = all.into_iter().filter(|(_, is_so)| *is_so);
                Self(all.fold(0, |what, (one, _)| what | one.0))
            }
        }

        impl std::fmt::Debug for $what {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_set().entries(self.names()).finish()
            }
        }
    };
}
pub(super) use whats;

whats! {
    /// What happened to an issue, as its mutations have it. More than one thing may have.
    What {
        /// It is new.
        OPENED opened = 0,
        /// It was closed.
        CLOSED closed = 1,
        /// It was opened again.
        REOPENED reopened = 2,
        /// It is gone.
        GONE gone = 3,
        /// Its title or its text changed.
        EDITED edited = 4,
        /// It has labels that it did not have.
        LABELED labeled = 5,
        /// It lost labels.
        UNLABELED unlabeled = 6,
        /// It was put into a milestone.
        MILESTONED milestoned = 7,
        /// It was taken out of its milestone.
        DEMILESTONED demilestoned = 8,
        /// People were assigned.
        ASSIGNED assigned = 9,
        /// People are not assigned any more.
        UNASSIGNED unassigned = 10,
        /// The conversation was locked or unlocked.
        LOCK_CHANGED lock_changed = 11,
        /// It has new comments, or some changed.
        COMMENTED commented = 12,
        /// Events happened.
        HAPPENED happened = 13,
        /// It was reviewed.
        REVIEWED reviewed = 14,
        /// GitHub says that something changed, even if nothing above tells what.
        UPDATED updated = 15,
    }
}

impl What {
    fn of(new: &view::GithubIssueMutation<'_>) -> Self {
        if new.not_exist {
            return Self::GONE;
        }
        let is_new = new.created.is_some();
        let closed = new.closed.map(|closed| closed.val);
        let has_text = !new.title.is_empty() || !new.body.is_empty() || new.body_change.is_some();
        Self::those([
            (Self::OPENED, is_new),
            (Self::CLOSED, closed == Some(true)),
            (Self::REOPENED, closed == Some(false) && !is_new),
            (Self::EDITED, has_text && !is_new),
            (Self::LABELED, new.add_label.len() > 0),
            (Self::UNLABELED, new.remove_label.count() > 0),
            (Self::MILESTONED, new.milestone_id != 0 && !new.no_milestone),
            (Self::DEMILESTONED, new.no_milestone && !is_new),
            (Self::ASSIGNED, new.assignees.len() > 0),
            (Self::UNASSIGNED, new.deleted_assignees.count() > 0),
            (Self::LOCK_CHANGED, new.locked.is_some()),
            (Self::COMMENTED, new.comment.len() > 0),
            (Self::HAPPENED, new.event.len() > 0),
            (Self::REVIEWED, new.review.len() > 0),
            (Self::UPDATED, new.updated.is_some()),
        ])
    }
}

/// Something that is not as it was. What it is about is a row, or a text of the log.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Issue(u32, What),
    Label(u32),
    Milestone(u32),
    Commit(Hash),
    Cl(u32, ClWhat),
    Ref {
        project: Span,
        name: Span,
        target: Option<Hash>,
    },
}

/// Changes in the order in which they first happened, those of one thing as one.
#[derive(Debug, Default)]
pub(super) struct Changes {
    list: Vec<Change>,
    seen: HashMap<Seen, usize>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Seen {
    Issue(u32),
    Label(u32),
    Milestone(u32),
    Cl(u32),
}

impl Changes {
    pub(super) fn into_list(self) -> Vec<Change> {
        self.list
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds what a record of the snapshot's log says.
    pub(super) fn add(
        &mut self,
        snapshot: &Snapshot,
        origin: Origin<'_>,
        mutation: &view::Mutation<'_>,
    ) {
        let github = snapshot.github();
        if let Some(issue) = &mutation.github_issue {
            self.add_issue(github, origin, issue);
        }
        if let Some(repo) = &mutation.github {
            self.add_repo(github, repo);
        }
        let commit = mutation.git.and_then(|git| git.commit);
        self.add_commit(snapshot, commit.map(|commit| commit.sha1));
        let Some(gerrit) = &mutation.gerrit else {
            return;
        };
        for commit in gerrit.commits {
            self.add_commit(snapshot, commit.ok().map(|commit| commit.sha1));
        }
        let project = origin.span_of(gerrit.project.as_bytes());
        for name in gerrit.deleted_refs.flatten() {
            self.list.push(Change::Ref {
                project,
                name: origin.span_of(name.as_bytes()),
                target: None,
            });
        }
        for new in gerrit.refs.flatten() {
            if let Some(target) = Hash::parse(new.sha1) {
                self.list.push(Change::Ref {
                    project,
                    name: origin.span_of(new.reference.as_bytes()),
                    target: Some(target),
                });
            }
        }
    }

    fn add_issue(
        &mut self,
        github: GitHub<'_>,
        origin: Origin<'_>,
        new: &view::GithubIssueMutation<'_>,
    ) {
        let what = What::of(new);
        let Some(repo) = github.repo(new.owner.as_str(), new.repo.as_str()) else {
            return;
        };
        let issue = repo.issue(new.number);
        if let Some(issue) = issue.filter(|_| what != What::default()) {
            let at = issue.row_number();
            let all = self.add_once(Seen::Issue(at), Change::Issue(at, What::default()));
            if let Some(Change::Issue(_, all)) = all {
                all.0 |= what.0;
            }
        }
        // The newest name is the one that is not as it was before.
        let added = new.add_label.flatten();
        for label in added.filter(|label| !label.name.is_empty()) {
            let label = repo
                .label(LabelId(label.id))
                .filter(|known| known.name_place() == origin.span_of(label.name.as_bytes()));
            if let Some(label) = label {
                let at = label.row_number();
                self.add_once(Seen::Label(at), Change::Label(at));
            }
        }
        let named = !new.milestone_title.is_empty() && !new.no_milestone;
        let milestone = repo
            .milestone(MilestoneId(new.milestone_id))
            .filter(|known| {
                named && known.title_place() == origin.span_of(new.milestone_title.as_bytes())
            });
        if let Some(milestone) = milestone {
            let at = milestone.row_number();
            self.add_once(Seen::Milestone(at), Change::Milestone(at));
        }
    }

    fn add_repo(&mut self, github: GitHub<'_>, new: &view::GithubMutation<'_>) {
        let Some(repo) = github.repo(new.owner.as_str(), new.repo.as_str()) else {
            return;
        };
        for label in new.labels.flatten() {
            if let Some(label) = repo.label(LabelId(label.id)) {
                let at = label.row_number();
                self.add_once(Seen::Label(at), Change::Label(at));
            }
        }
        for milestone in new.milestones.flatten() {
            if let Some(milestone) = repo.milestone(MilestoneId(milestone.id)) {
                let at = milestone.row_number();
                self.add_once(Seen::Milestone(at), Change::Milestone(at));
            }
        }
    }

    /// Adds what became of changes between two places of the log.
    pub(super) fn add_cls(&mut self, snapshot: &Snapshot, from: Position, to: Position) {
        let gerrit = snapshot.gerrit();
        let (commits, is_compat) = (snapshot.commits(), gerrit.is_compat());
        let mut left = cls::MOST;
        for step in gerrit.steps(from, to) {
            let cl = Change::Cl(step.change, ClWhat::default());
            if let Some(Change::Cl(_, all)) = self.add_once(Seen::Cl(step.change), cl) {
                all.0 |= ClWhat::of(commits, is_compat, step, &mut left).0;
            }
        }
    }

    /// Adds a change unless it is there; gives the one that is.
    fn add_once(&mut self, seen: Seen, change: Change) -> Option<&mut Change> {
        let at = *self.seen.entry(seen).or_insert(self.list.len());
        if at == self.list.len() {
            self.list.push(change);
        }
        self.list.get_mut(at)
    }

    fn add_commit(&mut self, snapshot: &Snapshot, name: Option<Text<'_>>) {
        let name = name.and_then(Hash::parse);
        if let Some(name) = name.filter(|&name| snapshot.commits().get(name).is_some()) {
            self.list.push(Change::Commit(name));
        }
    }
}
