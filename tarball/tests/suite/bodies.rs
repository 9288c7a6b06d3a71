//! What the fuzz targets do with their bytes. The tests run the same over bytes of their own.

use std::cell::RefCell;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use cap_std::{ambient_authority, fs::Dir};
use tarball::{
    Existing, Ignore, Limits, Links, OnFailure, PackOptions, UnpackOptions, pack, unpack, unpack_gz,
};

/// A root in a directory of which nothing else may change.
struct Arena {
    scratch: tempfile::TempDir,
}

thread_local! {
    static ARENA: RefCell<Option<Arena>> = const { RefCell::new(None) };
}

impl Arena {
    /// One for each thread, emptied each time: making a new one costs more than most inputs.
    fn with(work: impl FnOnce(&Path)) {
        ARENA.with_borrow_mut(|arena| {
            let arena = arena.get_or_insert_with(|| {
                let scratch = tempfile::tempdir_in("/dev/shm")
                    .or_else(|_| tempfile::tempdir())
                    .unwrap();
                fs::write(scratch.path().join("secret"), "secret").unwrap();
                Self { scratch }
            });
            let root = arena.scratch.path().join("root");
            drop(fs::remove_dir_all(&root));
            fs::create_dir(&root).unwrap();
            work(&root);
            let mut names: Vec<PathBuf> = fs::read_dir(arena.scratch.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            names.sort();
            assert_eq!(names, [root, arena.scratch.path().join("secret")]);
            assert_eq!(fs::read(&names[1]).unwrap(), b"secret");
        });
    }
}

fn options(links: Links, on_failure: OnFailure) -> UnpackOptions {
    let limits = Limits {
        max_bytes: 1 << 20,
        max_file_bytes: 1 << 18,
        max_entries: 500,
        ..Limits::default()
    };
    UnpackOptions {
        limits,
        links,
        existing: match on_failure {
            OnFailure::Keep => Existing::Replace,
            OnFailure::Remove => Existing::Refuse,
        },
        on_failure,
        ..UnpackOptions::default()
    }
}

fn try_all(archive: &[u8]) {
    for links in [Links::Refuse, Links::Ignore, Links::Inside] {
        for on_failure in [OnFailure::Keep, OnFailure::Remove] {
            Arena::with(|root| {
                let dir = Dir::open_ambient_dir(root, ambient_authority()).unwrap();
                let result = unpack(archive, &dir, &options(links, on_failure));
                check(root, root);
                if result.is_err() && on_failure == OnFailure::Remove {
                    assert_eq!(fs::read_dir(root).unwrap().count(), 0, "something is left");
                }
            });
        }
    }
}

/// Only files, directories and links that lead nowhere else.
fn check(root: &Path, dir: &Path) {
    use std::os::unix::fs::MetadataExt;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            check(root, &path);
        } else if metadata.is_symlink() {
            if let Ok(end) = path.canonicalize() {
                assert!(end.starts_with(root.canonicalize().unwrap()), "{end:?}");
            }
        } else {
            assert!(
                metadata.is_file() && metadata.mode() & 0o7000 == 0,
                "{path:?}"
            );
        }
    }
}

/// Any bytes, plain and compressed.
pub(crate) fn archive(data: &[u8]) {
    try_all(data);
    Arena::with(|root| {
        let dir = Dir::open_ambient_dir(root, ambient_authority()).unwrap();
        let options = options(Links::Inside, OnFailure::Remove);
        drop(unpack_gz(data, &dir, &options));
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        drop(unpack_gz(&encoder.finish().unwrap()[..], &dir, &options));
        check(root, root);
    });
}

/// Each few bytes an entry: its type, its name and its target out of a small stock, so that they meet.
pub(crate) fn entries(data: &[u8]) {
    const NAMES: [&str; 16] = [
        "a",
        "b",
        "a/b",
        "a/b/c",
        "b/a",
        "c",
        "a/../b",
        "..",
        "../secret",
        ".",
        "b/..",
        "a/",
        "c/d/e",
        "./a",
        "/a",
        "root",
    ];
    const FLAGS: [u8; 12] = *b"0001225557xL";
    let mut archive = Vec::new();
    for entry in data.chunks_exact(3).take(64) {
        let flag = FLAGS[usize::from(entry[0]) % FLAGS.len()];
        let name = NAMES[usize::from(entry[1]) % NAMES.len()];
        let target = NAMES[usize::from(entry[2]) % NAMES.len()];
        let content = match flag {
            b'0' => target.repeat(usize::from(entry[0] >> 4)).into_bytes(),
            b'x' => format!("{} path={target}\n", target.len() + 9).into_bytes(),
            b'L' => [target.as_bytes(), b"\0"].concat(),
            _ => Vec::new(),
        };
        let mut header = tar::Header::new_ustar();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkflag = [flag];
        if matches!(flag, b'1' | b'2') {
            old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        }
        header.set_mode(u32::from(entry[2]) << 4 | 0o600);
        header.set_size(content.len() as u64);
        header.set_mtime(1);
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(&content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.extend_from_slice(&[0; 1024]);
    try_all(&archive);
    differ(&archive);
}

/// The files that we write are in the archive for the crate `tar`, too, with this content.
fn differ(archive: &[u8]) {
    Arena::with(|root| {
        let dir = Dir::open_ambient_dir(root, ambient_authority()).unwrap();
        if unpack(archive, &dir, &options(Links::Refuse, OnFailure::Keep)).is_err() {
            return;
        }
        let mut seen = std::collections::BTreeMap::new();
        let mut reader = tar::Archive::new(archive);
        let Ok(entries) = reader.entries() else {
            return;
        };
        for entry in entries {
            let Ok(mut entry) = entry else {
                return;
            };
            let (mut content, path) = (Vec::new(), entry.path_bytes().into_owned());
            if entry.read_to_end(&mut content).is_err() {
                return;
            }
            if entry.header().entry_type().is_file() || entry.header().entry_type().is_contiguous()
            {
                let path = String::from_utf8_lossy(&path).into_owned();
                let path: PathBuf = path
                    .split('/')
                    .filter(|p| !matches!(*p, "" | "."))
                    .collect();
                seen.insert(path, content);
            }
        }
        for (path, content) in seen {
            assert_eq!(fs::read(root.join(&path)).ok(), Some(content), "{path:?}");
        }
    });
}

/// Lines of rules, then names.
pub(crate) fn ignore(data: &[u8]) {
    let mut halves = data.splitn(2, |&b| b == 0);
    let (rules, names) = (
        halves.next().unwrap_or_default(),
        halves.next().unwrap_or_default(),
    );
    Arena::with(|root| {
        fs::write(root.join(".gitignore"), rules).unwrap();
        for name in names.split(|&b| b == b'\n').take(8) {
            let Ok(path) = tarball::validate_name(&name[..name.len().min(60)]) else {
                continue;
            };
            let path = root.join(path.to_path_buf());
            if let Some(parent) = path.parent() {
                drop(fs::create_dir_all(parent));
            }
            drop(
                fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(path),
            );
        }
        let dir = Dir::open_ambient_dir(root, ambient_authority()).unwrap();
        let some = PackOptions {
            ignore: Ignore::Git,
            ..PackOptions::default()
        };
        let all = pack(&dir, "", std::io::sink(), &PackOptions::default()).unwrap();
        let packed = pack(&dir, "", std::io::sink(), &some).unwrap();
        assert!(packed.files + packed.dirs + packed.ignored <= all.files + all.dirs);
    });
}
