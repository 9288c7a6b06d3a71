use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::corpus::{Change, Gerrit, Meta, Project, ReviewerKind};

pub(super) fn gerrit(gerrit: Gerrit<'_>) -> Value {
    gerrit.projects().map(project).collect()
}

fn project(project: Project<'_>) -> Value {
    let refs = project
        .refs()
        .map(|to| (to.name, to.commit.name().to_string()));
    json!({
        "server": project.server(),
        "project": project.name(),
        "refs": refs.collect::<BTreeMap<_, _>>(),
        "label_changes": project.num_label_changes(),
        "changes": project.cls().map(change).collect::<Vec<_>>(),
    })
}

fn change(change: Change<'_>) -> Value {
    let patch_sets = change.patch_sets();
    let patch_sets = patch_sets.map(|set| (set.version, set.commit.name().to_string()));
    let metas: Vec<Meta<'_>> = change.metas().collect();
    let mentions = change.references().map(|to| {
        json!([
            to.owner.to_ascii_lowercase(),
            to.repo.to_ascii_lowercase(),
            to.number
        ])
    });
    json!({
        "number": change.number(),
        "created": change.created().seconds(),
        "version": change.version(),
        "commit": change.commit().name().to_string(),
        "patch_sets": patch_sets.collect::<BTreeMap<_, _>>(),
        "meta": change.meta().commit().name().to_string(),
        "status": change.status().name(),
        "private": change.is_private(),
        "was_private": change.was_private(),
        "work_in_progress": change.work_in_progress(),
        "branch": change.branch(),
        "topic": change.topic(),
        "reviewers": change.reviewers().into_iter().map(|(person, kind)| json!([
            person,
            kind == ReviewerKind::Cc,
        ])).collect::<Vec<_>>(),
        "change_id": change.change_id(),
        "subject": change.subject(),
        "owner": change.owner().map(|owner| owner.person),
        "owner_id": change.owner_id(),
        "mentions": mentions.collect::<Vec<_>>(),
        "messages": change.messages().map(|message| json!([
            message.meta.commit().name().to_string(),
            message.version,
            message.text,
            message.date.seconds(),
            message.author.person,
        ])).collect::<Vec<_>>(),
        "metas": metas.iter().enumerate().map(|(at, &it)| meta(it, super::has_votes(at, metas.len()))).collect::<Vec<_>>(),
    })
}

fn meta(meta: Meta<'_>, with_votes: bool) -> Value {
    let edits = meta.hashtag_edits();
    json!({
        "name": meta.commit().name().to_string(),
        "footer": meta.footer(),
        "tag": Some(meta.action_tag()).filter(|tag| !tag.is_empty()),
        "hashtags": meta.hashtags().iter().collect::<Vec<_>>(),
        "edits": edits.map(|edits| (edits.added.0, edits.removed.0)),
        "votes": Some(meta).filter(|_| with_votes).and_then(|meta| meta.label_votes().ok()).map(|votes| {
            let mut by_label: BTreeMap<&str, BTreeMap<&str, i16>> = BTreeMap::new();
            for vote in votes.iter().filter(|vote| vote.value != 0) {
                by_label.entry(vote.label).or_default().insert(vote.voter, vote.value);
            }
            by_label
        }),
    })
}
