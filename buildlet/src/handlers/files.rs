//! `/write` and `/removeall`.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};

use cap_std::fs::{Dir, OpenOptions, Permissions, PermissionsExt};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{bad_path, joined};
use crate::bridge::{BodyReader, upload};
use crate::form::Form;
use crate::gomode::GoMode;
use crate::http1::{Abort, Exchange, Reply};
use crate::path::{RelPath, quote};
use crate::service::{Worker, body_error};
use crate::workdir::{open_real_dir, random_hex};

/// Directories are descended into no deeper than this; what is deeper is moved up first. Bounds stack and open
/// files against trees made to exhaust them.
const MAX_DEPTH: usize = 64;

/// `PUT /write?path=P&mode=M`: one file, whole or not at all.
pub(crate) async fn write<T>(worker: &Worker, exchange: &mut Exchange<T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let form = Form::from_query(&exchange.head().query);
    let path = match RelPath::parse(form.query("path")) {
        Ok(path) => path,
        Err(error) => return bad_path(exchange, "path", &error).await,
    };
    let Some(mode) = GoMode::parse_regular(form.query("mode")) else {
        return exchange.reply(Reply::error(400, "bad mode")).await;
    };
    let max = worker.config.limits.file;
    let (sender, reader) = upload();
    let dir = worker.work_dir.dir();
    let task = tokio::task::spawn_blocking(move || write_file(&dir?, &path, mode, reader, max));
    let pumped = sender.pump(exchange).await;
    let written = joined(task).await;
    if let Err(error) = pumped {
        return body_error(exchange, &error).await;
    }
    let reply = match written {
        Ok(()) => Reply::text("OK"),
        Err(error) => Reply::error(500, &error.to_string()),
    };
    exchange.reply(reply).await
}

fn write_file(
    dir: &Dir,
    path: &RelPath,
    mode: GoMode,
    body: BodyReader,
    max: u64,
) -> io::Result<()> {
    let Some((parent, name)) = path.split() else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    dir.create_dir_all(parent)?;
    let parent = dir.open_dir(parent)?;
    let mut temporary = OsString::from(".buildlet-");
    temporary.push(random_hex::<8>()?);
    let written = fill(&parent, &temporary, mode, body, max)
        .and_then(|()| parent.rename(&temporary, &parent, name));
    if written.is_err() {
        // What remains of it is of no use; that it may not be there at all is fine.
        drop(parent.remove_file(&temporary));
    }
    written
}

fn fill(parent: &Dir, name: &OsStr, mode: GoMode, body: BodyReader, max: u64) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = parent.open_with(name, &options)?;
    let copied = io::copy(&mut body.take(max.saturating_add(1)), &mut file)?;
    if copied > max {
        return Err(io::Error::other(format!("file is larger than {max} bytes")));
    }
    // On the open file, last: neither the umask nor an older file has a say.
    file.set_permissions(Permissions::from_mode(mode.unix_permissions()))
}

/// `POST /removeall`: everything named, recursively, read-only or not.
pub(crate) async fn remove_all<T>(worker: &Worker, exchange: &mut Exchange<T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let form = match Form::read(exchange, worker.config.limits.form).await {
        Ok(form) => form,
        Err(error) => return body_error(exchange, &error).await,
    };
    let mut paths = Vec::new();
    for path in form.all("path") {
        match RelPath::parse(path) {
            Ok(path) => paths.push(path),
            Err(_) => {
                let text = format!("bad 'path' parameter: {}", quote(path));
                return exchange.reply(Reply::error(400, &text)).await;
            }
        }
    }
    if paths.is_empty() {
        return exchange
            .reply(Reply::error(400, "requires 'path' parameter"))
            .await;
    }
    let dir = worker.work_dir.dir();
    let task = tokio::task::spawn_blocking(move || {
        let dir = dir?;
        paths.iter().try_for_each(|path| {
            remove(&dir, path).map_err(|error| {
                let path = path.as_path().display();
                io::Error::new(error.kind(), format!("remove {path}: {error}"))
            })
        })
    });
    let reply = match joined(task).await {
        Ok(()) => Reply::new(200),
        Err(error) => Reply::error(500, &error.to_string()),
    };
    exchange.reply(reply).await
}

/// Removes everything in a directory.
pub(crate) fn empty_all(dir: &Dir) -> io::Result<()> {
    empty(dir, dir, 0)
}

fn remove(dir: &Dir, path: &RelPath) -> io::Result<()> {
    let Some((parent, name)) = path.split() else {
        return empty(dir, dir, 0);
    };
    match dir.open_dir(parent) {
        Ok(parent) => remove_entry(&parent, name, dir, 0),
        // What lies in a directory that does not exist is gone already.
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes one entry, itself never followed if it is a link.
fn remove_entry(parent: &Dir, name: &OsStr, top: &Dir, depth: usize) -> io::Result<()> {
    let found = match parent.symlink_metadata(name) {
        Ok(found) => found,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.is_dir() {
        return gone(with_leave(parent, || parent.remove_file(name)));
    }
    if depth >= MAX_DEPTH {
        let mut elsewhere = OsString::from(".buildlet-removed-");
        elsewhere.push(random_hex::<8>()?);
        with_leave(parent, || parent.rename(name, top, &elsewhere))?;
        return remove_entry(top, &elsewhere, top, 0);
    }
    let child = match open_real_dir(parent, name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            parent.set_permissions(name, Permissions::from_mode(0o700))?;
            open_real_dir(parent, name)?
        }
        Err(error) if is_absent(&error) => return Ok(()),
        other => other?,
    };
    empty(&child, top, depth + 1)?;
    drop(child);
    gone(with_leave(parent, || parent.remove_dir(name)))
}

/// Removes all entries of a directory, again while new ones appear, a few times.
fn empty(dir: &Dir, top: &Dir, depth: usize) -> io::Result<()> {
    for _ in 0..3 {
        let names: Vec<OsString> = dir
            .entries()?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<_>>()?;
        if names.is_empty() {
            break;
        }
        for name in names {
            remove_entry(dir, &name, top, depth)?;
        }
    }
    Ok(())
}

/// Module caches and the like are read-only: what is refused is tried again with the directory made writable.
fn with_leave(parent: &Dir, action: impl Fn() -> io::Result<()>) -> io::Result<()> {
    match action() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mode = parent.dir_metadata()?.permissions().mode();
            parent.set_permissions(".", Permissions::from_mode((mode & 0o7777) | 0o700))?;
            action()
        }
        other => other,
    }
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if is_absent(&error) => Ok(()),
        other => other,
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
