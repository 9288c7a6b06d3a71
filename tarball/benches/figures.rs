//! Packing and unpacking a tree of 5,000 files, against GNU tar in the same run.
//!
//! ```text
//! cargo bench -p tarball --bench figures
//! ```

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cap_std::{ambient_authority, fs::Dir};
use tarball::{Links, PackOptions, UnpackOptions, pack, pack_gz, unpack, unpack_gz};

const FILES: usize = 5_000;
const ROUNDS: usize = 9;

fn main() {
    // `cargo test` runs benches, too; it only wants to know that they start.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    // In memory where possible: the disk would drown what is measured.
    let scratch = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a scratch directory");
    let path = scratch.path();
    let bytes = plant(&path.join("tree"));
    println!(
        "tree: {FILES} files, {} KiB, in {}",
        bytes >> 10,
        path.display()
    );
    if Command::new("tar").arg("--version").output().is_err() {
        println!("SKIPPED: no tar to compare with");
        return;
    }

    let dir = Dir::open_ambient_dir(path, ambient_authority()).expect("the scratch directory");
    let options = PackOptions::default();
    let inside = UnpackOptions {
        links: Links::Inside,
        ..UnpackOptions::default()
    };
    let create = |name: &str| {
        BufWriter::with_capacity(1 << 18, File::create(path.join(name)).expect("an archive"))
    };
    let open = |name: &str| {
        BufReader::with_capacity(1 << 18, File::open(path.join(name)).expect("an archive"))
    };
    let target = |name: &str| {
        fs::create_dir(path.join(name)).expect("a target");
        Dir::open_ambient_dir(path.join(name), ambient_authority()).expect("a target")
    };

    compare(
        "pack",
        || {
            pack(&dir, "tree", create("ours.tar"), &options).expect("pack");
        },
        || tar(path, &["-cf", "peer.tar", "-C", "tree", "."]),
        || {},
        1.0,
    );
    let clear = || {
        for name in ["ours", "peer"] {
            drop(fs::remove_dir_all(path.join(name)));
        }
    };
    let plain = [
        "-xf",
        "ours.tar",
        "-C",
        "peer",
        "--no-same-owner",
        "--no-same-permissions",
    ];
    compare(
        "unpack",
        || {
            unpack(open("ours.tar"), &target("ours"), &inside).expect("unpack");
        },
        || {
            target("peer");
            tar(path, &plain);
        },
        clear,
        0.9,
    );
    compare(
        "pack_gz",
        || {
            let mut writer = create("ours.tar.gz");
            pack_gz(&dir, "tree", &mut writer, &options).expect("pack");
            writer.flush().expect("flush");
        },
        || tar(path, &["-czf", "peer.tar.gz", "-C", "tree", "."]),
        || {},
        1.0,
    );
    let zipped = [
        "-xzf",
        "ours.tar.gz",
        "-C",
        "peer",
        "--no-same-owner",
        "--no-same-permissions",
    ];
    compare(
        "unpack_gz",
        || {
            unpack_gz(open("ours.tar.gz"), &target("ours"), &inside).expect("unpack");
        },
        || {
            target("peer");
            tar(path, &zipped);
        },
        clear,
        0.9,
    );
}

/// Runs both in turn and prints the medians as files per second.
fn compare(name: &str, ours: impl Fn(), peer: impl Fn(), clear: impl Fn(), goal: f64) {
    let (mut times, mut peers) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        clear();
        let (a, b) = if round % 2 == 0 {
            let a = time(&ours);
            (a, time(&peer))
        } else {
            let b = time(&peer);
            (time(&ours), b)
        };
        // The first round warms caches.
        if round > 0 {
            times.push(a);
            peers.push(b);
        }
    }
    let rate = |times: &mut Vec<Duration>| {
        times.sort();
        FILES as f64 / times[times.len() / 2].as_secs_f64()
    };
    let (ours, peer) = (rate(&mut times), rate(&mut peers));
    let ratio = ours / peer;
    let verdict = if ratio >= goal { "ok" } else { "SHORT" };
    println!(
        "figure {name} ours={ours:.0} peer={peer:.0}(GNU tar) unit=files/s ratio={ratio:.2} target>={goal} {verdict}"
    );
}

fn time(run: &impl Fn()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn tar(dir: &Path, args: &[&str]) {
    let status = Command::new("tar")
        .current_dir(dir)
        .args(args)
        .status()
        .expect("tar runs");
    assert!(status.success(), "tar {args:?}");
}

/// A tree with the sizes and depths of source trees: mostly small files, a few large ones.
fn plant(root: &Path) -> u64 {
    let words = [
        "func ",
        "return err\n",
        "if x != nil {\n",
        "\t\t",
        "}\n",
        "package main\n",
        "// comment\n",
        "0x1f, ",
    ];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut bytes = 0;
    for i in 0..FILES {
        let dir = root.join(format!("pkg{}/sub{}", i / 200, i / 20 % 10));
        fs::create_dir_all(&dir).expect("a directory");
        let size = match next(100) {
            0..5 => 0,
            5..80 => next(8 << 10),
            80..99 => next(32 << 10),
            _ => next(512 << 10),
        };
        let mut content = String::new();
        while (content.len() as u64) < size {
            content.push_str(words[next(words.len() as u64) as usize]);
        }
        bytes += content.len() as u64;
        fs::write(dir.join(format!("file{i}.go")), content).expect("a file");
    }
    bytes
}
