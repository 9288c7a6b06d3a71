//! Commits: all that any repository or project has, each once.

mod ancestry;
mod commit;
mod error;
mod hash;
mod paths;
mod prepared;
mod settle;
mod story;

use ancestry::{Lineage, Links};
pub use commit::{Commit, File, Signed};
pub use error::AddError;
pub(super) use error::passed_over;
pub use hash::Hash;
use paths::Paths;
pub(super) use prepared::{Path, Prepared, Preparer};
pub(super) use settle::Waiting;
pub(super) use story::{NONE, Story};

use crate::{
    parse::Facts,
    store::{Hasher, Index, Paged, Span, Texts, row, saved},
};

/// A commit of a corpus, by number. Numbers are given out in order of first mention and never
/// change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(pub(super) u32);

/// All commits of a corpus. A clone is a version that stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Commits {
    texts: Texts,
    rows: Paged<Row>,
    /// Of the same numbers as the rows.
    standings: Paged<Standing>,
    /// For each commit of several parents the number of those behind the first, and those.
    parents: Paged<u32>,
    paths: Paths,
    index: Index,
    hasher: Hasher,
    known_count: usize,
}

row! {
    /// One line of the processor's cache. What is asked for less often stands in the log.
    #[derive(Debug)]
    struct Row {
        hash: Hash,
        /// The commit object.
        raw: Span,
        /// Where in it the message begins; 0 if nothing is known but that another commit has it for a
        /// parent.
        message_at: u32,
        /// The list of files, in the same segment.
        files: (u32, u32),
        facts: Facts,
        commit_time: i64,
        first_parent: u32,
        /// Where the other parents stand.
        more_parents: u32,
    }
}

row! {
    /// Where a commit stands among the others.
    #[derive(Debug, Default)]
    struct Standing {
        lineage: Lineage,
        story: Story,
    }
}

saved!(Commits {
    texts,
    rows,
    standings,
    parents,
    paths,
    index,
    hasher,
    known_count,
});

/// In the place of a commit that is not there.
static NOBODY: Row = Row::mentioned(Hash([0; 20]));

impl Row {
    const fn mentioned(hash: Hash) -> Self {
        Self {
            hash,
            raw: Span::EMPTY,
            message_at: 0,
            files: (0, 0),
            facts: Facts::NONE,
            commit_time: 0,
            first_parent: NONE,
            more_parents: NONE,
        }
    }

    fn is_known(&self) -> bool {
        self.message_at != 0
    }
}

impl Commits {
    /// No commits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Commits there are, not counting those of which only the name is known.
    pub fn len(&self) -> usize {
        self.known_count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known_count == 0
    }

    /// Commits that others have for parents and that nobody has told about.
    pub fn missing(&self) -> usize {
        self.rows.len() - self.known_count
    }

    /// The names of those, in order of first mention. Looks at every commit if there are any.
    pub fn missing_names(&self) -> impl Iterator<Item = Hash> {
        let rows = self.rows.iter().filter(|row| !row.is_known());
        rows.take(self.missing()).map(|row| row.hash)
    }

    /// The commit of this name, if it is known.
    pub fn get(&self, name: Hash) -> Option<Commit<'_>> {
        self.find(name).and_then(|row| self.at(CommitId(row)))
    }

    /// The commit of this number, if it is known.
    pub fn at(&self, id: CommitId) -> Option<Commit<'_>> {
        let row = self.rows.get(id.0 as usize)?;
        row.is_known().then_some(Commit::new(self, row, id))
    }

    /// The commit of a number of which it is known that there is one; if there is none, one without
    /// a name and a message.
    pub(super) fn known(&self, id: u32) -> Commit<'_> {
        let row = self.rows.get(id as usize).unwrap_or(&NOBODY);
        Commit::new(self, row, CommitId(id))
    }

    /// All that are known, in order of first mention.
    pub fn iter(&self) -> impl Iterator<Item = Commit<'_>> {
        let rows = (0..).map(CommitId).zip(self.rows.iter());
        rows.filter(|(_, row)| row.is_known())
            .map(|(id, row)| Commit::new(self, row, id))
    }

    /// Those whose names begin with these hex digits, in order of first mention. Looks at every
    /// commit.
    pub fn with_prefix<'a>(&'a self, digits: &str) -> impl Iterator<Item = Commit<'a>> + use<'a> {
        let len = digits.len();
        // Its lowest and its highest name; none has more than 40 digits.
        let ends = ["0", "f"].map(|fill| {
            let fill = fill.repeat(40_usize.saturating_sub(len));
            Hash::parse(format!("{digits}{fill}"))
        });
        let range = match ends {
            [Some(first), Some(last)] => Some(first..=last),
            _ => None,
        };
        range.into_iter().flat_map(move |range| {
            self.iter()
                .filter(move |commit| range.contains(&commit.name()))
        })
    }

    /// Those that changed a file, in order of first mention.
    pub fn touching(&self, path: &str) -> impl DoubleEndedIterator<Item = Commit<'_>> {
        let symbol = self.texts.find(path.as_bytes());
        let ids = symbol.map_or_else(Vec::new, |symbol| self.paths.commits(symbol));
        ids.into_iter().filter_map(|id| self.at(CommitId(id)))
    }

    /// The paths that any commit changed, each once, in no order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.symbols().map(|symbol| self.texts.symbol(symbol))
    }

    fn hash(&self, name: Hash) -> u64 {
        self.hasher.hash_one(name)
    }

    fn find(&self, name: Hash) -> Option<u32> {
        self.find_hashed(self.hash(name), name)
    }

    fn find_hashed(&self, hash: u64, name: Hash) -> Option<u32> {
        self.index.find(hash, |row| {
            self.rows
                .get(row as usize)
                .is_some_and(|row| row.hash == name)
        })
    }

    /// The row of this name, a new one that is only mentioned if there is none.
    fn find_or_mention(&mut self, hash: u64, name: Hash) -> Result<u32, AddError> {
        match self.find_hashed(hash, name) {
            Some(row) => Ok(row),
            None => self.push(hash, Row::mentioned(name)),
        }
    }

    /// Appends a row whose name is in none.
    fn push(&mut self, hash: u64, row: Row) -> Result<u32, AddError> {
        let at = u32::try_from(self.rows.len()).map_err(|_| AddError::Full)?;
        if at == NONE {
            return Err(AddError::Full);
        }
        self.rows.push(row);
        self.standings.push(Standing::default());
        self.index.insert(hash, at);
        Ok(at)
    }

    /// What commits say, and the log it stands in.
    pub(super) fn texts(&self) -> &Texts {
        &self.texts
    }

    pub(super) fn texts_mut(&mut self) -> &mut Texts {
        &mut self.texts
    }

    /// The number of a commit that is known.
    pub(super) fn id(&self, name: Hash) -> Option<u32> {
        // Refs are asked about mostly, which point to one of the two that came last.
        let is_it = |&at: &usize| self.rows.get(at).is_some_and(|row| row.hash == name);
        let mut last = (1..=2).map(|back| self.rows.len().wrapping_sub(back));
        let id = match last.find(is_it) {
            Some(at) => at as u32,
            None => self.find(name)?,
        };
        self.rows.get(id as usize)?.is_known().then_some(id)
    }

    /// Where `part`, which is part of a commit's object, stands.
    pub(super) fn span_in(&self, id: u32, part: &str) -> Option<Span> {
        let raw = self.rows.get(id as usize)?.raw;
        let span = raw.part(self.texts.bytes(raw), part.as_bytes());
        (span != Span::EMPTY).then_some(span)
    }

    /// When a commit was committed, 0 if it is not known.
    pub(super) fn time(&self, id: u32) -> i64 {
        self.rows.get(id as usize).map_or(0, |row| row.commit_time)
    }

    pub(super) fn facts(&self, id: u32) -> Facts {
        let row = self.rows.get(id as usize);
        row.map_or_else(Facts::default, |row| row.facts)
    }

    /// The story up to a commit, all of whose ancestors are known.
    pub(super) fn story(&self, id: u32) -> Option<Story> {
        let standing = self.standings.get(id as usize)?;
        standing.lineage.is_settled().then_some(standing.story)
    }

    pub(super) fn first_parent(&self, id: u32) -> Option<u32> {
        Some(self.first_parent_of(id)?.0)
    }

    /// Commits on the line of first parents of one that is settled, itself among them.
    pub(super) fn depth(&self, id: u32) -> usize {
        self.lineage(id).depth() as usize + 1
    }

    /// The last commit on the lines of first parents of both, which are settled.
    pub(super) fn fork(&self, one: u32, other: u32) -> Option<u32> {
        ancestry::fork(self, one, other)
    }

    /// Where the line of first parents of a settled commit begins.
    pub(super) fn root(&self, id: u32) -> u32 {
        ancestry::at_depth(self, id, 0)
    }
}

impl Links for Commits {
    fn parents_of(&self, id: u32) -> impl DoubleEndedIterator<Item = u32> {
        let row = self.rows.get(id as usize);
        let first = row.map(|row| row.first_parent).filter(|&id| id != NONE);
        let more = row.map(|row| row.more_parents).filter(|&at| at != NONE);
        let run = more.and_then(|at| {
            let at = at as usize;
            Some(at + 1..at + 1 + *self.parents.get(at)? as usize)
        });
        let more = self.parents.range(run.unwrap_or_default());
        first.into_iter().chain(more.copied())
    }

    fn first_parent_of(&self, id: u32) -> Option<(u32, bool)> {
        let row = self.rows.get(id as usize)?;
        let is_merge = row.more_parents != NONE;
        (row.first_parent != NONE).then_some((row.first_parent, is_merge))
    }

    fn lineage(&self, id: u32) -> Lineage {
        let standing = self.standings.get(id as usize);
        standing.map_or_else(Lineage::default, |standing| standing.lineage)
    }
}

#[cfg(test)]
mod tests;
