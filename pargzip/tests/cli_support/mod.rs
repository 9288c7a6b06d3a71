//! The program under test.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The example, beside which Cargo puts the tests. `cargo test` builds it first, `cargo test --test cli` does not.
pub(crate) fn program() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let path = BUILT.get_or_init(|| {
        let mut path = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.push("examples/pargzip");
        if !path.exists() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "-p", "pargzip", "--example", "pargzip"]);
            if !cfg!(debug_assertions) {
                cargo.arg("--release");
            }
            assert!(cargo.status().unwrap().success());
        }
        path
    });
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}
