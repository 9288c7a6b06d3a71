//! Commands: what to run, and one that is running.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::body::Body;
use crate::error::CommError;
use crate::outcome::ExecOutcome;
use crate::wire::Form;

/// A command for a worker.
///
/// ```
/// let exec = buildlet_client::Exec::new("src/make.bash").dir("src").env("GOOS", "plan9");
/// assert_eq!(exec.env, ["GOOS=plan9"]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Exec {
    /// The command: a path relative to the work directory with `/` between names. Newer workers (version 26)
    /// also take absolute paths and look bare names up on their PATH.
    pub cmd: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The directory to run in, relative to the work directory. Empty means the directory of the command or,
    /// at system level, the work directory.
    pub dir: String,
    /// `KEY=VALUE` pairs added to the worker's environment; of several for one key the last one counts.
    pub env: Vec<String>,
    /// The elements of PATH, in which `$PATH` and `$WORKDIR` stand for the worker's own. `None` leaves PATH as it is,
    /// an empty list removes it.
    pub path: Option<Vec<String>>,
    /// Run a program of the system: `cmd` is an absolute path or a name on the worker's PATH.
    pub system_level: bool,
    /// Let the worker begin the output with a description of what it runs.
    pub debug: bool,
    /// How long the whole exec may take, from the call to the end of the output. After it the connection is closed, so
    /// that the worker ends the command, and the exec fails with [`CommError::LocalTimeout`]. No limit by default.
    pub timeout: Option<Duration>,
}

impl Exec {
    /// A command without arguments and with the worker's own environment.
    pub fn new(cmd: impl Into<String>) -> Self {
        Self {
            cmd: cmd.into(),
            ..Self::default()
        }
    }

    /// A program of the system, such as `sh` or `/bin/ls`.
    pub fn system(cmd: impl Into<String>) -> Self {
        Self {
            cmd: cmd.into(),
            system_level: true,
            ..Self::default()
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets the directory.
    pub fn dir(mut self, dir: impl Into<String>) -> Self {
        self.dir = dir.into();
        self
    }

    /// Adds an environment variable.
    pub fn env(mut self, key: impl fmt::Display, value: impl fmt::Display) -> Self {
        self.env.push(format!("{key}={value}"));
        self
    }

    /// Sets the elements of PATH.
    pub fn path<S: Into<String>>(mut self, elements: impl IntoIterator<Item = S>) -> Self {
        self.path = Some(elements.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the time limit.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// The form as the original's client sends it: `cmd`, `debug`, `dir` and `mode` always, even when empty.
    pub(crate) fn form(&self) -> String {
        let path = match &self.path {
            None => Vec::new(),
            Some(none) if none.is_empty() => vec!["$EMPTY".to_owned()],
            Some(elements) => elements.clone(),
        };
        Form::new()
            .with("cmd", self.cmd.as_str())
            .with("mode", if self.system_level { "sys" } else { "" })
            .with("dir", self.dir.as_str())
            .with("debug", self.debug.to_string())
            .with_all("cmdArg", &self.args)
            .with_all("env", &self.env)
            .with_all("path", path)
            .encode()
    }
}

/// A command that a worker is about to run, runs or has run.
///
/// Its output must be read, or waited for with [`wait`](Self::wait), for it to get on: what is not read stays in
/// the connection, and a command whose output nobody takes will block. Dropping a `Running` whose output has not ended
/// closes its connection, at which the worker kills the command.
pub struct Running {
    body: Body,
    /// Closes the connection at the time limit even if nobody reads.
    _watchdog: Option<AbortOnDropHandle<()>>,
}

impl Running {
    pub(crate) fn new(mut body: Body, limit: Option<(Duration, Instant)>) -> Self {
        let watchdog = limit.zip(body.abort_handle()).map(|((_, at), connection)| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                connection.abort();
            }))
        });
        if let Some((after, at)) = limit {
            body.limit(after, at);
        }
        Self {
            body,
            _watchdog: watchdog,
        }
    }

    /// The next piece of output (both streams of the command, in the order the worker read them), never
    /// empty. `None` when the output has ended or an error was returned.
    ///
    /// Cancel safe: no output is lost if the future is dropped.
    pub async fn next_output(&mut self) -> Option<Result<Bytes, CommError>> {
        std::future::poll_fn(|cx| self.poll_output(cx)).await
    }

    /// Drops the output that remains and tells how the command ended.
    ///
    /// # Errors
    /// A [`CommError`] if the end was not observed; nothing is then known of the command. An error that
    /// [`next_output`](Self::next_output) returned is returned again.
    pub async fn wait(mut self) -> Result<ExecOutcome, CommError> {
        while let Some(output) = self.next_output().await {
            output?;
        }
        if let Some(error) = self.body.error() {
            return Err(error.clone());
        }
        self.body
            .trailers()
            .map_or(Err(CommError::MissingTrailer), ExecOutcome::from_trailers)
    }

    /// Reads the output that remains, keeping its first `max` bytes, and tells how the command ended.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub async fn wait_with_output(
        mut self,
        max: usize,
    ) -> Result<(ExecOutcome, Vec<u8>), CommError> {
        let mut kept = Vec::new();
        while let Some(output) = self.next_output().await {
            let output = output?;
            let room = max.saturating_sub(kept.len()).min(output.len());
            kept.extend_from_slice(&output[..room]);
        }
        Ok((self.wait().await?, kept))
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CommError>>> {
        self.body.poll_data(cx)
    }
}

impl futures_core::Stream for Running {
    type Item = Result<Bytes, CommError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_output(cx)
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_those_of_the_original() {
        let exec = Exec::new("go/src/make.bash").env("A", 1).path::<&str>([]);
        assert_eq!(
            exec.form(),
            "cmd=go%2Fsrc%2Fmake.bash&debug=false&dir=&env=A%3D1&mode=&path=%24EMPTY"
        );
        let exec = Exec {
            debug: true,
            ..Exec::system("sh")
                .args(["-c", "a;b"])
                .dir("x")
                .path(["$PATH", "$WORKDIR/b"])
        };
        assert_eq!(
            exec.form(),
            "cmd=sh&cmdArg=-c&cmdArg=a%3Bb&debug=true&dir=x&mode=sys&path=%24PATH&path=%24WORKDIR%2Fb"
        );
    }
}
