//! What a log says of GitHub.

mod apply;
mod event;
mod issue;
mod issues;
mod names;
mod repo;
mod review;
mod rows;
mod state;
mod user;

pub use event::{Dismissal, Event, EventId};
pub use issue::{Comment, CommentId, Issue, IssueRef};
pub use issues::Issues;
pub(super) use issues::{Range, Term, Test, Where, contains};
pub use repo::{Label, LabelId, Milestone, MilestoneId, Repo};
pub use review::{Review, ReviewId};
pub(super) use state::State;
pub use user::{Team, TeamId, User, UserId};

/// GitHub, as a version of a corpus knows it.
#[derive(Debug, Clone, Copy)]
pub struct GitHub<'s> {
    state: &'s State,
}

impl<'s> GitHub<'s> {
    pub(super) fn new(state: &'s State) -> Self {
        Self { state }
    }

    /// The repository of this owner and name, in whatever case, if anything is known of it.
    pub fn repo(self, owner: &str, name: &str) -> Option<Repo<'s>> {
        Repo::at(
            self.state,
            self.state.find_repo(owner.as_bytes(), name.as_bytes())?,
        )
    }

    /// All repositories of which anything is known, by owner and name.
    pub fn repos(self) -> impl ExactSizeIterator<Item = Repo<'s>> + DoubleEndedIterator {
        let repos = 0..self.state.repos.len() as u32;
        let mut repos: Vec<_> = repos.filter_map(|at| Repo::at(self.state, at)).collect();
        repos.sort_by_key(|repo| (repo.owner(), repo.name()));
        repos.into_iter()
    }

    pub(super) fn issue_at(self, row: u32) -> Option<Issue<'s>> {
        Issue::at(self.state, row)
    }

    pub(super) fn label_at(self, row: u32) -> Option<Label<'s>> {
        Label::at(self.state, row)
    }

    pub(super) fn milestone_at(self, row: u32) -> Option<Milestone<'s>> {
        Milestone::at(self.state, row)
    }

    /// The user of this id, if they occur anywhere.
    pub fn user(self, id: UserId) -> Option<User<'s>> {
        User::at(self.state, self.state.find_user(id.0)?)
    }

    /// All users that occur anywhere, in order of first mention.
    pub fn users(self) -> impl DoubleEndedIterator<Item = User<'s>> {
        let users = 0..self.state.users.len() as u32;
        users.filter_map(move |at| User::at(self.state, at))
    }

    /// The team of this id, if it occurs anywhere.
    pub fn team(self, id: TeamId) -> Option<Team<'s>> {
        Team::at(self.state, self.state.find_team(id.0)?)
    }

    /// All teams that occur anywhere, in order of first mention.
    pub fn teams(self) -> impl DoubleEndedIterator<Item = Team<'s>> {
        let teams = 0..self.state.teams.len() as u32;
        teams.filter_map(move |at| Team::at(self.state, at))
    }
}

/// Declares what an id is called, and that it can be shown.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}
use id;

/// Declares a handle: a reference to the state, and to a row of it.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $row:ident in $rows:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<'s> {
            state: &'s $crate::corpus::github::state::State,
            row: &'s $crate::corpus::github::rows::$row,
            at: u32,
        }

        impl<'s> $name<'s> {
            pub(in $crate::corpus::github) fn at(
                state: &'s $crate::corpus::github::state::State,
                at: u32,
            ) -> Option<Self> {
                let row = state.$rows.get(at)?;
                Some(Self { state, row, at })
            }
        }

        /// The same thing, of whatever versions of one corpus.
        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.at == other.at
            }
        }

        impl Eq for $name<'_> {}

        impl std::hash::Hash for $name<'_> {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.at.hash(state);
            }
        }
    };
}
use handle;

#[cfg(test)]
mod tests;
