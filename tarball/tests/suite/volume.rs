//! Too much of everything.

use tarball::{Limit, Limits, UnpackErrorKind, UnpackOptions};

use crate::support::{Sandbox, Tar};

fn limited(limits: Limits, archive: &[u8]) -> (Limit, u64, Vec<String>) {
    let sandbox = Sandbox::new();
    let error = sandbox
        .unpack(
            archive,
            &UnpackOptions {
                limits,
                ..UnpackOptions::default()
            },
        )
        .unwrap_err();
    assert!(error.is_input_fault());
    let UnpackErrorKind::Limit { limit, .. } = error.kind() else {
        panic!("{}", error.message())
    };
    (*limit, error.progress().files, sandbox.tree())
}

#[test]
fn entries() {
    let limits = Limits {
        max_entries: 100,
        ..Limits::default()
    };
    let files = (0..101).fold(Tar::new(), |tar, i| tar.file(&format!("f{i}"), ""));
    let (limit, written, tree) = limited(limits, &files.end());
    assert_eq!((limit, written, tree.len()), (Limit::Entries, 100, 100));

    let same = (0..101).fold(Tar::new(), |tar, i| tar.file("same", &i.to_string()));
    let (limit, written, tree) = limited(limits, &same.end());
    assert_eq!((limit, written), (Limit::Entries, 100));
    assert_eq!(tree, ["same=99"]);

    let dirs = (0..101).fold(Tar::new(), |tar, i| tar.dir(&format!("d{i}/")));
    assert_eq!(limited(limits, &dirs.end()).0, Limit::Entries);
    let globals = (0..101).fold(Tar::new(), |tar, _| tar.entry(b"", b'g', b"", |_| {}));
    assert_eq!(limited(limits, &globals.end()).0, Limit::Entries);
    let enough = (0..100).fold(Tar::new(), |tar, i| tar.file(&format!("f{i}"), ""));
    let options = UnpackOptions {
        limits,
        ..UnpackOptions::default()
    };
    assert_eq!(
        Sandbox::new()
            .unpack(&enough.end(), &options)
            .unwrap()
            .files,
        100
    );
}

#[test]
fn bytes() {
    let limits = Limits {
        max_file_bytes: 10,
        ..Limits::default()
    };
    let archive = Tar::new()
        .file("fits", "0123456789")
        .file("not", "0123456789a")
        .end();
    let (limit, written, tree) = limited(limits, &archive);
    assert_eq!((limit, written), (Limit::FileBytes, 1));
    assert_eq!(tree, ["fits=0123456789"]);

    // Exactly as long as allowed.
    let archive = Tar::new().file("a", "x").end();
    let limits = |n: usize| Limits {
        max_bytes: n as u64,
        ..Limits::default()
    };
    let options = UnpackOptions {
        limits: limits(archive.len()),
        ..UnpackOptions::default()
    };
    assert!(Sandbox::new().unpack(&archive, &options).is_ok());
    assert_eq!(limited(limits(archive.len() - 1), &archive).0, Limit::Bytes);
}

#[test]
fn a_limit_names_the_entry_it_was_met_at() {
    let sandbox = Sandbox::new();
    let limits = Limits {
        max_name: 300,
        max_component: 300,
        ..Limits::default()
    };
    let archive = Tar::new()
        .pax(&[("path", &[b'n'; 1000])])
        .file("a", "")
        .end();
    let error = sandbox
        .unpack(
            &archive,
            &UnpackOptions {
                limits,
                ..UnpackOptions::default()
            },
        )
        .unwrap_err();
    let UnpackErrorKind::Limit {
        limit: Limit::Name,
        max: 300,
        name: Some(name),
    } = error.kind()
    else {
        panic!("{}", error.message())
    };
    assert_eq!(name.len(), 256, "cut, for logs");
}

#[test]
fn no_limits_where_asked_for() {
    let limits = Limits::unlimited();
    let options = UnpackOptions {
        limits,
        ..UnpackOptions::default()
    };
    let archive = Tar::new()
        .pax(&[("path", vec!["d"; 500].join("/").as_bytes())])
        .file("a", "x")
        .end();
    let report = Sandbox::new().unpack(&archive, &options).unwrap();
    assert_eq!(report.dirs, 499);
}
