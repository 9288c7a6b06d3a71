//! Work from a git repository, wherever it is.
//!
//! The repository is mirrored into a bare one of our own, with the git program, and only that is read from: the original may be
//! a folder somebody works in, a server that is slow, or gone tomorrow.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::archive::ArchiveCache;
use super::wanted::{ConfigFrom, Wanted};
use super::{Archive, SourceError, WorkSource};
use crate::store::{NewCommit, NewWork};

/// Longest a single git command may take, a first clone of a big repository included.
const GIT_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// Most output of a git command that is kept in memory.
const GIT_OUTPUT: u64 = 32 << 20;
/// Most commits taken up from one branch at one look; older ones of a bigger push are passed over.
const MAX_NEW_COMMITS: usize = 100;

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
        git(&mirror, ["init", "--quiet", "--bare", "."]).await?;
        let wanted = Wanted::new(config.config, config.default_host);
        Ok(Self {
            name: format!("git {}", config.url),
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
            tips.branches.insert("HEAD".to_owned(), head);
            tips.default = Some("HEAD".to_owned());
        }
        Ok(tips)
    }

    /// Commits of `branch` that are new since `old`, oldest first.
    async fn new_commits(
        &self,
        branch: &str,
        tip: &str,
        since: Since<'_>,
    ) -> Result<Vec<NewCommit>, SourceError> {
        let format = "--format=%H%x1f%an%x1f%ct%x1f%s";
        let mut args = vec!["log".to_owned(), format.to_owned()];
        match since {
            Since::Recent(n) => args.extend([
                format!("--max-count={n}"),
                "--first-parent".to_owned(),
                tip.to_owned(),
            ]),
            Since::Tips(old) => {
                args.extend([
                    format!("--max-count={MAX_NEW_COMMITS}"),
                    tip.to_owned(),
                    "--not".to_owned(),
                ]);
                args.extend(old.branches.values().cloned());
            }
        }
        args.push("--".to_owned());
        let listing = match (git(&self.mirror, &args).await, since) {
            // A forced push can leave an old tip that no longer exists: then the tip alone is what is certainly new.
            (Err(SourceError::Git { .. }), Since::Tips(_)) => {
                git(&self.mirror, ["log", format, "--max-count=1", tip, "--"]).await?
            }
            (listing, _) => listing?,
        };
        let mut commits = Vec::new();
        for line in String::from_utf8_lossy(&listing).lines() {
            let fields: Vec<_> = line.splitn(4, '\u{1f}').collect();
            let [hash, author, seconds, subject] = fields[..] else {
                return Err(SourceError::Unexpected(line.chars().take(200).collect()));
            };
            let committed_at = seconds
                .parse()
                .ok()
                .and_then(|s| Timestamp::from_second(s).ok());
            commits.push(NewCommit {
                hash: hash.to_owned(),
                subject: subject.to_owned(),
                author: author.to_owned(),
                committed_at: committed_at
                    .ok_or_else(|| SourceError::Unexpected(format!("time {seconds:?}")))?,
                branch: branch.to_owned(),
                builds: self
                    .wanted
                    .builds(
                        &Tree {
                            mirror: &self.mirror,
                            commit: hash,
                        },
                        branch,
                    )
                    .await?,
            });
        }
        commits.reverse();
        Ok(commits)
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
        let tips = self.tips().await?;
        let old: Option<Tips> = cursor.and_then(|c| serde_json::from_str(c).ok());
        if old
            .as_ref()
            .is_some_and(|old| old.branches == tips.branches)
        {
            return Ok(None);
        }
        let cursor =
            serde_json::to_string(&tips).map_err(|e| SourceError::Unexpected(e.to_string()))?;
        let mut work = NewWork {
            source: self.name.clone(),
            cursor,
            commits: Vec::new(),
        };
        if tips.branches.is_empty() {
            return Ok(Some(work));
        }
        let mut fetch = vec![
            "fetch",
            "--quiet",
            "--prune",
            "--no-tags",
            "--no-write-fetch-head",
            "--",
            &self.url,
        ];
        fetch.push("+refs/heads/*:refs/heads/*");
        if tips.branches.contains_key("HEAD") {
            fetch.push("+HEAD:refs/farm/head");
        }
        git(&self.mirror, &fetch).await?;

        // The default branch goes last, so that its newest commit is the newest row of the grid.
        let is_default = |branch: &str| tips.default.as_deref() == Some(branch);
        let mut branches: Vec<_> = tips.branches.iter().collect();
        branches.sort_by_key(|(branch, _)| is_default(branch));
        for (branch, tip) in branches {
            let since = match &old {
                None if is_default(branch) => {
                    Since::Recent(self.recent.unwrap_or_else(|| self.wanted.project().recent))
                }
                None => continue,
                Some(old) if old.branches.get(branch) == Some(tip) => continue,
                Some(old) => Since::Tips(old),
            };
            for commit in self.new_commits(branch, tip, since).await? {
                // A merge or a fast-forward brings commits that another branch brought already at this very look.
                if !work.commits.iter().any(|known| known.hash == commit.hash) {
                    work.commits.push(commit);
                }
            }
        }
        Ok(Some(work))
    }

    async fn archive(&self, commit: &str) -> Result<Archive, SourceError> {
        self.archives.get(&self.mirror, commit).await
    }
}

#[derive(Debug, Clone, Copy)]
enum Since<'a> {
    Recent(u32),
    Tips(&'a Tips),
}

/// Where the branches of a repository stand. Its JSON is the source's cursor.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Tips {
    default: Option<String>,
    branches: BTreeMap<String, String>,
}

/// The files of a commit, as far as the configuration needs them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'a> {
    mirror: &'a Path,
    commit: &'a str,
}

impl Tree<'_> {
    /// Names at the root.
    pub(super) async fn root_names(&self) -> Result<Vec<String>, SourceError> {
        let listing = git(self.mirror, ["ls-tree", "--name-only", "-z", self.commit]).await?;
        Ok(listing
            .split(|&b| b == 0)
            .filter(|n| !n.is_empty())
            .map(|n| String::from_utf8_lossy(n).into_owned())
            .collect())
    }

    /// A file's content; `None` if there is no such file.
    pub(super) async fn file(&self, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let object = format!("{}:{name}", self.commit);
        match git(self.mirror, ["cat-file", "blob", &object]).await {
            Ok(content) => Ok(Some(content)),
            Err(SourceError::Git { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Files that the commit changed, compared with its first parent.
    pub(super) async fn changed_paths(&self) -> Result<Vec<String>, SourceError> {
        let listing = git(
            self.mirror,
            [
                "diff-tree",
                "--root",
                "-r",
                "-z",
                "-m",
                "--first-parent",
                "--no-commit-id",
                "--name-only",
                self.commit,
            ],
        );
        Ok(listing
            .await?
            .split(|&b| b == 0)
            .filter(|n| !n.is_empty())
            .map(|n| String::from_utf8_lossy(n).into_owned())
            .collect())
    }
}

/// A git command on a repository, cut off from terminals and from the surroundings' repository variables.
pub(super) fn command<I, S>(dir: &Path, args: I) -> std::process::Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = std::process::Command::new("git");
    command.current_dir(dir).args(args).stdin(Stdio::null());
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .env("GIT_DIR", dir);
    for variable in [
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_COMMON_DIR",
        "GIT_PREFIX",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Runs git to its end and returns what it wrote.
pub(super) async fn git<I, S>(dir: &Path, args: I) -> Result<Vec<u8>, SourceError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let command = command(dir, args);
    let name = command
        .get_args()
        .next()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut child = Command::from(command)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(SourceError::NoGit)?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let run = async {
        let out = child.stdout.take();
        let err = child.stderr.take();
        let read_out = async {
            if let Some(out) = out {
                out.take(GIT_OUTPUT + 1).read_to_end(&mut stdout).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let read_err = async {
            if let Some(mut err) = err {
                (&mut err).take(64 << 10).read_to_end(&mut stderr).await?;
                tokio::io::copy(&mut err, &mut tokio::io::sink()).await?;
            }
            Ok(())
        };
        tokio::try_join!(read_out, read_err)?;
        Ok::<_, std::io::Error>(())
    };
    match tokio::time::timeout(GIT_TIMEOUT, run).await {
        Err(_) => {
            return Err(SourceError::TimedOut {
                command: name,
                seconds: GIT_TIMEOUT.as_secs(),
            });
        }
        Ok(result) => result?,
    }
    if stdout.len() as u64 > GIT_OUTPUT {
        return Err(SourceError::TooMuch {
            command: name,
            limit: GIT_OUTPUT,
        });
    }
    let status = child.wait().await?;
    if !status.success() {
        let text = String::from_utf8_lossy(&stderr);
        let stderr: String = text.trim().chars().take(2_000).collect();
        return Err(SourceError::Git {
            command: name,
            stderr: if stderr.is_empty() {
                status.to_string()
            } else {
                stderr
            },
        });
    }
    Ok(stdout)
}
