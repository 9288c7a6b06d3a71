//! Commits: all that any repository or project has, each once.

use std::{collections::HashMap, fmt};

use super::ancestry::{Lineage, Links};
use crate::{
    parse::{
        commit::{self, CommitError},
        person,
    },
    proto::{view, wire::DecodeError},
    store::{Hasher, Index, Origin, Paged, Span, Symbol, Texts, row},
};

row! {
    /// The name of a git object: 20 bytes, shown as 40 lower-case hex digits.
    #[derive(Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct Hash(pub [u8; 20]);
}

impl Hash {
    /// Reads 40 hex digits.
    pub fn parse(hex: &str) -> Option<Self> {
        commit::parse_hash(hex).map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A commit of a corpus, by number. Numbers are given out in order of first mention and never
/// change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(pub(super) u32);

/// All commits of a corpus. A clone is a version that stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Commits {
    texts: Texts,
    rows: Paged<Row>,
    /// Parents of all commits, one run for each.
    parents: Paged<u32>,
    files: Paged<FileRow>,
    index: Index,
    hasher: Hasher,
    known: usize,
}

row! {
    #[derive(Debug, Default)]
    struct Row {
        hash: Hash,
        /// Nothing of it is known but that another commit has it for a parent.
        mentioned_only: bool,
        tree: Hash,
        message: Span,
        author: Option<Symbol>,
        committer: Option<Symbol>,
        author_time: i64,
        commit_time: i64,
        author_zone: i32,
        commit_zone: i32,
        parents: (u32, u32),
        files: (u32, u32),
        lineage: Lineage,
    }
}

row! {
    #[derive(Debug)]
    struct FileRow {
        path: Symbol,
        added: u32,
        deleted: u32,
        binary: bool,
    }
}

/// Why a commit was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Its name is not 40 hex digits.
    #[error("commit has no valid name: {0:?}")]
    Name(String),
    /// It is no commit object.
    #[error("commit {name} cannot be read")]
    Object {
        /// Its name.
        name: Hash,
        /// Why.
        #[source]
        source: CommitError,
    },
    /// Its list of files cannot be read.
    #[error("commit {name} has an unreadable list of files")]
    Files {
        /// Its name.
        name: Hash,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// The corpus has as many commits, parents or files as it can have: 2^32 - 1 of each.
    #[error("corpus is full")]
    Full,
}

/// Who waits for a commit to be able to tell its lineage, and how many of its parents it need not
/// look at again. Belongs to the writer.
#[derive(Debug, Default)]
pub(super) struct Waiting(HashMap<u32, Vec<(u32, usize)>>);

impl Commits {
    /// No commits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Commits there are, not counting those of which only the name is known.
    pub fn len(&self) -> usize {
        self.known
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known == 0
    }

    /// Commits that others have for parents and that nobody has told about.
    pub fn missing(&self) -> usize {
        self.rows.len() - self.known
    }

    /// The commit of this name, if it is known.
    pub fn get(&self, name: Hash) -> Option<Commit<'_>> {
        self.find(name).and_then(|row| self.at(CommitId(row)))
    }

    /// The commit of this number, if it is known.
    pub fn at(&self, id: CommitId) -> Option<Commit<'_>> {
        let row = self.rows.get(id.0 as usize)?;
        (!row.mentioned_only).then_some(Commit {
            commits: self,
            row,
            id,
        })
    }

    /// All that are known, in order of first mention.
    pub fn iter(&self) -> impl Iterator<Item = Commit<'_>> {
        let ids = (0..).map(CommitId);
        let rows = ids.zip(self.rows.iter());
        rows.filter(|(_, row)| !row.mentioned_only)
            .map(|(id, row)| Commit {
                commits: self,
                row,
                id,
            })
    }

    fn hash(&self, name: Hash) -> u64 {
        self.hasher.hash_one(name)
    }

    fn find(&self, name: Hash) -> Option<u32> {
        self.index.find(self.hash(name), |row| {
            self.rows
                .get(row as usize)
                .is_some_and(|row| row.hash == name)
        })
    }

    /// The row of this name, a new one that is only mentioned if there is none.
    fn find_or_mention(&mut self, name: Hash) -> Result<u32, AddError> {
        if let Some(row) = self.find(name) {
            return Ok(row);
        }
        let row = u32::try_from(self.rows.len()).map_err(|_| AddError::Full)?;
        self.rows.push(Row {
            hash: name,
            mentioned_only: true,
            ..Row::default()
        });
        let hash = self.hash(name);
        self.index.insert(hash, row);
        Ok(row)
    }

    /// What commits say, and the log it stands in.
    #[expect(dead_code, reason = "for Gerrit's half")]
    pub(super) fn texts(&self) -> &Texts {
        &self.texts
    }

    pub(super) fn texts_mut(&mut self) -> &mut Texts {
        &mut self.texts
    }

    /// Takes a commit in that was read from `origin`. One that is known already is left as
    /// it is: a commit's name says what is in it.
    pub(super) fn add(
        &mut self,
        origin: Origin<'_>,
        new: &view::GitCommit<'_>,
        waiting: &mut Waiting,
    ) -> Result<CommitId, AddError> {
        let name = Hash::parse(new.sha1).ok_or_else(|| AddError::Name(new.sha1.to_owned()))?;
        if let Some(row) = self.find(name)
            && self
                .rows
                .get(row as usize)
                .is_some_and(|row| !row.mentioned_only)
        {
            return Ok(CommitId(row));
        }
        let object = |source| AddError::Object { name, source };
        let parsed = commit::parse(new.raw).map_err(object)?;
        let files = self.add_files(name, origin, new)?;
        let first_parent = end_of(&self.parents)?;
        for parent in parsed.parents() {
            if let Some(parent) = Hash::parse(parent) {
                let parent = self.find_or_mention(parent)?;
                self.parents.push(parent);
            }
        }
        let parents = (first_parent, end_of(&self.parents)? - first_parent);
        let mut intern = |text: &str| Some(self.texts.intern(origin, text.as_bytes()));
        let (author, committer) = (
            intern(parsed.author.person),
            intern(parsed.committer.person),
        );
        let id = self.find_or_mention(name)?;
        if let Some(row) = self.rows.get_mut(id as usize) {
            *row = Row {
                hash: name,
                mentioned_only: false,
                tree: Hash::parse(parsed.tree).unwrap_or_default(),
                message: origin.span_of(parsed.message),
                author,
                committer,
                author_time: parsed.author.seconds,
                commit_time: parsed.committer.seconds,
                author_zone: parsed.author.zone,
                commit_zone: parsed.committer.zone,
                parents,
                files,
                lineage: Lineage::default(),
            };
            self.known += 1;
        }
        self.settle(id, waiting);
        Ok(CommitId(id))
    }

    fn add_files(
        &mut self,
        name: Hash,
        origin: Origin<'_>,
        new: &view::GitCommit<'_>,
    ) -> Result<(u32, u32), AddError> {
        let mut files = Vec::new();
        for file in new.diff_tree.unwrap_or_default().file {
            files.push(file.map_err(|source| AddError::Files { name, source })?);
        }
        files.sort_by_key(|file| file.file);
        let first = end_of(&self.files)?;
        for file in files {
            let lines =
                |count: i64| u32::try_from(count).unwrap_or(if count < 0 { 0 } else { u32::MAX });
            self.files.push(FileRow {
                path: self.texts.intern(origin, file.file.as_bytes()),
                added: lines(file.added),
                deleted: lines(file.deleted),
                binary: file.binary,
            });
        }
        Ok((first, end_of(&self.files)? - first))
    }

    /// Finds out the lineage of a commit, and of those that waited for it, as soon as all their
    /// ancestors are known. Looks at each parent once, however many a commit has.
    fn settle(&mut self, id: u32, waiting: &mut Waiting) {
        let mut ready = vec![(id, 0)];
        while let Some((id, looked_at)) = ready.pop() {
            let (first, count) = self.parents_run(id);
            let run = first + looked_at..first + count;
            let unsettled = self
                .parents
                .range(run)
                .position(|&parent| !self.lineage(parent).is_settled());
            if let Some(at) = unsettled {
                let looked_at = looked_at + at;
                if let Some(&parent) = self.parents.get(first + looked_at) {
                    waiting.0.entry(parent).or_default().push((id, looked_at));
                }
                continue;
            }
            let parents: Vec<u32> = self.parents_of(id).collect();
            let lineage = Lineage::of(self, id, &parents);
            if let Some(row) = self.rows.get_mut(id as usize) {
                row.lineage = lineage;
            }
            ready.extend(waiting.0.remove(&id).into_iter().flatten());
        }
    }

    /// Where the parents of a commit stand, and how many there are.
    fn parents_run(&self, id: u32) -> (usize, usize) {
        let (first, count) = self.rows.get(id as usize).map_or((0, 0), |row| row.parents);
        (first as usize, count as usize)
    }
}

impl Links for Commits {
    fn parents_of(&self, id: u32) -> impl DoubleEndedIterator<Item = u32> {
        let (first, count) = self.parents_run(id);
        self.parents.range(first..first + count).copied()
    }

    fn lineage(&self, id: u32) -> Lineage {
        self.rows
            .get(id as usize)
            .map_or_else(Lineage::default, |row| row.lineage)
    }
}

fn end_of<T: crate::store::Row>(paged: &Paged<T>) -> Result<u32, AddError> {
    u32::try_from(paged.len()).map_err(|_| AddError::Full)
}

/// A commit. Two words that borrow the version of the corpus they are from.
#[derive(Clone, Copy)]
pub struct Commit<'a> {
    commits: &'a Commits,
    row: &'a Row,
    id: CommitId,
}

/// Who did something to a commit, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// `Name <mail>`.
    pub person: &'a str,
    /// Seconds since 1970, UTC.
    pub seconds: i64,
    /// Seconds east of UTC.
    pub zone: i32,
}

impl<'a> Signed<'a> {
    /// The name.
    pub fn name(&self) -> &'a str {
        person::name(self.person)
    }

    /// The mail address; empty if there is none.
    pub fn email(&self) -> &'a str {
        person::email(self.person)
    }
}

/// A file that a commit changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// Its path.
    pub path: &'a str,
    /// Lines added; 0 if binary.
    pub added: u32,
    /// Lines deleted; 0 if binary.
    pub deleted: u32,
    /// Whether lines mean nothing for it.
    pub binary: bool,
}

impl<'a> Commit<'a> {
    /// Its number.
    pub fn id(&self) -> CommitId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> Hash {
        self.row.hash
    }

    /// The name of its tree.
    pub fn tree(&self) -> Hash {
        self.row.tree
    }

    /// The whole message.
    pub fn message(&self) -> &'a str {
        self.commits.texts.text(self.row.message)
    }

    /// The first line of the message, trimmed.
    pub fn summary(&self) -> &'a str {
        self.message().lines().next().unwrap_or_default().trim()
    }

    /// The value of the first line `Reviewer: …` of the message.
    pub fn reviewer(&self) -> Option<&'a str> {
        crate::parse::line::find(self.message(), "Reviewer:").map(|line| line.value)
    }

    /// Who wrote it.
    pub fn author(&self) -> Signed<'a> {
        self.signed(self.row.author, self.row.author_time, self.row.author_zone)
    }

    /// Who committed it.
    pub fn committer(&self) -> Signed<'a> {
        self.signed(
            self.row.committer,
            self.row.commit_time,
            self.row.commit_zone,
        )
    }

    fn signed(&self, person: Option<Symbol>, seconds: i64, zone: i32) -> Signed<'a> {
        let texts = &self.commits.texts;
        let person = person.map_or("", |person| texts.symbol(person));
        Signed {
            person,
            seconds,
            zone,
        }
    }

    /// The names of its parents, in order, whether those are known or not.
    pub fn parents(&self) -> impl DoubleEndedIterator<Item = Hash> + use<'a> {
        let commits = self.commits;
        let parents = commits.parents_of(self.id.0);
        parents.filter_map(|id| Some(commits.rows.get(id as usize)?.hash))
    }

    /// The files it changed, by path.
    pub fn files(&self) -> impl DoubleEndedIterator<Item = File<'a>> + use<'a> {
        let commits = self.commits;
        let (first, count) = self.row.files;
        let run = first as usize..first as usize + count as usize;
        commits.files.range(run).map(|file| File {
            path: commits.texts.symbol(file.path),
            added: file.added,
            deleted: file.deleted,
            binary: file.binary,
        })
    }

    /// Whether it changed the same files as `other`, by as many lines each.
    pub fn same_diff_stat(&self, other: &Commit<'_>) -> bool {
        self.files().eq(other.files())
    }

    /// Whether `ancestor` can be reached through parents. False for the commit itself.
    ///
    /// Takes logarithmic time along first parents, and otherwise visits no commit older, by number
    /// of generations, than `ancestor`. Both must be of the same version.
    pub fn has_ancestor(&self, ancestor: &Commit<'_>) -> bool {
        super::ancestry::has_ancestor(self.commits, self.id.0, ancestor.id.0)
    }
}

impl fmt::Debug for Commit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commit({} {:?})", self.name(), self.summary())
    }
}

impl PartialEq for Commit<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Commit<'_> {}

impl std::hash::Hash for Commit<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use prost::Message;

    use super::*;
    use crate::proto::{self, view::View};

    /// A writer of commits that come as encoded messages.
    #[derive(Default)]
    struct Writer {
        commits: Commits,
        waiting: Waiting,
        written: u64,
    }

    impl Writer {
        fn add(&mut self, commit: &proto::GitCommit) -> Result<CommitId, AddError> {
            let bytes = Bytes::from(commit.encode_to_vec());
            let origin = self.commits.texts_mut().push(0, self.written, &bytes);
            self.written += bytes.len() as u64;
            let view = view::GitCommit::decode(&bytes).unwrap();
            self.commits.add(origin.unwrap(), &view, &mut self.waiting)
        }
    }

    fn name(number: u32) -> String {
        format!("{number:040x}")
    }

    fn commit(number: u32, parents: &[u32], files: &[(&str, i64, i64)]) -> proto::GitCommit {
        let parents: String = parents
            .iter()
            .map(|&parent| format!("parent {}\n", name(parent)))
            .collect();
        let raw = format!(
            "tree {}\n{parents}author A <a@x> {number} +0100\ncommitter B <b@x> {number} -0800\n\n\
             subject {number} \n\nReviewer: C\n",
            name(99)
        );
        let file = |&(file, added, deleted): &(&str, i64, i64)| proto::GitDiffTreeFile {
            file: file.to_owned(),
            added,
            deleted,
            binary: false,
        };
        proto::GitCommit {
            sha1: name(number),
            raw: raw.into_bytes(),
            diff_tree: Some(proto::GitDiffTree {
                file: files.iter().map(file).collect(),
            }),
        }
    }

    fn get(commits: &Commits, number: u32) -> Option<Commit<'_>> {
        commits.get(Hash::parse(&name(number)).unwrap())
    }

    #[test]
    fn all_of_a_commit_can_be_asked_for() {
        let mut writer = Writer::default();
        let id = writer
            .add(&commit(7, &[5, 6], &[("b", 1, 2), ("a", -3, i64::MAX)]))
            .unwrap();
        assert_eq!(writer.add(&commit(7, &[], &[])), Ok(id), "known already");
        let commits = &writer.commits;
        let commit = commits.at(id).unwrap();
        assert_eq!((commits.len(), commits.missing()), (1, 2));
        assert_eq!(commit.name().to_string(), name(7));
        assert_eq!(commit.tree().to_string(), name(99));
        assert_eq!(commit.summary(), "subject 7");
        assert_eq!(commit.reviewer(), Some("C"));
        assert_eq!(
            (commit.author().name(), commit.author().email()),
            ("A", "a@x")
        );
        assert_eq!(
            (commit.committer().seconds, commit.committer().zone),
            (7, -28_800)
        );
        assert!(
            commit
                .parents()
                .map(|parent| parent.to_string())
                .eq([name(5), name(6)])
        );
        let files: Vec<_> = commit
            .files()
            .map(|file| (file.path, file.added, file.deleted))
            .collect();
        assert_eq!(files, [("a", 0, u32::MAX), ("b", 1, 2)]);
        assert!(get(commits, 5).is_none(), "only mentioned");
        assert_eq!(
            format!("{commit:?}"),
            format!("Commit({} \"subject 7\")", name(7))
        );
    }

    #[test]
    fn parents_may_come_later_in_any_order() {
        // 1 <- 2 <- 3 <- 5 and 2 <- 4 <- 5, then a line on top.
        let parents = |number: u32| match number {
            1 => vec![],
            4 => vec![2],
            5 => vec![3, 4],
            number => vec![number - 1],
        };
        for order in [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [4, 1, 6, 3, 5, 2]] {
            let mut writer = Writer::default();
            for number in order {
                writer.add(&commit(number, &parents(number), &[])).unwrap();
            }
            let commits = &writer.commits;
            assert_eq!((commits.len(), commits.missing()), (6, 0));
            assert!(writer.waiting.0.is_empty(), "everybody is settled");
            for (commit, ancestor, expected) in [
                (6, 1, true),
                (5, 4, true),
                (5, 3, true),
                (4, 3, false),
                (3, 4, false),
                (1, 6, false),
                (4, 1, true),
                (5, 5, false),
            ] {
                let (commit, ancestor) = (
                    get(commits, commit).unwrap(),
                    get(commits, ancestor).unwrap(),
                );
                assert_eq!(
                    commit.has_ancestor(&ancestor),
                    expected,
                    "{commit:?} {ancestor:?} {order:?}"
                );
            }
        }
    }

    #[test]
    fn ancestry_is_told_where_history_has_holes() {
        let mut writer = Writer::default();
        for number in [3, 4, 5] {
            writer.add(&commit(number, &[number - 1], &[])).unwrap();
        }
        let commits = &writer.commits;
        let [three, five] = [3, 5].map(|number| get(commits, number).unwrap());
        assert!(five.has_ancestor(&three));
        assert!(!three.has_ancestor(&five));
    }

    #[test]
    fn impossible_and_enormous_ancestries_are_survived() {
        // Nobody checks that a commit's name fits its content: these descend from themselves.
        let mut writer = Writer::default();
        for (number, parents) in [(1, vec![1]), (2, vec![3]), (3, vec![2]), (4, vec![3, 1])] {
            writer.add(&commit(number, &parents, &[])).unwrap();
        }
        let [one, two, four] = [1, 2, 4].map(|number| get(&writer.commits, number).unwrap());
        assert!(four.has_ancestor(&two));
        assert!(!two.has_ancestor(&four));
        assert!(!one.has_ancestor(&two));

        // More parents than time to look at each for each.
        let mut writer = Writer::default();
        let parents: Vec<u32> = (1..50_000).collect();
        writer.add(&commit(99_999, &parents, &[])).unwrap();
        for &parent in &parents {
            writer.add(&commit(parent, &[], &[])).unwrap();
        }
        let [child, last] = [99_999, 49_999].map(|number| get(&writer.commits, number).unwrap());
        assert!(child.has_ancestor(&last));
        assert!(writer.waiting.0.is_empty());
    }

    #[test]
    fn what_is_no_commit_is_refused_and_changes_nothing() {
        let mut writer = Writer::default();
        let mut bad = commit(1, &[], &[]);
        bad.sha1 = "12".to_owned();
        assert_eq!(writer.add(&bad), Err(AddError::Name("12".to_owned())));
        bad.sha1 = name(1);
        bad.raw = b"tree".to_vec();
        let refused = writer.add(&bad).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("commit {} cannot be read", name(1))
        );
        assert_eq!((writer.commits.len(), writer.commits.missing()), (0, 0));
    }

    #[test]
    fn versions_and_diff_stats() {
        let mut writer = Writer::default();
        writer.add(&commit(1, &[], &[("a", 1, 1)])).unwrap();
        let version = writer.commits.clone();
        writer.add(&commit(2, &[1], &[("a", 1, 1)])).unwrap();
        writer.add(&commit(3, &[2], &[("a", 1, 2)])).unwrap();
        assert_eq!(version.iter().count(), 1);
        let [one, two, three] = [1, 2, 3].map(|number| get(&writer.commits, number).unwrap());
        assert!(one.same_diff_stat(&two));
        assert!(!two.same_diff_stat(&three));
        assert!(get(&version, 2).is_none());
    }
}
