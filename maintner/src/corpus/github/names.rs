//! Repositories by their names, whose case does not matter.

use std::io;

use super::{rows::RepoRow, state::State};
use crate::{
    proto::Text,
    store::{Full, Hasher, List, Opener, Origin, Saved, Saver, Unusable},
};

/// Repositories that mutations were about: most are about one of a few. Not saved.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Recent([u32; 8]);

impl Recent {
    /// Where a repository of this name would be.
    fn place(owner: &[u8], name: &[u8]) -> usize {
        let last = name.last().copied().unwrap_or_default();
        (usize::from(last) + owner.len() + name.len()) % 8
    }
}

impl Saved for Recent {
    fn save(&self, _: &mut Saver<'_>) -> io::Result<()> {
        Ok(())
    }

    fn open(_: &mut Opener) -> Result<Self, Unusable> {
        Ok(Self::default())
    }
}

impl State {
    /// The row of a repository, in whatever case it is written.
    pub(super) fn find_repo(&self, owner: &[u8], name: &[u8]) -> Option<u32> {
        let hash = hash_name(&self.hasher, owner, name);
        self.repos.find(hash, |row| {
            let same = |symbol, text: &[u8]| {
                let its = self.texts.symbol_bytes(symbol);
                its == text || its.eq_ignore_ascii_case(text)
            };
            same(row.name, name) && same(row.owner, owner)
        })
    }

    /// The row of a repository that was asked for lately, spelled as it was first.
    pub(super) fn recent_repo(&self, owner: &[u8], name: &[u8]) -> Option<u32> {
        let at = self.recent.0[Recent::place(owner, name)];
        let row = self.repos.get(at)?;
        let same = |symbol, text| self.texts.symbol_bytes(symbol) == text;
        (same(row.name, name) && same(row.owner, owner)).then_some(at)
    }

    /// The row of a repository, a new one if there is none.
    pub(super) fn repo(
        &mut self,
        origin: Origin<'_>,
        owner: Text<'_>,
        name: Text<'_>,
    ) -> Result<u32, Full> {
        let (owner, name) = (owner.as_bytes(), name.as_bytes());
        if let Some(at) = self.recent_repo(owner, name) {
            return Ok(at);
        }
        let at = match self.find_repo(owner, name) {
            Some(at) => at,
            None => {
                let hash = hash_name(&self.hasher, owner, name);
                let row = RepoRow {
                    owner: self.texts.intern(origin, owner),
                    name: self.texts.intern(origin, name),
                    issues: List::default(),
                    labels: List::default(),
                    milestones: List::default(),
                    open: List::default(),
                };
                self.repos.add(hash, row)?
            }
        };
        self.recent.0[Recent::place(owner, name)] = at;
        Ok(at)
    }
}

/// The hash of a repository's name, however it is spelled.
fn hash_name(hasher: &Hasher, owner: &[u8], name: &[u8]) -> u64 {
    // Longer ones are not on GitHub.
    let mut text = [b'/'; 160];
    let len = owner.len() + 1 + name.len();
    let Some(text) = text.get_mut(..len) else {
        return hasher.hash_one([owner, name].map(<[u8]>::to_ascii_lowercase));
    };
    text[..owner.len()].copy_from_slice(owner);
    text[owner.len() + 1..].copy_from_slice(name);
    text.make_ascii_lowercase();
    hasher.hash_one(&*text)
}
