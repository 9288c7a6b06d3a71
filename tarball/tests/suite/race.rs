//! Somebody changes the tree while it is unpacked.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tarball::{Links, UnpackOptions, unpack};

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
