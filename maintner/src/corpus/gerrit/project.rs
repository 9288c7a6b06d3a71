use std::{cmp::Ordering, fmt};

use super::{
    Change, Gerrit,
    rows::{ChangeRow, ProjectRow},
};
use crate::{
    corpus::commits::{Commit, CommitId, Hash, NONE},
    store::Symbol,
};

/// A project on Gerrit. A few words that borrow the version of the corpus they are from.
#[derive(Clone, Copy)]
pub struct Project<'a> {
    gerrit: Gerrit<'a>,
    row: &'a ProjectRow,
    id: u32,
}

/// A ref that belongs to no change: a branch, a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ref<'a> {
    /// Its whole name: `refs/heads/master`.
    pub name: &'a str,
    /// What it points to.
    pub commit: Commit<'a>,
}

/// In the place of a project that is not there.
static NOTHING: ProjectRow = ProjectRow {
    name: Symbol::from_number(NONE),
    label_changes: 0,
    newest_ref: NONE,
    newest_change: NONE,
};

impl<'a> Project<'a> {
    /// The project of a row of which it is known that there is one.
    pub(super) fn new(gerrit: Gerrit<'a>, id: u32) -> Self {
        let row = gerrit.state.projects.get(id as usize).unwrap_or(&NOTHING);
        Self { gerrit, row, id }
    }

    /// Server and project: `go.googlesource.com/net`.
    pub fn full_name(self) -> &'a str {
        self.gerrit.commits.texts().symbol(self.row.name)
    }

    /// The server: `go.googlesource.com`.
    pub fn server(self) -> &'a str {
        let name = self.full_name();
        name.split_once('/').map_or(name, |(server, _)| server)
    }

    /// The project's name on its server: `net`.
    pub fn name(self) -> &'a str {
        self.full_name()
            .split_once('/')
            .map_or("", |(_, name)| name)
    }

    /// The change of this number, if enough is known of it: a patch set, and its meta commits.
    pub fn cl(self, number: i32) -> Option<Change<'a>> {
        let row = self.gerrit.state.find_change(self.id, number)?;
        Change::new(self.gerrit, row)
    }

    /// All changes that enough is known of, by number.
    pub fn cls(self) -> impl DoubleEndedIterator<Item = Change<'a>> + use<'a> {
        by_number(self.cls_unsorted())
    }

    /// All changes that enough is known of, in any order; faster than [`cls`](Self::cls).
    pub fn cls_unsorted(self) -> impl Iterator<Item = Change<'a>> + use<'a> {
        let rows = self.changes();
        rows.filter_map(move |row| Change::of_row(self.gerrit, row))
    }

    /// The rows of all changes, newest first.
    fn changes(self) -> impl Iterator<Item = &'a ChangeRow> {
        let changes = &self.gerrit.state.changes;
        let newest = changes.get(self.row.newest_change as usize);
        std::iter::successors(newest, |row| changes.get(row.older as usize))
    }

    /// The numbers of changes of which something is missing, in order.
    pub(super) fn incomplete_changes(self) -> Vec<i32> {
        let rows = self.changes();
        let rows = rows.filter(|row| !row.is_complete() || row.meta != row.meta_ref);
        let mut numbers: Vec<i32> = rows.map(|row| row.number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The changes under review that are not private, by number.
    pub fn open_cls(self) -> impl DoubleEndedIterator<Item = Change<'a>> + use<'a> {
        by_number(
            self.cls_unsorted()
                .filter(|change| change.is_open() && !change.is_private()),
        )
    }

    /// Its refs that belong to no change, by name.
    pub fn refs(self) -> impl DoubleEndedIterator<Item = Ref<'a>> + use<'a> {
        let Gerrit { state, commits } = self.gerrit;
        let first = state.refs.get(self.row.newest_ref as usize);
        let rows = std::iter::successors(first, |row| state.refs.get(row.older as usize));
        let refs = rows.filter_map(|row| {
            Some(Ref {
                name: commits.texts().symbol(row.name),
                commit: commits.at(CommitId(row.commit))?,
            })
        });
        let mut refs: Vec<Ref<'a>> = refs.collect();
        refs.sort_by_key(|reference| reference.name);
        refs.into_iter()
    }

    /// What a ref that belongs to no change points to; its whole name is asked for.
    pub fn reference(self, name: &str) -> Option<Commit<'a>> {
        let Gerrit { state, commits } = self.gerrit;
        let symbol = commits.texts().find(name.as_bytes())?;
        let row = state.refs.get(state.find_ref(self.id, symbol)? as usize)?;
        commits.at(CommitId(row.commit))
    }

    /// The commit of this name. As each commit is kept once, it may be of another project.
    pub fn commit(self, name: Hash) -> Option<Commit<'a>> {
        self.gerrit.commits.get(name)
    }

    /// How many meta commits of its changes set labels or took them away. Never shrinks: who sees
    /// the same number twice knows that no vote came in between.
    pub fn num_label_changes(self) -> u64 {
        self.row.label_changes
    }

    /// The repository, as owner and name, that a bare `#123` in a commit's message means, if there
    /// is one: only the Go project's main repository has it.
    pub fn issues(self) -> Option<(&'static str, &'static str)> {
        (self.full_name() == "go.googlesource.com/go").then_some(("golang", "go"))
    }
}

fn by_number<'a>(
    changes: impl Iterator<Item = Change<'a>>,
) -> impl DoubleEndedIterator<Item = Change<'a>> {
    let mut changes: Vec<Change<'a>> = changes.collect();
    changes.sort_unstable_by_key(|change| change.number());
    changes.into_iter()
}

impl fmt::Debug for Project<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Project").field(&self.full_name()).finish()
    }
}

impl PartialEq for Project<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.full_name() == other.full_name()
    }
}

impl Eq for Project<'_> {}

impl PartialOrd for Project<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Project<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.full_name().cmp(other.full_name())
    }
}
