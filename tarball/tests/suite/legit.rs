//! Archives that other programs make must unpack as these programs unpack them, and the other way.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use cap_std::{ambient_authority, fs::Dir};
use tarball::{Links, PackOptions, UnpackOptions, pack, pack_gz, unpack, unpack_gz};

use crate::support::{Sandbox, gz};

/// Runs a program; `None`, loudly, if it is not there.
fn run(dir: &Path, program: &str, args: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .stderr(Stdio::piped())
        .output();
    match output {
        Ok(output) if output.status.success() => Some(output.stdout),
        Ok(output) => panic!(
            "{program} {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => {
            eprintln!("SKIPPED: no {program}: {error}");
            None
        }
    }
}

/// A tree with what real ones have.
fn plant(root: &Path) {
    let long = "long-directory-name-".repeat(6);
    fs::create_dir_all(root.join("src/deep/er/and/deeper")).unwrap();
    fs::create_dir_all(root.join(&long).join(&long)).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join("README"), "read me\n").unwrap();
    fs::write(root.join("src/zero"), "").unwrap();
    fs::write(root.join("src/block"), [7; 512]).unwrap();
    fs::write(root.join("src/large"), vec![9; 700_001]).unwrap();
    fs::write(root.join("src/näme with blänks"), "ü").unwrap();
    fs::write(root.join(&long).join(&long).join("file"), "far away").unwrap();
    fs::write(
        root.join("src/deep/er/and/deeper").join("n".repeat(200)),
        "long",
    )
    .unwrap();
    fs::write(root.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../README", root.join("src/link")).unwrap();
    symlink("src", root.join("dirlink")).unwrap();
    symlink(format!("{long}/{long}/file"), root.join("longlink")).unwrap();
}

fn inside() -> UnpackOptions {
    UnpackOptions {
        links: Links::Inside,
        ..UnpackOptions::default()
    }
}

/// A listing of names, sizes, modes and times of the files, as `ls` and `find` see them.
fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let m = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if m.is_dir() {
                lines.push(format!("{name}/"));
                todo.push(path);
            } else if m.is_symlink() {
                lines.push(format!(
                    "{name} -> {}",
                    fs::read_link(&path).unwrap().display()
                ));
            } else {
                let seconds = m
                    .modified()
                    .unwrap()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap()
                    .as_secs();
                lines.push(format!(
                    "{name} {:o} {} {seconds}",
                    m.permissions().mode(),
                    m.len()
                ));
            }
        }
    }
    lines.sort();
    lines
}

#[test]
fn gnu_tar_to_us() {
    let source = tempfile::tempdir().unwrap();
    plant(source.path());
    for format in ["gnu", "pax", "posix", "oldgnu"] {
        let Some(archive) = run(
            source.path(),
            "tar",
            &[&format!("--format={format}"), "-cf", "-", "."],
        ) else {
            return;
        };
        let sandbox = Sandbox::new();
        let report = unpack(&archive[..], &sandbox.dir(), &inside())
            .unwrap_or_else(|e| panic!("{format}: {}", e.message()));
        assert_eq!(listing(&sandbox.root()), listing(source.path()), "{format}");
        assert_eq!((report.files, report.links), (8, 3));
        sandbox.assert_untouched();
    }
}

#[test]
fn older_formats_with_shorter_names() {
    let source = tempfile::tempdir().unwrap();
    fs::create_dir(source.path().join("d")).unwrap();
    fs::write(source.path().join("d/a"), "1").unwrap();
    for format in ["v7", "ustar"] {
        let Some(archive) = run(
            source.path(),
            "tar",
            &[&format!("--format={format}"), "-cf", "-", "d"],
        ) else {
            return;
        };
        let sandbox = Sandbox::new();
        unpack(&archive[..], &sandbox.dir(), &inside()).unwrap();
        assert_eq!(sandbox.tree(), ["d/", "d/a=1"], "{format}");
    }
}

#[test]
fn hard_links_of_gnu_tar() {
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("a"), "1").unwrap();
    fs::hard_link(source.path().join("a"), source.path().join("b")).unwrap();
    let Some(archive) = run(source.path(), "tar", &["-cf", "-", "a", "b"]) else {
        return;
    };
    let sandbox = Sandbox::new();
    let report = unpack(&archive[..], &sandbox.dir(), &inside()).unwrap();
    assert_eq!((report.files, report.links), (1, 1));
    assert_eq!(sandbox.tree(), ["a=1", "b=1"]);
}

#[test]
fn us_to_gnu_tar() {
    let source = tempfile::tempdir().unwrap();
    plant(source.path());
    let dir = Dir::open_ambient_dir(source.path(), ambient_authority()).unwrap();
    let target = tempfile::tempdir().unwrap();
    let mut archive = Vec::new();
    pack_gz(&dir, "", &mut archive, &PackOptions::default()).unwrap();
    fs::write(target.path().join("archive.tar.gz"), &archive).unwrap();
    fs::create_dir(target.path().join("out")).unwrap();
    if run(
        target.path(),
        "tar",
        &["-xpzf", "archive.tar.gz", "-C", "out"],
    )
    .is_none()
    {
        return;
    }
    assert_eq!(listing(&target.path().join("out")), listing(source.path()));
    // An empty archive and a lone file are archives, too.
    let mut empty = Vec::new();
    pack(&dir, "empty", &mut empty, &PackOptions::default()).unwrap();
    assert_eq!(empty, [0; 1024]);
}

#[test]
fn git_archive_to_us() {
    let source = tempfile::tempdir().unwrap();
    let path = source.path();
    plant(path);
    if run(path, "git", &["init", "-q"]).is_none() {
        return;
    }
    let ours = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
    run(path, "git", &["add", "-A"]);
    run(
        path,
        "git",
        &[
            &ours[..],
            &[
                "commit",
                "-q",
                "-m",
                "tree",
                "--date",
                "2020-02-02T00:00:00Z",
            ],
        ]
        .concat(),
    );
    let archive = run(path, "git", &["archive", "--format=tar", "HEAD"]).unwrap();
    assert!(
        archive.windows(17).any(|w| w == b"pax_global_header"),
        "git still writes a global header"
    );
    let sandbox = Sandbox::new();
    let report = unpack_gz(&gz(&archive)[..], &sandbox.dir(), &inside())
        .unwrap_or_else(|e| panic!("{}", e.message()));
    assert_eq!((report.files, report.links), (8, 3));
    fs::remove_dir_all(path.join(".git")).unwrap();
    let names = |root: &Path| -> Vec<String> {
        // Git knows neither empty directories nor our umask.
        let mut names: Vec<String> = listing(root)
            .iter()
            .map(|l| l.split(' ').next().unwrap().to_owned())
            .collect();
        names.retain(|n| n != "empty/");
        names
    };
    assert_eq!(names(&sandbox.root()), names(path));
    // The original of 2018 took no links: neither do we, where told so.
    let error = Sandbox::new()
        .unpack(&archive, &UnpackOptions::default())
        .unwrap_err();
    assert!(
        error
            .message()
            .starts_with("tar file entry dirlink contained unsupported file type L")
    );
}

/// Archives that Go made; `tests/golden/make.go` is what made them.
#[test]
fn go_to_us() {
    for (name, archive) in [
        ("ustar", &include_bytes!("../golden/go-ustar.tar.gz")[..]),
        ("pax", include_bytes!("../golden/go-pax.tar.gz")),
        ("gnu", include_bytes!("../golden/go-gnu.tar.gz")),
    ] {
        let sandbox = Sandbox::new();
        unpack_gz(archive, &sandbox.dir(), &inside())
            .unwrap_or_else(|e| panic!("{name}: {}", e.message()));
        let listed = listing(&sandbox.root());
        for line in [
            "d/",
            "d/empty 100644 0 1500000000",
            "d/run.sh 100755 10 1500000000",
            "d/block 100600 512 1500000000",
            "d/large 100644 85000 1500000000",
            "link -> d/run.sh",
            "hard 100600 512 1500000000",
        ] {
            assert!(
                listed.iter().any(|l| l == line),
                "{name}: no {line} in {listed:#?}"
            );
        }
        same_as_gnu_tar(&sandbox, "-xzf", archive);
    }
}

/// What GNU tar makes of the archive has the same names, contents, modes and times.
fn same_as_gnu_tar(ours: &Sandbox, flags: &str, archive: &[u8]) {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("archive"), archive).unwrap();
    fs::create_dir(scratch.path().join("out")).unwrap();
    let args = [
        flags,
        "archive",
        "-C",
        "out",
        "--no-same-owner",
        "--no-same-permissions",
    ];
    if run(scratch.path(), "tar", &args).is_none() {
        return;
    }
    let theirs = scratch.path().join("out");
    assert_eq!(listing(&ours.root()), listing(&theirs));
    let (ours, theirs) = (
        crate::peers::on_disk(&ours.root()),
        crate::peers::on_disk(&theirs),
    );
    assert!(ours == theirs, "contents differ");
}

/// The sources of what this crate depends on, as another program packs them.
#[test]
fn a_source_tree_of_dependencies() {
    let home = std::env::var_os("CARGO_HOME")
        .map(std::path::PathBuf::from)
        .or_else(|| Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = home.and_then(|home| {
        let dir = fs::read_dir(home.join("registry/src")).ok()?.next()?.ok()?;
        Some(dir.path())
    });
    let Some(sources) = sources else {
        eprintln!("SKIPPED: no sources in cargo's registry");
        return;
    };
    let mut found = 0;
    for krate in fs::read_dir(&sources).unwrap() {
        let name = krate.unwrap().file_name().into_string().unwrap();
        if !["tar-", "flate2-", "cap-std-", "tempfile-", "thiserror-"]
            .iter()
            .any(|p| name.starts_with(p))
        {
            continue;
        }
        for format in ["gnu", "pax"] {
            let Some(archive) = run(
                &sources,
                "tar",
                &[&format!("--format={format}"), "-cf", "-", &name],
            ) else {
                return;
            };
            let sandbox = Sandbox::new();
            unpack(&archive[..], &sandbox.dir(), &inside())
                .unwrap_or_else(|e| panic!("{name}: {}", e.message()));
            same_as_gnu_tar(&sandbox, "-xf", &archive);
            // And the other way: GNU tar reads what we pack of it.
            let mut ours = Vec::new();
            pack(&sandbox.dir(), "", &mut ours, &PackOptions::default()).unwrap();
            same_as_gnu_tar(&sandbox, "-xf", &ours);
        }
        found += 1;
    }
    println!("{found} source trees");
}
