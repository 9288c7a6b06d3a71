use std::fmt;

use super::{Issue, User, handle, id};
use crate::{
    proto::view::{self, View},
    store::Timestamp,
};

id! {
    /// The id of a review, the same for ever on all of GitHub.
    ReviewId
}

handle! {
    /// A review of a pull request.
    ///
    /// All but its time and author is read from the log whenever it is asked for.
    Review, ReviewRow in reviews
}

impl<'s> Review<'s> {
    /// Its id.
    pub fn id(self) -> ReviewId {
        ReviewId(self.row.id)
    }

    /// Who reviewed.
    pub fn actor(self) -> Option<User<'s>> {
        User::at(self.state, self.row.actor)
    }

    /// When.
    pub fn created(self) -> Option<Timestamp> {
        self.row.created
    }

    /// The pull request.
    pub fn issue(self) -> Option<Issue<'s>> {
        Issue::at(self.state, self.row.issue)
    }

    /// All of it, as the log has it.
    pub fn message(self) -> view::GithubReview<'s> {
        let bytes = self.state.texts.bytes(self.row.message);
        view::GithubReview::decode(bytes).unwrap_or_default()
    }

    /// The text.
    pub fn body(self) -> &'s str {
        self.message().body.as_str()
    }

    /// `APPROVED`, `CHANGES_REQUESTED`, `COMMENTED`, `DISMISSED`, `PENDING`.
    pub fn state(self) -> &'s str {
        self.message().state.as_str()
    }

    /// The name of the commit that was reviewed, in hex.
    pub fn commit_id(self) -> &'s str {
        self.message().commit_id.as_str()
    }

    /// What the reviewer is to the repository: `MEMBER`, `CONTRIBUTOR`, `NONE`.
    pub fn actor_association(self) -> &'s str {
        self.message().actor_association.as_str()
    }

    /// What the review has besides, as a JSON object; empty if nothing.
    pub fn other_json(self) -> &'s [u8] {
        self.message().other_json
    }
}

impl fmt::Debug for Review<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Review")
            .field("id", &self.id())
            .field("state", &self.state())
            .field("created", &self.created())
            .field("actor", &self.actor())
            .finish_non_exhaustive()
    }
}
