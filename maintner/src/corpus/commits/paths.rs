use super::{AddError, NONE};
use crate::store::{Paged, Symbol, row, saved};

/// Which commits changed a file: for each path a chain of them, newest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Paths {
    /// The newest of each path, by the path's symbol.
    newest: Paged<u32>,
    links: Paged<Link>,
}

row! {
    #[derive(Debug)]
    struct Link {
        commit: u32,
        older: u32,
    }
}

saved!(Paths { newest, links });

impl Paths {
    /// Adds a commit to a path. Has to be called for one commit after the other.
    pub(super) fn add(&mut self, path: Symbol, commit: u32) -> Result<(), AddError> {
        let path = path.number();
        self.newest.resize_with(path + 1, || NONE);
        let link = u32::try_from(self.links.len()).map_err(|_| AddError::Full)?;
        let Some(newest) = self.newest.get_mut(path) else {
            return Ok(());
        };
        let older = *newest;
        let is_there = self.links.get(older as usize);
        if is_there.is_some_and(|link| link.commit == commit) {
            return Ok(());
        }
        *newest = link;
        self.links.push(Link { commit, older });
        Ok(())
    }

    /// The commits of a path, oldest first.
    pub(super) fn commits(&self, path: Symbol) -> Vec<u32> {
        let newest = self.newest.get(path.number()).copied();
        let mut link = newest.unwrap_or(NONE);
        let mut commits = Vec::new();
        while let Some(&Link { commit, older }) = self.links.get(link as usize) {
            commits.push(commit);
            link = older;
        }
        commits.reverse();
        commits
    }

    /// All paths.
    pub(super) fn symbols(&self) -> impl Iterator<Item = Symbol> {
        let all = (0..).zip(self.newest.iter());
        all.filter(|&(_, &newest)| newest != NONE)
            .map(|(number, _)| Symbol::from_number(number))
    }
}
