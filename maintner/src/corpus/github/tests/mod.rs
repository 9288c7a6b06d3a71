mod hostile;
mod issues;
mod lists;
mod repos;
mod said;

use prost::Message;
use prost_types::Timestamp as Time;

use super::*;
use crate::{
    corpus::{Snapshot, Timestamp},
    proto::{
        BoolChange, GithubCommit, GithubDismissedReviewEvent, GithubIssueCommentMutation,
        GithubIssueEvent, GithubIssueMutation, GithubIssueSyncStatus, GithubLabel, GithubMilestone,
        GithubMutation, GithubReview, GithubTeam, GithubUser, Mutation, StringChange,
    },
    reclog::Header,
};

/// What these mutations make.
fn corpus(mutations: impl IntoIterator<Item = Mutation>) -> Snapshot {
    let mut log = Vec::new();
    for mutation in mutations {
        let payload = mutation.encode_to_vec();
        log.extend_from_slice(&Header::new(log.len() as u64, payload.len() as u64));
        log.extend(payload);
    }
    Snapshot::of_log(log).unwrap()
}

/// What these mutations of golang/go#3 make.
fn issue(mutations: impl IntoIterator<Item = GithubIssueMutation>) -> Snapshot {
    corpus(mutations.into_iter().map(about_three))
}

fn about_three(issue: GithubIssueMutation) -> Mutation {
    about("golang", "go", 3, issue)
}

fn about(owner: &str, repo: &str, number: i32, issue: GithubIssueMutation) -> Mutation {
    Mutation {
        github_issue: Some(GithubIssueMutation {
            owner: owner.into(),
            repo: repo.into(),
            number,
            ..issue
        }),
        ..Mutation::default()
    }
}

fn three(snapshot: &Snapshot) -> Issue<'_> {
    let repo = snapshot.github().repo("golang", "go").unwrap();
    repo.issue(3).unwrap()
}

fn at(seconds: i64) -> Option<Time> {
    Some(Time { seconds, nanos: 0 })
}

fn time(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp::new(seconds, 0))
}

fn user(id: i64, login: &str) -> GithubUser {
    GithubUser {
        id,
        login: login.into(),
    }
}

fn label(id: i64, name: &str) -> GithubLabel {
    GithubLabel {
        id,
        name: name.into(),
    }
}

fn new() -> GithubIssueMutation {
    GithubIssueMutation::default()
}

fn truth(val: bool) -> Option<BoolChange> {
    Some(BoolChange { val })
}

fn text(val: &str) -> Option<StringChange> {
    Some(StringChange { val: val.into() })
}
