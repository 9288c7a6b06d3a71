//! The built program.

use example_cli::testing::{log, run, unread};

const PROGRAM: &str = env!("CARGO_BIN_EXE_maintq");

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = log().unwrap();
    let log = dir.path().to_str().unwrap();
    for args in [
        &["query", "--log", log, "is:open"][..],
        &["query", "--json", "--log", log, "is:open"],
        &["completions", "bash"],
        &["help"],
    ] {
        unread(PROGRAM, args).unwrap();
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
        let output = run(PROGRAM, &args).unwrap();
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
    let dir = log().unwrap();
    let log = dir.path().to_str().unwrap();
    let output = run(PROGRAM, &["query", "--log", log, "xyzzy"]).unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    assert_eq!(output.stderr, b"maintq: nothing fits\n");
}
