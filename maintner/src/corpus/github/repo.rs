use std::fmt;

use super::{Issue, Issues, State, handle, id};
use crate::store::{List, Span};

id! {
    /// The id of a label, the same for ever on all of GitHub.
    LabelId
}

id! {
    /// The id of a milestone, the same for ever on all of GitHub.
    MilestoneId
}

handle! {
    /// A repository.
    Repo, RepoRow in repos
}

handle! {
    /// A label of a repository.
    Label, LabelRow in labels
}

handle! {
    /// A milestone of a repository.
    Milestone, MilestoneRow in milestones
}

impl<'s> Repo<'s> {
    pub(super) fn state(self) -> &'s State {
        self.state
    }

    /// Its owner, as the log spells it first.
    pub fn owner(self) -> &'s str {
        self.state.texts.symbol(self.row.owner)
    }

    /// Its name, as the log spells it first.
    pub fn name(self) -> &'s str {
        self.state.texts.symbol(self.row.name)
    }

    /// The issue or pull request of this number, or what is known of one that is gone.
    pub fn issue(self, number: i32) -> Option<Issue<'s>> {
        Issue::at(self.state, self.state.find_issue(self.at, number)?)
    }

    /// Its issues and pull requests by number, those that are gone included
    /// ([`Issue::not_exist`]). What this gives can be asked to leave most of them out.
    pub fn issues(self) -> Issues<'s> {
        Issues::of(self)
    }

    pub(super) fn issue_list(self) -> List {
        self.row.issues
    }

    pub(super) fn open_list(self) -> List {
        self.row.open
    }

    /// The number of [`issues`](Self::issues).
    pub fn issue_count(self) -> usize {
        self.row.issues.len()
    }

    /// The label of this id.
    pub fn label(self, id: LabelId) -> Option<Label<'s>> {
        Label::at(self.state, self.state.find_label(self.at, id.0)?)
    }

    /// All labels that it ever had, by id: the log does not tell when one is gone.
    pub fn labels(self) -> impl DoubleEndedIterator<Item = Label<'s>> + Clone {
        let labels = self.state.lists.iter(self.row.labels);
        labels.filter_map(move |&at| Label::at(self.state, at))
    }

    /// The milestone of this id.
    pub fn milestone(self, id: MilestoneId) -> Option<Milestone<'s>> {
        Milestone::at(self.state, self.state.find_milestone(self.at, id.0)?)
    }

    /// All milestones that it ever had, by id: the log does not tell when one is gone.
    pub fn milestones(self) -> impl DoubleEndedIterator<Item = Milestone<'s>> + Clone {
        let milestones = self.state.lists.iter(self.row.milestones);
        milestones.filter_map(move |&at| Milestone::at(self.state, at))
    }
}

impl<'s> Label<'s> {
    pub(in crate::corpus) fn row_number(self) -> u32 {
        self.at
    }

    pub(super) fn issue_list(self) -> List {
        self.row.issues
    }

    /// The repository that has it.
    pub fn repo(self) -> Option<Repo<'s>> {
        Repo::at(self.state, self.row.repo)
    }

    /// Its id.
    pub fn id(self) -> LabelId {
        LabelId(self.row.id)
    }

    /// Where the log says its name: the first place since it was another one.
    pub(in crate::corpus) fn name_place(self) -> Span {
        self.row.name
    }

    /// Its name, as the newest mention of it has it.
    pub fn name(self) -> &'s str {
        self.state.texts.text(self.row.name)
    }
}

impl<'s> Milestone<'s> {
    pub(in crate::corpus) fn row_number(self) -> u32 {
        self.at
    }

    /// The repository that has it.
    pub fn repo(self) -> Option<Repo<'s>> {
        Repo::at(self.state, self.row.repo)
    }

    /// Its id.
    pub fn id(self) -> MilestoneId {
        MilestoneId(self.row.id)
    }

    /// Where the log says its title: the first place since it was another one.
    pub(in crate::corpus) fn title_place(self) -> Span {
        self.row.title
    }

    /// Its title; empty if nobody told.
    pub fn title(self) -> &'s str {
        self.state.texts.text(self.row.title)
    }

    /// Its number within the repository; 0 if nobody told.
    pub fn number(self) -> i64 {
        self.row.number
    }

    /// Whether it is closed.
    pub fn is_closed(self) -> bool {
        self.row.closed
    }
}

/// `owner/name`.
impl fmt::Display for Repo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner(), self.name())
    }
}

impl fmt::Debug for Repo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repo({self})")
    }
}

impl fmt::Debug for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Label({} {:?})", self.id(), self.name())
    }
}

impl fmt::Debug for Milestone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Milestone({} {:?})", self.id(), self.title())
    }
}
