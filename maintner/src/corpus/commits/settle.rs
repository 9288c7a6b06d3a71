use std::{collections::HashMap, io};

use super::{
    Commits,
    ancestry::{Lineage, Links},
};
use crate::{
    corpus::gerrit::Place,
    store::{Opener, Paged, Saved, Saver, Unusable},
};

/// Who waits for a commit to know all of its ancestors. Belongs to the writer.
#[derive(Debug, Clone, Default)]
pub(in crate::corpus) struct Waiting {
    /// Commits by the parent they wait for, and how many of their parents they need not look at
    /// again.
    commits: HashMap<u32, Vec<(u32, usize)>>,
    /// Changes of Gerrit by the meta commit that their ref points to.
    changes: HashMap<u32, Vec<u32>>,
    /// The meta commits that were waited for, the changes that did, and the commit that ended it.
    woken: Vec<(u32, u32, Place)>,
}

impl Waiting {
    /// Notes that a change waits for a commit.
    pub(in crate::corpus) fn watch(&mut self, commit: u32, change: u32) {
        let waiting = self.changes.entry(commit).or_default();
        if waiting.last() != Some(&change) {
            waiting.push(change);
        }
    }

    /// The meta commits that were waited for, the changes that did, and the commits that ended it.
    pub(in crate::corpus) fn take_woken(&mut self) -> Vec<(u32, u32, Place)> {
        std::mem::take(&mut self.woken)
    }

    fn wait(&mut self, commit: u32, looked_at: usize, parent: u32) {
        let waiting = self.commits.entry(parent).or_default();
        waiting.push((commit, looked_at));
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }
}

impl Saved for Waiting {
    fn save(&self, to: &mut Saver<'_>) -> io::Result<()> {
        let mut commits = Paged::new();
        for (&parent, waiting) in &self.commits {
            let waiting = waiting.iter();
            commits.extend(waiting.map(|&(id, looked_at)| (id, looked_at as u32, parent)));
        }
        let mut changes = Paged::new();
        for (&commit, waiting) in &self.changes {
            changes.extend(waiting.iter().map(|&change| (commit, change)));
        }
        commits.save(to)?;
        changes.save(to)?;
        let woken = self.woken.iter().copied();
        woken.collect::<Paged<(u32, u32, Place)>>().save(to)
    }

    fn open(from: &mut Opener) -> Result<Self, Unusable> {
        let mut opened = Self::default();
        for &(id, looked_at, parent) in Paged::<(u32, u32, u32)>::open(from)?.iter() {
            opened.wait(id, looked_at as usize, parent);
        }
        for &(commit, change) in Paged::<(u32, u32)>::open(from)?.iter() {
            opened.watch(commit, change);
        }
        opened.woken = Paged::open(from)?.iter().copied().collect();
        Ok(opened)
    }
}

impl Commits {
    /// Finds out the standing of a commit, and of those that waited for it, as soon as all their
    /// ancestors are known. Looks at each parent once, however many a commit has.
    pub(super) fn settle(&mut self, id: u32, waiting: &mut Waiting) {
        let place = self.rows.get(id as usize).map(|row| Place::of(row.raw));
        let place = place.unwrap_or_default();
        let mut next = Some((id, 0));
        let mut ready = Vec::new();
        while let Some((id, looked_at)) = next {
            if let Some((looked_at, parent)) = self.unsettled_parent(id, looked_at) {
                waiting.wait(id, looked_at, parent);
            } else {
                self.stand(id);
                if !waiting.commits.is_empty() {
                    ready.extend(waiting.commits.remove(&id).into_iter().flatten());
                }
                if !waiting.changes.is_empty() {
                    let changes = waiting.changes.remove(&id);
                    let woken = changes.into_iter().flatten();
                    let woken = woken.map(|change| (id, change, place));
                    waiting.woken.extend(woken);
                }
            }
            next = ready.pop();
        }
    }

    /// The first parent that has no standing yet, not before number `from`, and its number.
    fn unsettled_parent(&self, id: u32, from: usize) -> Option<(usize, u32)> {
        let is_unsettled = |parent: u32| !self.lineage(parent).is_settled();
        match self.first_parent_of(id)? {
            (parent, false) => is_unsettled(parent).then_some((0, parent)),
            (_, true) => {
                let mut parents = self.parents_of(id).enumerate().skip(from);
                parents.find(|&(_, parent)| is_unsettled(parent))
            }
        }
    }

    /// Notes the standing of a commit all of whose ancestors have theirs.
    fn stand(&mut self, id: u32) {
        let lineage = Lineage::of(self, id);
        let (parent, is_merge) = self.first_parent_of(id).unzip();
        let story = parent.and_then(|parent| self.story(parent));
        let is_merge = is_merge.unwrap_or(false);
        let story = story.unwrap_or_default().then(id, self.facts(id), is_merge);
        if let Some(standing) = self.standings.get_mut(id as usize) {
            standing.lineage = lineage;
            standing.story = story;
        }
    }
}
