//! Commits, with the files they changed.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter},
    process::{Child, ChildStdin, ChildStdout},
    task::JoinSet,
};

use super::{
    Progress, SyncError,
    process::{Git, finish},
    refs::Refs,
};
use crate::{
    corpus::Hash,
    parse::commit,
    proto::{GitCommit, GitDiffTree, GitDiffTreeFile},
};

/// The longest commit object that is read; a longer one fits into no record.
const MAX_OBJECT: u64 = super::MAX_RECORD as u64;

/// The commits that can be reached from refs and that `known` does not have, parents first. `before`
/// is where refs were the last time.
pub(super) async fn list_new(
    git: &Git,
    refs: &Refs,
    before: impl Iterator<Item = Hash>,
    known: impl Fn(Hash) -> bool,
) -> Result<Vec<Hash>, SyncError> {
    let (old, new): (Vec<Hash>, Vec<Hash>) = refs.tips().into_iter().partition(|tip| known(*tip));
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let new = new.iter().map(|tip| format!("{tip}\n"));
    // What is known is known with its ancestors, as parents are appended first. Where refs were may
    // be gone from the repository.
    let old = old.into_iter().chain(before).map(|tip| format!("^{tip}\n"));
    let input: String = new.chain(old).collect();
    let args = [
        "rev-list",
        "--ignore-missing",
        "--topo-order",
        "--reverse",
        "--stdin",
    ];
    let listed = git.run(&args, input.into_bytes()).await?;
    let names = listed.split(|&byte| byte == b'\n');
    let names = names.filter_map(|line| Hash::parse(std::str::from_utf8(line).ok()?));
    Ok(names.filter(|name| !known(*name)).collect())
}

/// Commits that are read one after another.
pub(super) struct Commits {
    names: std::vec::IntoIter<Hash>,
    objects: BufReader<ChildStdout>,
    files: Files,
    /// Those who say which commits are wanted, and those who wait for git's end.
    tasks: JoinSet<Result<(), SyncError>>,
}

/// Starts to read commits of these names.
pub(super) fn read(git: &Git, names: Vec<Hash>) -> Result<Commits, SyncError> {
    let mut tasks = JoinSet::new();
    let mut start = |args: &[&str], what: &'static str| {
        let mut command = git.command(args);
        let child = command.stdin(Stdio::piped()).spawn();
        let mut child: Child = child.map_err(SyncError::io(format!("cannot run git {what}")))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(SyncError::Source {
                reason: format!("git {what} has no pipes"),
                source: None,
            });
        };
        let names = names.clone();
        tasks.spawn(async move {
            let (_, ended) = tokio::join!(feed(stdin, names), finish(child, what));
            ended
        });
        Ok(BufReader::with_capacity(1 << 16, stdout))
    };
    let objects = start(&["cat-file", "--batch"], "cat-file")?;
    let files = start(
        &[
            "diff-tree",
            "--stdin",
            "--always",
            "--root",
            "-r",
            "-z",
            "--numstat",
            "--no-renames",
            "--no-ext-diff",
            "--no-textconv",
        ],
        "diff-tree",
    )?;
    Ok(Commits {
        names: names.into_iter(),
        objects,
        files: Files {
            output: files,
            item: Vec::new(),
        },
        tasks,
    })
}

async fn feed(stdin: ChildStdin, names: Vec<Hash>) -> std::io::Result<()> {
    let mut stdin = BufWriter::new(stdin);
    for name in names {
        stdin.write_all(format!("{name}\n").as_bytes()).await?;
    }
    stdin.flush().await
}

impl Commits {
    /// The next commit; None within if it cannot be written, None if there are no more.
    pub(super) async fn next(
        &mut self,
        progress: &Progress,
    ) -> Result<Option<Option<GitCommit>>, SyncError> {
        let Some(name) = self.names.next() else {
            while let Some(ended) = self.tasks.join_next().await {
                ended.unwrap_or(Ok(()))?;
            }
            return Ok(None);
        };
        let commit = match self.read(name, progress).await {
            Ok(commit) => commit,
            Err(error) => return Err(self.cause_of(error).await),
        };
        Ok(Some(commit))
    }

    /// Git itself says best why its output ended.
    async fn cause_of(&mut self, error: SyncError) -> SyncError {
        let ended = tokio::time::timeout(std::time::Duration::from_secs(1), self.tasks.join_next());
        match ended.await {
            Ok(Some(Ok(Err(cause)))) => cause,
            _ => error,
        }
    }

    async fn read(
        &mut self,
        name: Hash,
        progress: &Progress,
    ) -> Result<Option<GitCommit>, SyncError> {
        let sha1 = name.to_string();
        let raw = self.object(&sha1).await?;
        let files = self.files.of(&sha1, progress).await?;
        let Some(raw) = raw else {
            progress.skip(format!("commit {sha1}, which is too long"));
            return Ok(None);
        };
        if let Err(error) = commit::parse(&raw) {
            progress.skip(format!("commit {sha1}: {error}"));
            return Ok(None);
        }
        Ok(Some(GitCommit {
            sha1,
            raw,
            diff_tree: Some(GitDiffTree { file: files }),
        }))
    }

    /// A commit's bytes, unless there are too many.
    async fn object(&mut self, sha1: &str) -> Result<Option<Vec<u8>>, SyncError> {
        let failed = || SyncError::io("cannot read from git cat-file");
        let mut header = String::new();
        let count = (&mut self.objects).take(200).read_line(&mut header).await;
        count.map_err(failed())?;
        let size = header
            .strip_prefix(sha1)
            .and_then(|rest| rest.strip_prefix(" commit "))
            .and_then(|size| size.trim_end().parse::<u64>().ok());
        let Some(size) = size else {
            let reason = format!("git cat-file says {:?} of commit {sha1}", header.trim_end());
            return Err(SyncError::Source {
                reason,
                source: None,
            });
        };
        // And the newline behind it.
        let mut object = (&mut self.objects).take(size + 1);
        if size > MAX_OBJECT {
            let skipped = tokio::io::copy(&mut object, &mut tokio::io::sink()).await;
            return skipped.map(|_| None).map_err(failed());
        }
        let mut raw = Vec::new();
        object.read_to_end(&mut raw).await.map_err(failed())?;
        if raw.len() as u64 != size + 1 {
            return Err(failed()(std::io::ErrorKind::UnexpectedEof.into()));
        }
        raw.pop();
        Ok(Some(raw))
    }
}

/// The output of `git diff-tree --stdin -z --numstat`: for each commit its name, then
/// `added TAB deleted TAB path` for each file, all of them ended by NUL.
struct Files {
    output: BufReader<ChildStdout>,
    /// What was read but belongs to the next commit.
    item: Vec<u8>,
}

impl Files {
    async fn of(
        &mut self,
        sha1: &str,
        progress: &Progress,
    ) -> Result<Vec<GitDiffTreeFile>, SyncError> {
        if self.item.is_empty() {
            self.advance().await?;
        }
        if self.item != sha1.as_bytes() {
            let found = String::from_utf8_lossy(&self.item);
            return Err(SyncError::Source {
                reason: format!("git diff-tree says {found:?} of commit {sha1}"),
                source: None,
            });
        }
        let mut files = Vec::new();
        loop {
            self.advance().await?;
            let mut fields = self.item.splitn(3, |&byte| byte == b'\t');
            let (Some(added), Some(deleted), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                // The next commit, or the end.
                return Ok(files);
            };
            let Ok(path) = std::str::from_utf8(path) else {
                let path = String::from_utf8_lossy(path);
                progress.skip(format!(
                    "path {path:?} of commit {sha1}, which is not UTF-8"
                ));
                continue;
            };
            let lines = |count: &[u8]| std::str::from_utf8(count).ok()?.parse::<i64>().ok();
            let (added, deleted) = (lines(added), lines(deleted));
            files.push(GitDiffTreeFile {
                file: path.to_owned(),
                added: added.unwrap_or(0),
                deleted: deleted.unwrap_or(0),
                binary: added.is_none(),
            });
        }
    }

    async fn advance(&mut self) -> Result<(), SyncError> {
        self.item.clear();
        let read = self.output.read_until(0, &mut self.item).await;
        read.map_err(SyncError::io("cannot read from git diff-tree"))?;
        if self.item.last() == Some(&0) {
            self.item.pop();
        }
        Ok(())
    }
}
