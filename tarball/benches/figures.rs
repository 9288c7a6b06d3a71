//! Packing and unpacking a tree of 12,000 files, plain and compressed, against GNU tar, with pigz where
//! there is compression, in the same run.
//!
//! ```text
//! cargo bench -p tarball --bench figures
//! ```
//!
//! The tree is made of the sources in cargo's registry, or planted where there are too few.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cap_std::{ambient_authority, fs::Dir};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tarball::{Links, PackOptions, UnpackOptions, pack, pack_gz, unpack, unpack_gz};

const FILES: usize = 12_000;
/// Larger ones are not sources.
const MAX_FILE: u64 = 2 << 20;

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
    let tree = path.join("tree");
    let (origin, bytes) = match registry().and_then(|from| copy(&from, &tree)) {
        Some(bytes) => ("cargo's registry", bytes),
        None => {
            drop(fs::remove_dir_all(&tree));
            ("planted", plant(&tree))
        }
    };
    println!("tree: {FILES} files ({origin}), {} MB", bytes / 1_000_000);
    for peer in ["tar", "pigz"] {
        if Command::new(peer).arg("--version").output().is_err() {
            println!("SKIPPED: no {peer} to compare with");
            return;
        }
    }

    let dir = Dir::open_ambient_dir(path, ambient_authority()).expect("the scratch directory");
    let options = PackOptions::default();
    let inside = UnpackOptions {
        links: Links::Inside,
        ..UnpackOptions::default()
    };
    let create = |name: &str| File::create(path.join(name)).expect("an archive");
    let open = |name: &str| File::open(path.join(name)).expect("an archive");
    let target = |name: &str| {
        fs::create_dir(path.join(name)).expect("a target");
        Dir::open_ambient_dir(path.join(name), ambient_authority()).expect("a target")
    };
    let clear = || {
        for name in ["ours", "peer"] {
            drop(fs::remove_dir_all(path.join(name)));
        }
    };
    let modest = "--no-same-owner --no-same-permissions";

    compare(
        "pack",
        "GNU-tar",
        7,
        || {
            pack(&dir, "tree", create("ours.tar"), &options).expect("pack");
        },
        || shell(path, "tar -cf peer.tar -C tree ."),
        || {},
    );
    compare(
        "unpack",
        "GNU-tar",
        7,
        || {
            unpack(open("ours.tar"), &target("ours"), &inside).expect("unpack");
        },
        || {
            shell(
                path,
                &format!("mkdir peer && tar -xf ours.tar -C peer {modest}"),
            )
        },
        clear,
    );
    compare(
        "pack_gz",
        "GNU-tar+pigz",
        3,
        || {
            pack_gz(&dir, "tree", create("ours.tar.gz"), &options).expect("pack");
        },
        || shell(path, "tar -cf - -C tree . | pigz > peer.tar.gz"),
        || {},
    );
    let len = |name: &str| fs::metadata(path.join(name)).expect("an archive").len();
    let (ours, peer) = (len("ours.tar.gz"), len("peer.tar.gz"));
    let ratio = ours as f64 / peer as f64;
    println!(
        "figure pack_gz_size ours={ours} peer={peer}(GNU-tar+pigz) unit=bytes ratio={ratio:.3} target<=1 {}",
        verdict(ratio <= 1.0)
    );
    // Both from our archive, and both from pigz's: the layout of ours may be easier to read.
    for (name, archive) in [
        ("unpack_gz", "ours.tar.gz"),
        ("unpack_gz_of_pigz", "peer.tar.gz"),
    ] {
        compare(
            name,
            "pigz+GNU-tar",
            5,
            || {
                unpack_gz(open(archive), &target("ours"), &inside).expect("unpack");
            },
            || {
                let line = format!("mkdir peer && pigz -dc {archive} | tar -xf - -C peer {modest}");
                shell(path, &line);
            },
            clear,
        );
    }
}

/// Runs both in turn and prints the medians of time and of processor time.
fn compare(
    name: &str,
    peer_name: &str,
    rounds: usize,
    ours: impl Fn(),
    peer: impl Fn(),
    clear: impl Fn(),
) {
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        clear();
        let (a, b) = if round % 2 == 0 {
            let a = measure(&ours);
            (a, measure(&peer))
        } else {
            let b = measure(&peer);
            (measure(&ours), b)
        };
        // The first round warms caches.
        if round > 0 {
            mine.push(a);
            theirs.push(b);
        }
    }
    clear();
    for (kind, pick) in [("wall", 0), ("cpu", 1)] {
        let rate = |runs: &[[Duration; 2]]| {
            let mut times: Vec<_> = runs.iter().map(|run| run[pick]).collect();
            times.sort();
            FILES as f64 / times[times.len() / 2].as_secs_f64()
        };
        let (ours, peer) = (rate(&mine), rate(&theirs));
        let ratio = ours / peer;
        println!(
            "figure {name}_{kind} ours={ours:.0} peer={peer:.0}({peer_name}) unit=files/s ratio={ratio:.2} target>=1 {}",
            verdict(ratio >= 1.0)
        );
    }
}

fn verdict(ok: bool) -> &'static str {
    if ok { "ok" } else { "SHORT" }
}

/// Time by the wall and on the processors, children included.
fn measure(run: &impl Fn()) -> [Duration; 2] {
    let (cpu, start) = (cpu_time(), Instant::now());
    run();
    [start.elapsed(), cpu_time() - cpu]
}

/// Of this process and the children it has waited for.
fn cpu_time() -> Duration {
    [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
        .into_iter()
        .filter_map(|who| getrusage(who).ok())
        .flat_map(|usage| [usage.user_time(), usage.system_time()])
        .map(|time| Duration::from_micros(time.num_microseconds().unsigned_abs()))
        .sum()
}

fn shell(dir: &Path, line: &str) {
    let status = Command::new("sh")
        .args(["-c", line])
        .current_dir(dir)
        .status()
        .expect("a shell");
    assert!(status.success(), "{line}");
}

fn registry() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    Some(home.join("registry/src"))
}

/// Copies the first files in lexical order; `None` if there are not enough.
fn copy(from: &Path, to: &Path) -> Option<u64> {
    let (mut files, mut bytes) = (0, 0);
    let mut todo = vec![from.to_owned()];
    while let Some(dir) = todo.pop() {
        let mut entries: Vec<_> = fs::read_dir(&dir).ok()?.filter_map(Result::ok).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in &entries {
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                todo.push(entry.path());
            }
            if !kind.is_file() || entry.metadata().ok()?.len() > MAX_FILE {
                continue;
            }
            let target = to.join(entry.path().strip_prefix(from).ok()?);
            fs::create_dir_all(target.parent()?).ok()?;
            bytes += fs::copy(entry.path(), target).ok()?;
            files += 1;
            if files == FILES {
                return Some(bytes);
            }
        }
    }
    None
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
        let mut file = File::create(dir.join(format!("file{i}.go"))).expect("a file");
        file.write_all(content.as_bytes()).expect("a file");
    }
    bytes
}
