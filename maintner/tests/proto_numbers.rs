//! The schema has the names, numbers and types of the original: what peers see.

use std::collections::BTreeMap;

use prost_types::field_descriptor_proto::{Label, Type};

/// Message, and its fields: number, name, type; `*` for what repeats.
const ORIGINAL: &str = "
    Mutation 1 github_issue GithubIssueMutation, 2 git GitMutation, 3 github GithubMutation, 4 gerrit GerritMutation
    GithubMutation 1 owner string, 2 repo string, 3 labels *GithubLabel, 4 milestones *GithubMilestone
    GithubIssueMutation 1 owner string, 2 repo string, 3 number int32, 4 user GithubUser, 5 created Timestamp, 6 updated Timestamp, 7 body string, 8 comment *GithubIssueCommentMutation, 9 title string, 10 assignees *GithubUser, 11 deleted_assignees *int64, 12 id int64, 13 not_exist bool, 14 comment_status GithubIssueSyncStatus, 15 no_milestone bool, 16 milestone_id int64, 17 milestone_num int64, 18 milestone_title string, 19 closed BoolChange, 21 closed_at Timestamp, 22 closed_by GithubUser, 23 remove_label *int64, 24 add_label *GithubLabel, 25 locked BoolChange, 26 event *GithubIssueEvent, 27 event_status GithubIssueSyncStatus, 28 pull_request bool, 29 review *GithubReview, 30 review_status GithubIssueSyncStatus, 31 body_change StringChange
    BoolChange 1 val bool
    StringChange 1 val string
    GithubLabel 1 id int64, 2 name string
    GithubUser 1 id int64, 2 login string
    GithubTeam 1 id int64, 2 slug string
    GithubMilestone 1 id int64, 2 title string, 3 closed BoolChange, 4 number int64
    GithubCommit 1 owner string, 2 repo string, 3 commit_id string
    GithubIssueSyncStatus 1 server_date Timestamp
    GithubIssueCommentMutation 1 id int64, 2 user GithubUser, 3 body string, 4 created Timestamp, 5 updated Timestamp
    GithubDismissedReviewEvent 1 review_id int64, 3 dismissal_message string, 4 state string
    GithubIssueEvent 1 id int64, 2 event_type string, 3 actor_id int64, 4 created Timestamp, 5 label GithubLabel, 6 milestone GithubMilestone, 7 assignee_id int64, 8 assigner_id int64, 9 commit GithubCommit, 10 other_json bytes, 11 rename_from string, 12 rename_to string, 13 reviewer_id int64, 14 review_requester_id int64, 15 dismissed_review GithubDismissedReviewEvent, 16 team_reviewer GithubTeam
    GithubReview 1 id int64, 2 actor_id int64, 3 created Timestamp, 4 body string, 5 state string, 6 commit_id string, 7 actor_association string, 8 other_json bytes
    GitMutation 1 repo GitRepo, 2 commit GitCommit
    GitRepo 1 go_repo string
    GitCommit 1 sha1 string, 2 raw bytes, 3 diff_tree GitDiffTree
    GitDiffTree 1 file *GitDiffTreeFile
    GitDiffTreeFile 1 file string, 2 added int64, 3 deleted int64, 4 binary bool
    GerritMutation 1 project string, 2 commits *GitCommit, 3 refs *GitRef, 4 deleted_refs *string
    GitRef 1 ref string, 2 sha1 string
";

#[test]
fn names_numbers_and_types_are_those_of_the_original() {
    let schema = protox::compile(
        ["maintpb.proto"],
        [concat!(env!("CARGO_MANIFEST_DIR"), "/proto")],
    )
    .unwrap();
    let file = schema
        .file
        .into_iter()
        .find(|file| file.name().ends_with("maintpb.proto"))
        .unwrap();
    assert_eq!((file.package(), file.syntax()), ("maintpb", "proto3"));
    let mut ours = BTreeMap::new();
    for message in &file.message_type {
        let mut fields: Vec<_> = message.field.iter().collect();
        fields.sort_by_key(|field| field.number());
        let shown = fields.into_iter().map(|field| {
            let what = match field.r#type() {
                Type::Message => field.type_name().rsplit('.').next().unwrap().to_owned(),
                plain => format!("{plain:?}").to_lowercase(),
            };
            let many = if field.label() == Label::Repeated {
                "*"
            } else {
                ""
            };
            format!("{} {} {many}{what}", field.number(), field.name())
        });
        ours.insert(
            message.name().to_owned(),
            shown.collect::<Vec<_>>().join(", "),
        );
    }
    let original = ORIGINAL
        .lines()
        .filter_map(|line| line.trim().split_once(' '));
    let original: BTreeMap<_, _> = original
        .map(|(name, fields)| (name.to_owned(), fields.to_owned()))
        .collect();
    for (name, fields) in &original {
        assert_eq!(ours.get(name), Some(fields), "{name}");
    }
    assert!(ours.keys().eq(original.keys()));
}
