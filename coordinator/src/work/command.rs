//! Git processes: cut off from terminals and surroundings, limited in time and output, never left behind.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdout, Command};

use super::SourceError;

/// Longest a single git command may take, a first clone of a big repository included.
const TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// Most output of a git command that is kept in memory.
const OUTPUT: u64 = 32 << 20;
/// Most of what git says about a failure.
const STDERR: u64 = 64 << 10;

/// Variables with which git tells programs it starts, such as hooks, about its own repository. Ours is another.
const SURROUNDINGS: [&str; 11] = [
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
];

/// Runs git in the repository `dir` and returns what it wrote.
pub(super) async fn git<I, S>(dir: &Path, args: I) -> Result<Vec<u8>, SourceError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    git_fed(dir, args, String::new()).await
}

/// As [`git`], with `input` on its standard input.
pub(super) async fn git_fed<I, S>(
    dir: &Path,
    args: I,
    input: String,
) -> Result<Vec<u8>, SourceError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let (command, name) = command(dir, args);
    let limited = SourceError::TooMuch {
        command: name.clone(),
        limit: OUTPUT,
    };
    run(command, name, input, async |out| {
        let mut stdout = Vec::new();
        out.take(OUTPUT + 1).read_to_end(&mut stdout).await?;
        if stdout.len() as u64 > OUTPUT {
            return Err(limited);
        }
        Ok(stdout)
    })
    .await
}

/// Runs git in the repository `dir`, with `read` on its standard output. What `read` made counts only if git was successful.
pub(super) async fn git_into<T, F>(
    dir: &Path,
    args: &[&str],
    read: impl FnOnce(ChildStdout) -> F,
) -> Result<T, SourceError>
where
    F: Future<Output = Result<T, SourceError>>,
{
    let (command, name) = command(dir, args);
    run(command, name, String::new(), read).await
}

fn command<I, S>(dir: &Path, args: I) -> (Command, String)
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new("git");
    command.current_dir(dir).args(args);
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .env("GIT_DIR", dir);
    for variable in SURROUNDINGS {
        command.env_remove(variable);
    }
    let name = command
        .as_std()
        .get_args()
        .find(|arg| !arg.as_encoded_bytes().starts_with(b"-"));
    let name = name.unwrap_or_default().to_string_lossy().into_owned();
    (command, name)
}

async fn run<T, F>(
    mut command: Command,
    name: String,
    input: String,
    read: impl FnOnce(ChildStdout) -> F,
) -> Result<T, SourceError>
where
    F: Future<Output = Result<T, SourceError>>,
{
    let mut child = command
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(SourceError::NoGit)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdout), Some(mut stderr)) = (stdout, stderr) else {
        return Err(io::Error::other("git has no output").into());
    };
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A git that does not read to the end says why by other means.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let listen = async {
        let mut said = Vec::new();
        (&mut stderr).take(STDERR).read_to_end(&mut said).await?;
        tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
        Ok::<_, io::Error>(said)
    };
    let all = async {
        let ((), output, said) = tokio::join!(feed, read(stdout), listen);
        Ok::<_, io::Error>((output, said?, child.wait().await?))
    };
    let (output, said, status) =
        tokio::time::timeout(TIMEOUT, all)
            .await
            .map_err(|_| SourceError::TimedOut {
                command: name.clone(),
                seconds: TIMEOUT.as_secs(),
            })??;
    // Git that is not read to its end fails too; why it was not is the better answer.
    let output = output?;
    if status.success() {
        return Ok(output);
    }
    if status.code().is_none() {
        return Err(io::Error::other(format!("git {name}: {status}")).into());
    }
    let text = String::from_utf8_lossy(&said);
    let stderr: String = text.trim().chars().take(2_000).collect();
    Err(SourceError::Git {
        command: name,
        stderr: if stderr.is_empty() {
            status.to_string()
        } else {
            stderr
        },
    })
}
