//! A git repository on this machine as a source of mutations (feature `git`).
//!
//! Everything becomes what the original's Gerrit poller writes, so that any follower can read it: for
//! each commit a mutation with the object and the list of its files, and then one with the refs. A
//! repository is a *project*, `local/NAME` unless it is given another name. Of its refs those are
//! mirrored that people mean: `HEAD`, branches, tags, branches of remotes, and changes under review
//! (`refs/changes/`), which a mirror of a Gerrit repository has.
//!
//! * A tag with a text of its own stands for the commit that it is on. The original stores the tag's
//!   hash with the commit's content, under which nobody finds the commit.
//! * The first commit of a history has its list of files, too. The original leaves it out.
//! * Merges have none, as there.
//! * What Go readers cannot take is left out and counted ([`Status::skipped`](super::Status)):
//!   commits that they could not parse or that are too long for a record, paths that are not UTF-8,
//!   refs to anything else than commits.
//!
//! All of it is done by the git program, which must be installed: three processes for all commits that
//! are new together.

mod objects;
mod process;
mod refs;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use prost::Message;

use super::{Poller, Progress, SyncError};
use crate::{
    leader::Outlet,
    log::check,
    proto::{GerritMutation, GitCommit, GitRef, Mutation},
};
use process::Git;
use refs::Refs;
use watch::Watch;

/// Refs in one mutation at most, as the original has it.
const REFS_TOGETHER: usize = 250;

/// Bytes of commits that are appended together.
const APPEND_SIZE: usize = 256 << 10;

/// The longest record to write: half of what readers take.
const MAX_RECORD: usize = 32 << 20;

/// How often the repository's refs are looked at for changes.
const LOOK: Duration = Duration::from_millis(300);

/// A git repository that is mirrored.
#[derive(Debug)]
pub struct GitRepo {
    git: Git,
    project: String,
    watch: Watch,
}

/// Why a folder cannot be mirrored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no repository, or git refuses to use it.
    #[error("{} is no git repository that can be read: {reason}", path.display())]
    NoRepository {
        /// Where it should be.
        path: PathBuf,
        /// What git says.
        reason: String,
    },
    /// The log's format has names of 20 bytes only.
    #[error("{} names its objects by {format}; only sha1 fits into the log", path.display())]
    ObjectFormat {
        /// Where it is.
        path: PathBuf,
        /// What it has.
        format: String,
    },
    /// The name cannot be one of a project.
    #[error("{name:?} is no name for a project: give it one such as `local/name`")]
    Name {
        /// The name.
        name: String,
    },
    /// The git program cannot be run.
    #[error("cannot run git: is it installed?")]
    NoGit(#[source] std::io::Error),
}

impl GitRepo {
    /// The repository at `path`: any folder in a working tree, or a bare repository. `name` is what
    /// its project is called, host and path; by default `local/` and the name of the folder.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be mirrored.
    pub async fn open(path: &Path, name: Option<&str>) -> Result<Self, OpenError> {
        let (git, dirs) = Git::open(path).await?;
        let project = match name {
            Some(name) => name.to_owned(),
            None => format!("local/{}", process::name_of(&dirs.top)),
        };
        let is_name = project
            .split_once('/')
            .is_some_and(|(host, path)| !host.is_empty() && !path.is_empty());
        if !is_name || project.chars().any(|c| c.is_control() || c == ' ') {
            return Err(OpenError::Name { name: project });
        }
        let watch = Watch::new(dirs.git_dir, dirs.common_dir);
        Ok(Self {
            git,
            project,
            watch,
        })
    }

    /// What its project is called: `local/name`.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Where it is: the top of its working tree, or the repository itself if it is bare.
    pub fn path(&self) -> &Path {
        self.git.path()
    }

    async fn append_commits(
        &self,
        refs: &Refs,
        outlet: &Outlet,
        progress: &Progress,
    ) -> Result<(), SyncError> {
        let snapshot = outlet.corpus().snapshot();
        let before = refs::known(&snapshot, &self.project);
        let known = |name| snapshot.commits().get(name).is_some();
        let new = objects::list_new(&self.git, refs, before.into_values(), known).await?;
        if new.is_empty() {
            return Ok(());
        }
        let total = new.len() as u64;
        progress.at(0, total);
        let mut commits = objects::read(&self.git, new)?;
        let (mut pending, mut size, mut done) = (Vec::new(), 0, 0);
        while let Some(commit) = commits.next(progress).await? {
            done += 1;
            if let Some(commit) = commit
                && let Some(payload) = self.payload(commit, progress)
            {
                size += payload.len();
                pending.push(payload);
            }
            if size >= APPEND_SIZE {
                outlet.append_encoded(std::mem::take(&mut pending)).await?;
                progress.at(done, total);
                size = 0;
            }
        }
        outlet.append_encoded(pending).await?;
        Ok(())
    }

    /// A commit's record, if it can have one.
    fn payload(&self, commit: GitCommit, progress: &Progress) -> Option<Bytes> {
        let name = commit.sha1.clone();
        let mut gerrit = GerritMutation {
            project: self.project.clone(),
            commits: vec![commit],
            ..Default::default()
        };
        if gerrit.encoded_len() > MAX_RECORD {
            gerrit.commits[0].diff_tree = None;
            progress.skip(format!(
                "the list of files of commit {name}, which is too long"
            ));
            if gerrit.encoded_len() > MAX_RECORD {
                progress.skip(format!("commit {name}, which is too long"));
                return None;
            }
        }
        let payload = encode(gerrit);
        if let Err(refused) = check::check(&payload) {
            progress.skip(format!("commit {name}: {refused}"));
            return None;
        }
        Some(payload)
    }

    async fn append_refs(&self, refs: &Refs, outlet: &Outlet) -> Result<(), SyncError> {
        let snapshot = outlet.corpus().snapshot();
        let known = refs::known(&snapshot, &self.project);
        let (changed, gone) = refs.against(&known, &snapshot);
        let mut payloads = Vec::new();
        for changed in changed.chunks(REFS_TOGETHER) {
            let git_ref = |(name, hash): &(String, crate::corpus::Hash)| GitRef {
                r#ref: name.clone(),
                sha1: hash.to_string(),
            };
            payloads.push(encode(GerritMutation {
                project: self.project.clone(),
                refs: changed.iter().map(git_ref).collect(),
                ..Default::default()
            }));
        }
        for gone in gone.chunks(REFS_TOGETHER) {
            payloads.push(encode(GerritMutation {
                project: self.project.clone(),
                deleted_refs: gone.to_vec(),
                ..Default::default()
            }));
        }
        outlet.append_encoded(payloads).await?;
        Ok(())
    }
}

impl Poller for GitRepo {
    fn name(&self) -> Cow<'_, str> {
        format!("git {}", self.project).into()
    }

    async fn sync(&mut self, outlet: &Outlet, progress: &Progress) -> Result<(), SyncError> {
        // Before the refs are read: what changes later is seen as a change.
        self.watch.remember().await;
        let refs = Refs::read(&self.git, progress).await?;
        self.append_commits(&refs, outlet, progress).await?;
        self.append_refs(&refs, outlet).await
    }

    async fn changed(&mut self) {
        self.watch.changed(LOOK).await;
    }
}

fn encode(gerrit: GerritMutation) -> Bytes {
    let mutation = Mutation {
        gerrit: Some(gerrit),
        ..Default::default()
    };
    mutation.encode_to_vec().into()
}
