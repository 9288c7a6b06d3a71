use super::{
    Compat,
    mentions::Mentions,
    refs::RefName,
    rows::{ChangeRow, PatchSetRow, Place, ProjectRow, RefRow, StepRow},
};
use crate::{
    corpus::commits::{AddError, CommitId, Commits, Hash, NONE, Waiting},
    parse::line,
    proto::{Text, view},
    store::{Hasher, Index, Opener, Origin, Paged, Saved, Saver, Symbol, Unusable, saved},
};

/// All that a log says of Gerrit but the commits. A clone is a version that stays as it is.
#[derive(Debug, Clone, Default)]
pub(in crate::corpus) struct State {
    compat: Compat,
    hasher: Hasher,
    pub(super) projects: Paged<ProjectRow>,
    project_index: Index,
    /// The project of the mutation before; most are about the same.
    last_project: u32,
    pub(super) refs: Paged<RefRow>,
    ref_index: Index,
    pub(super) changes: Paged<ChangeRow>,
    change_index: Index,
    pub(super) patch_sets: Paged<PatchSetRow>,
    pub(super) mentions: Mentions,
    /// What became of changes, in the log's order.
    pub(super) steps: Paged<StepRow>,
}

saved!(State {
    compat,
    hasher,
    projects,
    project_index,
    last_project,
    refs,
    ref_index,
    changes,
    change_index,
    patch_sets,
    mentions,
    steps,
});

impl Saved for Compat {
    fn save(&self, to: &mut Saver<'_>) -> std::io::Result<()> {
        (*self as u32).save(to)
    }

    fn open(from: &mut Opener) -> Result<Self, Unusable> {
        let all = [Self::Right, Self::Original];
        let saved = u32::open(from)?;
        let compat = all.into_iter().find(|&compat| compat as u32 == saved);
        compat.ok_or(Unusable::Schema)
    }
}

impl State {
    pub(in crate::corpus) fn new(compat: Compat) -> Self {
        Self {
            compat,
            ..Self::default()
        }
    }

    pub(in crate::corpus) fn compat(&self) -> Compat {
        self.compat
    }

    pub(super) fn is_compat(&self) -> bool {
        self.compat == Compat::Original
    }

    /// Takes in what a mutation about a project says of refs; its commits have been added. Parts that
    /// nobody can make anything of are passed over and counted.
    pub(in crate::corpus) fn apply(
        &mut self,
        commits: &mut Commits,
        waiting: &mut Waiting,
        origin: Origin<'_>,
        project: Option<u32>,
        mutation: &view::GerritMutation<'_>,
        skipped: &mut u64,
    ) -> Result<(), AddError> {
        let Some(project) = project else {
            *skipped += (mutation.deleted_refs.len() + mutation.refs.len()) as u64;
            return Ok(());
        };
        for name in mutation.deleted_refs {
            match name {
                Ok(name) => self.delete_ref(commits, project, name.as_bytes()),
                Err(_) => *skipped += 1,
            }
        }
        for reference in mutation.refs {
            let set = match reference {
                Ok(reference) => self.set_ref(commits, waiting, origin, project, &reference)?,
                Err(_) => false,
            };
            if !set {
                *skipped += 1;
            }
        }
        Ok(())
    }

    /// Makes up for the changes whose meta commits have become complete.
    pub(in crate::corpus) fn finish(&mut self, commits: &mut Commits, waiting: &mut Waiting) {
        for (commit, change, place) in waiting.take_woken() {
            let row = self.changes.get(change as usize);
            // One whose ref moved on waits for another commit, and for that one's place.
            if row.is_some_and(|row| row.meta_ref == commit) {
                self.follow_meta(commits, waiting, change, place);
            }
        }
    }

    /// The row of a project, a new one if there is none; none if it has no name.
    pub(in crate::corpus) fn project(
        &mut self,
        commits: &mut Commits,
        origin: Origin<'_>,
        name: Text<'_>,
    ) -> Result<Option<u32>, AddError> {
        if let Some(last) = self.projects.get(self.last_project as usize)
            && commits.texts().symbol_bytes(last.name) == name.as_bytes()
        {
            return Ok(Some(self.last_project));
        }
        if name.is_empty() {
            return Ok(None);
        }
        let symbol = commits.texts_mut().intern(origin, name.as_bytes());
        let row = match self.find_project(symbol) {
            Some(row) => row,
            None => {
                let row = row_number(self.projects.push(ProjectRow {
                    name: symbol,
                    label_changes: 0,
                    newest_ref: NONE,
                    newest_change: NONE,
                }))?;
                let hash = self.hasher.hash_one(symbol);
                self.project_index.insert(hash, row);
                row
            }
        };
        self.last_project = row;
        Ok(Some(row))
    }

    pub(super) fn find_project(&self, name: Symbol) -> Option<u32> {
        self.project_index.find(self.hasher.hash_one(name), |row| {
            let row = self.projects.get(row as usize);
            row.is_some_and(|row| row.name == name)
        })
    }

    pub(super) fn find_ref(&self, project: u32, name: Symbol) -> Option<u32> {
        self.ref_index
            .find(self.hasher.hash_one((project, name)), |row| {
                let row = self.refs.get(row as usize);
                row.is_some_and(|row| (row.project, row.name) == (project, name))
            })
    }

    pub(super) fn find_change(&self, project: u32, number: i32) -> Option<u32> {
        self.change_index
            .find(self.hasher.hash_one((project, number)), |row| {
                let row = self.changes.get(row as usize);
                row.is_some_and(|row| (row.project, row.number) == (project, number))
            })
    }

    fn delete_ref(&mut self, commits: &Commits, project: u32, name: &[u8]) {
        let symbol = commits.texts().find(name);
        let row = symbol.and_then(|symbol| self.find_ref(project, symbol));
        if let Some(row) = row.and_then(|row| self.refs.get_mut(row as usize)) {
            row.commit = NONE;
        }
    }

    /// Points a ref to a commit; gives whether it can.
    fn set_ref(
        &mut self,
        commits: &mut Commits,
        waiting: &mut Waiting,
        origin: Origin<'_>,
        project: u32,
        reference: &view::GitRef<'_>,
    ) -> Result<bool, AddError> {
        let name = RefName::parse(reference.reference.as_str());
        if name == RefName::Settings {
            return Ok(true);
        }
        let commit = Hash::parse(reference.sha1).and_then(|name| commits.id(name));
        let Some(commit) = commit else {
            tracing::debug!(name = %reference.reference, "ref to an unknown commit");
            return Ok(false);
        };
        let place = Place::of(origin.span_of(reference.reference.as_bytes()));
        if let RefName::Meta(_) | RefName::PatchSet(..) = name {
            // First those that became complete meanwhile: steps are in the log's order, and when
            // somebody publishes makes no difference.
            self.finish(commits, waiting);
        }
        match name {
            RefName::Settings | RefName::Impossible => return Ok(false),
            RefName::Other => {
                let name = reference.reference.as_bytes();
                let name = commits.texts_mut().intern(origin, name);
                self.set_other_ref(project, name, commit)?;
            }
            RefName::Meta(number) => {
                let change = self.change(project, number)?;
                if let Some(row) = self.changes.get_mut(change as usize) {
                    row.meta_ref = commit;
                }
                self.follow_meta(commits, waiting, change, place);
            }
            RefName::PatchSet(number, version) => {
                let change = self.change(project, number)?;
                self.set_patch_set(commits, change, version, commit, place)?;
            }
        }
        Ok(true)
    }

    fn set_other_ref(&mut self, project: u32, name: Symbol, commit: u32) -> Result<(), AddError> {
        if let Some(row) = self.find_ref(project, name) {
            if let Some(row) = self.refs.get_mut(row as usize) {
                row.commit = commit;
            }
            return Ok(());
        }
        let Some(owner) = self.projects.get_mut(project as usize) else {
            return Ok(());
        };
        let older = owner.newest_ref;
        let row = row_number(self.refs.push(RefRow {
            project,
            name,
            commit,
            older,
        }))?;
        owner.newest_ref = row;
        let hash = self.hasher.hash_one((project, name));
        self.ref_index.insert(hash, row);
        Ok(())
    }

    /// The row of a change, a new one if there is none.
    fn change(&mut self, project: u32, number: i32) -> Result<u32, AddError> {
        if let Some(row) = self.find_change(project, number) {
            return Ok(row);
        }
        let Some(owner) = self.projects.get_mut(project as usize) else {
            return Err(AddError::Full);
        };
        let older = owner.newest_change;
        let row = row_number(self.changes.push(ChangeRow::new(project, number, older)))?;
        owner.newest_change = row;
        let hash = self.hasher.hash_one((project, number));
        self.change_index.insert(hash, row);
        Ok(row)
    }

    fn set_patch_set(
        &mut self,
        commits: &mut Commits,
        change: u32,
        version: i32,
        commit: u32,
        place: Place,
    ) -> Result<(), AddError> {
        let last_seen_counts = self.is_compat();
        let Some(row) = self.changes.get_mut(change as usize) else {
            return Ok(());
        };
        let was_complete = row.is_complete();
        if last_seen_counts || version >= row.version {
            (row.version, row.commit) = (version, commit);
        }
        let newest = self.patch_sets.get(row.newest_patch_set as usize);
        if newest.is_some_and(|newest| (newest.version, newest.commit) == (version, commit)) {
            return Ok(());
        }
        if row.is_complete() {
            self.steps.push(StepRow {
                change,
                before: if was_complete { row.meta } else { NONE },
                after: if was_complete { NONE } else { row.meta },
                place,
            });
        }
        let older = row.newest_patch_set;
        let patch_set = row_number(self.patch_sets.len())?;
        row.newest_patch_set = patch_set;
        if version == 1 {
            let person = commits.at(CommitId(commit)).map(|commit| commit.author());
            let span = person.and_then(|person| commits.span_in(commit, person.person));
            row.owner = span.map(|span| commits.texts_mut().intern_at(span));
        }
        let same_commit = self.mentions.reviewed(commits, commit, patch_set)?;
        self.patch_sets.push(PatchSetRow {
            change,
            version,
            commit,
            older,
            same_commit,
        });
        Ok(())
    }

    /// Brings a change up to where its meta ref points; as soon as the commits there are known.
    fn follow_meta(
        &mut self,
        commits: &mut Commits,
        waiting: &mut Waiting,
        change: u32,
        place: Place,
    ) {
        let is_compat = self.is_compat();
        let Some(row) = self.changes.get_mut(change as usize) else {
            return;
        };
        let head = row.meta_ref;
        let Some(story) = commits.story(head) else {
            waiting.watch(head, change);
            return;
        };
        if head == row.meta {
            return;
        }
        if !story.is_linear() {
            tracing::debug!(change = row.number, "meta commits with several parents");
            return;
        }
        // Usually the head there was.
        let fork = match row.meta {
            NONE => None,
            meta => commits.fork(meta, head),
        };
        let common = fork.and_then(|fork| commits.story(fork));
        let labels_before = common.map_or(0, |story| story.labels());
        let labels = story.labels().saturating_sub(labels_before);
        if fork.is_none() {
            row.first_meta = commits.root(head);
            row.created = commits.time(row.first_meta);
        }
        let before = if row.is_complete() { row.meta } else { NONE };
        row.meta = head;
        if row.is_complete() {
            self.steps.push(StepRow {
                change,
                before,
                after: head,
                place,
            });
        }
        row.updated = commits.time(head);
        row.was_private = story.was_private();
        row.work_in_progress = story.work_in_progress();
        (row.status, row.private) = match is_compat {
            true => (story.status_in_text(), story.was_private_in_text()),
            false => (story.status(), story.private()),
        };
        if row.branch_from != story.branch {
            row.branch_from = story.branch;
            row.branch = footer(commits, story.branch, "Branch:", "refs/heads/");
        }
        if row.topic_from != story.topic {
            row.topic_from = story.topic;
            row.topic = footer(commits, story.topic, "Topic:", "");
        }
        if row.current_from != story.current {
            row.current_from = story.current;
            row.current = current(commits, story.current);
        }
        let project = row.project as usize;
        if labels > 0
            && let Some(project) = self.projects.get_mut(project)
        {
            project.label_changes += u64::from(labels);
        }
    }
}

/// The value of a footer of a meta commit, without `prefix`; none if it is empty.
fn footer(commits: &mut Commits, meta: u32, key: &str, prefix: &str) -> Option<Symbol> {
    let message = commits.at(CommitId(meta))?.message();
    let value = line::find(line::footer(message), key)?.value;
    let value = value.strip_prefix(prefix).unwrap_or(value);
    if value.is_empty() {
        return None;
    }
    let span = commits.span_in(meta, value)?;
    Some(commits.texts_mut().intern_at(span))
}

/// The patch set that a meta commit is about; 0 if there is no such commit.
fn current(commits: &Commits, meta: u32) -> i32 {
    let message = commits.at(CommitId(meta)).map(|commit| commit.message());
    let value = message.and_then(|message| line::find(line::footer(message), "Patch-set:"));
    // In old ones a word follows, in brackets.
    let number = value.and_then(|line| line.value.split(' ').next()?.parse().ok());
    number.unwrap_or(0)
}

/// A row's number, if there may be one more.
pub(super) fn row_number(at: usize) -> Result<u32, AddError> {
    u32::try_from(at)
        .ok()
        .filter(|&at| at != NONE)
        .ok_or(AddError::Full)
}
