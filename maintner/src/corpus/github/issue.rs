use std::fmt;

use super::{
    Event, Label, LabelId, Milestone, Repo, Review, State, User, handle, id, rows::IssueRow,
};
use crate::store::Timestamp;

id! {
    /// The id of a comment, the same for ever on all of GitHub.
    CommentId
}

/// An issue or a pull request. Four words that borrow the version of the corpus they are from.
#[derive(Clone, Copy)]
pub struct Issue<'s> {
    repo: Repo<'s>,
    row: &'s IssueRow,
    at: u32,
}

handle! {
    /// A comment on an issue.
    Comment, CommentRow in comments
}

impl<'s> Issue<'s> {
    pub(in crate::corpus) fn row_number(self) -> u32 {
        self.at
    }

    pub(super) fn at(state: &'s State, at: u32) -> Option<Self> {
        let row = state.issues.get(at)?;
        let repo = Repo::at(state, row.repo)?;
        Some(Self { repo, row, at })
    }

    fn state(self) -> &'s State {
        self.repo.state()
    }

    /// Its repository.
    pub fn repo(self) -> Repo<'s> {
        self.repo
    }

    /// Its number within the repository.
    pub fn number(self) -> i32 {
        self.row.number
    }

    /// Its id on all of GitHub, if the log tells; leaders of the original do not write it.
    pub fn id(self) -> Option<i64> {
        Some(self.row.id).filter(|&id| id != 0)
    }

    /// GitHub says that there is no such issue, or none any more. Then the rest is as it was
    /// before, if it was.
    pub fn not_exist(self) -> bool {
        self.row.not_exist
    }

    /// The title.
    pub fn title(self) -> &'s str {
        self.state().texts.text(self.row.title)
    }

    /// The text.
    pub fn body(self) -> &'s str {
        self.state().texts.text(self.row.body)
    }

    /// Whether it is closed.
    pub fn is_closed(self) -> bool {
        self.row.closed
    }

    /// Whether it exists and is not closed.
    pub fn is_open(self) -> bool {
        self.row.is_open()
    }

    /// Whether the conversation is locked.
    pub fn is_locked(self) -> bool {
        self.row.locked
    }

    /// Whether it is a pull request.
    pub fn is_pull_request(self) -> bool {
        self.row.pull_request
    }

    /// Who opened it.
    pub fn author(self) -> Option<User<'s>> {
        User::at(self.state(), self.row.author)
    }

    /// Who it is assigned to, in the order in which they were.
    pub fn assignees(self) -> impl DoubleEndedIterator<Item = User<'s>> + Clone {
        let users = self.state().lists.iter(self.row.assignees);
        users.filter_map(move |&at| User::at(self.state(), at))
    }

    /// When it was opened, if the log tells.
    pub fn created(self) -> Option<Timestamp> {
        self.row.created
    }

    /// When it last changed, as GitHub has it.
    pub fn updated(self) -> Option<Timestamp> {
        self.row.updated
    }

    /// When it was last closed; stays when it is opened again.
    pub fn closed_at(self) -> Option<Timestamp> {
        self.row.closed_at
    }

    /// Who last closed it. Leaders of the original do not tell; see the events.
    pub fn closed_by(self) -> Option<User<'s>> {
        User::at(self.state(), self.row.closed_by)
    }

    /// The newest time that is known of it: of its last change, its events and its reviews.
    pub fn last_modified(self) -> Option<Timestamp> {
        let row = self.row;
        row.updated.max(row.newest_event).max(row.newest_review)
    }

    /// Its milestone, if it has one.
    pub fn milestone(self) -> Option<Milestone<'s>> {
        Milestone::at(self.state(), self.row.milestone)
    }

    /// Whether the log ever told if it has a [`milestone`](Self::milestone).
    pub fn is_milestone_known(self) -> bool {
        self.row.milestone_known
    }

    /// Its labels, by id.
    pub fn labels(self) -> impl DoubleEndedIterator<Item = Label<'s>> + Clone {
        let labels = self.state().lists.iter(self.row.labels);
        labels.filter_map(move |&at| Label::at(self.state(), at))
    }

    /// Whether it has a label of this name.
    pub fn has_label(self, name: &str) -> bool {
        self.labels().any(|label| label.name() == name)
    }

    /// Whether it has the label of this id.
    pub fn has_label_id(self, id: LabelId) -> bool {
        let id_of = |at: u32| self.state().labels.get(at).map(|row| row.id);
        let by_id = |&at: &u32| id_of(at).cmp(&Some(id.0));
        self.state().lists.find_by(self.row.labels, by_id).is_some()
    }

    /// Its comments, the oldest first.
    pub fn comments(self) -> impl DoubleEndedIterator<Item = Comment<'s>> + Clone {
        let comments = self.state().lists.iter(self.row.comments);
        comments.filter_map(move |&at| Comment::at(self.state(), at))
    }

    /// The number of [`comments`](Self::comments).
    pub fn comment_count(self) -> usize {
        self.row.comments.len()
    }

    /// The comment of this id.
    pub fn comment(self, id: CommentId) -> Option<Comment<'s>> {
        Comment::at(self.state(), self.state().find_comment(self.at, id.0)?)
    }

    /// What happened to it, the oldest first.
    pub fn events(self) -> impl DoubleEndedIterator<Item = Event<'s>> + Clone {
        let events = self.state().lists.iter(self.row.events);
        events.filter_map(move |&at| Event::at(self.state(), at))
    }

    /// The number of [`events`](Self::events).
    pub fn event_count(self) -> usize {
        self.row.events.len()
    }

    /// Whether something of this kind ever happened to it: `labeled`, `closed`.
    pub fn has_event(self, kind: &str) -> bool {
        self.events().any(|event| event.kind() == kind)
    }

    /// Its reviews, the oldest first; none if it is no pull request.
    pub fn reviews(self) -> impl DoubleEndedIterator<Item = Review<'s>> + Clone {
        let list = Some(self.row.reviews).filter(|_| self.row.pull_request);
        let reviews = self.state().lists.iter(list.unwrap_or_default());
        reviews.filter_map(move |&at| Review::at(self.state(), at))
    }

    /// When the comments were last complete, as GitHub's clock has it.
    pub fn comments_synced(self) -> Option<Timestamp> {
        self.row.comments_synced
    }

    /// When the events were last complete, as GitHub's clock has it.
    pub fn events_synced(self) -> Option<Timestamp> {
        self.row.events_synced
    }

    /// When the reviews were last complete, as GitHub's clock has it.
    pub fn reviews_synced(self) -> Option<Timestamp> {
        self.row.reviews_synced
    }

    /// What it is called: `owner/repo#number`.
    pub fn reference(self) -> IssueRef<'s> {
        let repo = self.repo;
        IssueRef {
            owner: repo.owner(),
            repo: repo.name(),
            number: self.row.number,
        }
    }
}

/// The same issue, of whatever versions of one corpus.
impl PartialEq for Issue<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Issue<'_> {}

impl std::hash::Hash for Issue<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.at.hash(state);
    }
}

/// What an issue is called, shown as `owner/repo#number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssueRef<'s> {
    /// The repository's owner.
    pub owner: &'s str,
    /// The repository's name.
    pub repo: &'s str,
    /// The issue's number.
    pub number: i32,
}

impl fmt::Display for IssueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}#{}", self.owner, self.repo, self.number)
    }
}

impl<'s> Comment<'s> {
    /// Its id.
    pub fn id(self) -> CommentId {
        CommentId(self.row.id)
    }

    /// Who wrote it.
    pub fn user(self) -> Option<User<'s>> {
        User::at(self.state, self.row.user)
    }

    /// When it was written.
    pub fn created(self) -> Option<Timestamp> {
        self.row.created
    }

    /// When it was last changed.
    pub fn updated(self) -> Option<Timestamp> {
        self.row.updated
    }

    /// The text.
    pub fn body(self) -> &'s str {
        self.state.texts.text(self.row.body)
    }

    /// The issue it is on.
    pub fn issue(self) -> Option<Issue<'s>> {
        Issue::at(self.state, self.row.issue)
    }
}

impl fmt::Debug for Issue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issue({} {:?})", self.reference(), self.title())
    }
}

impl fmt::Debug for Comment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comment")
            .field("id", &self.id())
            .field("user", &self.user())
            .field("created", &self.created())
            .field("body", &self.body())
            .finish_non_exhaustive()
    }
}
