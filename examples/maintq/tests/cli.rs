//! The built program.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::process::{Command, Output, Stdio};

use maintner::testing::History;

fn maintq(args: &[&str], out: impl Into<Stdio>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maintq"));
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
        &["query", "--log", log, "is:open"][..],
        &["query", "--json", "--log", log, "is:open"],
        &["completions", "bash"],
        &["help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = maintq(args, writer);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*errors), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named_once() {
    // Nobody listens where somebody has just stopped.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().to_string();
    drop(listener);
    for question in [&["query", "is:open"][..], &["list-releases"]] {
        let args = [&["--server", &server], question].concat();
        let output = maintq(&args, Stdio::piped());
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors.matches(&server).count(), 1, "{errors}");
        assert!(
            errors.contains("refused") && errors.contains("--server"),
            "{errors}"
        );
    }
}

#[test]
fn nothing_is_an_answer() {
    let dir = log();
    let log = dir.path().to_str().unwrap();
    let output = maintq(&["query", "--log", log, "xyzzy"], Stdio::piped());
    assert!(output.status.success() && output.stdout.is_empty());
    assert_eq!(output.stderr, b"maintq: nothing fits\n");
}
