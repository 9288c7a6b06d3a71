//! What tests of the built programs share.

use std::{
    io,
    process::{Command, Output},
};

use maintner::testing::History;
use tempfile::TempDir;

/// A folder with a log of a history that never happened.
///
/// # Errors
///
/// If it cannot be written.
pub fn log() -> io::Result<TempDir> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("maintner-2018-07-09.mutlog");
    std::fs::write(file, History::new(3).log(200_000))?;
    Ok(dir)
}

/// Runs a program, with a cache folder of its own.
///
/// # Errors
///
/// If it cannot be run.
pub fn run(program: &str, args: &[&str]) -> io::Result<Output> {
    let cache = tempfile::tempdir()?;
    let mut command = Command::new(program);
    command.args(args).env("XDG_CACHE_HOME", cache.path());
    command.output()
}

/// Runs a program whose output nobody reads, as behind `| head`, which is no error.
///
/// # Errors
///
/// If it cannot be run.
///
/// # Panics
///
/// If it fails, or has something to say about it.
pub fn unread(program: &str, args: &[&str]) -> io::Result<()> {
    let cache = tempfile::tempdir()?;
    let (reader, writer) = io::pipe()?;
    drop(reader);
    let mut command = Command::new(program);
    command.args(args).env("XDG_CACHE_HOME", cache.path());
    let output = command.stdout(writer).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{args:?}: {errors}"
    );
    Ok(())
}
