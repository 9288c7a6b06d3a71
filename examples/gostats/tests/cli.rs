//! The built program.

use example_cli::testing::{log, run, unread};

const PROGRAM: &str = env!("CARGO_BIN_EXE_gostats");

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = log().unwrap();
    let log = dir.path().to_str().unwrap();
    for args in [
        &["--log", log, "--time-load"][..],
        &["--log", log, "--modified-files", "9", "--project", PROJECT],
        &["--completions", "bash"],
        &["--help"],
    ] {
        unread(PROGRAM, args).unwrap();
    }
}

const PROJECT: &str = "review.example.org/compiler";

#[test]
fn projects_that_are_there_are_named() {
    let dir = log().unwrap();
    let log = dir.path().to_str().unwrap();
    let files = ["--log", log, "--modified-files", "3"];
    let output = run(PROGRAM, &files).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains(PROJECT), "{errors}");
    let output = run(PROGRAM, &[&files[..], &["--project", PROJECT]].concat()).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
}
