//! All that a corpus says, as JSON: what two of them can be compared by.

mod gerrit;
mod github;

use serde_json::{Value, json};

use crate::corpus::{Commit, Commits, Signed, Snapshot};

/// All that a snapshot says, each thing in an order that does not depend on how it came to be known.
///
/// [`Model::dump`](super::Model::dump) has the same form.
pub fn dump(snapshot: &Snapshot) -> Value {
    json!({
        "github": github::github(snapshot.github()),
        "commits": commits(snapshot.commits()),
        "gerrit": gerrit::gerrit(snapshot.gerrit()),
    })
}

/// Where two values differ first, and how; None if they are equal.
pub fn difference(a: &Value, b: &Value) -> Option<String> {
    fn find(path: &mut String, a: &Value, b: &Value) -> Option<String> {
        let len = path.len();
        let absent = json!("absent");
        match (a, b) {
            _ if a == b => return None,
            (Value::Object(x), Value::Object(y)) => {
                for key in x.keys().chain(y.keys()) {
                    path.extend([".", key]);
                    let (x, y) = (x.get(key), y.get(key));
                    let found = find(path, x.unwrap_or(&absent), y.unwrap_or(&absent));
                    if found.is_some() {
                        return found;
                    }
                    path.truncate(len);
                }
            }
            (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
                for (at, (x, y)) in x.iter().zip(y).enumerate() {
                    path.extend(["[", &at.to_string(), "]"]);
                    let found = find(path, x, y);
                    if found.is_some() {
                        return found;
                    }
                    path.truncate(len);
                }
            }
            _ => {}
        }
        let short = |value: &Value| -> String { value.to_string().chars().take(1500).collect() };
        Some(format!("{path}: {} != {}", short(a), short(b)))
    }
    find(&mut String::new(), a, b)
}

/// Some numbers below `len`: all if there are few, else about 40 of them.
pub(super) fn some(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by((len / 40).max(1))
}

/// Whether the votes as of a meta commit are told: to count them, all before it are read.
pub(super) fn has_votes(at: usize, of: usize) -> bool {
    at < 6 || at.is_multiple_of(32) || at + 1 == of
}

fn commits(commits: &Commits) -> Value {
    let mut all: Vec<Commit<'_>> = commits.iter().collect();
    all.sort_by_key(Commit::name);
    let signed = |signed: Signed<'_>| json!([signed.person, signed.seconds, signed.zone]);
    let name = |commit: &Commit<'_>| commit.name().to_string();
    json!({
        "known": commits.len(),
        "missing": commits.missing(),
        "all": all.iter().map(|commit| json!({
            "name": name(commit),
            "tree": commit.tree().to_string(),
            "parents": commit.parents().map(|parent| parent.to_string()).collect::<Vec<_>>(),
            "author": signed(commit.author()),
            "committer": signed(commit.committer()),
            "message": commit.message(),
            "summary": commit.summary(),
            "reviewer": commit.reviewer(),
            "files": commit.files().map(|file| json!([file.path, file.added, file.deleted, file.binary])).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "ancestors": some(all.len()).map(|commit| {
            let others = some(all.len()).filter(|&other| all[commit].has_ancestor(&all[other]));
            others.map(|other| name(&all[other])).collect::<Vec<_>>()
        }).collect::<Vec<_>>(),
    })
}
