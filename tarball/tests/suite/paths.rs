//! Hostile and merely odd names.

use tarball::{Limits, UnpackOptions};

use crate::support::{Fault, Leaves, Sandbox, Tar, case, put, run};

fn file(name: &str) -> Vec<u8> {
    Tar::new().file(name, "x").end()
}

#[test]
pub(crate) fn names_that_lead_outside_or_nowhere() {
    let invalid = |quoted: &str| format!("tar file contained invalid name \"{quoted}\"");
    let mut cases = Vec::new();
    let names = [
        ("../x", "../x"),
        ("a/../../x", "a/../../x"),
        ("a/../b", "a/../b"),
        ("./../x", "./../x"),
        ("a/..", "a/.."),
        ("..", ".."),
        (".", "."),
        ("./", "./"),
        ("a/", "a/"),
        ("/abs", "/abs"),
        ("/", "/"),
        ("//host/share", "//host/share"),
        ("C:\\x", "C:\\\\x"),
        ("a\\..\\b", "a\\\\..\\\\b"),
        ("\\\\host\\share", "\\\\\\\\host\\\\share"),
        ("", ""),
    ];
    let texts: Vec<_> = names
        .iter()
        .map(|(name, quoted)| (name, invalid(quoted)))
        .collect();
    for (name, text) in &texts {
        cases.push(case(name, file(name), Fault(text, &[])));
    }
    let dirs = ["..", "../", "a/..", "a/../", "/", "/abs/", "a\\b/", ""];
    let texts: Vec<_> = dirs
        .iter()
        .map(|name| (name, invalid(&name.replace('\\', "\\\\"))))
        .collect();
    for (name, text) in &texts {
        cases.push(case(name, Tar::new().dir(name).end(), Fault(text, &[])));
    }
    run(&cases);
}

#[test]
pub(crate) fn names_hidden_in_other_places() {
    let prefixed = |prefix: &'static [u8], name: &[u8]| {
        Tar::new()
            .entry(name, b'0', b"x", |b| put(b, 345, prefix))
            .end()
    };
    run(&[
        case(
            "prefix climbs",
            prefixed(b"..", b"x"),
            Fault("tar file contained invalid name \"../x\"", &[]),
        ),
        case(
            "prefix is absolute",
            prefixed(b"/etc", b"p"),
            Fault("tar file contained invalid name \"/etc/p\"", &[]),
        ),
        case(
            "prefix serves",
            prefixed(b"a/b", b"c"),
            Leaves(&["a/", "a/b/", "a/b/c=x"]),
        ),
        case(
            "pax path climbs",
            Tar::new().pax(&[("path", b"../x")]).file("good", "x").end(),
            Fault("tar file contained invalid name \"../x\"", &[]),
        ),
        case(
            "long name climbs",
            Tar::new().long_name(b"../x").file("good", "x").end(),
            Fault("tar file contained invalid name \"../x\"", &[]),
        ),
        case(
            "nul cuts the name",
            Tar::new().entry(b"a\0/../../x", b'0', b"x", |_| {}).end(),
            Leaves(&["a=x"]),
        ),
        case(
            "nul in a long name",
            Tar::new().long_name(b"a\0/../../x").file("b", "x").end(),
            Fault(
                "tar error: archive/tar: invalid tar header: malformed extended header record",
                &[],
            ),
        ),
        case(
            "nul in a pax path",
            Tar::new().pax(&[("path", b"a\0b")]).file("good", "x").end(),
            Fault(
                "tar error: archive/tar: invalid tar header: malformed extended header record",
                &[],
            ),
        ),
        case(
            "gnu header has times where others have the prefix",
            Tar::new()
                .entry(b"a", b'0', b"x", |b| {
                    put(b, 257, b"ustar  \0");
                    put(b, 345, b"../../../../");
                })
                .end(),
            Leaves(&["a=x"]),
        ),
        case(
            "star header has a shorter prefix",
            Tar::new()
                .entry(b"a", b'0', b"x", |b| {
                    put(b, 345, &[b'p'; 131]);
                    put(b, 476, b"14000000000");
                    put(b, 508, b"tar\0");
                })
                .end(),
            Leaves(&[
                &format!("{}/", "p".repeat(131)),
                &format!("{}/a=x", "p".repeat(131)),
            ]),
        ),
        case(
            "the oldest format has no prefix",
            Tar::new()
                .entry(b"a", 0, b"x", |b| {
                    b[257..265].fill(0);
                    put(b, 345, b"../..");
                })
                .end(),
            Leaves(&["a=x"]),
        ),
    ]);
}

#[test]
pub(crate) fn odd_names_that_are_names() {
    run(&[
        case(
            "root entries",
            Tar::new().dir("./").dir(".").file("./a", "x").end(),
            Leaves(&["a=x"]),
        ),
        case(
            "variants of one name",
            Tar::new()
                .file("./a", "1")
                .file(".//a", "2")
                .file("a", "3")
                .end(),
            Leaves(&["a=3"]),
        ),
        case("double slashes", file("a//b"), Leaves(&["a/", "a/b=x"])),
        case("three dots", file("..."), Leaves(&["...=x"])),
        case(
            "dots that climb nowhere",
            file("a../b"),
            Leaves(&["a../", "a../b=x"]),
        ),
        case("dots in front", file("..a/b"), Leaves(&["..a/", "..a/b=x"])),
        case("home", file("~/x"), Leaves(&["~/", "~/x=x"])),
        case("an option", file("-rf"), Leaves(&["-rf=x"])),
        case(
            "url escapes",
            file("%2e%2e/x"),
            Leaves(&["%2e%2e/", "%2e%2e/x=x"]),
        ),
        case(
            "escape sequences",
            file("a\x1b[31m\n"),
            Leaves(&["a\x1b[31m\n=x"]),
        ),
        case(
            "windows devices",
            Tar::new().file("CON", "1").file("nul.txt", "2").end(),
            Leaves(&["CON=1", "nul.txt=2"]),
        ),
        case("windows streams", file("a:stream"), Leaves(&["a:stream=x"])),
        case(
            "trailing blank and dot",
            Tar::new().file("a ", "1").file("a.", "2").end(),
            Leaves(&["a =1", "a.=2"]),
        ),
        case(
            "case twins",
            Tar::new().file("A", "1").file("a", "2").end(),
            Leaves(&["A=1", "a=2"]),
        ),
        case(
            "normalisation twins",
            Tar::new().file("\u{e9}", "1").file("e\u{301}", "2").end(),
            Leaves(&["e\u{301}=2", "\u{e9}=1"]),
        ),
        case(
            "not utf-8",
            Tar::new().entry(b"a\xff", b'0', b"x", |_| {}).end(),
            Leaves(&["a\u{fffd}=x"]),
        ),
        case(
            "a name without its nul",
            Tar::new().entry(&[b'n'; 100], b'0', b"x", |_| {}).end(),
            Leaves(&[&format!("{}=x", "n".repeat(100))]),
        ),
        case(
            "an old directory",
            Tar::new().entry(b"d/", 0, b"", |_| {}).end(),
            Leaves(&["d/"]),
        ),
    ]);
}

#[test]
pub(crate) fn files_and_directories_in_each_others_way() {
    run(&[
        case(
            "through a file",
            Tar::new().file("a", "1").file("a/b", "2").end(),
            Fault(
                "tar file entry a/b is blocked by a file where it needs a directory",
                &["a=1"],
            ),
        ),
        case(
            "through an older file",
            file("a/b"),
            Fault("tar file entry a/b is blocked by a file…", &["a="]),
        )
        .plant(|s| std::fs::write(s.root().join("a"), "").unwrap()),
        case(
            "directory over a file",
            Tar::new().file("a", "1").dir("a/").end(),
            Fault(
                "tar file entry a/ is blocked by a file where it needs a directory",
                &["a=1"],
            ),
        ),
        case(
            "file over a directory",
            Tar::new().dir("a/").file("a", "1").end(),
            Fault(
                "tar file entry a is blocked by a directory of its name",
                &["a/"],
            ),
        ),
        case(
            "directory twice",
            Tar::new().dir("a/").dir("a").file("a/b", "x").end(),
            Leaves(&["a/", "a/b=x"]),
        ),
        case(
            "parents forgotten and found again",
            Tar::new()
                .file("a/b/1", "1")
                .file("c", "2")
                .file("a/b/3", "3")
                .file("a/4", "4")
                .end(),
            Leaves(&["a/", "a/4=4", "a/b/", "a/b/1=1", "a/b/3=3", "c=2"]),
        ),
    ]);
}

#[test]
pub(crate) fn long_and_deep_names() {
    let pax = |name: &str| {
        Tar::new()
            .pax(&[("path", name.as_bytes())])
            .file("short", "x")
            .end()
    };
    let deep = |n: usize| vec!["d"; n].join("/");
    for (title, archive, message) in [
        (
            "a long name",
            pax(&"n".repeat(4097)),
            "archive exceeds the limit of 4096 bytes in a name",
        ),
        (
            "a long component",
            pax(&"n".repeat(256)),
            "archive exceeds the limit of 255 bytes in one component of a name",
        ),
        (
            "a deep name",
            pax(&deep(129)),
            "archive exceeds the limit of 128 directories deep",
        ),
        (
            "a very deep name",
            pax(&deep(10_000)),
            "archive exceeds the limit of 4096 bytes in a name",
        ),
        (
            "dots do not hide depth",
            pax(&vec!["./d"; 129].join("//")),
            "archive exceeds the limit of 128 directories deep",
        ),
        (
            "a long target",
            Tar::new()
                .pax(&[("linkpath", &[b't'; 5000])])
                .symlink("l", "t")
                .end(),
            "archive exceeds the limit of 4096 bytes in a name",
        ),
    ] {
        run(&[case(title, archive, Fault(message, &[]))]);
    }
    let sandbox = Sandbox::new();
    let report = sandbox
        .unpack(
            &pax(&format!("{}/{}", deep(126), "n".repeat(255))),
            &UnpackOptions::default(),
        )
        .unwrap();
    assert_eq!((report.files, report.dirs), (1, 126));
    let limits = Limits {
        max_depth: 2,
        ..Limits::default()
    };
    let options = UnpackOptions {
        limits,
        ..UnpackOptions::default()
    };
    assert!(sandbox.unpack(&file("a/b"), &options).is_ok());
    assert!(sandbox.unpack(&file("a/b/c"), &options).is_err());
}
