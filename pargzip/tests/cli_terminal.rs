//! The example program where somebody is watching: its standard streams are a terminal.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

mod cli_support;

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;

use cli_support::program;
use nix::pty::{Winsize, openpty};

/// Our end of a terminal, and the program's.
fn terminal() -> Option<(File, File)> {
    let size = Winsize {
        ws_row: 24,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    match openpty(&size, None) {
        Ok(pty) => Some((pty.master.into(), pty.slave.into())),
        Err(error) => {
            eprintln!("SKIPPED: no terminals here: {error}");
            None
        }
    }
}

/// What is shown, until it holds all of these, or up to the end.
fn screen(ours: &mut File, wanted: &[&str]) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    // The end of a terminal that nobody else has open is an error.
    while let Ok(len @ 1..) = ours.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..len]);
        let text = String::from_utf8_lossy(&seen);
        if !wanted.is_empty() && wanted.iter().all(|wanted| text.contains(wanted)) {
            break;
        }
    }
    String::from_utf8_lossy(&seen).into_owned()
}

#[test]
fn a_bar_with_speed_ratio_and_time_left() {
    let Some((mut ours, theirs)) = terminal() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // Holes: it takes long, and no space.
    let path = folder.path().join("large");
    File::create(&path).unwrap().set_len(64 << 30).unwrap();
    let mut child = program()
        .env("TERM", "xterm")
        .args(["-1", "-c"])
        .arg(&path)
        .stdout(Stdio::null())
        .stderr(theirs)
        .spawn()
        .unwrap();
    let wanted = ["large", "%", "MB/s", "ratio ", "ETA "];
    let seen = screen(&mut ours, &wanted);
    let over = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(over, None, "it ended by itself: {seen}");
    assert!(wanted.iter().all(|wanted| seen.contains(wanted)), "{seen}");
}

#[test]
fn a_bar_without_a_length() {
    let Some((mut ours, theirs)) = terminal() else {
        return;
    };
    let mut child = program()
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(theirs)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Until the program is stopped.
    let feeder = std::thread::spawn(move || while stdin.write_all(&[7; 1 << 16]).is_ok() {});
    let wanted = ["stdin", "iB", "MB/s", "ratio "];
    let seen = screen(&mut ours, &wanted);
    child.kill().unwrap();
    child.wait().unwrap();
    feeder.join().unwrap();
    assert!(wanted.iter().all(|wanted| seen.contains(wanted)), "{seen}");
    assert!(!seen.contains("ETA"));
}

#[test]
fn nothing_is_said_of_what_is_soon_done() {
    let Some((mut ours, theirs)) = terminal() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small");
    std::fs::write(&path, b"small").unwrap();
    let mut child = program().arg(&path).stderr(theirs).spawn().unwrap();
    assert_eq!(screen(&mut ours, &[]), "");
    assert!(child.wait().unwrap().success());
}

#[test]
fn compressed_data_are_kept_from_terminals() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, b"data").unwrap();
    for (args, code) in [(&["-c"][..], 1), (&["-cf"], 0), (&["-c", "-q"], 1)] {
        let Some((mut ours, theirs)) = terminal() else {
            return;
        };
        let mut child = program()
            .args(args)
            .arg(&path)
            .stdout(theirs)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = screen(&mut ours, &[]);
        let mut said = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{args:?} {said}");
        assert_eq!(
            said.contains("not written to a terminal; use -f"),
            code != 0
        );
        assert_eq!(shown.is_empty(), code != 0, "{shown}");
    }
}

#[test]
fn compressed_data_are_not_awaited_from_terminals() {
    for args in [&["-d"][..], &["-t"], &["-l"], &["-d", "-"]] {
        let Some((_ours, theirs)) = terminal() else {
            return;
        };
        let output = program().args(args).stdin(theirs).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("not read from a terminal"), "{said}");
    }
}
