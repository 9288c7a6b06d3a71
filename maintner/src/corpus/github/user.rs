use std::fmt;

use super::{handle, id};

id! {
    /// The id of a user, the same for ever on all of GitHub.
    UserId
}

id! {
    /// The id of a team, the same for ever on all of GitHub.
    TeamId
}

handle! {
    /// A user.
    User, UserRow in users
}

handle! {
    /// A team.
    Team, TeamRow in teams
}

impl<'s> User<'s> {
    /// Their id, which never changes.
    pub fn id(self) -> UserId {
        UserId(self.row.id)
    }

    /// What they are called, as the newest mention of them has it; empty if only their id is
    /// known.
    pub fn login(self) -> &'s str {
        self.state.texts.text(self.row.login)
    }
}

impl<'s> Team<'s> {
    /// Its id, which never changes.
    pub fn id(self) -> TeamId {
        TeamId(self.row.id)
    }

    /// What it is called in addresses, as the newest mention of it has it.
    pub fn slug(self) -> &'s str {
        self.state.texts.text(self.row.slug)
    }
}

impl fmt::Debug for User<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({} {:?})", self.id(), self.login())
    }
}

impl fmt::Debug for Team<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Team({} {:?})", self.id(), self.slug())
    }
}
