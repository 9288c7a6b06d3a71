//! The built program.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::process::{Command, Output, Stdio};

use maintner::testing::History;

fn gostats(args: &[&str], out: impl Into<Stdio>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gostats"));
    let cache = tempfile::tempdir().unwrap();
    command.args(args).env("XDG_CACHE_HOME", cache.path());
    command.stdout(out).output().unwrap()
}

fn log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("maintner-2018-07-09.mutlog");
    std::fs::write(file, History::new(3).log(200_000)).unwrap();
    dir
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = log();
    let log = dir.path().to_str().unwrap();
    for args in [
        &["--log", log, "--time-load"][..],
        &["--log", log, "--modified-files", "9", "--project", PROJECT],
        &["--completions", "bash"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = gostats(args, writer);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*errors), (Some(0), ""), "{args:?}");
    }
}

const PROJECT: &str = "review.example.org/compiler";

#[test]
fn projects_that_are_there_are_named() {
    let dir = log();
    let log = dir.path().to_str().unwrap();
    let files = ["--log", log, "--modified-files", "3"];
    let output = gostats(&files, Stdio::piped());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains(PROJECT), "{errors}");
    let output = gostats(
        &[&files[..], &["--project", PROJECT]].concat(),
        Stdio::piped(),
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
}
