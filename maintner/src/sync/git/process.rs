//! Running git.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

use super::{OpenError, SyncError};

/// Bytes of what git complains about that are kept.
const MAX_COMPLAINT: u64 = 4 << 10;

/// Runs git in a repository.
#[derive(Debug, Clone)]
pub(super) struct Git {
    top: PathBuf,
}

/// Where a repository is.
pub(super) struct Dirs {
    /// The top of the working tree; of a bare repository, itself.
    pub(super) top: PathBuf,
    /// Where its `HEAD` is.
    pub(super) git_dir: PathBuf,
    /// Where its refs are: with several working trees, they share them.
    pub(super) common_dir: PathBuf,
}

impl Git {
    pub(super) async fn open(path: &Path) -> Result<(Self, Dirs), OpenError> {
        let no_repository = |reason: String| OpenError::NoRepository {
            path: path.to_owned(),
            reason,
        };
        let path_absolute = path
            .canonicalize()
            .map_err(|error| no_repository(error.to_string()))?;
        let git = Self { top: path_absolute };
        let mut command = git.command(&[
            "rev-parse",
            "--path-format=absolute",
            "--git-dir",
            "--git-common-dir",
            "--is-bare-repository",
            "--show-object-format",
        ]);
        let output = command.output().await.map_err(OpenError::NoGit)?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let first = complaint.lines().next().unwrap_or("git failed");
            return Err(no_repository(
                first.trim_start_matches("fatal: ").to_owned(),
            ));
        }
        let answer = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = answer.lines().collect();
        let [git_dir, common_dir, is_bare, format] = lines[..] else {
            return Err(no_repository(format!("git says {answer:?}")));
        };
        if format != "sha1" {
            return Err(OpenError::ObjectFormat {
                path: path.to_owned(),
                format: format.to_owned(),
            });
        }
        let (git_dir, common_dir) = (PathBuf::from(git_dir), PathBuf::from(common_dir));
        let top = if is_bare == "true" {
            git_dir.clone()
        } else {
            let mut command = git.command(&["rev-parse", "--show-toplevel"]);
            let output = command.output().await.map_err(OpenError::NoGit)?;
            match String::from_utf8_lossy(&output.stdout).trim_end() {
                // Within .git itself.
                "" => git_dir.clone(),
                top => PathBuf::from(top),
            }
        };
        let git = Self { top: top.clone() };
        let dirs = Dirs {
            top,
            git_dir,
            common_dir,
        };
        Ok((git, dirs))
    }

    pub(super) fn path(&self) -> &Path {
        &self.top
    }

    /// A command that depends on nothing but the repository, and ends when it is dropped.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .current_dir(&self.top)
            .env("LC_ALL", "C")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            // Histories are mirrored as they are, not as somebody would like to see them.
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Which repository it is about is said by the folder alone.
        for name in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_EXTERNAL_DIFF",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command to its end with `input`; gives what it prints.
    pub(super) async fn run(&self, args: &[&str], input: Vec<u8>) -> Result<Vec<u8>, SyncError> {
        let failed = || format!("cannot run git {}", args[0]);
        let mut command = self.command(args);
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .map_err(SyncError::io(failed()))?;
        let mut stdin = child.stdin.take();
        let feed = async move {
            if let Some(stdin) = &mut stdin {
                // It may end without reading all; its status tells why.
                let _ = stdin.write_all(&input).await;
            }
            drop(stdin);
        };
        let mut stdout = child.stdout.take();
        let read = async move {
            let mut output = Vec::new();
            if let Some(stdout) = &mut stdout {
                stdout.read_to_end(&mut output).await?;
            }
            Ok(output)
        };
        let ((), output, ended) = tokio::join!(feed, read, finish(child, args[0]));
        ended?;
        output.map_err(SyncError::io(failed()))
    }
}

/// Waits for a child's end, and for what it complains about.
pub(super) async fn finish(mut child: Child, what: &str) -> Result<(), SyncError> {
    let mut complaint = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        let mut first = (&mut stderr).take(MAX_COMPLAINT);
        let _ = first.read_to_end(&mut complaint).await;
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
    let status = child
        .wait()
        .await
        .map_err(SyncError::io(format!("git {what}")))?;
    if status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let complaint = complaint.lines().next().unwrap_or_default();
    Err(SyncError::Source {
        reason: format!("git {what} failed ({status}): {complaint}"),
        source: None,
    })
}

/// The name of a folder, without `.git` at its end, as a part of a project's name.
pub(super) fn name_of(top: &Path) -> String {
    let name = top.file_name().unwrap_or_default().to_string_lossy();
    let name = match name.strip_suffix(".git") {
        // A bare repository that is called no more than `.git`.
        Some("") => {
            let parent = top.parent().and_then(Path::file_name).unwrap_or_default();
            return clean(&parent.to_string_lossy());
        }
        Some(name) => name,
        None => &name,
    };
    clean(name)
}

fn clean(name: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || "._-+~".contains(c);
    let name: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect();
    if name.is_empty() {
        "repository".to_owned()
    } else {
        name
    }
}
