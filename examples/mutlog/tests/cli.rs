//! The built program on real files.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use example_cli::testing::unread;
use maintner::testing::History;

fn mutlog(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mutlog"))
        .args(args)
        .output()
        .unwrap()
}

/// Runs it, expects this exit code, gives what it printed.
fn run(args: &[&str], code: i32) -> String {
    let output = mutlog(args);
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(code), "{args:?}:\n{out}\n{err}");
    out + &err
}

/// A folder with a disk log of two days.
fn log() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (History::new(1).log(60_000), History::new(2).log(30_000));
    fs::write(dir.path().join("maintner-2018-07-09.mutlog"), first).unwrap();
    fs::write(dir.path().join("maintner-2018-07-10.mutlog"), second).unwrap();
    fs::write(dir.path().join("notes.txt"), "not part of it").unwrap();
    let path = dir.path().to_str().unwrap().to_owned();
    (dir, path)
}

fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn dump_shows_every_record_as_text_and_as_json() {
    let (_dir, log) = log();
    let lines = json_lines(&run(&["dump", "--json", &log], 0));
    let text = run(&["dump", &log], 0);
    assert!(lines.len() > 50);
    assert_eq!(text.matches("\n# maintner-").count() + 1, lines.len());
    assert!(text.starts_with("# maintner-2018-07-09.mutlog at 0x0, "));
    assert!(text.contains("github_issue {\n"), "{text}");
    let issue = lines
        .iter()
        .find(|line| line["mutation"]["githubIssue"]["created"].is_string())
        .unwrap();
    let issue = &issue["mutation"]["githubIssue"];
    let what = format!(
        "{}/{}#{}",
        issue["owner"].as_str().unwrap(),
        issue["repo"].as_str().unwrap(),
        issue["number"]
    );
    let about = json_lines(&run(&["dump", "--json", "--only", &what, &log], 0));
    assert!(!about.is_empty() && about.len() < lines.len());
    for line in about {
        assert_eq!(line["mutation"]["githubIssue"]["number"], issue["number"]);
    }
    let gerrit = json_lines(&run(
        &["dump", "--json", "--kind", "gerrit", "-n", "3", &log],
        0,
    ));
    assert_eq!(gerrit.len(), 3);
    assert!(gerrit[0]["mutation"]["gerrit"]["project"].is_string());
}

#[test]
fn dump_can_begin_at_any_record() {
    let (dir, _) = log();
    let file = dir.path().join("maintner-2018-07-09.mutlog");
    let file = file.to_str().unwrap();
    let all = json_lines(&run(&["dump", "--json", file], 0));
    let from = format!("{:#x}", all[7]["offset"].as_u64().unwrap());
    let rest = json_lines(&run(&["dump", "--json", "--from", &from, file], 0));
    assert_eq!(rest, all[7..]);
    let message = run(&["dump", "--from", "3", file], 3);
    assert!(message.contains("malformed header"), "{message}");
}

#[test]
fn stats_add_up() {
    let (dir, log) = log();
    let stats: serde_json::Value =
        serde_json::from_str(&run(&["stats", "--json", &log], 0)).unwrap();
    let lines = json_lines(&run(&["dump", "--json", &log], 0));
    assert_eq!(stats["records"], lines.len());
    let bytes: u64 = ["09", "10"]
        .map(|day| {
            fs::metadata(dir.path().join(format!("maintner-2018-07-{day}.mutlog")))
                .unwrap()
                .len()
        })
        .iter()
        .sum();
    assert_eq!(stats["bytes"], bytes);
    let kinds = stats["kinds"].as_object().unwrap();
    let sum: u64 = kinds
        .values()
        .map(|kind| kind["records"].as_u64().unwrap())
        .sum();
    assert_eq!(stats["records"], sum);
    let text = run(&["stats", &log], 0);
    assert!(
        text.contains(" in 2 files") && text.contains("repository"),
        "{text}"
    );
}

#[test]
fn verify_and_repair_a_torn_end() {
    let (dir, log) = log();
    let good = run(&["verify", &log], 0);
    assert_eq!(good.matches(": good: ").count(), 2, "{good}");
    assert_eq!(run(&["verify", "--quiet", &log], 0), "");

    let file = dir.path().join("maintner-2018-07-10.mutlog");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, [&whole[..], b"REC@"].concat()).unwrap();
    let found = run(&["verify", &log], 3);
    assert!(found.contains("truncated header"), "{found}");
    assert!(found.contains("mutlog repair"), "{found}");
    let plan = run(&["repair", "--dry-run", &log], 0);
    assert!(plan.contains("would cut 4 bytes"), "{plan}");
    assert_eq!(fs::read(&file).unwrap().len(), whole.len() + 4);
    let done = run(&["repair", &log], 0);
    assert!(
        done.contains("cut 4 bytes off its end") && done.contains("nothing to mend"),
        "{done}"
    );
    assert_eq!(fs::read(&file).unwrap(), whole);
    run(&["verify", &log], 0);
}

#[test]
fn damage_in_the_middle_is_left_out_only_when_asked() {
    let (dir, log) = log();
    let file = dir.path().join("maintner-2018-07-09.mutlog");
    let path = file.to_str().unwrap();
    let records = json_lines(&run(&["dump", "--json", path], 0));
    let mut bytes = fs::read(&file).unwrap();
    let hit = records[5]["offset"].as_u64().unwrap() as usize;
    bytes[hit] = b'X';
    fs::write(&file, &bytes).unwrap();

    let found = run(&["verify", &log], 3);
    assert!(found.contains(&format!("at offset {hit}")), "{found}");
    assert!(found.contains("to the good record at offset"), "{found}");
    let refused = run(&["repair", &log], 1);
    assert!(refused.contains("--drop-damaged"), "{refused}");
    assert_eq!(fs::read(&file).unwrap(), bytes);

    run(&["repair", "--drop-damaged", &log], 0);
    assert_eq!(
        fs::read(dir.path().join("maintner-2018-07-09.mutlog.damaged")).unwrap(),
        bytes
    );
    let mended = json_lines(&run(&["dump", "--json", path], 0));
    let mutations = |records: &[serde_json::Value]| -> Vec<_> {
        records
            .iter()
            .map(|record| record["mutation"].clone())
            .collect()
    };
    let mut expected = mutations(&records);
    expected.remove(5);
    assert_eq!(mutations(&mended), expected);
}

#[test]
fn what_stops_a_go_reader_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mutlog");
    // gerrit { project: "p" refs { ref: "r" sha1: (40 digits) } }, of which no commit was told.
    let hash = "01".repeat(20);
    let payload = format!("\x22\x32\x0a\x01p\x1a\x2d\x0a\x01r\x12\x28{hash}");
    fs::write(&file, format!("REC@0+{:x}={payload}", payload.len())).unwrap();
    let found = run(&["verify", file.to_str().unwrap()], 3);
    assert!(
        found.contains("ref r points to a commit that no earlier record has"),
        "{found}"
    );
    // An owner that is not UTF-8.
    fs::write(&file, b"REC@0+5=\x0a\x03\x0a\x01\xff").unwrap();
    let found = run(&["verify", file.to_str().unwrap()], 3);
    assert!(
        found.contains("record at offset 0 would stop a Go reader"),
        "{found}"
    );
    // An issue of which nobody knows when it was created.
    fs::write(&file, b"REC@0+a=\x0a\x08\x0a\x01o\x12\x01r\x18\x01").unwrap();
    let found = run(&["verify", file.to_str().unwrap()], 3);
    assert!(found.contains("first of issue o/r#1"), "{found}");
}

#[test]
fn convert_there_and_back() {
    let (dir, log) = log();
    let big = dir.path().join("big");
    fs::create_dir(&big).unwrap();
    fs::write(
        big.join("maintner-2018-07-09.mutlog"),
        History::new(3).log(40_000_000),
    )
    .unwrap();
    let [segments, disk] = ["segments", "disk"].map(|name| dir.path().join(name));
    let [big, segments, disk] = [&big, &segments, &disk].map(|path| path.to_str().unwrap());
    let done = run(&["convert", "--to", "segments", big, segments], 0);
    assert!(done.contains(" in 3 files"), "{done}");
    let mut names: Vec<_> = fs::read_dir(segments)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 3);
    assert!(
        names[0].starts_with("0000.") && names[0].len() == "0000.".len() + 56 + ".mutlog".len()
    );
    assert_eq!(names[2], "0002.growing.mutlog");
    run(&["verify", segments], 0);

    run(
        &[
            "convert",
            "--to",
            "disk",
            "--date",
            "2018-07-09",
            segments,
            disk,
        ],
        0,
    );
    assert!(
        fs::read(Path::new(disk).join("maintner-2018-07-09.mutlog")).unwrap()
            == History::new(3).log(40_000_000)
    );
    let refused = run(&["convert", "--to", "disk", segments, disk], 1);
    assert!(refused.contains("is not empty"), "{refused}");

    // A segment whose bytes are not those of its name.
    fs::rename(
        Path::new(segments).join(&names[1]),
        Path::new(segments).join(&names[0]),
    )
    .unwrap();
    let found = run(&["verify", segments], 3);
    assert!(found.contains("not what its name says"), "{found}");

    let one = dir.path().join("one.mutlog");
    run(&["convert", "--to", "file", &log, one.to_str().unwrap()], 0);
    run(&["verify", one.to_str().unwrap()], 0);
}

#[test]
fn help_completions_and_mistakes() {
    let help = run(&["--help"], 0);
    assert!(
        help.starts_with("Examples:") && help.contains("Exit status:"),
        "{help}"
    );
    assert!(run(&["completions", "bash"], 0).contains("_mutlog()"));
    run(&["dmup"], 2);
    let message = run(&["stats", "/nowhere"], 1);
    assert!(message.contains("cannot read /nowhere"), "{message}");
    let empty = tempfile::tempdir().unwrap();
    let message = run(&["stats", empty.path().to_str().unwrap()], 1);
    assert!(
        message.contains("no file of it is named *.mutlog"),
        "{message}"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (_dir, log) = log();
    for args in [
        &["dump", &log][..],
        &["dump", "--json", &log],
        &["stats", &log],
        &["stats", "--json", &log],
        &["verify", &log],
        &["repair", "--dry-run", &log],
        &["completions", "bash"],
        &["help"],
    ] {
        unread(env!("CARGO_BIN_EXE_mutlog"), args).unwrap();
    }
}
