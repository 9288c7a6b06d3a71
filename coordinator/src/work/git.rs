//! Work from a git repository, wherever it is.
//!
//! The repository is mirrored into a bare one of our own, with the git program, and only that is read from: the original may be
//! a folder somebody works in, a server that is slow, or gone tomorrow.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::archive::ArchiveCache;
use super::command::{git, git_fed};
use super::tree::{About, Tree};
use super::wanted::{ConfigFrom, Wanted};
use super::{Archive, SourceError, WorkSource};
use crate::store::{NewCommit, NewWork};

/// Most commits taken up from one branch at one look; older ones of a bigger push are passed over.
const MAX_NEW_COMMITS: u32 = 100;
/// What stands for the branch of a checkout that is on none.
const NO_BRANCH: &str = "HEAD";
/// A build wants the tree as it was committed; these attributes are meant for releases.
const ATTRIBUTES: &str = "* -export-ignore -export-subst\n";

/// Where and how to look for work.
#[derive(Debug, Clone)]
pub struct GitConfig {
    /// Path or URL: anything that `git fetch` takes.
    pub url: String,
    /// Folder for the mirror and the packed trees. It is created.
    pub cache_dir: PathBuf,
    /// Where builders come from.
    pub config: ConfigFrom,
    /// Host type of builders that name none.
    pub default_host: String,
    /// Commits of the default branch that are built at the first start; `None` leaves it to the configuration.
    pub recent: Option<u32>,
    /// Time between two looks; `None` leaves it to the configuration.
    pub poll: Option<Duration>,
    /// Bytes of packed trees to keep.
    pub archive_budget: u64,
}

/// A git repository as a source of work.
#[derive(Debug)]
pub struct GitSource {
    name: String,
    url: String,
    mirror: PathBuf,
    wanted: Wanted,
    recent: Option<u32>,
    interval: Duration,
    archives: ArchiveCache,
}

impl GitSource {
    /// Prepares the mirror. The repository itself is first looked at by [`WorkSource::poll`].
    pub async fn open(config: GitConfig) -> Result<Self, SourceError> {
        let mirror = config.cache_dir.join("mirror.git");
        tokio::fs::create_dir_all(&mirror).await?;
        remove_locks(&mirror).await?;
        git(&mirror, ["init", "--quiet", "--bare", "."]).await?;
        tokio::fs::create_dir_all(mirror.join("info")).await?;
        tokio::fs::write(mirror.join("info/attributes"), ATTRIBUTES).await?;
        let wanted = Wanted::new(config.config, config.default_host);
        Ok(Self {
            name: format!("git {}", without_password(&config.url)),
            url: config.url,
            recent: config.recent,
            interval: config.poll.unwrap_or_else(|| wanted.project().poll),
            archives: ArchiveCache::open(&config.cache_dir.join("trees"), config.archive_budget)
                .await?,
            wanted,
            mirror,
        })
    }

    /// Branch tips of the repository, and the name of its default branch.
    async fn tips(&self) -> Result<Tips, SourceError> {
        let listing = git(
            &self.mirror,
            [
                "ls-remote",
                "--symref",
                "--",
                &self.url,
                "HEAD",
                "refs/heads/*",
            ],
        )
        .await?;
        let mut tips = Tips::default();
        let mut head = None;
        for line in String::from_utf8_lossy(&listing).lines() {
            let Some((left, name)) = line.split_once('\t') else {
                continue;
            };
            match (left.strip_prefix("ref: refs/heads/"), name) {
                (Some(branch), "HEAD") => tips.default = Some(branch.to_owned()),
                (None, "HEAD") => head = Some(left.to_owned()),
                _ => {
                    if let Some(branch) = name.strip_prefix("refs/heads/") {
                        tips.branches.insert(branch.to_owned(), left.to_owned());
                    }
                }
            }
        }
        // A checkout of a bare commit, as other build systems make them, has work to do and no branch to find it on.
        if let (None, Some(head)) = (&tips.default, head) {
            tips.branches.insert(NO_BRANCH.to_owned(), head);
            tips.default = Some(NO_BRANCH.to_owned());
        }
        Ok(tips)
    }

    /// Brings the mirror up to date with what `remote` was a moment ago, and returns what it is now.
    async fn fetch(&self, remote: Tips) -> Result<Tips, SourceError> {
        let mut fetch = vec![
            "fetch",
            "--quiet",
            "--prune",
            "--no-tags",
            "--no-write-fetch-head",
            "--",
            &self.url,
            "+refs/heads/*:refs/heads/*",
        ];
        if remote.branches.contains_key(NO_BRANCH) {
            fetch.push("+HEAD:refs/farm/head");
        }
        git(&self.mirror, &fetch).await?;
        let format = "--format=%(objectname) %(refname)";
        let listing = git(&self.mirror, ["for-each-ref", format]).await?;
        let mut tips = Tips {
            default: remote.default,
            branches: BTreeMap::new(),
        };
        for line in String::from_utf8_lossy(&listing).lines() {
            let Some((hash, name)) = line.split_once(' ') else {
                continue;
            };
            let branch = match name {
                "refs/farm/head" if remote.branches.contains_key(NO_BRANCH) => NO_BRANCH,
                name => match name.strip_prefix("refs/heads/") {
                    Some(branch) => branch,
                    None => continue,
                },
            };
            tips.branches.insert(branch.to_owned(), hash.to_owned());
        }
        Ok(tips)
    }

    /// Commits of the branch that want to be looked at since `old`, oldest first; all of them if there is no `old`.
    ///
    /// That is what no branch had before, and what this branch was moved forward by though another had it: builders may be for
    /// this branch only. A commit that has its builds already is told again, which changes nothing.
    async fn new_hashes(
        &self,
        branch: &str,
        tip: &str,
        old: Option<&Tips>,
    ) -> Result<Vec<String>, SourceError> {
        let Some(old) = old else {
            let recent = self.recent.unwrap_or_else(|| self.wanted.project().recent);
            return self.rev_list(recent, &["--first-parent"], tip, []).await;
        };
        let mut own = vec![tip.to_owned()];
        if let Some(before) = old.branches.get(branch) {
            if self
                .holds(&["merge-base", "--is-ancestor", before, tip])
                .await?
            {
                let known = [before.as_str()];
                own = self
                    .rev_list(MAX_NEW_COMMITS, &["--first-parent"], tip, known)
                    .await?;
            } else if !self.holds(&["cat-file", "-e", before]).await? {
                // The mirror was made anew and the branch rewritten: the tip alone is what is certainly new.
                return Ok(own);
            }
        }
        // Somebody who looks around in the history of a working copy wants none of it built.
        if branch == NO_BRANCH {
            own.clear();
        }
        let known = old.branches.values().map(String::as_str);
        let unseen = self.rev_list(MAX_NEW_COMMITS, &[], tip, known).await?;
        // What was seen before is never newer than what was not.
        own.retain(|hash| !unseen.contains(hash));
        own.extend(unseen);
        Ok(own)
    }

    /// Whether git answers a question with yes.
    async fn holds(&self, question: &[&str]) -> Result<bool, SourceError> {
        match git(&self.mirror, question).await {
            Ok(_) => Ok(true),
            Err(SourceError::Git { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// At most `limit` commits that are reachable from `tip` and not from `known`, the newest of them, oldest first.
    async fn rev_list<'a>(
        &self,
        limit: u32,
        options: &[&str],
        tip: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<String>, SourceError> {
        let limit = format!("--max-count={limit}");
        let mut args = vec![
            "rev-list",
            "--date-order",
            "--ignore-missing",
            "--stdin",
            &*limit,
        ];
        args.extend(options);
        // There may be more branches than a command line has room for.
        let mut input = format!("{tip}\n");
        for hash in known {
            input.push('^');
            input.push_str(hash);
            input.push('\n');
        }
        let listing = git_fed(&self.mirror, &args, input).await?;
        let listing = String::from_utf8_lossy(&listing);
        let mut hashes: Vec<_> = listing.lines().map(str::to_owned).collect();
        hashes.reverse();
        Ok(hashes)
    }

    async fn commit(&self, hash: String, branch: &str) -> Result<NewCommit, SourceError> {
        let tree = Tree {
            mirror: &self.mirror,
            commit: &hash,
        };
        let about = match tree.about().await {
            Err(SourceError::Git { .. } | SourceError::TooMuch { .. }) => About {
                author: String::new(),
                subject: "(cannot be read)".to_owned(),
                committed_at: None,
            },
            about => about?,
        };
        let builds = self.wanted.builds(&tree, branch).await?;
        Ok(NewCommit {
            subject: about.subject,
            author: about.author,
            committed_at: about.committed_at.unwrap_or_else(Timestamp::now),
            branch: branch.to_owned(),
            builds,
            hash,
        })
    }

    async fn look(&self, cursor: Option<&str>) -> Result<Option<NewWork>, SourceError> {
        let remote = self.tips().await?;
        let old: Option<Tips> = cursor.and_then(|c| serde_json::from_str(c).ok());
        if old
            .as_ref()
            .is_some_and(|old| old.branches == remote.branches)
        {
            return Ok(None);
        }
        let tips = if remote.branches.is_empty() {
            remote
        } else {
            self.fetch(remote).await?
        };
        // The first push to an empty repository is a first look, too.
        let old = old.filter(|old| !old.branches.is_empty());
        let default = tips.default_branch();
        // It goes last, so that its newest commit is the newest row of the grid.
        let mut branches: Vec<_> = tips.branches.iter().collect();
        branches.sort_by_key(|(branch, _)| default == Some(branch));
        let mut commits = Vec::new();
        for (branch, tip) in branches {
            let before = old.as_ref().map(|old| old.branches.get(branch));
            if before == Some(Some(tip)) || (before.is_none() && default != Some(branch)) {
                continue;
            }
            // A commit may come once for each branch: what it wants depends on both.
            for hash in self.new_hashes(branch, tip, old.as_ref()).await? {
                commits.push(self.commit(hash, branch).await?);
            }
        }
        let cursor =
            serde_json::to_string(&tips).map_err(|e| SourceError::Unexpected(e.to_string()))?;
        Ok(Some(NewWork {
            source: self.name.clone(),
            cursor,
            commits,
        }))
    }
}

#[async_trait]
impl WorkSource for GitSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    async fn poll(&self, cursor: Option<&str>) -> Result<Option<NewWork>, SourceError> {
        self.look(cursor).await.map_err(|error| match error {
            SourceError::Git { command, stderr } => SourceError::Git {
                command,
                stderr: stderr.replace(&self.url, without_password(&self.url).as_ref()),
            },
            error => error,
        })
    }

    async fn archive(&self, commit: &str) -> Result<Archive, SourceError> {
        self.archives.get(&self.mirror, commit).await
    }
}

/// Where the branches of a repository stand. Its JSON is the source's cursor.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Tips {
    default: Option<String>,
    branches: BTreeMap<String, String>,
}

impl Tips {
    /// The branch that the repository names as its default, or what is taken for it: an empty one may be named.
    fn default_branch(&self) -> Option<&str> {
        [self.default.as_deref(), Some("main"), Some("master")]
            .into_iter()
            .flatten()
            .find(|branch| self.branches.contains_key(*branch))
            .or_else(|| self.branches.keys().next().map(String::as_str))
    }
}

/// A URL as it may be shown: without the user and password that it may carry.
fn without_password(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.into();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((user, host)) if scheme != "ssh" || user.contains(':') => {
            format!("{scheme}://{host}{path}").into()
        }
        _ => url.into(),
    }
}

/// Removes what a git that was killed left locked in a mirror: nobody but us works on it.
async fn remove_locks(mirror: &Path) -> std::io::Result<()> {
    let mut folders = vec![mirror.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries = tokio::fs::read_dir(&folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let path = entry.path();
            if entry.file_type().await?.is_dir() {
                if !path.ends_with("objects") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "lock") {
                tokio::fs::remove_file(path).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (url, shown) in [
            (
                "https://me:word@example.org/x.git",
                "https://example.org/x.git",
            ),
            ("https://token@example.org/x@y", "https://example.org/x@y"),
            ("https://example.org/a@b", "https://example.org/a@b"),
            ("ssh://git@example.org/x", "ssh://git@example.org/x"),
            ("git@example.org:x.git", "git@example.org:x.git"),
            ("/home/me/x", "/home/me/x"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
