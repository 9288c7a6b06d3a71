use std::io;

use super::{
    names::Recent,
    rows::{
        CommentRow, EventRow, IssueRow, LabelRow, MilestoneRow, NONE, RepoRow, ReviewRow, TeamRow,
        UserRow,
    },
};
use crate::{
    proto::view,
    store::{
        Full, Hasher, Index, List, Lists, Opener, Origin, Paged, Row, Saved, Saver, Span, Texts,
        Timestamp, Unusable, saved,
    },
};

/// All that a log says of GitHub. A clone is a version that stays as it is.
#[derive(Debug, Clone, Default)]
pub(in crate::corpus) struct State {
    pub(super) texts: Texts,
    pub(super) hasher: Hasher,
    pub(super) repos: Keyed<RepoRow>,
    pub(super) users: Keyed<UserRow>,
    pub(super) teams: Keyed<TeamRow>,
    pub(super) labels: Keyed<LabelRow>,
    pub(super) milestones: Keyed<MilestoneRow>,
    pub(super) issues: Keyed<IssueRow>,
    pub(super) comments: Keyed<CommentRow>,
    pub(super) events: Keyed<EventRow>,
    pub(super) reviews: Keyed<ReviewRow>,
    /// All lists of rows that rows have.
    pub(super) lists: Lists<u32>,
    pub(super) recent: Recent,
}

/// Rows, and how to find one by what it is called.
#[derive(Debug, Clone)]
pub(super) struct Keyed<T: Row> {
    rows: Paged<T>,
    index: Index,
}

impl<T: Row> Default for Keyed<T> {
    fn default() -> Self {
        Self {
            rows: Paged::default(),
            index: Index::default(),
        }
    }
}

impl<T: Row> Keyed<T> {
    pub(super) fn get(&self, row: u32) -> Option<&T> {
        self.rows.get(row as usize)
    }

    pub(super) fn get_mut(&mut self, row: u32) -> Option<&mut T> {
        self.rows.get_mut(row as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<u32> {
        self.index
            .find(hash, |row| self.get(row).is_some_and(&is_it))
    }

    /// Adds a row that is not there yet.
    pub(super) fn add(&mut self, hash: u64, row: T) -> Result<u32, Full> {
        let at = u32::try_from(self.rows.len()).unwrap_or(NONE);
        if at == NONE {
            return Err(Full);
        }
        self.rows.push(row);
        self.index.insert(hash, at);
        Ok(at)
    }

    /// The row with this key, a new one if there is none; and whether it is new.
    fn find_or_add<K: std::hash::Hash + PartialEq>(
        &mut self,
        hasher: &Hasher,
        key: K,
        key_of: impl Fn(&T) -> K,
        new: impl FnOnce() -> T,
    ) -> Result<(u32, bool), Full> {
        let hash = hasher.hash_one(&key);
        if let Some(row) = self.find(hash, |row| key_of(row) == key) {
            return Ok((row, false));
        }
        Ok((self.add(hash, new())?, true))
    }
}

impl State {
    pub(in crate::corpus) fn texts(&self) -> &Texts {
        &self.texts
    }

    pub(in crate::corpus) fn texts_mut(&mut self) -> &mut Texts {
        &mut self.texts
    }

    /// The row of a user, a new one if there is none, with the login they have now.
    pub(super) fn user(
        &mut self,
        origin: Origin<'_>,
        user: &view::GithubUser<'_>,
    ) -> Result<u32, Full> {
        let at = self.user_id(user.id)?;
        let row = self.users.get(at);
        let login = row.map_or(Span::EMPTY, |row| row.login);
        if !user.login.is_empty() && self.texts.bytes(login) != user.login.as_bytes() {
            let login = origin.span_of(user.login.as_bytes());
            if let Some(row) = self.users.get_mut(at) {
                row.login = login;
            }
        }
        Ok(at)
    }

    /// The row of a user of whom maybe nothing but the id is known.
    pub(super) fn user_id(&mut self, id: i64) -> Result<u32, Full> {
        let login = Span::EMPTY;
        let new = || UserRow { id, login };
        let found = self.users.find_or_add(&self.hasher, id, |row| row.id, new);
        found.map(|(at, _)| at)
    }

    pub(super) fn find_user(&self, id: i64) -> Option<u32> {
        let hash = self.hasher.hash_one(id);
        self.users.find(hash, |row| row.id == id)
    }

    /// The row of a team, a new one if there is none, with the name it has now.
    pub(super) fn team(
        &mut self,
        origin: Origin<'_>,
        team: &view::GithubTeam<'_>,
    ) -> Result<u32, Full> {
        let (id, slug) = (team.id, Span::EMPTY);
        let new = || TeamRow { id, slug };
        let (at, _) = self
            .teams
            .find_or_add(&self.hasher, id, |row| row.id, new)?;
        let slug = origin.span_of(team.slug.as_bytes());
        if let Some(row) = self.teams.get_mut(at).filter(|_| !slug.is_empty()) {
            row.slug = slug;
        }
        Ok(at)
    }

    pub(super) fn find_team(&self, id: i64) -> Option<u32> {
        let hash = self.hasher.hash_one(id);
        self.teams.find(hash, |row| row.id == id)
    }

    /// The row of a repository's label, a new one if there is none, with the name it has now.
    pub(super) fn label(
        &mut self,
        origin: Origin<'_>,
        repo: u32,
        label: &view::GithubLabel<'_>,
    ) -> Result<u32, Full> {
        let key_of = |row: &LabelRow| (row.repo, row.id);
        let id = label.id;
        let new = || LabelRow {
            id,
            repo,
            name: Span::EMPTY,
            issues: List::default(),
        };
        let (at, is_new) = self
            .labels
            .find_or_add(&self.hasher, (repo, id), key_of, new)?;
        if is_new && let Some(row) = self.repos.get_mut(repo) {
            let Self { lists, labels, .. } = self;
            let order = |&at: &u32| labels.get(at).map(|row| row.id).cmp(&Some(id));
            lists.insert_by(&mut row.labels, at, order)?;
        }
        let has = self.labels.get(at).map_or(Span::EMPTY, |row| row.name);
        if !label.name.is_empty() && self.texts.bytes(has) != label.name.as_bytes() {
            let name = origin.span_of(label.name.as_bytes());
            if let Some(row) = self.labels.get_mut(at) {
                row.name = name;
            }
        }
        Ok(at)
    }

    pub(super) fn find_label(&self, repo: u32, id: i64) -> Option<u32> {
        let hash = self.hasher.hash_one((repo, id));
        let found = |row: &LabelRow| (row.repo, row.id) == (repo, id);
        self.labels.find(hash, found)
    }

    /// The row of a repository's milestone, a new one if there is none, as it is now.
    pub(super) fn milestone(
        &mut self,
        origin: Origin<'_>,
        repo: u32,
        milestone: &view::GithubMilestone<'_>,
    ) -> Result<u32, Full> {
        let key_of = |row: &MilestoneRow| (row.repo, row.id);
        let id = milestone.id;
        let new = || MilestoneRow {
            id,
            number: 0,
            repo,
            title: Span::EMPTY,
            closed: false,
        };
        let (at, is_new) = self
            .milestones
            .find_or_add(&self.hasher, (repo, id), key_of, new)?;
        if is_new && let Some(row) = self.repos.get_mut(repo) {
            let Self {
                lists, milestones, ..
            } = self;
            let order = |&at: &u32| milestones.get(at).map(|row| row.id).cmp(&Some(id));
            lists.insert_by(&mut row.milestones, at, order)?;
        }
        if let Some(row) = self.milestones.get_mut(at) {
            let has = self.texts.bytes(row.title);
            if !milestone.title.is_empty() && has != milestone.title.as_bytes() {
                row.title = origin.span_of(milestone.title.as_bytes());
            }
            if milestone.number != 0 {
                row.number = milestone.number;
            }
            if let Some(closed) = milestone.closed {
                row.closed = closed.val;
            }
        }
        Ok(at)
    }

    pub(super) fn find_milestone(&self, repo: u32, id: i64) -> Option<u32> {
        let hash = self.hasher.hash_one((repo, id));
        let found = |row: &MilestoneRow| (row.repo, row.id) == (repo, id);
        self.milestones.find(hash, found)
    }

    pub(super) fn find_issue(&self, repo: u32, number: i32) -> Option<u32> {
        let hash = self.hasher.hash_one((repo, number));
        let found = |row: &IssueRow| (row.repo, row.number) == (repo, number);
        self.issues.find(hash, found)
    }

    /// The row of an issue, a new one if there is none.
    pub(super) fn issue(&mut self, repo: u32, number: i32) -> Result<u32, Full> {
        let key_of = |row: &IssueRow| (row.repo, row.number);
        let new = || IssueRow::new(repo, number);
        let (at, is_new) = self
            .issues
            .find_or_add(&self.hasher, (repo, number), key_of, new)?;
        if is_new && let Some(row) = self.repos.get_mut(repo) {
            let Self { lists, issues, .. } = self;
            let order = |&at: &u32| issues.get(at).map(|row| row.number).cmp(&Some(number));
            lists.insert_by(&mut row.issues, at, order)?;
            // Open as long as nobody says otherwise.
            lists.insert_by(&mut row.open, at, order)?;
        }
        Ok(at)
    }

    /// Lists an issue among the open ones of its repository, or does not.
    pub(super) fn list_open(&mut self, issue: u32, is_open: bool) -> Result<(), Full> {
        let Self {
            lists,
            issues,
            repos,
            ..
        } = self;
        let Some(row) = issues.get(issue) else {
            return Ok(());
        };
        let number = row.number;
        let order = |&at: &u32| issues.get(at).map(|row| row.number).cmp(&Some(number));
        match repos.get_mut(row.repo) {
            Some(repo) if is_open => lists.insert_by(&mut repo.open, issue, order),
            Some(repo) => {
                lists.remove_by(&mut repo.open, order);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Lists an issue among those with a label, or does not.
    pub(super) fn list_labeled(
        &mut self,
        label: u32,
        issue: u32,
        has_it: bool,
    ) -> Result<(), Full> {
        let Self {
            lists,
            issues,
            labels,
            ..
        } = self;
        let number = issues.get(issue).map(|row| row.number);
        let order = |&at: &u32| issues.get(at).map(|row| row.number).cmp(&number);
        match labels.get_mut(label) {
            Some(label) if has_it => lists.insert_by(&mut label.issues, issue, order),
            Some(label) => {
                lists.remove_by(&mut label.issues, order);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The row of an issue's comment, a new one if there is none; and whether it is new.
    pub(super) fn comment(&mut self, issue: u32, id: i64) -> Result<(u32, bool), Full> {
        let key_of = |row: &CommentRow| (row.issue, row.id);
        let new = || CommentRow {
            id,
            issue,
            user: NONE,
            body: Span::EMPTY,
            created: None,
            updated: None,
        };
        self.comments
            .find_or_add(&self.hasher, (issue, id), key_of, new)
    }

    pub(super) fn find_comment(&self, issue: u32, id: i64) -> Option<u32> {
        let hash = self.hasher.hash_one((issue, id));
        let found = |row: &CommentRow| (row.issue, row.id) == (issue, id);
        self.comments.find(hash, found)
    }

    /// Puts a comment where its time has it among those of an issue.
    pub(super) fn list_comment(&mut self, list: &mut List, at: u32) -> Result<(), Full> {
        let Self {
            lists, comments, ..
        } = self;
        let time = |at| comments.get(at).map(|row| (row.created, row.id));
        let its = time(at);
        lists.insert_by(list, at, |&other| time(other).cmp(&its))
    }

    /// Takes a comment from where its time has it.
    pub(super) fn unlist_comment(&mut self, list: &mut List, at: u32) {
        let Self {
            lists, comments, ..
        } = self;
        let time = |at| comments.get(at).map(|row| (row.created, row.id));
        let its = time(at);
        lists.remove_by(list, |&other| time(other).cmp(&its));
    }

    /// Adds an event, or puts it in the place of the one with its id.
    pub(super) fn put_event(&mut self, list: &mut List, new: EventRow) -> Result<(), Full> {
        let Self {
            lists,
            events,
            hasher,
            ..
        } = self;
        put(events, lists, hasher, list, new, |row| {
            (row.issue, row.id, row.created)
        })
    }

    /// As [`put_event`](Self::put_event), a review.
    pub(super) fn put_review(&mut self, list: &mut List, new: ReviewRow) -> Result<(), Full> {
        let Self {
            lists,
            reviews,
            hasher,
            ..
        } = self;
        put(reviews, lists, hasher, list, new, |row| {
            (row.issue, row.id, row.created)
        })
    }
}

/// Adds a row, or puts it in the place of the one with its key, and where its time has it in the
/// list. `key_of` gives issue, id and time.
fn put<T: Row>(
    rows: &mut Keyed<T>,
    lists: &mut Lists<u32>,
    hasher: &Hasher,
    list: &mut List,
    new: T,
    key_of: impl Fn(&T) -> (u32, i64, Option<Timestamp>),
) -> Result<(), Full> {
    let named = |row: &T| {
        let (issue, id, _) = key_of(row);
        (issue, id)
    };
    let (at, is_new) = rows.find_or_add(hasher, named(&new), named, || new)?;
    let time = |row: &T| {
        let (_, id, created) = key_of(row);
        (created, id)
    };
    let its = time(&new);
    if !is_new {
        let was = rows.get(at).map(time);
        if was != Some(its) {
            lists.remove_by(list, |&other| rows.get(other).map(time).cmp(&was));
        }
        if let Some(row) = rows.get_mut(at) {
            *row = new;
        }
        if was == Some(its) {
            return Ok(());
        }
    }
    let order = |&other: &u32| rows.get(other).map(time).cmp(&Some(its));
    lists.insert_by(list, at, order)
}

saved!(State {
    texts,
    hasher,
    repos,
    users,
    teams,
    labels,
    milestones,
    issues,
    comments,
    events,
    reviews,
    lists,
    recent,
});

impl<T: Row> Saved for Keyed<T> {
    fn save(&self, to: &mut Saver<'_>) -> io::Result<()> {
        self.rows.save(to)?;
        self.index.save(to)
    }

    fn open(from: &mut Opener) -> Result<Self, Unusable> {
        let (rows, index) = (Saved::open(from)?, Saved::open(from)?);
        Ok(Self { rows, index })
    }
}
