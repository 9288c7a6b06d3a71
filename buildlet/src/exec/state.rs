//! How a command ended, in the words Go uses and people and logs match on.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

/// The `Process-State` of a command that ended: `ok`, `exit status 3`, `signal: killed (core dumped)`.
pub(crate) fn process_state(status: ExitStatus) -> String {
    if status.success() {
        return "ok".to_owned();
    }
    if let Some(code) = status.code() {
        return format!("exit status {code}");
    }
    let signal = status.signal().unwrap_or_default();
    let core = if status.core_dumped() {
        " (core dumped)"
    } else {
        ""
    };
    match signal_name(signal) {
        Some(name) => format!("signal: {name}{core}"),
        None => format!("signal: signal {signal}{core}"),
    }
}

/// The `Process-State` of a command that could not be started.
pub(crate) fn start_failure(program: &Path, dir: &Path, error: &io::Error) -> String {
    // Rust reports one error for both; Go looks at the directory again to tell which it was.
    match std::fs::metadata(dir) {
        Err(error) => return format!("chdir {}: {}", dir.display(), go_error(&error)),
        Ok(found) if !found.is_dir() => {
            return format!("chdir {}: not a directory", dir.display());
        }
        Ok(_) => {}
    }
    format!("fork/exec {}: {}", program.display(), go_error(error))
}

/// An operating system error in Go's lower-case words.
fn go_error(error: &io::Error) -> String {
    let Some(code) = error.raw_os_error() else {
        return error.to_string();
    };
    match nix::errno::Errno::from_raw(code) {
        nix::errno::Errno::ENOMEM => "cannot allocate memory".to_owned(),
        nix::errno::Errno::EAGAIN => "resource temporarily unavailable".to_owned(),
        nix::errno::Errno::ELOOP => "too many levels of symbolic links".to_owned(),
        nix::errno::Errno::UnknownErrno => format!("errno {code}"),
        known => known.desc().to_ascii_lowercase(),
    }
}

/// Go's name of a signal.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        16 => "stack fault",
        17 => "child exited",
        18 => "continued",
        19 => "stopped (signal)",
        20 => "stopped",
        21 => "stopped (tty input)",
        22 => "stopped (tty output)",
        23 => "urgent I/O condition",
        24 => "CPU time limit exceeded",
        25 => "file size limit exceeded",
        26 => "virtual timer expired",
        27 => "profiling timer expired",
        28 => "window changed",
        29 => "I/O possible",
        30 => "power failure",
        31 => "bad system call",
        _ => return None,
    })
}

/// Go's name of a signal, with the BSD numbering.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/BPT trap",
        6 => "abort trap",
        7 => "EMT trap",
        8 => "floating point exception",
        9 => "killed",
        10 => "bus error",
        11 => "segmentation fault",
        12 => "bad system call",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        24 => "cputime limit exceeded",
        25 => "filesize limit exceeded",
        30 => "user defined signal 1",
        31 => "user defined signal 2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_gos() {
        for (raw, want) in [
            (0, "ok"),
            (3 << 8, "exit status 3"),
            (9, "signal: killed"),
            (6 | 0x80, "signal: aborted (core dumped)"),
            (11, "signal: segmentation fault"),
            (34, "signal: signal 34"),
        ] {
            assert_eq!(process_state(ExitStatus::from_raw(raw)), want);
        }
    }

    #[test]
    fn start_failures_name_what_is_missing() {
        let missing = io::Error::from_raw_os_error(2);
        let root = Path::new("/");
        assert_eq!(
            start_failure(Path::new("/w/nope"), root, &missing),
            "fork/exec /w/nope: no such file or directory"
        );
        assert_eq!(
            start_failure(Path::new("/bin/sh"), Path::new("/nodir"), &missing),
            "chdir /nodir: no such file or directory"
        );
        assert_eq!(
            start_failure(Path::new("/w/x"), root, &io::Error::from_raw_os_error(13)),
            "fork/exec /w/x: permission denied"
        );
        assert_eq!(
            start_failure(Path::new("/w/x"), root, &io::Error::from_raw_os_error(8)),
            "fork/exec /w/x: exec format error"
        );
    }
}
