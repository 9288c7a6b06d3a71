//! Which program to run, where, and under which name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::path::{PathError, RelPath, quote};

/// A command with its paths settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) program: PathBuf,
    pub(crate) arg0: OsString,
    pub(crate) dir: PathBuf,
}

/// Why a command was refused, in the words of the Go worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("requires 'cmd' parameter")]
    NoCommand,
    #[error("invalid 'cmd' parameter: {0}")]
    Command(PathError),
    #[error("'sys' mode requires absolute or system 'cmd' path")]
    SystemNeedsAbsolute,
    #[error("invalid 'cmd' parameter: command {0} not found")]
    NotFound(String),
    #[error("invalid 'dir' parameter: {0}")]
    Dir(PathError),
}

impl ResolveError {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::NotFound(_) => 422,
            _ => 400,
        }
    }
}

/// Settles command and directory. `search` is the `PATH` bare names are looked up on.
pub(crate) fn resolve(
    cmd: &[u8],
    dir: &[u8],
    system: bool,
    work_dir: &Path,
    search: Option<&OsStr>,
) -> Result<Resolved, ResolveError> {
    if cmd.is_empty() {
        return Err(ResolveError::NoCommand);
    }
    if cmd.contains(&0) {
        return Err(ResolveError::Command(PathError::Nul(quote(cmd))));
    }
    let mut found_on_path = false;
    let program = if cmd.starts_with(b"/") {
        PathBuf::from(OsString::from_vec(cmd.to_vec()))
    } else if cmd.contains(&b'/') {
        if system {
            return Err(ResolveError::SystemNeedsAbsolute);
        }
        let path = RelPath::parse(cmd).map_err(ResolveError::Command)?;
        work_dir.join(path.as_path())
    } else {
        RelPath::parse(cmd).map_err(ResolveError::Command)?;
        let here = work_dir.join(OsStr::from_bytes(cmd));
        if !system && here.is_file() {
            here
        } else {
            found_on_path = true;
            look_up(OsStr::from_bytes(cmd), search)
                .ok_or_else(|| ResolveError::NotFound(quote(cmd)))?
        }
    };
    let run_dir = if dir.is_empty() {
        // A command of the tree runs where it lies; one found on PATH has no business in /usr/bin.
        match program.parent() {
            Some(parent) if !system && !found_on_path => parent.to_owned(),
            _ => work_dir.to_owned(),
        }
    } else if dir.starts_with(b"/") {
        PathBuf::from(OsString::from_vec(dir.to_vec()))
    } else {
        let path = RelPath::parse(dir).map_err(ResolveError::Dir)?;
        if path.is_root() {
            work_dir.to_owned()
        } else {
            work_dir.join(path.as_path())
        }
    };
    let arg0 = if system {
        OsString::from_vec(cmd.to_vec())
    } else {
        program.clone().into_os_string()
    };
    Ok(Resolved {
        program,
        arg0,
        dir: run_dir,
    })
}

fn look_up(name: &OsStr, search: Option<&OsStr>) -> Option<PathBuf> {
    std::env::split_paths(search?)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|candidate| {
            std::fs::metadata(candidate)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cmd: &str, dir: &str, system: bool) -> Result<(String, String, String), (u16, String)> {
        resolve(
            cmd.as_bytes(),
            dir.as_bytes(),
            system,
            Path::new("/w"),
            Some(OsStr::new("/nowhere:/bin")),
        )
        .map(|found| {
            (
                found.program.display().to_string(),
                found.arg0.display().to_string(),
                found.dir.display().to_string(),
            )
        })
        .map_err(|error| (error.status(), error.to_string()))
    }

    fn ok(program: &str, arg0: &str, dir: &str) -> Result<(String, String, String), (u16, String)> {
        Ok((program.to_owned(), arg0.to_owned(), dir.to_owned()))
    }

    fn bad(status: u16, text: &str) -> Result<(String, String, String), (u16, String)> {
        Err((status, text.to_owned()))
    }

    #[test]
    fn work_dir_level() {
        assert_eq!(
            run("go/src/make.bash", "", false),
            ok("/w/go/src/make.bash", "/w/go/src/make.bash", "/w/go/src")
        );
        assert_eq!(
            run("./t.sh", "sub", false),
            ok("/w/t.sh", "/w/t.sh", "/w/sub")
        );
        assert_eq!(run("sh", "", false), ok("/bin/sh", "/bin/sh", "/w"));
        assert_eq!(
            run("/bin/sh", "/tmp", false),
            ok("/bin/sh", "/bin/sh", "/tmp")
        );
        assert_eq!(run("", "", false), bad(400, "requires 'cmd' parameter"));
        assert_eq!(
            run("../x", "", false),
            bad(
                400,
                "invalid 'cmd' parameter: path \"../x\" refers to a parent directory"
            )
        );
        assert_eq!(
            run("sh", "..", false),
            bad(
                400,
                "invalid 'dir' parameter: path \"..\" refers to a parent directory"
            )
        );
    }

    #[test]
    fn system_level() {
        assert_eq!(run("sh", "", true), ok("/bin/sh", "sh", "/w"));
        assert_eq!(run("/bin/sh", "", true), ok("/bin/sh", "/bin/sh", "/w"));
        assert_eq!(run("sh", ".", true), ok("/bin/sh", "sh", "/w"));
        assert_eq!(
            run("a/b", "", true),
            bad(400, "'sys' mode requires absolute or system 'cmd' path")
        );
        assert_eq!(
            run("nosuchcmd", "", true),
            bad(
                422,
                "invalid 'cmd' parameter: command \"nosuchcmd\" not found"
            )
        );
    }
}
