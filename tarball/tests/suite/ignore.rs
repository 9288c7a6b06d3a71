//! What is left out is what git would leave out: git itself is asked.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use tarball::{Ignore, PackError, PackOptions, pack};

use crate::peers;
use crate::support::Sandbox;

fn git(dir: &Path, args: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("HOME", dir)
        .env("XDG_CONFIG_HOME", dir)
        .output();
    match output {
        Ok(output) if output.status.success() => Some(output.stdout),
        Ok(output) => panic!("git {args:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("SKIPPED: no git: {error}");
            None
        }
    }
}

fn by_git(root: &Path) -> Option<BTreeSet<Vec<u8>>> {
    let out = git(root, &["ls-files", "-coz", "--exclude-standard"])?;
    Some(
        out.split(|&b| b == 0)
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect(),
    )
}

fn by_us(sandbox: &Sandbox) -> BTreeSet<Vec<u8>> {
    let options = PackOptions {
        ignore: Ignore::Git,
        ..PackOptions::default()
    };
    let mut archive = Vec::new();
    pack(&sandbox.dir(), "", &mut archive, &options).unwrap();
    peers::tar_crate(&archive)
        .unwrap()
        .into_iter()
        .filter(|(_, node)| *node != peers::Node::Dir)
        .map(|(name, _)| name)
        .collect()
}

fn write(root: &Path, name: &str, content: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn as_git_lists_it() {
    let sandbox = Sandbox::new();
    let root = sandbox.root();
    if git(&root, &["init", "-q"]).is_none() {
        return;
    }
    for (name, content) in [
        (
            ".gitignore",
            "\u{feff}# comment\n*.o\n!keep.o\n/only-root\nbuild/\ndocs/*.html\n**/deep/x\n\\#hash\ntrail  \nkept\\ \na/**/z\n",
        ),
        (".git/info/exclude", "secret\n!by-exclude\n"),
        ("lib/.gitignore", "!by-parent.o\n*.tmp\n/anchored\n"),
        ("lib/sub/.gitignore", "!x.tmp\n*\n!*.c\n!.gitignore\n"),
        ("build/.gitignore", "!*\n"),
        ("win/.gitignore", "*.log\r\n!keep.log\r\n"),
    ] {
        write(&root, name, content);
    }
    for name in [
        "a.o",
        "keep.o",
        "only-root",
        "x/only-root",
        "build/out",
        "x/build/out",
        "docs/a.html",
        "docs/b/a.html",
        "p/q/deep/x",
        "deep/x",
        "#hash",
        "trail",
        "kept ",
        "a/z",
        "a/b/c/z",
        "z",
        "secret",
        "lib/secret",
        "lib/by-parent.o",
        "lib/a.tmp",
        "lib/anchored",
        "lib/x/anchored",
        "lib/sub/x.tmp",
        "lib/sub/y.tmp",
        "lib/sub/a.c",
        "lib/sub/d/a.c",
        "win/a.log",
        "win/keep.log",
        "x/buildx",
        "build2/x",
    ] {
        write(&root, name, name);
    }
    write(&root, "x/build2", "");
    symlink("build", root.join("link-to-build")).unwrap();
    fs::create_dir(root.join("linked")).unwrap();
    symlink("../x", root.join("linked/build")).unwrap();
    assert_eq!(Some(by_us(&sandbox)), by_git(&root));
    assert!(by_us(&sandbox).len() > 15);
}

#[test]
fn rules_are_not_followed_elsewhere_and_have_a_bound() {
    let sandbox = Sandbox::new();
    let root = sandbox.root();
    fs::create_dir(root.join("d")).unwrap();
    fs::write(sandbox.outside().join("rules"), "*\n").unwrap();
    symlink("../../outside/rules", root.join("d/.gitignore")).unwrap();
    write(&root, "d/x", "");
    write(&root, ".git/config", "");
    assert_eq!(by_us(&sandbox).len(), 2, "the link and the file");

    write(&root, "d/e/.gitignore", &"x\n".repeat(600_000));
    let options = PackOptions {
        ignore: Ignore::Git,
        ..PackOptions::default()
    };
    let error = pack(&sandbox.dir(), "", io::sink(), &options).unwrap_err();
    assert!(
        matches!(&error, PackError::Read { name, .. } if name.ends_with("d/e/.gitignore")),
        "{error}"
    );
}

#[test]
fn what_was_left_out_is_counted() {
    let sandbox = Sandbox::new();
    let root = sandbox.root();
    write(&root, ".gitignore", "*.o\nout/\n");
    for name in ["a.o", "b.o", "c", "out/x", "out/y"] {
        write(&root, name, "");
    }
    let options = PackOptions {
        ignore: Ignore::Git,
        ..PackOptions::default()
    };
    let report = pack(&sandbox.dir(), "", io::sink(), &options).unwrap();
    assert_eq!((report.files, report.dirs, report.ignored), (2, 0, 3));
    // Only when asked.
    let report = pack(&sandbox.dir(), "", io::sink(), &PackOptions::default()).unwrap();
    assert_eq!((report.files, report.dirs, report.ignored), (6, 1, 0));
}

/// Patterns out of the letters that names have, with all that has a meaning.
fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[ab]",
        3 => Just("*".to_owned()),
        2 => Just("**".to_owned()),
        3 => Just("/".to_owned()),
        1 => Just("?".to_owned()),
        1 => Just("[a-b]".to_owned()),
        1 => Just("[!a]".to_owned()),
        1 => Just("[[:alpha:]]".to_owned()),
        1 => Just("\\a".to_owned()),
        1 => Just("[".to_owned()),
        1 => Just("\\".to_owned()),
        1 => Just(" ".to_owned()),
        1 => Just("!".to_owned()),
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_rules(
        names in proptest::collection::btree_set("[ab]{1,2}(/[ab]{1,2}){0,3}", 1..12),
        rules in proptest::collection::vec((0usize..3, any::<bool>(), pattern()), 1..8),
    ) {
        let sandbox = Sandbox::new();
        let root = sandbox.root();
        if git(&root, &["init", "-q"]).is_none() {
            return Ok(());
        }
        for name in &names {
            // A name that is a directory already is no file.
            let path = root.join(name);
            if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.exists() {
                fs::write(path, "").unwrap();
            }
        }
        let mut files = [String::new(), String::new(), String::new()];
        for (file, keep, pattern) in &rules {
            files[*file].extend([if *keep { "!" } else { "" }, pattern.as_str(), "\n"]);
        }
        fs::write(root.join(".gitignore"), &files[0]).unwrap();
        fs::write(root.join(".git/info/exclude"), &files[1]).unwrap();
        if root.join("a").is_dir() {
            fs::write(root.join("a/.gitignore"), &files[2]).unwrap();
        }
        prop_assert_eq!(
            by_us(&sandbox).iter().map(|n| String::from_utf8_lossy(n).into_owned()).collect::<Vec<_>>(),
            by_git(&root).unwrap().iter().map(|n| String::from_utf8_lossy(n).into_owned()).collect::<Vec<_>>(),
            "{:?}", files
        );
    }
}
