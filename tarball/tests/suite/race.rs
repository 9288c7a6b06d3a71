//! Somebody changes the tree while it is unpacked.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tarball::{Links, OnFailure, UnpackOptions, unpack};

use crate::support::{Sandbox, Tar};

#[test]
fn a_directory_that_turns_into_a_link() {
    let sandbox = Sandbox::new();
    let archive = (0..20)
        .fold(Tar::new(), |tar, i| {
            tar.file(&format!("a/d/f{i}"), "x")
                .file(&format!("other{i}"), "y")
                .dir("a/d/")
        })
        .end();
    let stop = AtomicBool::new(false);
    let flip = sandbox.root().join("a/d");
    let (mut good, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Any of these fails when the other side is in between.
                let _ = fs::remove_dir_all(&flip);
                let _ = symlink("../../outside/dir", &flip);
                let _ = fs::remove_file(&flip);
                let _ = symlink("../../outside", &flip);
                let _ = fs::remove_file(&flip);
            }
        });
        let until = Instant::now() + Duration::from_millis(2500);
        while Instant::now() < until {
            for links in [Links::Refuse, Links::Inside] {
                let options = UnpackOptions {
                    links,
                    ..UnpackOptions::default()
                };
                match unpack(&archive[..], &sandbox.dir(), &options) {
                    Ok(_) => good += 1,
                    Err(_) => refused += 1,
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    sandbox.assert_untouched();
    println!("{good} unpacked, {refused} refused");
    assert!(good + refused > 10, "the race was run");
}

#[test]
fn a_file_that_turns_into_a_link() {
    let sandbox = Sandbox::new();
    let archive = Tar::new()
        .file("f", "overwritten")
        .file("h", "x")
        .hard("f", "h")
        .end();
    let options = UnpackOptions {
        links: Links::Inside,
        ..UnpackOptions::default()
    };
    let stop = AtomicBool::new(false);
    let (f, h) = (sandbox.root().join("f"), sandbox.root().join("h"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for path in [&f, &h] {
                    let _ = fs::remove_file(path);
                    let _ = symlink("../outside/secret", path);
                }
                let _ = fs::remove_file(&f);
                let _ = fs::hard_link(sandbox.outside().join("secret"), &f);
            }
        });
        let until = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < until {
            let _ = unpack(&archive[..], &sandbox.dir(), &options);
        }
        stop.store(true, Ordering::Relaxed);
    });
    sandbox.assert_untouched();
}

/// A directory and a link out of the root trade places as fast as the system can, in one step each: there is
/// no moment at which the name is neither.
#[test]
fn a_directory_and_a_link_that_trade_places() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let sandbox = Sandbox::new();
    let root = sandbox.root();
    let (place, spare) = (root.join("d"), root.join("spare"));
    fs::create_dir(&place).unwrap();
    symlink("../outside/dir", &spare).unwrap();
    if renameat_with(CWD, &place, CWD, &spare, RenameFlags::EXCHANGE).is_err() {
        eprintln!("SKIPPED: this file system cannot exchange names");
        return;
    }
    let archive = (0..50)
        .fold(Tar::new(), |tar, i| {
            tar.file(&format!("d/f{i}"), "x")
                .dir(&format!("d/s{i}/"))
                .file(&format!("between{i}"), "y")
        })
        .end();
    let stop = AtomicBool::new(false);
    let (mut good, mut refused) = (0, 0);
    let flips = std::thread::scope(|scope| {
        let flipping = scope.spawn(|| {
            let mut flips = 0u64;
            while !stop.load(Ordering::Relaxed) {
                if renameat_with(CWD, &place, CWD, &spare, RenameFlags::EXCHANGE).is_ok() {
                    flips += 1;
                }
            }
            flips
        });
        let until = Instant::now() + Duration::from_millis(2500);
        while Instant::now() < until {
            for on_failure in [OnFailure::Keep, OnFailure::Remove] {
                let options = UnpackOptions {
                    links: Links::Inside,
                    on_failure,
                    ..UnpackOptions::default()
                };
                match unpack(&archive[..], &sandbox.dir(), &options) {
                    Ok(_) => good += 1,
                    Err(_) => refused += 1,
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        flipping.join().unwrap()
    });
    sandbox.assert_untouched();
    println!("{flips} flips, {good} unpacked, {refused} refused");
    assert!(flips > 1000 && good + refused > 10, "the race was run");
}
