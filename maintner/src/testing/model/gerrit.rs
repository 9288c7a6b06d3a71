use std::collections::BTreeMap;

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
    /// Not all of its meta commits are known.
    waits: bool,
    meta: Option<String>,
    patch_sets: BTreeMap<i32, String>,
    told_last: i32,
    /// Its meta commits, oldest first, as of the last time that all of them were known.
    metas: Vec<String>,
    /// Meta commits with votes that came to be among `metas`.
    label_changes: usize,
    version: i32,
    branch: String,
    status: &'static str,
    private: bool,
    was_private: bool,
}

enum RefName {
    Meta(i32),
    PatchSet(i32, i32),
    Other,
    Ignored,
}

impl RefName {
    fn of(name: &str) -> Self {
        let parts: Vec<&str> = name.splitn(5, '/').collect();
        let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        match parts[..] {
            ["refs", "meta", ..] if parts.len() > 2 => Self::Ignored,
            ["refs", "changes", shard, number, what]
            | ["refs", "changes", shard, number, what, _]
                if shard.len() == 2 && shard.chars().all(is_hex) && is_number(number) =>
            {
                let digits: String = what.chars().take_while(char::is_ascii_digit).collect();
                let is_meta = what.starts_with("meta");
                match (number.parse(), digits.parse()) {
                    (Ok(number), _) if is_meta => Self::Meta(number),
                    _ if !is_meta && digits.is_empty() => Self::Other,
                    (Ok(number), Ok(version @ 1..)) => Self::PatchSet(number, version),
                    _ => Self::Ignored,
                }
            }
            _ => Self::Other,
        }
    }
}

impl Project {
    pub(super) fn apply(&mut self, mutation: &GerritMutation, git: &Git, as_original: bool) {
        for name in &mutation.deleted_refs {
            self.refs.remove(name);
        }
        for new in &mutation.refs {
            let Some(to) = hash(&new.sha1).filter(|to| git.get(to).is_some()) else {
                continue;
            };
            match RefName::of(&new.r#ref) {
                RefName::Meta(number) => {
                    let change = self.changes.entry(number).or_default();
                    change.meta = Some(to);
                    change.finish(git, as_original);
                }
                RefName::PatchSet(number, version) => {
                    let change = self.changes.entry(number).or_default();
                    change.patch_sets.insert(version, to);
                    change.told_last = version;
                    change.finish(git, as_original);
                }
                RefName::Other => {
                    self.refs.insert(new.r#ref.clone(), to);
                }
                RefName::Ignored => {}
            }
        }
    }

    /// Looks again at changes that wait for commits.
    pub(super) fn finish(&mut self, git: &Git, as_original: bool) {
        for change in self.changes.values_mut().filter(|change| change.waits) {
            change.finish(git, as_original);
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
            "label_changes": self.changes.values().map(|change| change.label_changes).sum::<usize>(),
            "changes": complete.map(|(&number, change)| change.dump((name, number), git)).collect::<Vec<_>>(),
        })
    }
}

impl Change {
    fn is_complete(&self) -> bool {
        self.meta.is_some() && !self.metas.is_empty() && self.patch_sets.contains_key(&self.version)
    }

    /// Walks all of it again.
    fn finish(&mut self, git: &Git, as_original: bool) {
        let newest = self.meta.as_ref().map(|newest| chain(git, newest));
        self.waits = matches!(newest, Some(None));
        if let Some(Some(metas)) = newest {
            let same = metas
                .iter()
                .zip(&self.metas)
                .take_while(|(a, b)| a == b)
                .count();
            let new = metas[same..].iter().filter_map(|name| git.get(name));
            let voted = new.filter(|commit| commit.message.contains("\nLabel: "));
            self.label_changes += voted.count();
            self.metas = metas;
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
        let branch = newest_first().find_map(|text| meta::value(meta::footer(text), "Branch:"));
        let branch = branch.unwrap_or_default();
        self.branch = branch
            .strip_prefix("refs/heads/")
            .unwrap_or(branch)
            .to_owned();
        let private = || newest_first().filter_map(|text| meta::flag(text, "Private:"));
        self.private = private().next().unwrap_or(false);
        self.was_private = private().any(|private| private);
        // Unless there came a newer one since.
        let is_current = |text: &str| meta::flag(text, "Current:") == Some(true);
        let current = newest_first()
            .find(|text| is_current(text) || meta::value(meta::footer(text), "Commit:").is_some())
            .filter(|text| is_current(text))
            .and_then(|text| meta::value(meta::footer(text), "Patch-set:")?.parse().ok())
            .filter(|version| self.patch_sets.contains_key(version));
        let highest = self.patch_sets.keys().last().copied();
        self.version = current.or(highest).unwrap_or(0);
        if as_original {
            self.version = self.told_last;
            self.private |= newest_first().any(|text| text.contains("\nPrivate: true\n"));
        }
    }

    fn dump(&self, (project, number): (&str, i32), git: &Git) -> Value {
        let of = (project == "go.googlesource.com/go").then_some(("golang", "go"));
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
        let of_last_text = |key: &str| {
            let newest_first = metas.iter().rev();
            let mut footers = newest_first.map(|(_, commit)| meta::footer(&commit.message));
            footers.find_map(|footer| meta::value(footer, key))
        };
        let account = first.and_then(|commit| account(&commit.author.person));
        json!({
            "number": number,
            "created": first.map(|commit| commit.committer.seconds),
            "version": self.version,
            "commit": self.patch_sets.get(&self.version),
            "patch_sets": self.patch_sets,
            "meta": self.metas.last(),
            "status": self.status,
            "private": self.private,
            "was_private": self.was_private,
            "work_in_progress": of_last("Work-in-progress:").unwrap_or(false),
            "branch": self.branch,
            "topic": of_last_text("Topic:").unwrap_or_default(),
            "reviewers": reviewers(&metas),
            "change_id": id,
            "subject": message.split("\n\n").next().unwrap_or_default().trim_end().replace('\n', " "),
            "owner": owner.map(|commit| &commit.author.person),
            "owner_id": account,
            "mentions": meta::mentions(message, of),
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

/// Those who are to look at a change, and whether they are only told about it.
fn reviewers(metas: &[(&String, &Commit)]) -> Vec<(String, bool)> {
    let mut people: Vec<(String, bool)> = Vec::new();
    for (_, commit) in metas {
        for line in meta::footer(&commit.message).split('\n') {
            let Some((key, person)) = line.split_once(':') else {
                continue;
            };
            let person = person.trim().to_owned();
            let became = match key {
                "Reviewer" => Some(false),
                "CC" => Some(true),
                "Removed" => None,
                _ => continue,
            };
            let was = people.iter().find(|(name, _)| *name == person);
            if was.is_some_and(|(_, was)| Some(*was) == became) {
                continue;
            }
            people.retain(|(name, _)| *name != person);
            people.extend(became.map(|is_cc| (person, is_cc)));
        }
    }
    people
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
    let mut last: Option<String> = None;
    for (_, commit) in metas {
        let footer = meta::footer(&commit.message);
        let copied = || meta::values(footer, "Copied-Label:").filter_map(meta::vote);
        if let Some(new) = meta::value(footer, "Commit:").and_then(hash) {
            let old = last.replace(new.clone());
            let is_new = meta::value(footer, "Tag:") == Some("autogenerated:gerrit:newPatchSet");
            if copied().next().is_some() {
                votes.clear();
            } else if let Some(old) = old.filter(|_| is_new)
                && git.get(&old)?.files != git.get(&new)?.files
            {
                votes.remove("Run-TryBot");
                votes.remove("TryBot-Result");
            }
        }
        let set = meta::values(footer, "Label:").filter_map(meta::vote);
        for (label, vote, who) in copied().chain(set) {
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
