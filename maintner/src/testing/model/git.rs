use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::proto::GitCommit;

/// All commits, by their names in lower-case hex digits.
#[derive(Debug, Clone, Default)]
pub(super) struct Git {
    commits: BTreeMap<String, Commit>,
}

#[derive(Debug, Clone)]
pub(super) struct Commit {
    tree: String,
    pub(super) parents: Vec<String>,
    pub(super) author: Signed,
    pub(super) committer: Signed,
    pub(super) message: String,
    pub(super) files: Vec<(String, u32, u32, bool)>,
}

#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) person: String,
    pub(super) seconds: i64,
    pub(super) zone: i32,
}

/// 40 hex digits, in lower case.
pub(super) fn hash(text: &str) -> Option<String> {
    let fits = text.len() == 40 && text.chars().all(|digit| digit.is_ascii_hexdigit());
    fits.then(|| text.to_ascii_lowercase())
}

/// `Name <mail> seconds zone`.
fn signed(line: &str) -> Option<Signed> {
    let words: Vec<&str> = line.trim().rsplitn(3, ' ').collect();
    let [zone, seconds, person] = words[..] else {
        return None;
    };
    let person = person.trim_end();
    if !person.ends_with('>') {
        return None;
    }
    let digits = zone.strip_prefix(['+', '-'])?;
    if !(4..=5).contains(&digits.len()) || !digits.chars().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let east = number / 100 * 3600 + number % 100 * 60;
    Some(Signed {
        person: person.to_owned(),
        seconds: seconds.parse().ok()?,
        zone: if zone.starts_with('-') { -east } else { east },
    })
}

/// Of a name in another encoding than UTF-8, the mail address alone is left.
fn readable(value: &[u8]) -> Option<&str> {
    let mail = value.iter().position(|&byte| byte == b'<');
    let text = std::str::from_utf8(value).ok();
    text.or_else(|| std::str::from_utf8(&value[mail?..]).ok())
}

fn parse(raw: &[u8]) -> Option<Commit> {
    let blank = raw.windows(2).position(|pair| pair == b"\n\n")?;
    let message = &raw[blank + 2..];
    // What is not UTF-8 ends a text.
    let message = message
        .utf8_chunks()
        .next()
        .map_or("", |chunk| chunk.valid());
    let (mut tree, mut parents, mut author, mut committer) = (None, vec![], None, None);
    for line in raw[..blank].split(|&byte| byte == b'\n') {
        let mut words = line.splitn(2, |&byte| byte == b' ');
        let (key, value) = (words.next()?, words.next().unwrap_or_default());
        let text = std::str::from_utf8(value).ok();
        match key {
            b"tree" if tree.is_none() => tree = text.map(str::to_owned),
            b"parent" => parents.extend(text.and_then(hash)),
            b"author" if author.is_none() => author = Some(readable(value).and_then(signed)),
            b"committer" if committer.is_none() => {
                committer = Some(readable(value).and_then(signed));
            }
            _ => {}
        }
    }
    Some(Commit {
        tree: hash(&tree?)?,
        parents,
        author: author??,
        committer: committer??,
        message: message.to_owned(),
        files: vec![],
    })
}

impl Git {
    pub(super) fn get(&self, name: &str) -> Option<&Commit> {
        self.commits.get(name)
    }

    /// A commit that is known stays as it is: its name says what is in it.
    pub(super) fn add(&mut self, new: &GitCommit) {
        let Some(name) = hash(&new.sha1) else {
            return;
        };
        if self.commits.contains_key(&name) {
            return;
        }
        let Some(mut commit) = parse(&new.raw) else {
            return;
        };
        let lines = |count: i64| count.clamp(0, u32::MAX.into()) as u32;
        let files = new.diff_tree.iter().flat_map(|tree| &tree.file);
        commit.files = files
            .map(|file| {
                (
                    file.file.clone(),
                    lines(file.added),
                    lines(file.deleted),
                    file.binary,
                )
            })
            .collect();
        commit.files.sort_by(|a, b| a.0.cmp(&b.0));
        self.commits.insert(name, commit);
    }

    /// Strict ancestors, those too that are only mentioned.
    fn ancestors(&self, name: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = vec![];
        let mut at = self.get(name);
        loop {
            for parent in at.iter().flat_map(|commit| &commit.parents) {
                if seen.insert(&**parent) {
                    open.push(parent);
                }
            }
            let Some(next) = open.pop() else {
                seen.remove(name);
                return seen;
            };
            at = self.get(next);
        }
    }

    pub(super) fn dump(&self) -> Value {
        let mentioned = self.commits.values().flat_map(|commit| &commit.parents);
        let missing: BTreeSet<_> = mentioned.filter(|name| self.get(name).is_none()).collect();
        let signed = |signed: &Signed| json!([signed.person, signed.seconds, signed.zone]);
        let names: Vec<&String> = self.commits.keys().collect();
        json!({
            "known": self.commits.len(),
            "missing": missing.len(),
            "all": self.commits.iter().map(|(name, commit)| json!({
                "name": name,
                "tree": commit.tree,
                "parents": commit.parents,
                "author": signed(&commit.author),
                "committer": signed(&commit.committer),
                "message": commit.message,
                "summary": commit.message.lines().next().unwrap_or_default().trim(),
                "reviewer": super::meta::value(&commit.message, "Reviewer:"),
                "files": commit.files,
            })).collect::<Vec<_>>(),
            // Whom some commits descend from, of some others.
            "ancestors": super::super::dump::some(names.len()).map(|commit| {
                let ancestors = self.ancestors(names[commit]);
                let others = super::super::dump::some(names.len()).map(|other| names[other]);
                others.filter(|&other| ancestors.contains(&**other)).collect::<Vec<_>>()
            }).collect::<Vec<_>>(),
        })
    }
}
