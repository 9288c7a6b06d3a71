//! Trees in and out, listing, removal, and the paths that must not lead outside.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, too, say best where they failed"
)]

mod common;

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use buildlet::Config;
use common::{Fixture, worker, worker_with};

fn tar(entries: &[(&str, tar_entry::Kind<'_>)]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar_entry::plain(entries)).unwrap();
    gzip.finish().unwrap()
}

/// Just enough tar to make archives no decent tool would make.
mod tar_entry {
    pub(super) enum Kind<'a> {
        File(&'a str),
        Dir,
        Symlink(&'a str),
    }

    pub(super) fn plain(entries: &[(&str, Kind<'_>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, kind) in entries {
            let (flag, text, link) = match kind {
                Kind::File(text) => (b'0', *text, ""),
                Kind::Dir => (b'5', "", ""),
                Kind::Symlink(link) => (b'2', "", *link),
            };
            let mut head = [0_u8; 512];
            let mut put =
                |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
            put(0, name.as_bytes());
            put(100, b"0000644\0");
            put(108, b"0000000\0");
            put(116, b"0000000\0");
            put(124, format!("{:011o}\0", text.len()).as_bytes());
            put(136, b"00000000001\0");
            put(148, b"        ");
            put(156, &[flag]);
            put(157, link.as_bytes());
            put(257, b"ustar\x0000");
            let sum: u32 = head.iter().map(|&byte| u32::from(byte)).sum();
            head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            out.extend_from_slice(&head);
            out.extend_from_slice(text.as_bytes());
            out.resize(out.len().next_multiple_of(512), 0);
        }
        out.resize(out.len() + 1024, 0);
        out
    }
}

use tar_entry::Kind::{Dir, File, Symlink};

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes)
        .read_to_end(&mut out)
        .unwrap();
    out
}

#[tokio::test]
async fn golden_write() {
    let worker = worker().await;
    let answer = worker
        .ask("PUT /write?mode=420&path=go%2FVERSION HTTP/1.1\r\nHost: \r\nContent-Length: 1\r\n\r\nv")
        .await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "OK"));
    assert!(answer.head.contains("\r\nContent-Length: 2\r\n"));
    let path = worker.dir.join("go/VERSION");
    assert_eq!(std::fs::read(&path).unwrap(), b"v");
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o644);

    // An older file's mode does not matter, nor does the umask.
    let answer = worker.put("/write?mode=511&path=go/VERSION", b"new").await;
    assert_eq!(answer.text(), "OK");
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o777);
    assert_eq!(names(&worker, "go"), ["VERSION"]);
}

fn names(worker: &Fixture, dir: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(worker.dir.join(dir))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn write_refuses() {
    let worker = worker().await;
    for (target, want) in [
        (
            "/write?mode=420&path=../x",
            "invalid 'path' parameter: path \"../x\" refers to a parent directory\n",
        ),
        (
            "/write?mode=420&path=/x",
            "invalid 'path' parameter: path \"/x\" is not relative\n",
        ),
        (
            "/write?mode=420&path=",
            "invalid 'path' parameter: path not provided\n",
        ),
        ("/write?mode=rw&path=x", "bad mode\n"),
        ("/write?mode=2147484141&path=x", "bad mode\n"),
    ] {
        let answer = worker.put(target, b"v").await;
        assert_eq!((answer.status, answer.text().as_str()), (400, want));
    }
    // Parameters in the body are none.
    let answer = worker
        .ask("PUT /write HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 15\r\n\r\npath=x&mode=420")
        .await;
    assert_eq!(answer.status, 400);
    assert!(names(&worker, "").is_empty());
}

#[tokio::test]
async fn a_short_upload_leaves_the_old_file() {
    let worker = worker().await;
    worker.write("f", "old");
    let mut client = worker.connect().await;
    client
        .send("PUT /write?mode=420&path=f HTTP/1.1\r\nContent-Length: 100\r\n\r\nonly this")
        .await;
    drop(client);
    let mut client = worker.connect().await;
    client
        .send("PUT /write?mode=420&path=f HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")
        .await;
    assert_eq!(client.answer().await.status, 400);
    common::eventually(std::time::Duration::from_secs(2), || {
        names(&worker, "") == ["f"]
    })
    .await;
    assert_eq!(std::fs::read(worker.dir.join("f")).unwrap(), b"old");
}

#[tokio::test]
async fn nothing_leads_outside() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("keep"), "secret").unwrap();
    let worker = worker().await;
    symlink(outside.path(), worker.dir.join("out")).unwrap();
    symlink("..", worker.dir.join("up")).unwrap();
    for link in ["out", "up"] {
        let answer = worker
            .put(&format!("/write?mode=420&path={link}/planted"), b"x")
            .await;
        assert_eq!(answer.status, 500);
        let archive = tar(&[("planted", File("x"))]);
        let answer = worker.put(&format!("/writetgz?dir={link}"), &archive).await;
        assert_eq!(answer.status, 500);
        let archive = tar(&[(&format!("{link}/planted"), File("x"))]);
        assert_ne!(worker.put("/writetgz", &archive).await.status, 200);
        assert_ne!(worker.get(&format!("/ls?dir={link}")).await.status, 200);
        assert_ne!(worker.get(&format!("/tgz?dir={link}")).await.status, 200);
        worker
            .post("/removeall", &[("path", &format!("{link}/keep"))])
            .await;
    }
    for path in ["..", "a/../..", "/"] {
        assert_eq!(
            worker.post("/removeall", &[("path", path)]).await.status,
            400
        );
    }
    assert_eq!(
        worker.post("/removeall", &[("path", ".")]).await.status,
        200
    );
    assert!(names(&worker, "").is_empty());
    let text = std::fs::read_to_string(outside.path().join("keep")).unwrap();
    assert_eq!(text, "secret");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn trees_go_in_and_come_out() {
    let worker = worker().await;
    let archive = tar(&[
        ("src/", Dir),
        ("src/a.txt", File("alpha")),
        ("src/link", Symlink("a.txt")),
        ("b.txt", File("beta")),
    ]);
    // Several gzip members are one archive.
    let plain = gunzip(&archive);
    let mut members = Vec::new();
    for part in plain.chunks(700) {
        let mut gzip = flate2::write::GzEncoder::new(&mut members, flate2::Compression::fast());
        gzip.write_all(part).unwrap();
        gzip.finish().unwrap();
    }
    let answer = worker.put("/writetgz?dir=tree%2Fdeep", &members).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "OK"));
    let dir = worker.dir.join("tree/deep");
    assert_eq!(std::fs::read(dir.join("src/link")).unwrap(), b"alpha");
    assert_eq!(std::fs::read(dir.join("b.txt")).unwrap(), b"beta");

    for target in ["/tgz?dir=tree/deep", "/tgz?dir=tree/deep&pargzip=0"] {
        let answer = worker.get(target).await;
        assert!(answer.complete);
        assert!(answer.head.contains("application/x-gzip"));
        assert!(!answer.head.contains("Content-Encoding"));
        let again = worker.put("/writetgz?dir=again", &answer.body).await;
        assert_eq!(again.status, 200, "{}", again.text());
        let text = std::fs::read(worker.dir.join("again/src/link")).unwrap();
        assert_eq!(text, b"alpha");
        worker.post("/removeall", &[("path", "again")]).await;
    }

    let answer = worker.get("/tgz?dir=tree/deep/b.txt").await;
    let plain = gunzip(&answer.body);
    assert_eq!(plain[0], 0, "a single file has an empty name");
    assert_eq!(&plain[512..516], b"beta");
}

#[tokio::test]
async fn archives_that_are_refused() {
    let worker = worker().await;
    let good = tar(&[("f", File("x"))]);
    let mut cut = good.clone();
    cut.truncate(good.len() / 2);
    for (body, want) in [
        (&b"not gzip"[..], "requires gzip-compressed body"),
        (&cut, "tar error"),
        (
            &tar(&[("../x", File("x"))]),
            "tar file contained invalid name \"../x\"",
        ),
    ] {
        let answer = worker.put("/writetgz", body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().starts_with(want), "{}", answer.text());
    }
    assert_eq!(
        worker.get("/writetgz").await.text(),
        "requires PUT or POST method\n"
    );
}

#[tokio::test]
async fn urls_are_not_fetched() {
    let worker = worker().await;
    let url = [("url", "http://localhost/x.tar.gz")];
    let answer = worker.post("/writetgz?dir=go1.4", &url).await;
    assert_eq!(answer.status, 501);
    assert_eq!(
        worker.post("/writetgz?dir=d", &[]).await.text(),
        "missing url POST param\n"
    );
    std::fs::create_dir(worker.dir.join("go1.4")).unwrap();
    let answer = worker.post("/writetgz?dir=go1.4", &url).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "SKIP"));
}

#[tokio::test]
async fn tgz_of_what_is_not_there() {
    let worker = worker().await;
    assert_eq!(worker.get("/tgz?dir=nope").await.status, 404);
    assert_eq!(worker.get("/tgz?dir=..").await.status, 400);
    assert_eq!(worker.get("/tgz?dir=.").await.status, 200);
}

#[tokio::test]
async fn tgz_of_a_file_that_grows() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let worker = worker().await;
    let path = worker.dir.join("log");
    std::fs::write(&path, vec![b'x'; 2 << 20]).unwrap();
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let writer = std::thread::spawn(move || {
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            file.write_all(b"x").unwrap();
        }
    });
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(worker.get("/tgz?dir=").await);
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    for answer in answers {
        assert!(answer.complete);
        let plain = gunzip(&answer.body);
        let size = std::str::from_utf8(&plain[124..135]).unwrap();
        let size = usize::from_str_radix(size, 8).unwrap();
        assert!(size >= 2 << 20);
        assert_eq!(plain.len(), 512 + size.next_multiple_of(512) + 1024);
    }
}

#[tokio::test]
async fn golden_ls() {
    let worker = worker().await;
    worker.write("a/b.txt", "hello\n");
    worker.write("a/skip/me", "");
    worker.write("z\tn\nl", "");
    symlink("b.txt", worker.dir.join("a/link")).unwrap();
    for (path, mode) in [
        ("a", 0o755),
        ("a/b.txt", 0o644),
        ("a/skip", 0o755),
        ("z\tn\nl", 0o600),
    ] {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(worker.dir.join(path), mode).unwrap();
    }
    for path in ["a/b.txt", "z\tn\nl"] {
        let file = std::fs::File::options()
            .write(true)
            .open(worker.dir.join(path))
            .unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_795_337_379);
        file.set_modified(time).unwrap();
    }
    let answer = worker
        .get("/ls?dir=&recursive=true&digest=true&skip=a/skip&skip=")
        .await;
    assert_eq!(
        answer.text(),
        "drwxr-xr-x\ta/\n\
         -rw-r--r--\ta/b.txt\t6\t2026-11-22T08:49:39Z\tf572d396fae9206628714fb2ce00f72e94f2258f\n\
         Lrwxrwxrwx\ta/link\n\
         -rw-------\tz%09n%0Al\t0\t2026-11-22T08:49:39Z\tda39a3ee5e6b4b0d3255bfef95601890afd80709\n"
    );
    let answer = worker.get("/ls?dir=a").await;
    assert_eq!(
        answer.text(),
        "-rw-r--r--\tb.txt\t6\t2026-11-22T08:49:39Z\nLrwxrwxrwx\tlink\ndrwxr-xr-x\tskip/\n"
    );
    let answer = worker.get("/ls?dir=a/b.txt").await;
    assert_eq!(answer.text(), "-rw-r--r--\t\t6\t2026-11-22T08:49:39Z\n");
    let answer = worker.get("/ls?dir=nope").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().starts_with("Walk error: "));
}

#[tokio::test]
async fn removal_copes() {
    let worker = worker().await;
    // Read-only, as module caches are; deep, as traps are; and something that is a link.
    worker.write("cache/mod/f", "x");
    for path in ["cache/mod/f", "cache/mod", "cache"] {
        let mode = std::fs::Permissions::from_mode(0o555);
        std::fs::set_permissions(worker.dir.join(path), mode).unwrap();
    }
    let deep = vec!["d"; 300].join("/");
    std::fs::create_dir_all(worker.dir.join(&deep)).unwrap();
    worker.write("keep/f", "x");
    symlink("keep", worker.dir.join("link")).unwrap();
    let form = [
        ("path", "cache"),
        ("path", "d"),
        ("path", "link"),
        ("path", "nope/x"),
        ("path", "keep/f/x"),
    ];
    let answer = worker.post("/removeall", &form).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert_eq!(names(&worker, ""), ["keep"]);
    assert_eq!(names(&worker, "keep"), ["f"]);

    // In the query as well; and the work directory itself stays.
    let answer = worker
        .ask("POST /removeall?path=. HTTP/1.1\r\nHost: \r\n\r\n")
        .await;
    assert_eq!(answer.status, 200);
    assert!(names(&worker, "").is_empty());
    let answer = worker.post("/removeall", &[]).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (400, "requires 'path' parameter\n")
    );
    let answer = worker.post("/removeall", &[("path", "..")]).await;
    assert_eq!(answer.text(), "bad 'path' parameter: \"..\"\n");
}

#[tokio::test]
async fn a_work_directory_that_was_removed_comes_back() {
    let worker = worker().await;
    std::fs::remove_dir_all(&worker.dir).unwrap();
    assert_eq!(
        worker.sh("pwd").await.text(),
        format!("{}\n", worker.dir.display())
    );
    std::fs::remove_dir_all(&worker.dir).unwrap();
    assert_eq!(
        worker.put("/write?path=f&mode=420", b"x").await.text(),
        "OK"
    );
}

#[tokio::test]
async fn uploads_have_bounds() {
    let worker = worker_with(|config: &mut Config| {
        config.limits.file = 10;
        config.limits.archive.max_bytes = 10_000;
    })
    .await;
    assert_eq!(
        worker
            .put("/write?path=f&mode=420", &[b'x'; 10])
            .await
            .status,
        200
    );
    let answer = worker.put("/write?path=f&mode=420", &[b'x'; 11]).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.text(), "file is larger than 10 bytes\n");
    let bomb = tar(&[("bomb", File(&"0".repeat(1 << 20)))]);
    assert_eq!(worker.put("/writetgz", &bomb).await.status, 400);
}
