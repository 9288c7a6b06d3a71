use std::collections::BTreeMap;

use prost_types::Timestamp;
use serde_json::{Value, json};

use crate::proto::{
    GithubIssueEvent, GithubIssueMutation, GithubMutation, GithubReview, GithubUser,
};

type Time = Option<(i64, i32)>;

#[derive(Debug, Clone, Default)]
pub(super) struct GitHub {
    /// By lower-case owner and name.
    repos: BTreeMap<(String, String), Repo>,
    users: BTreeMap<i64, String>,
    teams: BTreeMap<i64, String>,
}

#[derive(Debug, Clone, Default)]
struct Repo {
    owner: String,
    name: String,
    issues: BTreeMap<i32, Issue>,
    labels: BTreeMap<i64, String>,
    milestones: BTreeMap<i64, Milestone>,
}

#[derive(Debug, Clone, Default)]
struct Milestone {
    title: String,
    number: i64,
    closed: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Chosen {
    #[default]
    Unknown,
    None,
    Is(i64),
}

#[derive(Debug, Clone, Default)]
struct Issue {
    id: i64,
    not_exist: bool,
    closed: bool,
    locked: bool,
    pull_request: bool,
    user: Option<i64>,
    assignees: Vec<i64>,
    created: Time,
    updated: Time,
    /// Of an event or a review, be it one that was replaced since.
    newest: Time,
    closed_at: Time,
    closed_by: Option<i64>,
    title: String,
    body: String,
    milestone: Chosen,
    labels: Vec<i64>,
    comments: BTreeMap<i64, Comment>,
    events: BTreeMap<i64, GithubIssueEvent>,
    reviews: BTreeMap<i64, GithubReview>,
    comments_as_of: Time,
    events_as_of: Time,
    reviews_as_of: Time,
}

#[derive(Debug, Clone, Default)]
struct Comment {
    user: Option<i64>,
    created: Time,
    updated: Time,
    body: String,
}

fn time(time: Option<&Timestamp>) -> Time {
    time.map(|time| (time.seconds, time.nanos))
}

fn set<T>(to: &mut Option<T>, from: Option<T>) {
    if from.is_some() {
        *to = from;
    }
}

fn set_text(to: &mut String, from: &str) {
    if !from.is_empty() {
        from.clone_into(to);
    }
}

impl GitHub {
    fn repo(&mut self, owner: &str, name: &str) -> Option<&mut Repo> {
        if owner.is_empty() || name.is_empty() {
            return None;
        }
        let key = (owner.to_ascii_lowercase(), name.to_ascii_lowercase());
        Some(self.repos.entry(key).or_insert_with(|| Repo {
            owner: owner.to_owned(),
            name: name.to_owned(),
            ..Repo::default()
        }))
    }

    fn user(&mut self, user: Option<&GithubUser>) -> Option<i64> {
        let user = user?;
        set_text(self.users.entry(user.id).or_default(), &user.login);
        Some(user.id)
    }

    pub(super) fn apply(&mut self, mutation: &GithubMutation) {
        let Some(repo) = self.repo(&mutation.owner, &mutation.repo) else {
            return;
        };
        for label in mutation.labels.iter().filter(|label| label.id != 0) {
            set_text(repo.labels.entry(label.id).or_default(), &label.name);
        }
        for new in mutation.milestones.iter().filter(|new| new.id != 0) {
            let milestone = repo.milestones.entry(new.id).or_default();
            set_text(&mut milestone.title, &new.title);
            if new.number != 0 {
                milestone.number = new.number;
            }
            if let Some(closed) = new.closed {
                milestone.closed = closed.val;
            }
        }
    }

    pub(super) fn apply_issue(&mut self, new: &GithubIssueMutation) {
        if new.number == 0 || self.repo(&new.owner, &new.repo).is_none() {
            return;
        }
        if !new.not_exist {
            // People first: the borrow of the issue comes after.
            let people = [new.user.as_ref(), new.closed_by.as_ref()];
            let people = people.into_iter().flatten().chain(&new.assignees);
            let comments = new.comment.iter().filter(|comment| comment.id != 0);
            for user in people.chain(comments.filter_map(|comment| comment.user.as_ref())) {
                self.user(Some(user));
            }
            for event in new.event.iter().filter(|event| event.id != 0) {
                let ids = [
                    event.actor_id,
                    event.assignee_id,
                    event.assigner_id,
                    event.reviewer_id,
                    event.review_requester_id,
                ];
                for id in ids.into_iter().filter(|&id| id != 0) {
                    self.users.entry(id).or_default();
                }
                if let Some(team) = &event.team_reviewer {
                    set_text(self.teams.entry(team.id).or_default(), &team.slug);
                }
            }
            for review in new.review.iter().filter(|review| review.id != 0) {
                if review.actor_id != 0 {
                    self.users.entry(review.actor_id).or_default();
                }
            }
        }
        if let Some(repo) = self.repo(&new.owner, &new.repo) {
            repo.apply(new);
        }
    }

    pub(super) fn dump(&self) -> Value {
        let named = |map: &BTreeMap<i64, String>| -> Vec<Value> {
            map.iter().map(|(id, name)| json!([id, name])).collect()
        };
        json!({
            "repos": self.repos.values().map(|repo| json!({
                "owner": repo.owner,
                "name": repo.name,
                "labels": named(&repo.labels),
                "milestones": repo.milestones.keys().map(|&id| repo.milestone(id)).collect::<Vec<_>>(),
                "issues": repo.issues.iter().map(|(&number, issue)| self.issue(repo, number, issue)).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "users": named(&self.users),
            "teams": named(&self.teams),
        })
    }

    fn person(&self, id: Option<i64>) -> Value {
        id.map_or(Value::Null, |id| json!([id, self.users.get(&id)]))
    }

    fn issue(&self, repo: &Repo, number: i32, issue: &Issue) -> Value {
        let mut comments: Vec<_> = issue.comments.iter().collect();
        comments.sort_by_key(|(id, comment)| (comment.created, **id));
        let mut events: Vec<_> = issue.events.values().collect();
        events.sort_by_key(|event| (time(event.created.as_ref()), event.id));
        let mut reviews: Vec<_> = issue.reviews.values().collect();
        reviews.sort_by_key(|review| (time(review.created.as_ref()), review.id));
        let labels: BTreeMap<_, _> = issue
            .labels
            .iter()
            .map(|id| (id, repo.labels.get(id)))
            .collect();
        json!({
            "number": number,
            "id": Some(issue.id).filter(|&id| id != 0),
            "not_exist": issue.not_exist,
            "closed": issue.closed,
            "locked": issue.locked,
            "pull_request": issue.pull_request,
            "user": self.person(issue.user),
            "assignees": issue.assignees.iter().map(|&id| self.person(Some(id))).collect::<Vec<_>>(),
            "created": issue.created,
            "updated": issue.updated,
            "closed_at": issue.closed_at,
            "closed_by": self.person(issue.closed_by),
            "title": issue.title,
            "body": issue.body,
            "milestone": match issue.milestone {
                Chosen::Unknown => Value::Null,
                Chosen::None => json!("none"),
                Chosen::Is(id) => repo.milestone(id),
            },
            "labels": labels.into_iter().map(|label| json!(label)).collect::<Vec<_>>(),
            "comments": comments.into_iter().map(|(id, comment)| json!({
                "id": id,
                "user": self.person(comment.user),
                "created": comment.created,
                "updated": comment.updated,
                "body": comment.body,
            })).collect::<Vec<_>>(),
            "last_modified": issue.updated.max(issue.newest),
            "comments_as_of": issue.comments_as_of,
            "events_as_of": issue.events_as_of,
            "reviews_as_of": issue.reviews_as_of,
            "events": events.into_iter().map(|event| self.event(event)).collect::<Vec<_>>(),
            "reviews": reviews.into_iter().filter(|_| issue.pull_request).map(|review| json!({
                "id": review.id,
                "actor": self.person(Some(review.actor_id).filter(|&id| id != 0)),
                "created": time(review.created.as_ref()),
                "body": review.body,
                "state": review.state,
                "commit": review.commit_id,
                "association": review.actor_association,
                "other_json": String::from_utf8_lossy(&review.other_json),
            })).collect::<Vec<_>>(),
        })
    }

    fn event(&self, event: &GithubIssueEvent) -> Value {
        let person = |id: i64| self.person(Some(id).filter(|&id| id != 0));
        let commit = event.commit.as_ref();
        let url = commit.filter(|commit| !commit.owner.is_empty() && !commit.repo.is_empty());
        json!({
            "id": event.id,
            "type": event.event_type,
            "actor": person(event.actor_id),
            "created": time(event.created.as_ref()),
            "label": event.label.as_ref().map_or("", |label| &label.name),
            "milestone": event.milestone.as_ref().map_or("", |milestone| &milestone.title),
            "assignee": person(event.assignee_id),
            "assigner": person(event.assigner_id),
            "commit": commit.map_or("", |commit| &commit.commit_id),
            "commit_url": url.map_or_else(String::new, |commit| format!(
                "https://api.github.com/repos/{}/{}/commits/{}",
                commit.owner, commit.repo, commit.commit_id
            )),
            "other_json": String::from_utf8_lossy(&event.other_json),
            "from": event.rename_from,
            "to": event.rename_to,
            "reviewer": person(event.reviewer_id),
            "review_requester": person(event.review_requester_id),
            "dismissed": event.dismissed_review.as_ref().map(|dismissed| json!([
                dismissed.review_id, dismissed.state, dismissed.dismissal_message
            ])),
            "team": event.team_reviewer.as_ref().map(|team| json!([team.id, self.teams.get(&team.id)])),
        })
    }
}

impl Repo {
    fn milestone(&self, id: i64) -> Value {
        let Milestone {
            title,
            number,
            closed,
        } = self.milestones.get(&id).cloned().unwrap_or_default();
        json!({ "id": id, "title": title, "number": number, "closed": closed })
    }

    fn apply(&mut self, new: &GithubIssueMutation) {
        let issue = self.issues.entry(new.number).or_default();
        if issue.id == 0 {
            issue.id = new.id;
        }
        issue.not_exist = new.not_exist;
        if new.not_exist {
            return;
        }
        if issue.created.is_none() {
            issue.created = time(new.created.as_ref());
        }
        set(&mut issue.updated, time(new.updated.as_ref()));
        set(&mut issue.closed_at, time(new.closed_at.as_ref()));
        set(&mut issue.user, new.user.as_ref().map(|user| user.id));
        set(
            &mut issue.closed_by,
            new.closed_by.as_ref().map(|user| user.id),
        );
        if let Some(closed) = new.closed {
            issue.closed = closed.val;
        }
        if let Some(locked) = new.locked {
            issue.locked = locked.val;
        }
        issue.pull_request |= new.pull_request;
        if new.no_milestone {
            issue.milestone = Chosen::None;
        } else if new.milestone_id != 0 {
            issue.milestone = Chosen::Is(new.milestone_id);
            let milestone = self.milestones.entry(new.milestone_id).or_default();
            set_text(&mut milestone.title, &new.milestone_title);
            if new.milestone_num != 0 {
                milestone.number = new.milestone_num;
            }
        }
        for user in &new.assignees {
            if !issue.assignees.contains(&user.id) {
                issue.assignees.push(user.id);
            }
        }
        issue
            .assignees
            .retain(|id| !new.deleted_assignees.contains(id));
        set_text(&mut issue.body, &new.body);
        if let Some(body) = &new.body_change {
            issue.body.clone_from(&body.val);
        }
        set_text(&mut issue.title, &new.title);
        issue.labels.retain(|id| !new.remove_label.contains(id));
        for label in new.add_label.iter().filter(|label| label.id != 0) {
            set_text(self.labels.entry(label.id).or_default(), &label.name);
            if !issue.labels.contains(&label.id) {
                issue.labels.push(label.id);
            }
        }
        for new in new.comment.iter().filter(|comment| comment.id != 0) {
            let comment = issue.comments.entry(new.id).or_default();
            set(&mut comment.user, new.user.as_ref().map(|user| user.id));
            set(&mut comment.created, time(new.created.as_ref()));
            set(&mut comment.updated, time(new.updated.as_ref()));
            set_text(&mut comment.body, &new.body);
        }
        for event in new.event.iter().filter(|event| event.id != 0) {
            issue.newest = issue.newest.max(time(event.created.as_ref()));
            issue.events.insert(event.id, event.clone());
        }
        for review in new.review.iter().filter(|review| review.id != 0) {
            issue.newest = issue.newest.max(time(review.created.as_ref()));
            issue.reviews.insert(review.id, review.clone());
        }
        for (as_of, status) in [
            (&mut issue.comments_as_of, &new.comment_status),
            (&mut issue.events_as_of, &new.event_status),
            (&mut issue.reviews_as_of, &new.review_status),
        ] {
            let date = status
                .as_ref()
                .and_then(|status| status.server_date.as_ref());
            set(as_of, time(date));
        }
    }
}
