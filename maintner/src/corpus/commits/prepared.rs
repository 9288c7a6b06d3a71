//! What can be made of a commit without knowing the others: work for another thread.

use std::slice;

use super::{AddError, CommitId, Commits, Hash, NONE, Row, Waiting};
use crate::{
    parse::{
        Facts,
        commit::{self as object, Parents},
    },
    proto::view,
    store::{Hasher, Origin},
};

/// Prepares commits for [`Commits::add`].
#[derive(Clone, Copy)]
pub(in crate::corpus) struct Preparer<'h> {
    /// Of names of commits.
    pub(in crate::corpus) names: &'h Hasher,
    /// Of texts.
    pub(in crate::corpus) texts: &'h Hasher,
}

/// A commit by its name, and what it is.
pub(in crate::corpus) struct Prepared<'a> {
    name: Hash,
    hash: u64,
    content: Result<Content<'a>, AddError>,
}

pub(super) struct Content<'a> {
    /// Without parents.
    row: Row,
    first_parent: Option<(Hash, u64)>,
    /// Of one that has further parents.
    parents: Option<Parents<'a>>,
    /// How many of the paths are its own.
    paths: usize,
}

/// The path of a file that a commit changed.
pub(in crate::corpus) struct Path<'a> {
    text: &'a [u8],
    hash: u64,
}

impl Preparer<'_> {
    /// Reads all of a commit; appends its paths.
    pub(in crate::corpus) fn prepare<'a>(
        &self,
        origin: Origin<'a>,
        new: &view::GitCommit<'a>,
        paths: &mut Vec<Path<'a>>,
    ) -> Result<Prepared<'a>, AddError> {
        let name = Hash::parse(new.sha1).ok_or_else(|| AddError::Name(new.sha1.into()))?;
        Ok(Prepared {
            name,
            hash: self.names.hash_one(name),
            content: self.content(name, origin, new, paths),
        })
    }

    fn content<'a>(
        &self,
        name: Hash,
        origin: Origin<'a>,
        new: &view::GitCommit<'a>,
        paths: &mut Vec<Path<'a>>,
    ) -> Result<Content<'a>, AddError> {
        let unreadable = |source| AddError::Object { name, source };
        let object = object::parse(new.raw).map_err(unreadable)?;
        let list = new.diff_tree.unwrap_or_default();
        let first_path = paths.len();
        for file in list.file {
            let file = file.map_err(|source| {
                paths.truncate(first_path);
                AddError::Files { name, source }
            })?;
            paths.push(Path {
                text: file.file.as_bytes(),
                hash: self.texts.hash_one(file.file.as_bytes()),
            });
        }
        let files = origin.span_of(list.file.message());
        let first_parent = object.parents.first().map(Hash);
        Ok(Content {
            row: Row {
                hash: name,
                raw: origin.span_of(new.raw),
                message_at: (new.raw.len() - object.message.len()) as u32,
                files: (files.parts()[1], files.parts()[2]),
                facts: Facts::of(object.message),
                commit_time: object.committer.seconds,
                first_parent: NONE,
                more_parents: NONE,
            },
            first_parent: first_parent.map(|name| (name, self.names.hash_one(name))),
            parents: object.parents.are_several().then_some(object.parents),
            paths: paths.len() - first_path,
        })
    }
}

impl Commits {
    /// Hashes names of commits.
    pub(in crate::corpus) fn names(&self) -> &Hasher {
        &self.hasher
    }

    /// Looks at the places where commits that are added next will be looked for, which lie all over
    /// the memory: one after the other each would be waited for.
    pub(in crate::corpus) fn warm(
        &self,
        new: &[Result<Prepared<'_>, AddError>],
        paths: &[Path<'_>],
    ) {
        let mut seen = 0;
        for new in new.iter().flatten() {
            seen ^= self.index.look(new.hash);
            let content = new.content.as_ref().ok();
            if let Some((_, parent)) = content.and_then(|content| content.first_parent) {
                seen ^= self.index.look(parent);
            }
        }
        for path in paths {
            seen ^= self.texts.look(path.hash);
        }
        for path in paths {
            seen ^= self.texts.look_at_text(path.hash);
        }
        std::hint::black_box(seen);
    }

    /// Takes a commit in that was [prepared](Preparer::prepare), and its paths from `paths`. One that
    /// is known already is left as it is: a commit's name says what is in it.
    pub(in crate::corpus) fn add(
        &mut self,
        origin: Origin<'_>,
        new: Prepared<'_>,
        paths: &mut slice::Iter<'_, Path<'_>>,
        waiting: &mut Waiting,
    ) -> Result<CommitId, AddError> {
        let found = self.find_hashed(new.hash, new.name);
        if let Some(id) = self.known_among(found) {
            if let Ok(content) = new.content {
                paths.take(content.paths).for_each(drop);
            }
            return Ok(id);
        }
        self.add_content(origin, new.hash, found, new.content?, paths, waiting)
    }

    fn known_among(&self, found: Option<u32>) -> Option<CommitId> {
        let id = found?;
        let row = self.rows.get(id as usize)?;
        row.is_known().then_some(CommitId(id))
    }

    /// Takes in a commit that is not known; `found` is its row if others have mentioned it.
    fn add_content(
        &mut self,
        origin: Origin<'_>,
        hash: u64,
        found: Option<u32>,
        content: Content<'_>,
        paths: &mut slice::Iter<'_, Path<'_>>,
        waiting: &mut Waiting,
    ) -> Result<CommitId, AddError> {
        let mut row = content.row;
        let name = row.hash;
        let parent_name = content.first_parent.map(|(name, _)| name);
        let may_be_itself = parent_name == Some(name) || content.parents.is_some();
        if let Some((parent, hash)) = content.first_parent {
            row.first_parent = self.find_or_mention(hash, parent)?;
        }
        if let Some(parents) = content.parents {
            row.more_parents = self.add_more_parents(parents)?;
        }
        // Its parents, mentioned meanwhile, may be itself.
        let found = found.or_else(|| match may_be_itself {
            true => self.find_hashed(hash, name),
            false => None,
        });
        let id = match found {
            Some(id) => {
                if let Some(mentioned) = self.rows.get_mut(id as usize) {
                    *mentioned = row;
                }
                id
            }
            None => self.push(hash, row)?,
        };
        self.known_count += 1;
        for path in paths.by_ref().take(content.paths) {
            let path = self.texts.intern_hashed(path.hash, origin, path.text);
            self.paths.add(path, id)?;
        }
        self.settle(id, waiting);
        Ok(CommitId(id))
    }

    /// Where the parents behind the first stand.
    fn add_more_parents(&mut self, parents: Parents<'_>) -> Result<u32, AddError> {
        let at = u32::try_from(self.parents.len()).map_err(|_| AddError::Full)?;
        self.parents.push(0);
        let mut count = 0;
        for name in parents.hashes().map(Hash).skip(1) {
            let parent = self.find_or_mention(self.hash(name), name)?;
            self.parents.push(parent);
            count += 1;
        }
        if let Some(stored) = self.parents.get_mut(at as usize) {
            *stored = count;
        }
        Ok(at)
    }
}
