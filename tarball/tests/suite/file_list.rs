//! Archives of files that exist only in a list.

use std::io::{self, Read, Write};
use std::time::{Duration, UNIX_EPOCH};

use flate2::read::GzDecoder;
use tarball::{FileList, FileListError, Limits, Links, NameError, UnpackOptions, unpack};

use crate::support::Sandbox;

fn tar(list: &FileList) -> Result<Vec<u8>, FileListError> {
    list.write_tar(Vec::new())
}

fn reader_of(declared: u64, content: &'static [u8]) -> FileList {
    let mut list = FileList::new();
    list.add_reader("f", 0o644, declared, move || Ok(Box::new(content)))
        .unwrap();
    list.add_bytes("next", 0o644, "n").unwrap();
    list
}

#[test]
fn the_example_of_the_original() {
    let mut list = FileList::new();
    list.add_dir("d")
        .unwrap()
        .add_bytes("d/a.txt", 0o644, "abc")
        .unwrap();
    let archive = tar(&list).unwrap();
    assert_eq!(archive.len(), 2560);
    assert_eq!(list.tar_len(), 2560);
    let sandbox = Sandbox::new();
    sandbox.unpack(&archive, &UnpackOptions::default()).unwrap();
    assert_eq!(sandbox.tree(), ["d/", "d/a.txt=abc"]);
}

#[test]
fn the_test_of_the_original() {
    let mut list = FileList::new();
    list.add_symlink("link", "some/target")
        .unwrap()
        .add_bytes("file", 0o644, "foo bar")
        .unwrap();
    let sandbox = Sandbox::new();
    let options = UnpackOptions {
        links: Links::Inside,
        ..UnpackOptions::default()
    };
    let report = tarball::unpack_gz(list.tar_gz(), &sandbox.dir(), &options).unwrap();
    assert_eq!((report.files, report.links), (1, 1));
    assert_eq!(sandbox.tree(), ["file=foo bar", "link->some/target"]);
}

#[test]
fn an_empty_list_is_an_empty_archive() {
    assert_eq!(tar(&FileList::new()).unwrap(), [0; 1024]);
    let mut plain = Vec::new();
    GzDecoder::new(FileList::new().tar_gz())
        .read_to_end(&mut plain)
        .unwrap();
    assert_eq!(plain, [0; 1024]);
    let golden = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x62\x18\x05\xa3\x60\x14\x8c\x58\0\x18\0\x2e\xaf\xb5\xef\0\x04\0\0";
    let mut original = Vec::new();
    GzDecoder::new(&golden[..])
        .read_to_end(&mut original)
        .unwrap();
    assert_eq!(original, plain);
}

#[test]
fn the_same_bytes_any_number_of_times_at_once() {
    let mut list = reader_of(3, b"abc");
    list.set_mtime(UNIX_EPOCH + Duration::from_secs(1_600_000_000));
    list.add_bytes("später", 0o755, vec![7; 100_000]).unwrap();
    list.add_bytes(
        &format!("{}/{}", "d".repeat(200), "n".repeat(100)),
        0o644,
        "",
    )
    .unwrap();
    let first = list.write_tar_gz(Vec::new()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(list.write_tar_gz(Vec::new()).unwrap(), first));
        }
    });
    assert_eq!(tar(&list).unwrap().len() as u64, list.tar_len());
    // However small the pieces are that somebody reads.
    let mut stream = list.tar();
    let (mut pieces, mut buf) = (Vec::new(), [0; 7]);
    loop {
        match stream.read(&mut buf).unwrap() {
            0 => break,
            n => pieces.extend_from_slice(&buf[..n]),
        }
    }
    assert_eq!(pieces, tar(&list).unwrap());
}

#[test]
fn content_must_be_as_long_as_declared() {
    assert!(tar(&reader_of(3, b"abc")).is_ok());
    assert!(matches!(tar(&reader_of(0, b"")), Ok(archive) if archive.len() == 512 + 1024 + 1024));
    for (declared, content) in [(4, &b"abc"[..]), (1, b""), (600, b"abc")] {
        let error = tar(&reader_of(declared, content)).unwrap_err();
        let actual = content.len() as u64;
        assert!(
            matches!(&error, FileListError::Short { name, expected, actual: a } if name == "f" && *expected == declared && *a == actual),
            "{error}"
        );
    }
    for (declared, content) in [(2, &b"abc"[..]), (0, b"a"), (512, &[0; 513])] {
        let error = tar(&reader_of(declared, content)).unwrap_err();
        assert!(
            matches!(&error, FileListError::Long { expected, .. } if *expected == declared),
            "{error}"
        );
    }
}

#[test]
fn a_failed_stream_never_seems_whole() {
    let mut gz = reader_of(4, b"abc").tar_gz();
    let mut out = Vec::new();
    let error = gz.read_to_end(&mut out).unwrap_err();
    assert!(
        error
            .get_ref()
            .unwrap()
            .downcast_ref::<FileListError>()
            .is_some()
    );
    assert!(gz.read(&mut [0; 10]).is_err(), "and again");
    let error = reader_of(4, b"abc").write_tar_gz(Vec::new()).unwrap_err();
    assert!(matches!(error, FileListError::Short { .. }));
}

#[test]
fn sources_and_writers_that_fail() {
    let mut list = FileList::new();
    list.add_reader("gone", 0o644, 1, || Err(io::ErrorKind::NotFound.into()))
        .unwrap();
    assert!(
        matches!(tar(&list), Err(FileListError::Content { source, .. }) if source.kind() == io::ErrorKind::NotFound)
    );

    #[derive(Debug)]
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = FileList::new().write_tar(Full).unwrap_err();
    assert!(
        matches!(error, FileListError::Write { source } if source.kind() == io::ErrorKind::StorageFull)
    );
}

#[test]
fn names_are_checked_when_added() {
    let mut list = FileList::new();
    assert_eq!(
        list.add_bytes("../x", 0o644, "").err(),
        Some(NameError::Parent)
    );
    assert_eq!(
        list.add_bytes("d/", 0o644, "").err(),
        Some(NameError::Directory)
    );
    assert_eq!(list.add_symlink("", "x").err(), Some(NameError::Empty));
    assert_eq!(list.add_dir("/d").err(), Some(NameError::Absolute));
    assert!(list.is_empty());
}

#[test]
fn long_names_come_through() {
    let mut list = FileList::new();
    let names = [
        "n".repeat(100),
        "m".repeat(101),
        format!("{}/{}", "d".repeat(155), "n".repeat(99)),
        format!("{}/{}", "d".repeat(156), "n".repeat(99)),
        format!("{}ü", "x".repeat(97)),
        ["e"; 100].join("/"),
        "300/".repeat(75) + "x",
    ];
    for name in &names {
        list.add_bytes(name, 0o644, name.as_str()).unwrap();
    }
    list.add_symlink("l", &"t/".repeat(300)).unwrap();
    let sandbox = Sandbox::new();
    let options = UnpackOptions {
        links: Links::Inside,
        ..UnpackOptions::default()
    };
    unpack(list.tar(), &sandbox.dir(), &options).unwrap();
    for name in &names {
        assert_eq!(
            std::fs::read_to_string(sandbox.root().join(name)).unwrap(),
            *name
        );
    }
}

#[test]
fn eight_gibibytes_and_more_are_declared_right() {
    let size = 9u64 << 30;
    let mut list = FileList::new();
    list.add_reader("big", 0o644, size, || Ok(Box::new(io::repeat(1))))
        .unwrap();
    assert_eq!(list.tar_len(), 3 * 512 + size + 1024);
    // The reader believes it, and says no before anything is written.
    let sandbox = Sandbox::new();
    let error = unpack(list.tar(), &sandbox.dir(), &UnpackOptions::default()).unwrap_err();
    assert_eq!(
        error.message(),
        "archive exceeds the limit of 1073741824 bytes in one file"
    );
    let limits = Limits {
        max_file_bytes: size - 1,
        max_bytes: u64::MAX,
        ..Limits::default()
    };
    let error = unpack(
        list.tar(),
        &sandbox.dir(),
        &UnpackOptions {
            limits,
            ..UnpackOptions::default()
        },
    )
    .unwrap_err();
    assert_eq!(
        error.message(),
        format!(
            "archive exceeds the limit of {} bytes in one file",
            size - 1
        )
    );
    assert!(sandbox.tree().is_empty());
}
