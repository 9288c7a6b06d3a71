use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    git::{Commit, Git, hash},
    meta,
};
use crate::{proto::GerritMutation, testing::dump::has_votes};

#[derive(Debug, Clone, Default)]
pub(super) struct Project {
    refs: BTreeMap<String, String>,
    changes: BTreeMap<i32, Change>,
}

#[derive(Debug, Clone, Default)]
struct Change {
    /// Something about it is new, or not all of its meta commits are known.
    is_open: bool,
    meta: Option<String>,
    patch_sets: BTreeMap<i32, String>,
    told_last: i32,
    /// Its meta commits, oldest first, as of the last time that all of them were known.
    metas: Vec<String>,
    /// Meta commits with votes, all that there ever were.
    votes_seen: BTreeSet<String>,
    version: i32,
    branch: String,
    status: &'static str,
    private: bool,
    was_private: bool,
    mentions: Vec<(String, String, i32)>,
}

/// Number of the change, and the patch set, if it is no meta ref.
fn change_ref(name: &str) -> Option<(i32, Option<i32>)> {
    let rest = name.strip_prefix("refs/changes/")?;
    let (shard, rest) = rest.split_once('/')?;
    let (number, what) = rest.split_once('/')?;
    let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    if shard.len() != 2 || !shard.chars().all(hex) {
        return None;
    }
    if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let digits = what.chars().take_while(char::is_ascii_digit).count();
    let version = if what.starts_with("meta") {
        None
    } else if digits > 0 {
        Some(what[..digits].parse().ok()?)
    } else {
        return None;
    };
    Some((number.parse().ok()?, version))
}

impl Project {
    pub(super) fn apply(&mut self, mutation: &GerritMutation, git: &mut Git) {
        for commit in &mutation.commits {
            git.add(commit);
        }
        for name in &mutation.deleted_refs {
            self.refs.remove(name);
        }
        for new in &mutation.refs {
            let Some(to) = hash(&new.sha1).filter(|to| git.get(to).is_some()) else {
                continue;
            };
            match change_ref(&new.r#ref) {
                Some((number, version)) => {
                    let change = self.changes.entry(number).or_default();
                    change.is_open = true;
                    if let Some(version) = version {
                        change.patch_sets.insert(version, to);
                        change.told_last = version;
                    } else {
                        change.meta = Some(to);
                    }
                }
                None if new.r#ref.starts_with("refs/meta/") => {}
                None => {
                    self.refs.insert(new.r#ref.clone(), to);
                }
            }
        }
    }

    pub(super) fn finish(&mut self, project: &str, git: &Git, as_original: bool) {
        for change in self.changes.values_mut().filter(|change| change.is_open) {
            change.finish(project, git, as_original);
        }
    }

    pub(super) fn dump(&self, name: &str, git: &Git) -> Value {
        let (server, project) = name.split_once('/').unwrap_or((name, ""));
        let complete = self
            .changes
            .iter()
            .filter(|(_, change)| change.is_complete());
        json!({
            "server": server,
            "project": project,
            "refs": self.refs,
            "label_changes": self.changes.values().map(|change| change.votes_seen.len()).sum::<usize>(),
            "changes": complete.map(|(&number, change)| change.dump(number, git)).collect::<Vec<_>>(),
        })
    }
}

impl Change {
    fn is_complete(&self) -> bool {
        self.meta.is_some() && !self.metas.is_empty() && self.patch_sets.contains_key(&self.version)
    }

    /// Walks all of it again.
    fn finish(&mut self, project: &str, git: &Git, as_original: bool) {
        let newest = self.meta.as_ref();
        self.is_open = false;
        match newest.map(|newest| chain(git, newest)) {
            Some(Some(metas)) => self.metas = metas,
            Some(None) => self.is_open = true,
            None => {}
        }
        let commits = self
            .metas
            .iter()
            .filter_map(|name| Some((name, git.get(name)?)));
        let messages: Vec<(&String, &str)> = commits
            .map(|(name, commit)| (name, &*commit.message))
            .collect();
        let newest_first = || messages.iter().rev().map(|&(_, text)| text);
        let of_footer = newest_first()
            .find_map(meta::status)
            .filter(|_| !as_original);
        let status = of_footer.or_else(|| newest_first().find_map(meta::status_anywhere));
        self.status = status.unwrap_or("new");
        let branch = newest_first().find_map(|text| meta::value(text, "Branch:"));
        let branch = branch.unwrap_or_default();
        self.branch = branch
            .strip_prefix("refs/heads/")
            .unwrap_or(branch)
            .to_owned();
        let private = || newest_first().filter_map(|text| meta::flag(text, "Private:"));
        self.private = private().next().unwrap_or(false);
        self.was_private = private().any(|private| private);
        let current = newest_first()
            .filter(|text| meta::flag(text, "Current:") == Some(true))
            .filter_map(|text| meta::value(meta::footer(text), "Patch-set:")?.parse().ok())
            .find(|version| self.patch_sets.contains_key(version));
        let highest = self.patch_sets.keys().last().copied();
        self.version = current.or(highest).unwrap_or(0);
        let voted = messages
            .iter()
            .filter(|(_, text)| text.contains("\nLabel: "));
        self.votes_seen.extend(voted.map(|&(name, _)| name.clone()));
        if as_original {
            self.version = self.told_last;
            self.private |= newest_first().any(|text| text.contains("\nPrivate: true\n"));
        }
        let commit = self
            .patch_sets
            .get(&self.version)
            .and_then(|name| git.get(name));
        let of = (project == "go.googlesource.com/go").then_some(("golang", "go"));
        self.mentions = commit.map_or_else(Vec::new, |commit| meta::mentions(&commit.message, of));
    }

    fn dump(&self, number: i32, git: &Git) -> Value {
        let metas: Vec<(&String, &Commit)> = self
            .metas
            .iter()
            .filter_map(|name| Some((name, git.get(name)?)))
            .collect();
        let commit = self
            .patch_sets
            .get(&self.version)
            .and_then(|name| git.get(name));
        let message = commit.map_or("", |commit| &commit.message);
        let first = metas.first().map(|(_, commit)| commit);
        let owner = self.patch_sets.get(&1).and_then(|name| git.get(name));
        let id =
            meta::value(message, "Change-Id:").filter(|id| id.starts_with('I') && id.len() == 41);
        let of_last = |key: &str| {
            let values = metas
                .iter()
                .rev()
                .filter_map(|(_, commit)| meta::flag(&commit.message, key));
            values.into_iter().next()
        };
        let account = first.and_then(|commit| account(&commit.author.person));
        json!({
            "number": number,
            "created": first.map(|commit| commit.committer.seconds),
            "version": self.version,
            "commit": self.patch_sets.get(&self.version),
            "patch_sets": self.patch_sets,
            "meta": self.meta,
            "status": self.status,
            "private": self.private,
            "was_private": self.was_private,
            "work_in_progress": of_last("Work-in-progress:").unwrap_or(false),
            "branch": self.branch,
            "change_id": id,
            "subject": message.split("\n\n").next().unwrap_or_default().replace('\n', " ").trim(),
            "owner": owner.map(|commit| &commit.author.person),
            "owner_id": account,
            "mentions": self.mentions,
            "messages": metas.iter().filter_map(|(name, commit)| {
                let (version, text) = meta::shown(&commit.message)?;
                Some(json!([name, version, text, commit.committer.seconds, commit.author.person]))
            }).collect::<Vec<_>>(),
            "metas": metas.iter().enumerate().map(|(at, (name, commit))| json!({
                "name": name,
                "footer": meta::footer(&commit.message),
                "tag": meta::value(meta::footer(&commit.message), "Tag:"),
                "hashtags": hashtags(&metas[..=at]),
                "edits": edits(&commit.message),
                "votes": has_votes(at, metas.len()).then(|| votes(&metas[..=at], git)),
            })).collect::<Vec<_>>(),
        })
    }
}

/// From the root to `newest`. None if one of them is missing or has several parents.
fn chain(git: &Git, newest: &str) -> Option<Vec<String>> {
    let mut names = vec![newest.to_owned()];
    loop {
        let commit = git.get(names.last()?)?;
        match &commit.parents[..] {
            [] => break,
            [parent] if !names.contains(parent) => names.push(parent.clone()),
            _ => return None,
        }
    }
    names.reverse();
    Some(names)
}

fn account(person: &str) -> Option<i64> {
    mail(person).split_once('@')?.0.parse().ok()
}

fn hashtags(metas: &[(&String, &Commit)]) -> Vec<String> {
    let set = metas
        .iter()
        .rev()
        .find_map(|(_, commit)| meta::value(meta::footer(&commit.message), "Hashtags:"));
    let set = set.filter(|set| !set.is_empty());
    set.map_or_else(Vec::new, |set| {
        set.split(',').map(|tag| tag.trim().to_owned()).collect()
    })
}

fn edits(message: &str) -> Option<(String, String)> {
    if meta::value(meta::footer(message), "Tag:") != Some("autogenerated:gerrit:setHashtag") {
        return None;
    }
    let value = |one, many| {
        let value = meta::value(message, one).or_else(|| meta::value(message, many));
        value.unwrap_or_default().to_owned()
    };
    let edits = (
        value("Hashtag added:", "Hashtags added:"),
        value("Hashtag removed:", "Hashtags removed:"),
    );
    (edits != Default::default()).then_some(edits)
}

/// Label, mail address, vote; without those that are 0. None if a patch set is unknown.
fn votes(
    metas: &[(&String, &Commit)],
    git: &Git,
) -> Option<BTreeMap<String, BTreeMap<String, i16>>> {
    let mut votes: BTreeMap<String, BTreeMap<String, i16>> = BTreeMap::new();
    let mut last: Option<&Commit> = None;
    for (_, commit) in metas {
        let footer = meta::footer(&commit.message);
        let is_new =
            meta::values(footer, "Tag:").any(|tag| tag == "autogenerated:gerrit:newPatchSet");
        if let Some(name) = meta::value(footer, "Commit:").filter(|_| is_new) {
            let patch_set = git.get(&hash(name)?)?;
            if last.is_some_and(|last| last.files != patch_set.files) {
                votes.remove("Run-TryBot");
                votes.remove("TryBot-Result");
            }
            last = Some(patch_set);
        }
        for (label, vote, who) in meta::values(footer, "Label:").filter_map(meta::vote) {
            let who = mail(who.unwrap_or(&commit.author.person)).to_owned();
            let of_label = votes.entry(label.to_owned()).or_default();
            match vote {
                0 => of_label.remove(&who),
                vote => of_label.insert(who, vote),
            };
        }
    }
    votes.retain(|_, votes| !votes.is_empty());
    Some(votes)
}

fn mail(person: &str) -> &str {
    let before = person
        .split('>')
        .next()
        .filter(|before| before.len() < person.len());
    before
        .and_then(|before| before.split_once('<'))
        .map_or("", |(_, mail)| mail)
}
