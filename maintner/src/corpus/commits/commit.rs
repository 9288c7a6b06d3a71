use std::fmt;

use super::{CommitId, Commits, Hash, Links, Row, ancestry};
use crate::{
    corpus::Timestamp,
    parse::{Facts, commit as object, line, person},
    proto::view::{self, View},
    store::Span,
};

/// A commit. A few words that borrow the version of the corpus they are from.
#[derive(Clone, Copy)]
pub struct Commit<'a> {
    commits: &'a Commits,
    row: &'a Row,
    id: CommitId,
}

/// Who did something to a commit, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

    /// When.
    pub fn time(&self) -> Timestamp {
        Timestamp::new(self.seconds, 0)
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

impl<'a> File<'a> {
    fn new(file: &view::GitDiffTreeFile<'a>) -> Self {
        let lines =
            |count: i64| u32::try_from(count).unwrap_or(if count < 0 { 0 } else { u32::MAX });
        Self {
            path: file.file.as_str(),
            added: lines(file.added),
            deleted: lines(file.deleted),
            binary: file.binary,
        }
    }
}

impl<'a> Commit<'a> {
    pub(super) fn new(commits: &'a Commits, row: &'a Row, id: CommitId) -> Self {
        Self { commits, row, id }
    }

    /// Its number.
    pub fn id(&self) -> CommitId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> Hash {
        self.row.hash
    }

    /// The commit object, as git has it.
    pub fn raw(&self) -> &'a [u8] {
        self.commits.texts.bytes(self.row.raw)
    }

    fn object(&self) -> Option<object::Commit<'a>> {
        object::parse(self.raw()).ok()
    }

    /// The name of its tree.
    pub fn tree(&self) -> Hash {
        let tree = self.object().and_then(|object| Hash::parse(object.tree));
        tree.unwrap_or_default()
    }

    /// The whole message, up to the first byte that is not UTF-8.
    pub fn message(&self) -> &'a str {
        self.commits.texts.text(self.message_span())
    }

    pub(in crate::corpus) fn message_span(&self) -> Span {
        let raw = self.row.raw;
        raw.slice(self.row.message_at as usize, raw.len())
    }

    /// The first line of the message, trimmed.
    pub fn summary(&self) -> &'a str {
        let (texts, message) = (&self.commits.texts, self.message_span());
        let end = memchr::memchr(b'\n', texts.bytes(message));
        texts
            .text(message.slice(0, end.unwrap_or(message.len())))
            .trim()
    }

    /// The value of the first line `Reviewer: …` of the message.
    pub fn reviewer(&self) -> Option<&'a str> {
        line::find(self.message(), "Reviewer:").map(|line| line.value)
    }

    /// Who wrote it.
    pub fn author(&self) -> Signed<'a> {
        self.signed(|object| object.author)
    }

    /// Who committed it.
    pub fn committer(&self) -> Signed<'a> {
        self.signed(|object| object.committer)
    }

    fn signed(&self, who: impl Fn(&object::Commit<'a>) -> person::Signature<'a>) -> Signed<'a> {
        let signature = self.object().map(|object| who(&object));
        signature.map_or_else(Signed::default, |signature| Signed {
            person: signature.person,
            seconds: signature.seconds,
            zone: signature.zone,
        })
    }

    /// When it was committed: that of [`committer`](Self::committer), without a look at the log.
    pub fn time(&self) -> Timestamp {
        Timestamp::new(self.row.commit_time, 0)
    }

    /// Whether it is one of those in which Gerrit keeps what happens to a change: its message has a
    /// footer `Patch-set:`. Without a look at the log.
    pub fn is_meta(&self) -> bool {
        self.row.facts.has(Facts::META)
    }

    /// The names of its parents, in order, whether those are known or not.
    pub fn parents(&self) -> impl DoubleEndedIterator<Item = Hash> + use<'a> {
        let commits = self.commits;
        let parents = commits.parents_of(self.id.0);
        parents.filter_map(|id| Some(commits.rows.get(id as usize)?.hash))
    }

    /// Its parents, those that are known, in order.
    pub fn known_parents(&self) -> impl DoubleEndedIterator<Item = Self> + use<'a> {
        let commits = self.commits;
        let parents = commits.parents_of(self.id.0);
        parents.filter_map(|id| commits.at(CommitId(id)))
    }

    /// Itself, its first parent, the first parent of that, and so on, as far as they are known.
    pub fn first_parents(&self) -> impl Iterator<Item = Self> + use<'a> {
        let commits = self.commits;
        let line = std::iter::successors(Some(*self), move |commit| {
            commits.at(CommitId(commits.first_parent(commit.id.0)?))
        });
        // Nobody checks that names fit: a commit might descend from itself.
        line.take(commits.len())
    }

    /// The files it changed, by path.
    pub fn files(&self) -> impl DoubleEndedIterator<Item = File<'a>> + use<'a> {
        let [segment, ..] = self.row.raw.parts();
        let (at, len) = self.row.files;
        let list = self
            .commits
            .texts
            .bytes(Span::from_parts([segment, at, len]));
        let list = view::GitDiffTree::decode(list).unwrap_or_default();
        let mut files: Vec<File<'a>> = list.file.flatten().map(|file| File::new(&file)).collect();
        files.sort_by_key(|file| file.path);
        files.into_iter()
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
        ancestry::has_ancestor(self.commits, self.id.0, ancestor.id.0)
    }

    /// The last commit that both lines of first parents have; None if there is none, or ancestors
    /// are missing. Takes logarithmic time. Both must be of the same version.
    pub fn fork_point(&self, other: &Commit<'_>) -> Option<Self> {
        let ids = [self.id.0, other.id.0];
        if ids.iter().any(|&id| self.commits.story(id).is_none()) {
            return None;
        }
        self.commits
            .at(CommitId(self.commits.fork(ids[0], ids[1])?))
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
