//! Links that are planted, brought along, or both.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use tarball::Links::{Ignore, Inside};
use tarball::UnpackOptions;

use crate::support::{Fault, Leaves, Sandbox, Tar, case, put, run};

fn plant_out(s: &Sandbox) {
    symlink("../outside", s.root().join("out")).unwrap();
}

#[test]
pub(crate) fn refused_or_ignored() {
    run(&[
        case(
            "symlink",
            Tar::new()
                .file("a", "1")
                .symlink("l", "a")
                .file("b", "2")
                .end(),
            Fault(
                "tar file entry l contained unsupported file type Lrw-r--r--",
                &["a=1"],
            ),
        ),
        case(
            "hard link",
            Tar::new().file("a", "1").hard("l", "a").end(),
            Fault(
                "tar file entry l contained unsupported file type -rw-r--r--",
                &["a=1"],
            ),
        ),
        case(
            "ignored",
            Tar::new()
                .file("a", "1")
                .symlink("l", "a")
                .hard("h", "a")
                .file("b", "2")
                .end(),
            Leaves(&["a=1", "b=2"]),
        )
        .links(Ignore),
        case(
            "ignored, then written through",
            Tar::new()
                .symlink("l", "../outside")
                .file("l/secret", "x")
                .end(),
            Leaves(&["l/", "l/secret=x"]),
        )
        .links(Ignore),
        case(
            "the name counts even so",
            Tar::new().symlink("../l", "a").end(),
            Fault("tar file contained invalid name \"../l\"", &[]),
        )
        .links(Ignore),
    ]);
}

#[test]
pub(crate) fn symlinks_that_lead_outside() {
    let refused =
        |target: &str, why: &str| format!("tar file entry l is a link to {target:?}, which {why}");
    for (target, why) in [
        ("..", "leads outside"),
        ("../outside", "leads outside"),
        ("./../outside", "leads outside"),
        (".//..", "leads outside"),
        ("/etc", "is absolute"),
        ("/", "is absolute"),
        ("", "is empty"),
        ("d/..", "climbs after a name"),
        ("d/../../outside", "climbs after a name"),
    ] {
        let archive = Tar::new().symlink("l", target).file("l/x", "x").end();
        run(&[case(target, archive, Fault(&refused(target, why), &[])).links(Inside)]);
    }
    run(&[
        case(
            "too high from a directory",
            Tar::new().symlink("a/l", "../..").end(),
            Fault("tar file entry a/l is a link to \"../..\", which leads outside", &[]),
        )
        .links(Inside),
        case(
            "higher than it looks, through a link of this archive",
            Tar::new().symlink("a/b/c", "../..").symlink("a/b/c/l", "../../..").end(),
            Fault("tar file entry a/b/c/l is a link to \"../../..\", which lies behind another link", &[
                "a/",
                "a/b/",
                "a/b/c->../..",
            ]),
        )
        .links(Inside),
        case(
            "higher than it looks, through an older link",
            Tar::new().symlink("a/l", "../x").end(),
            Fault("tar file entry a/l is a link to \"../x\", which lies behind another link", &["a->."]),
        )
        .links(Inside)
        .plant(|s| symlink(".", s.root().join("a")).unwrap()),
        case(
            "a pax target",
            Tar::new().pax(&[("linkpath", b"../../outside")]).symlink("l", "fine").end(),
            Fault("tar file entry l is a link to \"../../outside\", which leads outside", &[]),
        )
        .links(Inside),
        case(
            "a nul in the target",
            Tar::new().pax(&[("linkpath", b"a\0b")]).symlink("l", "fine").end(),
            Fault("tar error: archive/tar: invalid tar header: malformed…", &[]),
        )
        .links(Inside),
        case("named as the root", Tar::new().symlink(".", "a").end(), Fault("tar file contained invalid name \".\"", &[]))
            .links(Inside),
        case(
            "with content",
            Tar::new().entry(b"l", b'2', b"content", |b| put(b, 157, b"a")).end(),
            Fault("tar error: archive/tar: invalid tar header: entry of a type without content declares a size", &[]),
        )
        .links(Inside),
    ]);
}

#[test]
pub(crate) fn symlinks_that_stay_inside() {
    run(&[
        case(
            "written through",
            Tar::new()
                .dir("d/")
                .symlink("l", "d")
                .file("l/x", "x")
                .end(),
            Leaves(&["d/", "d/x=x", "l->d"]),
        )
        .links(Inside),
        case(
            "link to link",
            Tar::new()
                .dir("d/")
                .symlink("l", "d")
                .symlink("m", "l")
                .file("m/x", "x")
                .end(),
            Leaves(&["d/", "d/x=x", "l->d", "m->l"]),
        )
        .links(Inside),
        case(
            "climbing as far as the root",
            Tar::new().symlink("a/b/l", "../../x").end(),
            Leaves(&["a/", "a/b/", "a/b/l->../../x"]),
        )
        .links(Inside),
        case(
            "loop of one",
            Tar::new().symlink("l", ".").file("x", "x").end(),
            Leaves(&["l->.", "x=x"]),
        )
        .links(Inside),
        case(
            "loop of two, written through",
            Tar::new()
                .symlink("a", "b")
                .symlink("b", "a")
                .file("a/x", "x")
                .end(),
            Fault(
                "tar file entry a/x is blocked by a link that leads to no directory inside",
                &["a->b", "b->a"],
            ),
        )
        .links(Inside),
        case(
            "dangling, written through",
            Tar::new().symlink("l", "none").file("l/x", "x").end(),
            Fault("tar file entry l/x is blocked by a link…", &["l->none"]),
        )
        .links(Inside),
        case(
            "dangling, as a directory",
            Tar::new().symlink("l", "none").dir("l/").end(),
            Fault("tar file entry l/ is blocked by a link…", &["l->none"]),
        )
        .links(Inside),
        case(
            "replaced by a file",
            Tar::new()
                .file("a", "1")
                .symlink("l", "a")
                .file("l", "2")
                .end(),
            Leaves(&["a=1", "l=2"]),
        )
        .links(Inside),
        case(
            "a file replaced",
            Tar::new()
                .file("a", "1")
                .file("l", "2")
                .symlink("l", "a")
                .end(),
            Leaves(&["a=1", "l->a"]),
        )
        .links(Inside),
        case(
            "made twice",
            Tar::new().symlink("l", "a").symlink("l", "b").end(),
            Leaves(&["l->b"]),
        )
        .links(Inside),
        case(
            "over a directory",
            Tar::new().file("d/x", "1").symlink("d", ".").end(),
            Fault(
                "tar file entry d is blocked by a directory of its name",
                &["d/", "d/x=1"],
            ),
        )
        .links(Inside),
        case(
            "as a directory that is there",
            Tar::new().dir("d/").symlink("l", "d").dir("l/").end(),
            Leaves(&["d/", "l->d"]),
        )
        .links(Inside),
    ]);
}

#[test]
pub(crate) fn hard_links() {
    let refused =
        |target: &str, why: &str| format!("tar file entry h is a link to {target:?}, which {why}");
    for (target, why) in [
        ("../outside/secret", "leads outside"),
        ("/etc/passwd", "leads outside"),
        ("etc/passwd", "does not exist"),
        ("later", "does not exist"),
        ("h", "does not exist"),
        ("", "leads outside"),
        (".", "is the directory itself"),
    ] {
        let archive = Tar::new().hard("h", target).file("later", "x").end();
        run(&[case(target, archive, Fault(&refused(target, why), &[])).links(Inside)]);
    }
    run(&[
        case("a file", Tar::new().file("a", "1").hard("d/h", "a").end(), Leaves(&["a=1", "d/", "d/h=1"])).links(Inside),
        case("itself", Tar::new().file("a", "1").hard("a", "./a").end(), Leaves(&["a=1"])).links(Inside),
        case("made twice", Tar::new().file("a", "1").hard("h", "a").hard("h", "a").end(), Leaves(&["a=1", "h=1"])).links(Inside),
        case(
            "a directory",
            Tar::new().dir("d/").hard("h", "d").end(),
            Fault(&refused("d", "is no regular file"), &["d/"]),
        )
        .links(Inside),
        case(
            "a symlink, which would lead elsewhere from here",
            Tar::new().symlink("a/b/l", "../../../x".strip_prefix("../").unwrap()).hard("h", "a/b/l").end(),
            Fault(&refused("a/b/l", "is no regular file"), &["a/", "a/b/", "a/b/l->../../x"]),
        )
        .links(Inside),
        case(
            "through a symlink",
            Tar::new().file("d/x", "1").symlink("l", "d").hard("h", "l/x").end(),
            Fault(&refused("l/x", "is not reached without links"), &["d/", "d/x=1", "l->d"]),
        )
        .links(Inside),
        case(
            "through a planted symlink",
            Tar::new().hard("h", "out/secret").end(),
            Fault(&refused("out/secret", "is not reached without links"), &["out->../outside"]),
        )
        .links(Inside)
        .plant(plant_out),
        case(
            "to a planted symlink",
            Tar::new().hard("h", "out").end(),
            Fault(&refused("out", "is no regular file"), &["out->../outside"]),
        )
        .links(Inside)
        .plant(plant_out),
        case(
            "with content",
            Tar::new().file("a", "1").entry(b"h", b'1', b"content", |b| put(b, 157, b"a")).end(),
            Fault("tar error: archive/tar: invalid tar header: entry of a type without content declares a size", &["a=1"]),
        )
        .links(Inside),
        case(
            "one name written anew, the other kept",
            Tar::new().file("a", "1").hard("h", "a").file("h", "2").end(),
            Leaves(&["a=1", "h=2"]),
        )
        .links(Inside),
    ]);
}

#[test]
pub(crate) fn planted_before() {
    let blocked = "tar file entry out/x is blocked by a link that leads to no directory inside";
    run(&[
        case(
            "written through",
            Tar::new().file("out/x", "x").end(),
            Fault(blocked, &["out->../outside"]),
        )
        .plant(plant_out),
        case(
            "overwriting through it",
            Tar::new().file("out/secret", "x").end(),
            Fault(
                "tar file entry out/secret is blocked by a link…",
                &["out->../outside"],
            ),
        )
        .plant(plant_out),
        case(
            "the link itself replaced",
            Tar::new().file("out", "x").end(),
            Leaves(&["out=x"]),
        )
        .plant(plant_out),
        case(
            "a directory entry must not change what it leads to",
            Tar::new()
                .entry(b"out/", b'5', b"", |b| put(b, 100, b"0000777"))
                .end(),
            Fault(
                "tar file entry out/ is blocked by a link…",
                &["out->../outside"],
            ),
        )
        .plant(plant_out),
        case(
            "a file link replaced",
            Tar::new().file("f", "x").end(),
            Leaves(&["f=x"]),
        )
        .plant(|s| symlink("../outside/secret", s.root().join("f")).unwrap()),
        case(
            "a hard link replaced",
            Tar::new().file("f", "x").end(),
            Leaves(&["f=x"]),
        )
        .plant(|s| fs::hard_link(s.outside().join("secret"), s.root().join("f")).unwrap()),
        case(
            "a dangling link replaced, not created through",
            Tar::new().file("f", "x").end(),
            Leaves(&["f=x"]),
        )
        .plant(|s| symlink("../outside/new", s.root().join("f")).unwrap()),
        case(
            "an inner link is followed",
            Tar::new().file("l/x", "x").end(),
            Leaves(&["d/", "d/x=x", "l->d"]),
        )
        .plant(|s| {
            fs::create_dir(s.root().join("d")).unwrap();
            symlink("d", s.root().join("l")).unwrap();
        }),
        case(
            "an inner link that climbs is followed no further than the root",
            Tar::new().file("d/l/x", "x").end(),
            Leaves(&["d/", "d/l->..", "x=x"]),
        )
        .plant(|s| {
            fs::create_dir(s.root().join("d")).unwrap();
            symlink("..", s.root().join("d/l")).unwrap();
        }),
        case(
            "a chain out",
            Tar::new().file("a/b/x", "x").end(),
            Fault(
                "tar file entry a/b/x is blocked by a link…",
                &["a/", "a/b->../c", "c->.."],
            ),
        )
        .plant(|s| {
            fs::create_dir(s.root().join("a")).unwrap();
            symlink("../c", s.root().join("a/b")).unwrap();
            symlink("..", s.root().join("c")).unwrap();
        }),
        case(
            "a magic link",
            Tar::new().file("p/outside/x", "x").end(),
            Fault(
                "tar file entry p/outside/x is blocked by a link…",
                &["p->/proc/self/root"],
            ),
        )
        .plant(|s| symlink("/proc/self/root", s.root().join("p")).unwrap()),
        case(
            "followed before, replaced since",
            Tar::new()
                .file("l/x", "1")
                .file("l", "2")
                .file("l/y", "3")
                .end(),
            Fault(
                "tar file entry l/y is blocked by a file where it needs a directory",
                &["d/", "d/x=1", "l=2"],
            ),
        )
        .plant(|s| {
            fs::create_dir(s.root().join("d")).unwrap();
            symlink("d", s.root().join("l")).unwrap();
        }),
    ]);
}

#[test]
fn an_absolute_link_to_the_inside_is_not_followed() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.root().join("d")).unwrap();
    symlink(sandbox.root().join("d"), sandbox.root().join("l")).unwrap();
    let error = sandbox
        .unpack(
            &Tar::new().file("l/x", "x").end(),
            &UnpackOptions::default(),
        )
        .unwrap_err();
    assert!(error.is_input_fault());
    assert!(
        fs::read_dir(sandbox.root().join("d"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn hard_links_share_one_file() {
    let sandbox = Sandbox::new();
    let options = UnpackOptions {
        links: Inside,
        ..UnpackOptions::default()
    };
    let report = sandbox
        .unpack(&Tar::new().file("a", "1").hard("h", "a").end(), &options)
        .unwrap();
    assert_eq!((report.files, report.links, report.bytes), (1, 1, 1));
    let inode = |name| fs::metadata(sandbox.root().join(name)).unwrap().ino();
    assert_eq!(inode("a"), inode("h"));
    // The next archive replaces one name and must leave the other alone.
    sandbox
        .unpack(&Tar::new().file("a", "2").end(), &options)
        .unwrap();
    assert_eq!(sandbox.tree(), ["a=2", "h=1"]);
}

#[test]
fn ignored_links_are_counted() {
    let sandbox = Sandbox::new();
    let options = UnpackOptions {
        links: Ignore,
        ..UnpackOptions::default()
    };
    let report = sandbox
        .unpack(
            &Tar::new().symlink("l", "/etc").hard("h", "x").end(),
            &options,
        )
        .unwrap();
    assert_eq!((report.skipped, report.links), (2, 0));
}
