//! How far a failed unpacking came, what it leaves, and how long it may take.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::time::Duration;

use tarball::{Existing, Limit, Limits, Links, OnFailure, UnpackErrorKind, UnpackOptions, unpack};

use crate::support::{Sandbox, Tar, gz};

fn removing(existing: Existing) -> UnpackOptions {
    UnpackOptions {
        links: Links::Inside,
        existing,
        on_failure: OnFailure::Remove,
        ..UnpackOptions::default()
    }
}

fn limit_of(kind: &UnpackErrorKind) -> Option<Limit> {
    match kind {
        UnpackErrorKind::Limit { limit, .. } => Some(*limit),
        _ => None,
    }
}

#[test]
fn it_says_how_far_it_came() {
    let archive = Tar::new()
        .entry(b"g", b'g', b"", |_| {})
        .file("d/a", "12345")
        .symlink("l", "d")
        .file("d/b", "678")
        .file("../c", "")
        .end();
    let sandbox = Sandbox::new();
    let options = UnpackOptions {
        links: Links::Inside,
        ..UnpackOptions::default()
    };
    let error = sandbox.unpack(&archive, &options).unwrap_err();
    let done = error.progress();
    assert_eq!(
        (done.entries, done.files, done.dirs, done.links, done.bytes),
        (5, 2, 1, 1, 8)
    );
    assert_eq!(error.last_entry(), Some(&b"../c"[..]));
    assert_eq!(error.cleanup(), None);
    assert_eq!(sandbox.tree(), ["d/", "d/a=12345", "d/b=678", "l->d"]);
    // Nothing at all.
    let error = sandbox.unpack(b"none", &options).unwrap_err();
    assert_eq!((error.progress().entries, error.last_entry()), (0, None));
}

#[test]
fn it_removes_what_it_made_and_nothing_else() {
    let archive = Tar::new()
        .file("new/deep/a", "1")
        .dir("old/dir/")
        .file("old/b", "2")
        .symlink("old/l", "dir")
        .file("old/l/through", "3")
        .hard("h", "old/keep")
        .file("new/deep/a", "again")
        .dir("new/empty/")
        .file("planted/x", "4")
        .entry(b"cut", b'0', b"short", |b| {
            crate::support::put(b, 124, b"00000100000")
        })
        .end();
    let plant = || {
        let sandbox = Sandbox::new();
        let root = sandbox.root();
        fs::create_dir_all(root.join("old/dir")).unwrap();
        fs::write(root.join("old/keep"), "mine").unwrap();
        fs::write(root.join("old/dir/also"), "mine").unwrap();
        symlink("old", root.join("planted")).unwrap();
        sandbox
    };
    let sandbox = plant();
    let before = sandbox.tree();
    let error = sandbox
        .unpack(&archive, &removing(Existing::Replace))
        .unwrap_err();
    assert_eq!(error.message(), "tar error: unexpected EOF");
    assert_eq!(sandbox.tree(), before);
    let cleanup = error.cleanup().unwrap();
    // new, new/deep, new/deep/a, new/empty, old/b, old/l, old/dir/through, h, old/x
    assert_eq!((cleanup.removed, cleanup.left), (9, 0));
    assert_eq!(error.progress().files, 5, "what had been written by then");

    // What stays where it was asked for.
    let sandbox = plant();
    let error = sandbox
        .unpack(
            &archive,
            &UnpackOptions {
                on_failure: OnFailure::Keep,
                ..removing(Existing::Replace)
            },
        )
        .unwrap_err();
    assert_eq!(error.cleanup(), None);
    assert!(sandbox.tree().len() > before.len());

    // And a whole archive is not removed.
    let sandbox = Sandbox::new();
    let whole = Tar::new().file("d/a", "1").end();
    sandbox.unpack(&whole, &removing(Existing::Refuse)).unwrap();
    assert_eq!(sandbox.tree(), ["d/", "d/a=1"]);
}

#[test]
fn what_was_there_is_kept_where_that_is_asked_for() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.root().join("f"), "mine").unwrap();
    fs::create_dir(sandbox.root().join("d")).unwrap();
    for tar in [
        Tar::new().file("d/x", "1").file("f", "2"),
        Tar::new().file("d/x", "1").symlink("f", "d"),
        Tar::new().file("d/x", "1").hard("f", "d/x"),
        Tar::new().file("d/x", "1").hard("d/x", "d/x"),
        Tar::new().file("d/x", "1").file("./d//x", "2"),
    ] {
        let error = sandbox
            .unpack(&tar.end(), &removing(Existing::Refuse))
            .unwrap_err();
        assert!(
            matches!(error.kind(), UnpackErrorKind::Blocked { obstacle, .. } if obstacle.contains("kept")),
            "{}",
            error.message()
        );
        assert_eq!(sandbox.tree(), ["d/", "f=mine"]);
    }
}

#[test]
fn it_does_not_remove_what_others_put_there() {
    /// Meddles with the tree after the first entries have been written, then fails.
    struct Meddler<F>(io::Cursor<Vec<u8>>, Option<F>);
    impl<F: FnOnce()> Read for Meddler<F> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.0.read(buf)?;
            if n > 0 {
                return Ok(n);
            }
            match self.1.take() {
                Some(meddle) => {
                    meddle();
                    Err(io::ErrorKind::ConnectionReset.into())
                }
                None => Ok(0),
            }
        }
    }
    let sandbox = Sandbox::new();
    let root = sandbox.root();
    let archive = Tar::new()
        .file("shared/a", "1")
        .file("swapped", "2")
        .file("ours", "3")
        .file("last", "4")
        .0;
    let meddle = || {
        // The other thread writes: this is when it has come to the last one.
        while !root.join("last").exists() {
            std::thread::yield_now();
        }
        fs::write(root.join("shared/theirs"), "theirs").unwrap();
        fs::rename(root.join("swapped"), root.join("elsewhere")).unwrap();
        fs::write(root.join("swapped"), "theirs").unwrap();
    };
    let reader = Meddler(io::Cursor::new(archive), Some(meddle));
    let error = unpack(reader, &sandbox.dir(), &removing(Existing::Replace)).unwrap_err();
    let cleanup = error.cleanup().unwrap();
    assert_eq!((cleanup.removed, cleanup.left), (3, 1), "shared stays");
    assert_eq!(
        sandbox.tree(),
        [
            "elsewhere=2",
            "shared/",
            "shared/theirs=theirs",
            "swapped=theirs"
        ]
    );
}

/// Answers with some of an archive after each wait.
struct Slow {
    archive: Vec<u8>,
    at: usize,
    step: usize,
    wait: Duration,
}

impl Read for Slow {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // What is measured is the time itself.
        std::thread::sleep(self.wait);
        let n = self.step.min(buf.len()).min(self.archive.len() - self.at);
        buf[..n].copy_from_slice(&self.archive[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[test]
fn time_is_a_limit() {
    let archive = Tar::new().file("a", &"x".repeat(5000)).end();
    let slow = |archive: Vec<u8>, step: usize, millis: u64| Slow {
        archive,
        at: 0,
        step,
        wait: Duration::from_millis(millis),
    };
    let within = |max_time: u64, max_idle: u64| UnpackOptions {
        limits: Limits {
            max_time: Duration::from_millis(max_time),
            max_idle: Duration::from_millis(max_idle),
            ..Limits::default()
        },
        ..removing(Existing::Replace)
    };
    // A drip, each drop in time.
    let sandbox = Sandbox::new();
    let error = unpack(
        slow(archive.clone(), 100, 2),
        &sandbox.dir(),
        &within(30, 10_000),
    )
    .unwrap_err();
    assert_eq!(limit_of(error.kind()), Some(Limit::Time));
    assert!(sandbox.tree().is_empty());
    assert!(error.progress().elapsed < Duration::from_secs(5));
    // A pause.
    let error = unpack(
        slow(archive.clone(), 4000, 30),
        &sandbox.dir(),
        &within(10_000, 20),
    )
    .unwrap_err();
    assert_eq!(limit_of(error.kind()), Some(Limit::Idle));
    assert_eq!(
        error.message(),
        "archive exceeds the limit of 20 milliseconds of waiting for input"
    );
    let error = tarball::unpack_gz(
        slow(gz(&archive), 10, 30),
        &sandbox.dir(),
        &within(10_000, 20),
    )
    .unwrap_err();
    assert_eq!(limit_of(error.kind()), Some(Limit::Idle));
    // And enough of it.
    unpack(
        slow(archive, 4000, 1),
        &sandbox.dir(),
        &within(60_000, 60_000),
    )
    .unwrap();
}

#[test]
fn directories_that_names_imply_are_entries_too() {
    let limits = Limits {
        max_entries: 100,
        ..Limits::default()
    };
    let options = |on_failure| UnpackOptions {
        limits,
        on_failure,
        ..UnpackOptions::default()
    };
    let deep = |i: usize| format!("{i}/{}/f", ["d"; 40].join("/"));
    let archive = Tar::new()
        .file(&deep(1), "")
        .file(&deep(2), "")
        .file(&deep(3), "")
        .end();
    let sandbox = Sandbox::new();
    let error = sandbox
        .unpack(&archive, &options(OnFailure::Keep))
        .unwrap_err();
    assert_eq!(limit_of(error.kind()), Some(Limit::Entries));
    assert!(error.progress().dirs <= 100);
    let sandbox = Sandbox::new();
    sandbox
        .unpack(&archive, &options(OnFailure::Remove))
        .unwrap_err();
    assert!(sandbox.tree().is_empty());
}
