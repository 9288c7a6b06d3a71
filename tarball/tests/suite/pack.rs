//! Packing trees.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::{Duration, UNIX_EPOCH};

use tarball::{
    FileList, Growing, GzipLayout, Metadata, PackError, PackOptions, SkippedKind, Tree, pack,
    pack_gz, unpack, unpack_gz,
};

use crate::support::Sandbox;

/// Names of the entries of a plain archive that needs no extended headers.
fn names(archive: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while archive[at..at + 512] != [0; 512] {
        let header = tar::Header::from_byte_slice(&archive[at..at + 512]);
        names.push(String::from_utf8(header.path_bytes().to_vec()).unwrap());
        at += 512 + (header.size().unwrap() as usize).next_multiple_of(512);
    }
    assert_eq!(archive.len(), at + 1024, "two zero blocks and nothing else");
    names
}

fn packed(sandbox: &Sandbox, root: &str) -> Vec<u8> {
    let mut archive = Vec::new();
    pack(&sandbox.dir(), root, &mut archive, &PackOptions::default()).unwrap();
    archive
}

#[test]
fn in_lexical_order_without_the_root() {
    let sandbox = Sandbox::new();
    for dir in ["b/c", "a"] {
        fs::create_dir_all(sandbox.root().join(dir)).unwrap();
    }
    for file in ["b.txt", "b/c/d", "b/Z", "a-", "a/x", "B"] {
        fs::write(sandbox.root().join(file), file).unwrap();
    }
    symlink("../outside", sandbox.root().join("z")).unwrap();
    let want = [
        "B", "a/", "a/x", "a-", "b/", "b/Z", "b/c/", "b/c/d", "b.txt", "z",
    ];
    assert_eq!(names(&packed(&sandbox, "")), want);
    assert_eq!(names(&packed(&sandbox, ".")), want);
    assert_eq!(names(&packed(&sandbox, "b")), ["Z", "c/", "c/d"]);
    assert_eq!(names(&packed(&sandbox, "./b/c/")), ["d"]);
}

#[test]
fn a_file_becomes_one_entry_without_a_name() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.root().join("d")).unwrap();
    fs::write(sandbox.root().join("d/f"), "content").unwrap();
    let archive = packed(&sandbox, "d/f");
    assert_eq!(archive.len(), 512 + 512 + 1024);
    assert!(archive[..100].iter().all(|&b| b == 0), "no name");
    assert!(archive[345..500].iter().all(|&b| b == 0), "no prefix");
    assert_eq!(&archive[512..519], b"content");
    assert!(Tree::open(&sandbox.dir(), "d/f").unwrap().is_file());
}

#[test]
fn roots_that_cannot_be() {
    let sandbox = Sandbox::new();
    symlink("../outside", sandbox.root().join("out")).unwrap();
    symlink("../outside/secret", sandbox.root().join("secret")).unwrap();
    fs::create_dir(sandbox.root().join("d")).unwrap();
    symlink("d", sandbox.root().join("in")).unwrap();
    let _listener = UnixListener::bind(sandbox.root().join("socket")).unwrap();
    let open = |root: &str| Tree::open(&sandbox.dir(), root).map(|t| t.is_file());
    for root in ["..", "/etc", "a/../..", "d/.."] {
        assert!(
            matches!(open(root), Err(PackError::InvalidRoot { .. })),
            "{root}"
        );
    }
    let Err(PackError::Root { source, .. }) = open("none") else {
        panic!()
    };
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
    for root in ["out", "out/dir", "secret", "socket"] {
        assert!(matches!(open(root), Err(PackError::Root { .. })), "{root}");
    }
    assert!(!open("in").unwrap(), "followed inside");
}

#[test]
fn what_an_archive_cannot_hold_is_reported() {
    let sandbox = Sandbox::new();
    let _listener = UnixListener::bind(sandbox.root().join("socket")).unwrap();
    fs::write(sandbox.root().join("x"), "").unwrap();
    let mut archive = Vec::new();
    let report = pack(&sandbox.dir(), "", &mut archive, &PackOptions::default()).unwrap();
    assert_eq!((report.files, report.skipped), (1, 1));
    assert_eq!(report.skipped_names[0].name.to_str(), Some("socket"));
    assert_eq!(report.skipped_names[0].kind, SkippedKind::Special);
    assert_eq!(names(&archive), ["x"]);
}

#[test]
fn fixed_metadata_gives_equal_bytes() {
    let make = |mode: u32, seconds: u64| {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.root().join("d")).unwrap();
        for (name, executable) in [("d/run", true), ("d/read", false)] {
            let path = sandbox.root().join(name);
            fs::write(&path, name).unwrap();
            fs::set_permissions(
                &path,
                fs::Permissions::from_mode(mode | if executable { 0o100 } else { 0 }),
            )
            .unwrap();
            let file = fs::File::open(&path).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
                .unwrap();
        }
        let options = PackOptions {
            metadata: Metadata::Fixed {
                mtime: 1_600_000_000,
            },
            ..PackOptions::default()
        };
        let mut archive = Vec::new();
        pack_gz(&sandbox.dir(), "", &mut archive, &options).unwrap();
        archive
    };
    assert_eq!(make(0o644, 1), make(0o600, 2_000_000_000));
}

#[test]
fn modes_and_times_as_the_file_has_them() {
    let sandbox = Sandbox::new();
    let path = sandbox.root().join("f");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).unwrap();
    let archive = |time| {
        fs::File::open(&path).unwrap().set_modified(time).unwrap();
        packed(&sandbox, "")
    };
    let header = archive(UNIX_EPOCH + Duration::from_millis(1_234_567_890_900));
    let header = tar::Header::from_byte_slice(&header[..512]);
    assert_eq!(
        (header.mode().unwrap(), header.mtime().unwrap()),
        (0o4751, 1_234_567_890)
    );
    // Before 1970: only a PAX header can say it.
    let before = archive(UNIX_EPOCH - Duration::from_millis(1500));
    let target = Sandbox::new();
    unpack(
        &before[..],
        &target.dir(),
        &tarball::UnpackOptions::default(),
    )
    .unwrap();
    let modified = fs::metadata(target.root().join("f"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(modified, UNIX_EPOCH - Duration::from_secs(2));
}

/// Changes a file once its first bytes come by.
struct Meddler<F>(Option<F>, Vec<u8>);

impl<F: FnOnce()> Write for Meddler<F> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Some(meddle) = self.0.take() {
            meddle();
        }
        self.1.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_changes_its_length_is_an_error() {
    let sandbox = Sandbox::new();
    let path = sandbox.root().join("f");
    fs::write(&path, vec![1; 2_000_000]).unwrap();
    let resize = |size: u64| {
        let path = path.clone();
        move || {
            fs::OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(size)
                .unwrap()
        }
    };
    let mut grown = Meddler(Some(resize(3_000_000)), Vec::new());
    let error = pack(&sandbox.dir(), "", &mut grown, &PackOptions::default()).unwrap_err();
    assert!(
        matches!(
            error,
            PackError::Grew {
                expected: 2_000_000,
                ..
            }
        ),
        "{error}"
    );
    // Cut where that is asked for, and also if it grows for ever.
    resize(2_000_000)();
    let cut = PackOptions {
        growing: Growing::Cut,
        ..PackOptions::default()
    };
    let mut grown = Meddler(Some(resize(3_000_000)), Vec::new());
    let report = pack(&sandbox.dir(), "", &mut grown, &cut).unwrap();
    assert_eq!(report.bytes, 2_000_000);
    assert_eq!(names(&grown.1), ["f"]);

    let mut shrunk = Meddler(Some(resize(1_000_000)), Vec::new());
    let error = pack(&sandbox.dir(), "", &mut shrunk, &PackOptions::default()).unwrap_err();
    assert!(
        matches!(
            error,
            PackError::Shrunk {
                expected: 3_000_000,
                actual: 1_000_000,
                ..
            }
        ),
        "{error}"
    );
    let target = Sandbox::new();
    let error = unpack(
        &shrunk.1[..],
        &target.dir(),
        &tarball::UnpackOptions::default(),
    )
    .unwrap_err();
    assert_eq!(
        error.message(),
        "tar error: unexpected EOF",
        "nobody takes it for whole"
    );
}

#[test]
fn a_writer_that_fails_is_told_apart() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let sandbox = Sandbox::new();
    fs::write(sandbox.root().join("f"), "x").unwrap();
    let error = pack(&sandbox.dir(), "", Full, &PackOptions::default()).unwrap_err();
    assert!(
        matches!(error, PackError::Write { source } if source.kind() == io::ErrorKind::StorageFull)
    );
}

#[test]
fn depth_is_bounded() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.root().join("a/b/c/d")).unwrap();
    let options = |max_depth| PackOptions {
        max_depth,
        ..PackOptions::default()
    };
    assert_eq!(
        pack(&sandbox.dir(), "", io::sink(), &options(4))
            .unwrap()
            .dirs,
        4
    );
    let error = pack(&sandbox.dir(), "", io::sink(), &options(3)).unwrap_err();
    assert_eq!(error.to_string(), "a/b/c/d is more than 3 directories deep");
}

#[test]
fn a_compressed_stream_does_not_end_well_after_a_failure() {
    let sandbox = Sandbox::new();
    // Enough for whole members before the failure.
    let noise: Vec<u8> = (0..3_000_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    fs::write(sandbox.root().join("a"), noise).unwrap();
    fs::create_dir_all(sandbox.root().join("b/c")).unwrap();
    for gzip_layout in [GzipLayout::Members, GzipLayout::Single] {
        let options = PackOptions {
            max_depth: 1,
            gzip_layout,
            ..PackOptions::default()
        };
        let mut archive = Vec::new();
        let error = pack_gz(&sandbox.dir(), "", &mut archive, &options).unwrap_err();
        assert!(matches!(error, PackError::TooDeep { .. }), "{error}");
        let mut plain = Vec::new();
        let ended = flate2::read::MultiGzDecoder::new(&archive[..]).read_to_end(&mut plain);
        assert!(
            ended.is_err(),
            "{gzip_layout:?}: {} bytes look whole",
            archive.len()
        );
        let target = Sandbox::new();
        unpack_gz(&archive[..], &target.dir(), &Default::default()).unwrap_err();
    }
}

#[test]
fn a_compressed_writer_that_fails_is_told_apart() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= 1;
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let sandbox = Sandbox::new();
    fs::write(sandbox.root().join("f"), vec![1; 8 << 20]).unwrap();
    for gzip_layout in [GzipLayout::Members, GzipLayout::Single] {
        for writes in [0, 1] {
            let options = PackOptions {
                gzip_level: 0,
                gzip_layout,
                ..PackOptions::default()
            };
            let error = pack_gz(&sandbox.dir(), "", Full(writes), &options).unwrap_err();
            assert!(
                matches!(&error, PackError::Write { source } if source.kind() == io::ErrorKind::StorageFull),
                "{gzip_layout:?}: {error:?}"
            );
        }
    }
}

/// The digest of an archive whose every byte is laid down. Where this changes, so do everybody's.
#[test]
fn the_deterministic_archive_has_these_bytes() {
    use sha2::{Digest, Sha256};
    let sandbox = Sandbox::new();
    let root = sandbox.root();
    // Made in no order, with owners, modes and times as they come.
    for dir in ["b/c", "a", "empty", "ü"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for (file, mode) in [
        ("b/c/d", 0o640),
        ("b.txt", 0o666),
        ("a/run", 0o700),
        ("ü/ä", 0o444),
    ] {
        fs::write(root.join(file), file).unwrap();
        fs::set_permissions(root.join(file), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(root.join("a").join("n".repeat(150)), vec![7; 1000]).unwrap();
    symlink("../b.txt", root.join("a/link")).unwrap();
    let options = PackOptions::deterministic(1_600_000_000);
    let mut archive = Vec::new();
    pack(&sandbox.dir(), "", &mut archive, &options).unwrap();
    let hex = |bytes: &[u8]| -> String {
        let digest = Sha256::digest(bytes);
        digest.iter().map(|b| format!("{b:02x}")).collect()
    };
    assert_eq!(
        hex(&archive),
        "d1f7b1aa4bed66c31bb504d8de0006f35113cce505c5c41d217e0868dff68045"
    );

    // The same from a list that was made in another order.
    let mut list = FileList::new();
    list.set_mtime(UNIX_EPOCH + Duration::from_secs(1_600_000_000));
    for file in ["ü/ä", "b/c/d", "b.txt"] {
        list.add_bytes(file, 0o644, file).unwrap();
    }
    list.add_bytes(&format!("a/{}", "n".repeat(150)), 0o644, vec![7; 1000])
        .unwrap();
    list.add_symlink("a/link", "../b.txt").unwrap();
    list.add_bytes("a/run", 0o755, "a/run").unwrap();
    for dir in ["ü", "empty", "b/c", "b", "a"] {
        list.add_dir(dir).unwrap();
    }
    assert_eq!(
        hex(&list.sort().write_tar(Vec::new()).unwrap()),
        hex(&archive)
    );
}
