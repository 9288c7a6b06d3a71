//! Entry types, modes and times.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tarball::{UnpackErrorKind, UnpackOptions};

use crate::support::{Fault, Leaves, Sandbox, Tar, case, put, run};

#[test]
pub(crate) fn types_that_are_refused() {
    for (flag, mode) in [
        (b'3', "Dcrw-r--r--"),
        (b'4', "Drw-r--r--"),
        (b'6', "prw-r--r--"),
        (b'S', "-rw-r--r--"), // sparse, of old GNU
        (b'D', "-rw-r--r--"), // GNU dump directory
        (b'M', "-rw-r--r--"), // the rest of a file from another volume
        (b'N', "-rw-r--r--"), // long names of old GNU
        (b'V', "-rw-r--r--"), // volume label
        (b'X', "-rw-r--r--"), // extended header of another vendor
        (b'A', "-rw-r--r--"),
        (b'I', "-rw-r--r--"),
        (b'Z', "-rw-r--r--"),
        (b'8', "-rw-r--r--"),
        (b' ', "-rw-r--r--"),
        (0xff, "-rw-r--r--"),
    ] {
        let archive = Tar::new()
            .file("a", "1")
            .entry(b"odd", flag, b"", |_| {})
            .end();
        let text = format!("tar file entry odd contained unsupported file type {mode}");
        run(&[case(
            &format!("type {}", flag.escape_ascii()),
            archive.clone(),
            Fault(&text, &["a=1"]),
        )]);
        let error = Sandbox::new()
            .unpack(&archive, &UnpackOptions::default())
            .unwrap_err();
        assert!(
            matches!(error.kind(), UnpackErrorKind::UnsupportedType { typeflag, .. } if *typeflag == flag)
        );
    }
}

#[test]
pub(crate) fn sparse_files_of_every_kind_are_refused() {
    let text = "tar file entry s contained unsupported file type -rw-r--r--";
    let pax = |records: &[(&str, &[u8])]| Tar::new().pax(records).file("s", "x").end();
    run(&[
        case(
            "old GNU, a map that overlaps",
            Tar::new()
                .entry(b"s", b'S', b"xx", |b| {
                    put(b, 257, b"ustar  \0");
                    put(b, 386, b"00000000000\x0000000000010\0");
                    put(b, 410, b"00000000001\x0000000000010\0");
                    put(b, 483, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
                })
                .end(),
            Fault(text, &[]),
        ),
        case(
            "pax 0.0",
            pax(&[("GNU.sparse.size", b"8"), ("GNU.sparse.numblocks", b"1")]),
            Fault(text, &[]),
        ),
        case(
            "pax 0.1",
            pax(&[("GNU.sparse.size", b"8"), ("GNU.sparse.map", b"0,1")]),
            Fault(text, &[]),
        ),
        case(
            "pax 1.0, a hole of 8 EiB",
            pax(&[
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.realsize", b"9223372036854775807"),
            ]),
            Fault(text, &[]),
        ),
    ]);
}

#[test]
pub(crate) fn types_that_are_files() {
    run(&[
        case(
            "oldest",
            Tar::new().entry(b"a", 0, b"x", |_| {}).end(),
            Leaves(&["a=x"]),
        ),
        case(
            "contiguous",
            Tar::new().entry(b"a", b'7', b"x", |_| {}).end(),
            Leaves(&["a=x"]),
        ),
        case(
            "a socket only by its mode",
            Tar::new()
                .entry(b"a", b'0', b"x", |b| put(b, 100, b"0140644"))
                .end(),
            Leaves(&["a=x"]),
        ),
        case(
            "a device number on a file",
            Tar::new()
                .entry(b"a", b'0', b"x", |b| put(b, 329, b"0000010"))
                .end(),
            Leaves(&["a=x"]),
        ),
        case(
            "in place of a fifo",
            Tar::new().file("f", "x").end(),
            Leaves(&["f=x"]),
        )
        .plant(|s| {
            let made = std::process::Command::new("mkfifo")
                .arg(s.root().join("f"))
                .status();
            if !made.is_ok_and(|s| s.success()) {
                eprintln!("SKIPPED: no mkfifo");
            }
        }),
    ]);
}

#[test]
fn modes_lose_their_special_bits() {
    let sandbox = Sandbox::new();
    let mode = |m: &'static [u8]| move |b: &mut crate::support::Block| put(b, 100, m);
    let archive = Tar::new()
        .entry(b"plain", b'0', b"", mode(b"0000644"))
        .entry(b"setuid", b'0', b"", mode(b"0004755"))
        .entry(b"all", b'0', b"", mode(b"0007777"))
        .entry(b"none", b'0', b"x", mode(b"0000000"))
        .entry(b"readonly", b'0', b"x", mode(b"0000444"))
        .entry(b"256", b'0', b"", mode(b"\x80\0\0\0\0\0\x0f\xff"))
        .entry(b"closed/", b'5', b"", mode(b"0000000"))
        .file("closed/x", "x")
        .entry(b"sticky/", b'5', b"", mode(b"0007777"))
        .end();
    let umask = {
        fs::write(sandbox.root().join("probe"), "").unwrap();
        fs::set_permissions(
            sandbox.root().join("probe"),
            fs::Permissions::from_mode(0o777),
        )
        .unwrap();
        let probe = sandbox.root().join("probe2");
        std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o777)
            .create(&probe)
            .unwrap();
        0o777 & !fs::metadata(&probe).unwrap().mode()
    };
    sandbox.unpack(&archive, &UnpackOptions::default()).unwrap();
    for (name, want) in [
        ("plain", 0o644),
        ("setuid", 0o755),
        ("all", 0o777),
        ("none", 0),
        ("readonly", 0o444),
        ("256", 0o777),
        ("closed", 0o755),
        ("sticky", 0o755),
    ] {
        let mode = fs::metadata(sandbox.root().join(name)).unwrap().mode();
        assert_eq!(mode & 0o7777, want & !umask, "{name}");
    }
}

#[test]
fn an_older_file_does_not_lend_its_mode() {
    let sandbox = Sandbox::new();
    let path = sandbox.root().join("f");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4777)).unwrap();
    sandbox
        .unpack(
            &Tar::new().file("f", "new").end(),
            &UnpackOptions::default(),
        )
        .unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7133, 0);
}

#[test]
pub(crate) fn owners_do_not_matter() {
    let ids = |b: &mut crate::support::Block| {
        put(b, 108, b"\xff\xff\xff\xff\xff\xff\xff\xfe");
        put(b, 116, b"garbage!");
    };
    run(&[case(
        "negative and senseless",
        Tar::new().entry(b"a", b'0', b"x", ids).end(),
        Leaves(&["a=x"]),
    )]);
}

#[test]
fn times_are_kept_but_never_in_the_future() {
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let options = UnpackOptions {
        now,
        ..UnpackOptions::default()
    };
    let stamp = |field: &'static [u8]| {
        move |b: &mut crate::support::Block| {
            b[136..148].fill(0);
            put(b, 136, field);
        }
    };
    let archive = Tar::new()
        .entry(b"epoch", b'0', b"", stamp(b"00000000000"))
        .entry(b"past", b'0', b"", stamp(b"10000000000"))
        .entry(b"future", b'0', b"", stamp(b"77777777777"))
        .entry(
            b"before",
            b'0',
            b"",
            stamp(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"),
        )
        .entry(
            b"end of time",
            b'0',
            b"",
            stamp(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
        )
        .pax(&[("mtime", b"1234567890.5")])
        .file("half", "")
        .pax(&[("mtime", b"9999999999999.9")])
        .file("later", "")
        .end();
    let sandbox = Sandbox::new();
    sandbox.unpack(&archive, &options).unwrap();
    let after = |secs| UNIX_EPOCH + Duration::from_secs(secs);
    for (name, want) in [
        ("epoch", UNIX_EPOCH),
        ("past", after(1 << 30)),
        ("future", now),
        ("before", UNIX_EPOCH - Duration::from_secs(2)),
        ("end of time", now),
        ("half", after(1_234_567_890) + Duration::from_millis(500)),
        ("later", now),
    ] {
        let modified: SystemTime = fs::metadata(sandbox.root().join(name))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(modified, want, "{name}");
    }
}

#[test]
pub(crate) fn times_that_are_none() {
    let text = "tar error: archive/tar: invalid tar header: bad number";
    let blank = Tar::new()
        .entry(b"a", b'0', b"x", |b| b[136..148].fill(b' '))
        .end();
    run(&[
        case("blank", blank, Leaves(&["a=x"])),
        case(
            "garbage",
            Tar::new()
                .entry(b"a", b'0', b"x", |b| put(b, 136, b"yesterday"))
                .end(),
            Fault(text, &[]),
        ),
        case(
            "pax garbage",
            Tar::new()
                .pax(&[("mtime", b"yesterday")])
                .file("a", "x")
                .end(),
            Fault(text, &[]),
        ),
        case(
            "mode garbage",
            Tar::new()
                .entry(b"a", b'0', b"x", |b| put(b, 100, b"rw-r--r"))
                .end(),
            Fault(text, &[]),
        ),
    ]);
}
