//! What a mutation changes. Whatever it says, something comes of it: parts that nobody can make
//! anything of are passed over and counted.

use super::{
    rows::{EventRow, IssueRow, NONE, ReviewRow},
    state::State,
};
use crate::{
    proto::{view, wire::DecodeError},
    store::{Full, Origin, Span, Timestamp},
};

/// Labels of an issue, and users it is assigned to, at most. GitHub allows 100 and 10; without a
/// limit, a hostile log could make each change of a list cost more than the one before.
const LONGEST_LIST: usize = 1000;

impl State {
    /// Applies a mutation about a repository.
    pub(in crate::corpus) fn apply(
        &mut self,
        origin: Origin<'_>,
        mutation: &view::GithubMutation<'_>,
        skipped: &mut u64,
    ) -> Result<(), Full> {
        if mutation.owner.is_empty() || mutation.repo.is_empty() {
            *skipped += 1;
            return Ok(());
        }
        let repo = self.repo(origin, mutation.owner, mutation.repo)?;
        for label in mutation.labels {
            match label.ok().filter(|label| label.id != 0) {
                Some(label) => drop(self.label(origin, repo, &label)?),
                None => *skipped += 1,
            }
        }
        for milestone in mutation.milestones {
            match milestone.ok().filter(|milestone| milestone.id != 0) {
                Some(milestone) => drop(self.milestone(origin, repo, &milestone)?),
                None => *skipped += 1,
            }
        }
        Ok(())
    }

    /// Applies a mutation about an issue.
    pub(in crate::corpus) fn apply_issue(
        &mut self,
        origin: Origin<'_>,
        mutation: &view::GithubIssueMutation<'_>,
        skipped: &mut u64,
    ) -> Result<(), Full> {
        if mutation.owner.is_empty() || mutation.repo.is_empty() || mutation.number == 0 {
            *skipped += 1;
            return Ok(());
        }
        let repo = self.repo(origin, mutation.owner, mutation.repo)?;
        let at = self.issue(repo, mutation.number)?;
        let Some(&row) = self.issues.get(at) else {
            return Ok(());
        };
        let mut issue = Issue {
            state: self,
            origin,
            at,
            row,
            skipped: 0,
        };
        let applied = issue.apply(mutation);
        let (was_open, row) = (row.is_open(), issue.row);
        *skipped += issue.skipped;
        if let Some(place) = self.issues.get_mut(at) {
            *place = row;
        }
        if row.is_open() != was_open {
            self.list_open(at, row.is_open())?;
        }
        applied
    }
}

/// An issue while a mutation is applied.
struct Issue<'a> {
    state: &'a mut State,
    origin: Origin<'a>,
    at: u32,
    row: IssueRow,
    skipped: u64,
}

impl Issue<'_> {
    fn apply(&mut self, new: &view::GithubIssueMutation<'_>) -> Result<(), Full> {
        if self.row.id == 0 {
            self.row.id = new.id;
        }
        // Any mutation without the flag brings an issue back, with what it had.
        self.row.not_exist = new.not_exist;
        if new.not_exist {
            return Ok(());
        }
        self.apply_fields(new)?;
        self.apply_milestone(new)?;
        self.apply_assignees(new)?;
        self.apply_labels(new)?;
        self.apply_comments(new)?;
        self.apply_events(new)?;
        self.apply_reviews(new)
    }

    fn apply_fields(&mut self, new: &view::GithubIssueMutation<'_>) -> Result<(), Full> {
        let row = &mut self.row;
        row.created = row.created.or_else(|| time(new.created));
        row.updated = time(new.updated).or(row.updated);
        row.closed_at = time(new.closed_at).or(row.closed_at);
        row.closed = new.closed.map_or(row.closed, |closed| closed.val);
        row.locked = new.locked.map_or(row.locked, |locked| locked.val);
        row.pull_request |= new.pull_request;
        if !new.body.is_empty() {
            row.body = self.origin.span_of(new.body.as_bytes());
        }
        if let Some(body) = new.body_change {
            row.body = self.origin.span_of(body.val.as_bytes());
        }
        if !new.title.is_empty() {
            row.title = self.origin.span_of(new.title.as_bytes());
        }
        row.comments_synced = synced(new.comment_status).or(row.comments_synced);
        row.events_synced = synced(new.event_status).or(row.events_synced);
        row.reviews_synced = synced(new.review_status).or(row.reviews_synced);
        if let Some(user) = &new.user {
            self.row.author = self.state.user(self.origin, user)?;
        }
        if let Some(user) = &new.closed_by {
            self.row.closed_by = self.state.user(self.origin, user)?;
        }
        Ok(())
    }

    fn apply_milestone(&mut self, new: &view::GithubIssueMutation<'_>) -> Result<(), Full> {
        if new.no_milestone {
            self.row.milestone = NONE;
        } else if new.milestone_id != 0 {
            let milestone = view::GithubMilestone {
                id: new.milestone_id,
                number: new.milestone_num,
                title: new.milestone_title,
                ..view::GithubMilestone::default()
            };
            self.row.milestone = self
                .state
                .milestone(self.origin, self.row.repo, &milestone)?;
        } else {
            return Ok(());
        }
        self.row.milestone_known = true;
        Ok(())
    }

    fn apply_assignees(&mut self, new: &view::GithubIssueMutation<'_>) -> Result<(), Full> {
        for user in new.assignees {
            let Some(user) = self.readable(user, |_| true) else {
                continue;
            };
            let user = self.state.user(self.origin, &user)?;
            let list = &mut self.row.assignees;
            let is_assigned = self.state.lists.iter(*list).any(|&other| other == user);
            if is_assigned {
                continue;
            }
            if list.len() < LONGEST_LIST {
                self.state.lists.push(list, user)?;
            } else {
                self.skipped += 1;
            }
        }
        for id in new.deleted_assignees {
            let Some(user) = self.state.find_user(id) else {
                continue;
            };
            let lists = &mut self.state.lists;
            let list = self.row.assignees;
            if lists.iter(list).all(|&other| other != user) {
                continue;
            }
            let mut rest: Vec<u32> = lists.iter(list).copied().collect();
            rest.retain(|&other| other != user);
            lists.clear(&mut self.row.assignees);
            for user in rest {
                lists.push(&mut self.row.assignees, user)?;
            }
        }
        Ok(())
    }

    fn apply_labels(&mut self, new: &view::GithubIssueMutation<'_>) -> Result<(), Full> {
        for id in new.remove_label {
            let State { lists, labels, .. } = &mut *self.state;
            let removed = lists.remove_by(&mut self.row.labels, |&at| {
                labels.get(at).map(|row| row.id).cmp(&Some(id))
            });
            if let Some(label) = removed {
                self.state.list_labeled(label, self.at, false)?;
            }
        }
        for label in new.add_label {
            let Some(label) = self.readable(label, |label| label.id != 0) else {
                continue;
            };
            let at = self.state.label(self.origin, self.row.repo, &label)?;
            let State { lists, labels, .. } = &mut *self.state;
            let order = |&at: &u32| labels.get(at).map(|row| row.id).cmp(&Some(label.id));
            if lists.find_by(self.row.labels, order).is_some() {
                continue;
            }
            if self.row.labels.len() < LONGEST_LIST {
                lists.insert_by(&mut self.row.labels, at, order)?;
                self.state.list_labeled(at, self.at, true)?;
            } else {
                self.skipped += 1;
            }
        }
        Ok(())
    }

    fn apply_comments(&mut self, new: &view::GithubIssueMutation<'_>) -> Result<(), Full> {
        for new in new.comment {
            let Some(new) = self.readable(new, |comment| comment.id != 0) else {
                continue;
            };
            let user = match &new.user {
                Some(user) => self.state.user(self.origin, user)?,
                None => NONE,
            };
            let (at, is_new) = self.state.comment(self.at, new.id)?;
            let Some(row) = self.state.comments.get(at) else {
                continue;
            };
            let created = time(new.created).or(row.created);
            let has_moved = !is_new && created != row.created;
            if has_moved {
                self.state.unlist_comment(&mut self.row.comments, at);
            }
            if let Some(row) = self.state.comments.get_mut(at) {
                row.created = created;
                row.updated = time(new.updated).or(row.updated);
                if new.user.is_some() {
                    row.user = user;
                }
                if !new.body.is_empty() {
                    row.body = self.origin.span_of(new.body.as_bytes());
                }
            }
            if is_new || has_moved {
                self.state.list_comment(&mut self.row.comments, at)?;
            }
        }
        Ok(())
    }

    fn apply_events(&mut self, new: &view::GithubIssueMutation<'_>) -> Result<(), Full> {
        for bytes in new.event.bytes() {
            let is_good = |event: &view::GithubIssueEvent<'_>| event.id != 0;
            let Some((message, event)) = self.placed(bytes, is_good) else {
                continue;
            };
            let actor = self.person(event.actor_id)?;
            for id in [
                event.assignee_id,
                event.assigner_id,
                event.reviewer_id,
                event.review_requester_id,
            ] {
                self.person(id)?;
            }
            if let Some(team) = &event.team_reviewer {
                self.state.team(self.origin, team)?;
            }
            let texts = &mut self.state.texts;
            let row = EventRow {
                id: event.id,
                issue: self.at,
                actor,
                kind: texts.intern(self.origin, event.event_type.as_bytes()),
                created: time(event.created),
                message,
            };
            self.state.put_event(&mut self.row.events, row)?;
            self.row.newest_event = self.row.newest_event.max(row.created);
        }
        Ok(())
    }

    fn apply_reviews(&mut self, new: &view::GithubIssueMutation<'_>) -> Result<(), Full> {
        for bytes in new.review.bytes() {
            let is_good = |review: &view::GithubReview<'_>| review.id != 0;
            let Some((message, review)) = self.placed(bytes, is_good) else {
                continue;
            };
            let row = ReviewRow {
                id: review.id,
                issue: self.at,
                actor: self.person(review.actor_id)?,
                created: time(review.created),
                message,
            };
            self.state.put_review(&mut self.row.reviews, row)?;
            self.row.newest_review = self.row.newest_review.max(row.created);
        }
        Ok(())
    }

    /// The message, if it can be read and is good.
    fn readable<V>(
        &mut self,
        message: Result<V, DecodeError>,
        is_good: impl Fn(&V) -> bool,
    ) -> Option<V> {
        let message = message.ok().filter(is_good);
        self.skipped += u64::from(message.is_none());
        message
    }

    /// The message, which is kept as it is, and its place, if it can be read and is good.
    fn placed<'a, V: view::View<'a>>(
        &mut self,
        bytes: Result<&'a [u8], DecodeError>,
        is_good: impl Fn(&V) -> bool,
    ) -> Option<(Span, V)> {
        let message = bytes.and_then(|bytes| Ok((self.origin.span_of(bytes), V::decode(bytes)?)));
        self.readable(message, |(_, message)| is_good(message))
    }

    /// The row of a user; id 0 is nobody.
    fn person(&mut self, id: i64) -> Result<u32, Full> {
        if id == 0 {
            return Ok(NONE);
        }
        self.state.user_id(id)
    }
}

fn time(time: Option<view::Timestamp<'_>>) -> Option<Timestamp> {
    time.as_ref().map(Timestamp::of)
}

fn synced(status: Option<view::GithubIssueSyncStatus<'_>>) -> Option<Timestamp> {
    time(status?.server_date)
}
