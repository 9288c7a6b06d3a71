//! Whose fault it is, and what is said about it.

use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use tarball::{UnpackErrorKind, UnpackOptions};

use crate::support::{Sandbox, Tar};

#[test]
fn this_machine_is_to_blame_for_its_own_faults() {
    let sandbox = Sandbox::new();
    let closed = sandbox.root().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(closed.join("probe"), "").is_ok() {
        eprintln!("SKIPPED: this user may write anywhere");
        return;
    }
    let archive = Tar::new().file("a", "1").file("closed/b", "2").end();
    let error = sandbox
        .unpack(&archive, &UnpackOptions::default())
        .unwrap_err();
    assert!(!error.is_input_fault());
    let UnpackErrorKind::Io { source, .. } = error.kind() else {
        panic!("{}", error.message())
    };
    assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(error.progress().files, 1);
    assert!(
        error.message().starts_with("cannot create file closed/b: "),
        "{}",
        error.message()
    );
}

#[test]
fn a_full_device_is_no_input_fault() {
    // /dev/full answers every write as a full disk does, but it cannot be reached beneath a root;
    // the longest name the file system takes is the next best refusal of its own.
    let sandbox = Sandbox::new();
    let limits = tarball::Limits {
        max_component: 1000,
        ..tarball::Limits::default()
    };
    let options = UnpackOptions {
        limits,
        ..UnpackOptions::default()
    };
    let archive = Tar::new()
        .pax(&[("path", &[b'n'; 300])])
        .file("a", "x")
        .end();
    let error = sandbox.unpack(&archive, &options).unwrap_err();
    assert!(!error.is_input_fault(), "{}", error.message());
}

#[test]
fn causes_are_chained_and_not_repeated() {
    let error = Sandbox::new()
        .unpack(b"short", &UnpackOptions::default())
        .unwrap_err();
    assert_eq!(error.to_string(), "tar error");
    assert_eq!(error.source().unwrap().to_string(), "unexpected EOF");
    assert_eq!(error.message(), "tar error: unexpected EOF");
}

#[test]
fn hostile_names_do_not_reach_the_terminal() {
    let archive = Tar::new().entry(b"\x1b]0;x\x07\n", b'6', b"", |_| {}).end();
    let error = Sandbox::new()
        .unpack(&archive, &UnpackOptions::default())
        .unwrap_err();
    assert!(
        !error.message().contains(char::is_control),
        "{:?}",
        error.message()
    );
}

#[test]
fn errors_fit_everywhere() {
    fn check<T: Send + Sync + Error + 'static>() {}
    check::<tarball::UnpackError>();
    check::<tarball::PackError>();
    check::<tarball::FileListError>();
    check::<tarball::NameError>();
    assert!(
        size_of::<tarball::UnpackError>() <= 16,
        "results stay small"
    );
}
