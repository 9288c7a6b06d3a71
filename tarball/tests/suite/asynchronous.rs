//! Readers and writers of tokio.

use std::fs;
use std::io;
use std::time::Duration;

use tarball::{
    FileList, FileListError, Limit, Limits, OnFailure, PackError, PackOptions, TarFault,
    UnpackErrorKind, UnpackOptions, pack, pack_async, pack_gz, pack_gz_async, unpack_async,
    unpack_gz_async,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::support::{Sandbox, Tar, gz};

fn plant(sandbox: &Sandbox) {
    fs::create_dir(sandbox.root().join("d")).unwrap();
    fs::write(sandbox.root().join("d/large"), vec![7; 3_000_000]).unwrap();
    for i in 0..50 {
        fs::write(
            sandbox.root().join(format!("d/f{i}")),
            format!("content {i}"),
        )
        .unwrap();
    }
}

#[tokio::test]
async fn there_and_back() {
    let (source, target) = (Sandbox::new(), Sandbox::new());
    plant(&source);
    let (options, unpacking) = (PackOptions::default(), UnpackOptions::default());
    // Through a pipe far smaller than the archive, both at once.
    let (writer, reader) = duplex(1000);
    let (from, into) = (source.dir(), target.dir());
    let (packed, unpacked) = tokio::join!(
        async {
            let mut writer = writer;
            let packed = pack_gz_async(&from, "", &mut writer, &options).await;
            writer.shutdown().await.unwrap();
            packed
        },
        unpack_gz_async(reader, &into, &unpacking),
    );
    assert_eq!(packed.unwrap().bytes, unpacked.unwrap().bytes);
    assert_eq!(source.tree(), target.tree());
    // The same bytes as without a runtime.
    let (mut plain, mut plain_async) = (Vec::new(), Vec::new());
    pack(&from, "", &mut plain, &options).unwrap();
    pack_async(&from, "", &mut plain_async, &options)
        .await
        .unwrap();
    assert_eq!(plain, plain_async);
    let (mut zipped, mut zipped_async) = (Vec::new(), Vec::new());
    pack_gz(&from, "", &mut zipped, &options).unwrap();
    pack_gz_async(&from, "", &mut zipped_async, &options)
        .await
        .unwrap();
    assert_eq!(zipped, zipped_async);
    let again = Sandbox::new();
    unpack_async(&plain[..], &again.dir(), &UnpackOptions::default())
        .await
        .unwrap();
    assert_eq!(again.tree(), source.tree());
}

#[tokio::test]
async fn lists_too() {
    let mut list = FileList::new();
    list.add_bytes("a", 0o644, vec![1; 2_000_000]).unwrap();
    let plain = list.write_tar_async(Vec::new()).await.unwrap();
    assert_eq!(plain, list.write_tar(Vec::new()).unwrap());
    let zipped = list.write_tar_gz_async(Vec::new()).await.unwrap();
    assert_eq!(zipped, list.write_tar_gz(Vec::new()).unwrap());
    list.add_reader("short", 0o644, 5, || Ok(Box::new(&b"four"[..])))
        .unwrap();
    let error = list
        .write_tar_gz_async(tokio::io::sink())
        .await
        .unwrap_err();
    assert!(matches!(error, FileListError::Short { .. }), "{error}");
}

#[tokio::test]
async fn errors_are_the_same() {
    let sandbox = Sandbox::new();
    let archive = gz(&Tar::new().file("a", "1").file("../b", "2").end());
    let error = unpack_gz_async(&archive[..], &sandbox.dir(), &UnpackOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.message(), "tar file contained invalid name \"../b\"");
    assert_eq!(error.progress().files, 1);
    let error = pack_async(
        &sandbox.dir(),
        "none",
        tokio::io::sink(),
        &PackOptions::default(),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, PackError::Root { .. }));
    // A reader that fails, and a writer.
    let (mut ours, theirs) = duplex(10);
    drop(theirs);
    let error = pack_async(&sandbox.dir(), "", &mut ours, &PackOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, PackError::Write { source } if source.kind() == io::ErrorKind::BrokenPipe),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_bad_archive_ends_it_while_the_reader_is_silent() {
    let sandbox = Sandbox::new();
    let (mut ours, theirs) = duplex(1 << 16);
    ours.write_all(&Tar::new().file("../x", "1").0)
        .await
        .unwrap();
    // Nothing more comes, and the reader is not at its end.
    let error = unpack_async(theirs, &sandbox.dir(), &UnpackOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), UnpackErrorKind::InvalidName { .. }));
}

#[tokio::test(start_paused = true)]
async fn silence_has_a_limit() {
    let sandbox = Sandbox::new();
    let limits = |max_time, max_idle| UnpackOptions {
        limits: Limits {
            max_time: Duration::from_secs(max_time),
            max_idle: Duration::from_secs(max_idle),
            ..Limits::default()
        },
        on_failure: OnFailure::Remove,
        ..UnpackOptions::default()
    };
    for (options, want) in [
        (limits(3600, 60), Limit::Idle),
        (limits(10, 60), Limit::Time),
    ] {
        let (mut ours, theirs) = duplex(1 << 16);
        ours.write_all(&Tar::new().file("a", "1").0).await.unwrap();
        // The clock stands still while a thread works, so it is moved.
        let dir = sandbox.dir();
        let error = tokio::select! {
            result = unpack_async(theirs, &dir, &options) => result.unwrap_err(),
            () = async { loop { tokio::time::advance(Duration::from_secs(1)).await } } => unreachable!(),
        };
        assert!(
            matches!(error.kind(), UnpackErrorKind::Limit { limit, .. } if *limit == want),
            "{}",
            error.message()
        );
        assert!(sandbox.tree().is_empty());
    }
}

#[tokio::test]
async fn a_dropped_future_stops_it() {
    let sandbox = Sandbox::new();
    let options = UnpackOptions {
        on_failure: OnFailure::Remove,
        ..UnpackOptions::default()
    };
    let (mut ours, theirs) = duplex(1 << 16);
    ours.write_all(&Tar::new().file("a", "1").0).await.unwrap();
    let (dir, root) = (sandbox.dir(), sandbox.root());
    let task = tokio::spawn(async move { unpack_async(theirs, &dir, &options).await });
    while !root.join("a").exists() {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    // The thread removes what it made, and is gone then.
    while root.join("a").exists() {
        tokio::task::yield_now().await;
    }
    sandbox.assert_untouched();

    // What a dropped packing leaves is no archive.
    plant(&sandbox);
    let (writer, mut reader) = duplex(1 << 16);
    let dir = sandbox.dir();
    let task =
        tokio::spawn(async move { pack_async(&dir, "", writer, &PackOptions::default()).await });
    let mut head = vec![0; 100_000];
    reader.read_exact(&mut head).await.unwrap();
    task.abort();
    drop(task.await);
    reader.read_to_end(&mut head).await.unwrap();
    let target = Sandbox::new();
    let error = target.unpack(&head, &UnpackOptions::default()).unwrap_err();
    assert!(matches!(
        error.kind(),
        UnpackErrorKind::Tar {
            source: TarFault::Truncated
        }
    ));
}

#[test]
fn futures_can_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let sandbox = Sandbox::new();
    let dir = sandbox.dir();
    let (options, packing) = (UnpackOptions::default(), PackOptions::default());
    check(unpack_async(tokio::io::empty(), &dir, &options));
    check(unpack_gz_async(tokio::io::empty(), &dir, &options));
    check(pack_async(&dir, "", tokio::io::sink(), &packing));
    check(pack_gz_async(&dir, "", tokio::io::sink(), &packing));
    let list = FileList::new();
    check(list.write_tar_async(tokio::io::sink()));
}
