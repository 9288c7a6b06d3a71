use serde_json::{Value, json};

use crate::corpus::{Event, GitHub, Issue, Milestone, Repo, Timestamp, User};

pub(super) fn github(github: GitHub<'_>) -> Value {
    let mut repos: Vec<Repo<'_>> = github.repos().collect();
    repos.sort_by_key(|repo| [repo.owner(), repo.name()].map(str::to_ascii_lowercase));
    let mut users: Vec<_> = github
        .users()
        .map(|user| (user.id().0, user.login()))
        .collect();
    users.sort_unstable();
    let mut teams: Vec<_> = github
        .teams()
        .map(|team| (team.id().0, team.slug()))
        .collect();
    teams.sort_unstable();
    json!({
        "repos": repos.into_iter().map(repo).collect::<Vec<_>>(),
        "users": users,
        "teams": teams,
    })
}

fn repo(repo: Repo<'_>) -> Value {
    json!({
        "owner": repo.owner(),
        "name": repo.name(),
        "labels": repo.labels().map(|label| json!([label.id().0, label.name()])).collect::<Vec<_>>(),
        "milestones": repo.milestones().map(milestone).collect::<Vec<_>>(),
        "issues": repo.issues().map(issue).collect::<Vec<_>>(),
    })
}

fn milestone(milestone: Milestone<'_>) -> Value {
    json!({
        "id": milestone.id().0,
        "title": milestone.title(),
        "number": milestone.number(),
        "closed": milestone.is_closed(),
    })
}

fn time(time: Option<Timestamp>) -> Value {
    json!(time.map(|time| (time.seconds(), time.nanos())))
}

fn person(user: Option<User<'_>>) -> Value {
    json!(user.map(|user| (user.id().0, user.login())))
}

fn issue(issue: Issue<'_>) -> Value {
    json!({
        "number": issue.number(),
        "id": issue.id(),
        "not_exist": issue.not_exist(),
        "closed": issue.is_closed(),
        "locked": issue.is_locked(),
        "pull_request": issue.is_pull_request(),
        "user": person(issue.author()),
        "assignees": issue.assignees().map(|user| person(Some(user))).collect::<Vec<_>>(),
        "created": time(issue.created()),
        "updated": time(issue.updated()),
        "closed_at": time(issue.closed_at()),
        "closed_by": person(issue.closed_by()),
        "title": issue.title(),
        "body": issue.body(),
        "milestone": match issue.milestone() {
            Some(it) => milestone(it),
            None if issue.is_milestone_known() => json!("none"),
            None => Value::Null,
        },
        "labels": issue.labels().map(|label| json!([label.id().0, label.name()])).collect::<Vec<_>>(),
        "comments": issue.comments().map(|comment| json!({
            "id": comment.id().0,
            "user": person(comment.user()),
            "created": time(comment.created()),
            "updated": time(comment.updated()),
            "body": comment.body(),
        })).collect::<Vec<_>>(),
        "last_modified": time(issue.last_modified()),
        "comments_as_of": time(issue.comments_synced()),
        "events_as_of": time(issue.events_synced()),
        "reviews_as_of": time(issue.reviews_synced()),
        "events": issue.events().map(event).collect::<Vec<_>>(),
        "reviews": issue.reviews().map(|review| json!({
            "id": review.id().0,
            "actor": person(review.actor()),
            "created": time(review.created()),
            "body": review.body(),
            "state": review.state(),
            "commit": review.commit_id(),
            "association": review.actor_association(),
            "other_json": String::from_utf8_lossy(review.other_json()),
        })).collect::<Vec<_>>(),
    })
}

fn event(event: Event<'_>) -> Value {
    json!({
        "id": event.id().0,
        "type": event.kind(),
        "actor": person(event.actor()),
        "created": time(event.created()),
        "label": event.label().unwrap_or_default(),
        "milestone": event.milestone().unwrap_or_default(),
        "assignee": person(event.assignee()),
        "assigner": person(event.assigner()),
        "commit": event.commit_id(),
        "commit_url": event.commit_url().unwrap_or_default(),
        "other_json": String::from_utf8_lossy(event.other_json()),
        "from": event.from(),
        "to": event.to(),
        "reviewer": person(event.reviewer()),
        "review_requester": person(event.review_requester()),
        "dismissed": event.dismissed_review().map(|dismissed| (dismissed.review.0, dismissed.state, dismissed.message)),
        "team": event.team_reviewer().map(|team| (team.id().0, team.slug())),
    })
}
