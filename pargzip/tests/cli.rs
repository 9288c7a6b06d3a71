//! The example program as people use it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

mod cli_support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use cli_support::program;

fn run(folder: &Path, args: &[&str]) -> Output {
    program().current_dir(folder).args(args).output().unwrap()
}

fn text(output: &[u8]) -> &str {
    std::str::from_utf8(output).unwrap()
}

fn ok(folder: &Path, args: &[&str]) -> Vec<u8> {
    let output = run(folder, args);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{args:?}: {}",
        text(&output.stderr)
    );
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    output.stdout
}

fn refused(folder: &Path, args: &[&str], code: i32, why: &str) {
    let output = run(folder, args);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(why), "{said}");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A folder with a file `a`.
fn folder() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let data: Vec<u8> = (0..300_000_u32)
        .flat_map(|i| (i / 7).to_le_bytes())
        .collect();
    let path = folder.path().join("a");
    fs::write(&path, &data).unwrap();
    (folder, path, data)
}

#[test]
fn there_and_back() {
    let (folder, path, data) = folder();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(then)
        .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    for (there, back) in [
        (&["a"][..], &["-d", "a.gz"][..]),
        (&["-9", "a"], &["-dp1", "a.gz"]),
        (&["-12", "-p2", "a"], &["-dq", "a.gz"]),
        (
            &["--fast", "--layout", "bgzf", "a"],
            &["--decompress", "a.gz"],
        ),
        (&["-b100", "--layout=single", "a"], &["-d", "a.gz"]),
    ] {
        ok(folder.path(), there);
        assert_eq!(names(folder.path()), ["a.gz"]);
        let packed = fs::metadata(folder.path().join("a.gz")).unwrap();
        assert!(packed.len() < data.len() as u64 / 2);
        assert_eq!(packed.modified().unwrap(), then);
        assert_eq!(packed.permissions().mode() & 0o777, 0o640);
        ok(folder.path(), back);
        assert_eq!(names(folder.path()), ["a"]);
        let plain = fs::metadata(&path).unwrap();
        assert_eq!(plain.modified().unwrap(), then);
        assert_eq!(plain.permissions().mode() & 0o777, 0o640);
        assert!(fs::read(&path).unwrap() == data);
    }
}

#[test]
fn levels_as_gzip_writes_them() {
    let (folder, _, _) = folder();
    let size = |args: &[&str]| ok(folder.path(), args).len();
    let (fast, best) = (size(&["-c", "--fast", "a"]), size(&["-c", "--best", "a"]));
    assert!(best < fast);
    assert_eq!(size(&["-1c", "a"]), fast);
    assert_eq!(size(&["-c", "-1", "-9", "a"]), best);
    assert_eq!(size(&["-kc9", "a"]), best);
    assert!(size(&["-c0", "a"]) > 1_200_000);
}

#[test]
fn keep_output_and_several_files() {
    let (folder, path, data) = folder();
    let here = folder.path();
    fs::write(here.join("b"), b"bee").unwrap();
    ok(here, &["-k", "a", "b"]);
    assert_eq!(names(here), ["a", "a.gz", "b", "b.gz"]);
    ok(here, &["-o", "c", "a"]);
    ok(here, &["-d", "-o", "d", "c"]);
    assert!(fs::read(here.join("d")).unwrap() == data && path.exists());
    assert_eq!(ok(here, &["-dc", "b.gz", "b.gz"]), b"beebee");
    ok(here, &["-t", "a.gz", "b.gz", "c"]);
    let listed = ok(here, &["-l", "a.gz"]);
    assert!(text(&listed).contains("1200000"), "{}", text(&listed));
    fs::rename(here.join("a.gz"), here.join("e.tgz")).unwrap();
    ok(here, &["-dk", "e.tgz"]);
    assert!(fs::read(here.join("e.tar")).unwrap() == data);
    refused(here, &["-o", "x", "a", "b"], 1, "one input");
}

#[test]
fn through_pipes() {
    let (folder, _, data) = folder();
    let pipe = |args: &[&str], input: &[u8]| {
        let mut child = program()
            .current_dir(folder.path())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(input).unwrap());
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            output.stdout
        })
    };
    let packed = pipe(&[], &data);
    assert!(pipe(&["-d"], &packed) == data);
    assert!(pipe(&["-dc", "-"], &pipe(&["-c", "-"], &data)) == data);
    assert_eq!(pipe(&["-d"], &pipe(&[], b"")), b"");
    // A reader that has had enough is no reason to complain.
    let mut child = program()
        .current_dir(folder.path())
        .args(["-0c", "a"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdout
        .take()
        .unwrap()
        .read_exact(&mut [0; 10])
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty() && !output.status.success());
}

#[test]
fn what_is_refused() {
    let (folder, _, _) = folder();
    let here = folder.path();
    ok(here, &["-k", "a"]);
    refused(here, &["a"], 2, "a.gz is there already");
    refused(here, &["-d", "a.gz"], 2, "a is there already");
    refused(here, &["a.gz"], 2, "says that it is compressed");
    refused(here, &["-d", "a"], 2, "does not end in .gz");
    refused(here, &["-c", "nothing"], 1, "No such file");
    refused(here, &["."], 2, "a directory");
    refused(here, &["--nonsense"], 2, "--nonsense");
    std::os::unix::fs::symlink("a", here.join("link")).unwrap();
    refused(here, &["link"], 2, "symbolic link");
    ok(here, &["-kf", "a"]);
    // What cannot be read does not stop the rest, and leaves nothing behind.
    fs::write(here.join("b.gz"), b"no gzip").unwrap();
    refused(
        here,
        &["-dkf", "b.gz", "a.gz"],
        1,
        "b.gz: not a gzip member",
    );
    assert_eq!(names(here), ["a", "a.gz", "b.gz", "link"]);
}

#[test]
fn broken_files_leave_nothing_behind() {
    let (folder, path, data) = folder();
    let here = folder.path();
    ok(here, &["a"]);
    let packed = fs::read(here.join("a.gz")).unwrap();
    let mut broken = packed.clone();
    broken[packed.len() - 6] ^= 1;
    for (file, why) in [
        (&packed[..packed.len() - 1], "cut off"),
        (&broken, "damaged"),
        (b"", "no gzip data"),
    ] {
        fs::write(here.join("a.gz"), file).unwrap();
        refused(here, &["-d", "a.gz"], 1, why);
        refused(here, &["-t", "a.gz"], 1, why);
        assert_eq!(names(here), ["a.gz"]);
    }
    fs::write(here.join("a.gz"), &packed).unwrap();
    refused(
        here,
        &["-d", "--max-output", "1000", "a.gz"],
        1,
        "1000 bytes of output",
    );
    assert_eq!(names(here), ["a.gz"]);
    // Garbage at the end is a warning, as for gzip.
    fs::write(here.join("a.gz"), [&packed[..], b"garbage"].concat()).unwrap();
    refused(here, &["-d", "a.gz"], 2, "ignoring garbage");
    assert!(fs::read(&path).unwrap() == data);
}

#[test]
fn a_signal_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        // Input that does not end: the program waits for more of it.
        let mut child = program()
            .current_dir(folder.path())
            .args(["-o", "out.gz"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&vec![7; 3 << 20]).unwrap();
        while names(folder.path()).is_empty() {
            std::thread::yield_now();
        }
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_eq!(names(folder.path()), [""; 0]);
        drop(stdin);
    }
}

#[test]
fn completions_and_help() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&ok(folder.path(), &["--completions", shell])).contains("pargzip"));
    }
    let help = ok(folder.path(), &["--help"]);
    assert!(text(&help).contains("--layout") && !text(&help).contains("--measure"));
}

#[test]
fn bench_prints_tables_and_draws() {
    let (folder, _, _) = folder();
    let printed = ok_with_notes(
        folder.path(),
        &[
            "--bench",
            "a",
            "--bench-levels",
            "1,6",
            "--plot",
            "plot.svg",
            "-p",
            "2",
        ],
    );
    assert!(printed.contains("| pargzip | 1 |") && printed.contains("| pargzip | pargzip | 2 |"));
    let plot = fs::read_to_string(folder.path().join("plot.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains("pargzip") && plot.ends_with("</svg>\n"));
}

fn ok_with_notes(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}
