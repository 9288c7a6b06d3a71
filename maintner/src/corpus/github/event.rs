use std::fmt;

use super::{Issue, ReviewId, Team, User, handle, id};
use crate::{
    proto::view::{self, View},
    store::Timestamp,
};

id! {
    /// The id of an event, the same for ever on all of GitHub.
    EventId
}

handle! {
    /// Something that happened to an issue.
    ///
    /// What but few events have is read from the log whenever it is asked for.
    Event, EventRow in events
}

/// A review that was dismissed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dismissal<'s> {
    /// The review.
    pub review: ReviewId,
    /// Its state before, in lower case: `approved`.
    pub state: &'s str,
    /// Why.
    pub message: &'s str,
}

impl<'s> Event<'s> {
    /// Its id.
    pub fn id(self) -> EventId {
        EventId(self.row.id)
    }

    /// What happened: `labeled`, `closed`, `renamed`, `head_ref_restored`, and so on.
    pub fn kind(self) -> &'s str {
        self.state.texts.symbol(self.row.kind)
    }

    /// When.
    pub fn created(self) -> Option<Timestamp> {
        self.row.created
    }

    /// Who did it.
    pub fn actor(self) -> Option<User<'s>> {
        User::at(self.state, self.row.actor)
    }

    /// The issue it happened to.
    pub fn issue(self) -> Option<Issue<'s>> {
        Issue::at(self.state, self.row.issue)
    }

    /// All of it, as the log has it.
    pub fn message(self) -> view::GithubIssueEvent<'s> {
        let bytes = self.state.texts.bytes(self.row.message);
        view::GithubIssueEvent::decode(bytes).unwrap_or_default()
    }

    /// The name of the label that was put on or taken off.
    pub fn label(self) -> Option<&'s str> {
        self.message().label.map(|label| label.name.as_str())
    }

    /// The title of the milestone that it was put into or taken out of.
    pub fn milestone(self) -> Option<&'s str> {
        self.message()
            .milestone
            .map(|milestone| milestone.title.as_str())
    }

    /// Who was assigned, or is not any more.
    pub fn assignee(self) -> Option<User<'s>> {
        self.user(self.message().assignee_id)
    }

    /// Who assigned them.
    pub fn assigner(self) -> Option<User<'s>> {
        self.user(self.message().assigner_id)
    }

    /// The title before it was renamed; empty if it was not.
    pub fn from(self) -> &'s str {
        self.message().rename_from.as_str()
    }

    /// The title after it was renamed; empty if it was not.
    pub fn to(self) -> &'s str {
        self.message().rename_to.as_str()
    }

    /// The name of the commit that closed or mentioned it, in hex; empty if none did.
    pub fn commit_id(self) -> &'s str {
        let commit = self.message().commit.unwrap_or_default();
        commit.commit_id.as_str()
    }

    /// Where GitHub's API has that commit, if its repository is known.
    pub fn commit_url(self) -> Option<String> {
        let commit = self.message().commit?;
        let view::GithubCommit {
            owner,
            repo,
            commit_id,
            ..
        } = commit;
        let is_known = !owner.is_empty() && !repo.is_empty();
        is_known.then(|| format!("https://api.github.com/repos/{owner}/{repo}/commits/{commit_id}"))
    }

    /// Who was asked for a review.
    pub fn reviewer(self) -> Option<User<'s>> {
        self.user(self.message().reviewer_id)
    }

    /// The team that was asked for a review.
    pub fn team_reviewer(self) -> Option<Team<'s>> {
        let team = self.message().team_reviewer?;
        Team::at(self.state, self.state.find_team(team.id)?)
    }

    /// Who asked for a review.
    pub fn review_requester(self) -> Option<User<'s>> {
        self.user(self.message().review_requester_id)
    }

    /// The review that was dismissed.
    pub fn dismissed_review(self) -> Option<Dismissal<'s>> {
        let review = self.message().dismissed_review?;
        Some(Dismissal {
            review: ReviewId(review.review_id),
            state: review.state.as_str(),
            message: review.dismissal_message.as_str(),
        })
    }

    /// What the event has besides, as a JSON object; empty if nothing.
    pub fn other_json(self) -> &'s [u8] {
        self.message().other_json
    }

    fn user(self, id: i64) -> Option<User<'s>> {
        // 0 is nobody here, whoever has it elsewhere.
        let at = self.state.find_user(Some(id).filter(|&id| id != 0)?)?;
        User::at(self.state, at)
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id())
            .field("kind", &self.kind())
            .field("created", &self.created())
            .field("actor", &self.actor())
            .finish_non_exhaustive()
    }
}
