//! What was packed comes out again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use cap_std::{ambient_authority, fs::Dir};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tarball::{Links, PackOptions, UnpackOptions, pack, pack_gz, unpack, unpack_gz};

use crate::peers;

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>, u32),
    Link(String),
    Dir(BTreeMap<String, Self>),
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-c]{1,2}",
        2 => "[ -.0-\\[\\]-~]{1,20}".prop_filter("no dots alone", |s| s != "." && s != ".."),
        1 => "[à-ü]{1,60}",
        1 => "[x]{90,255}",
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let mode = prop_oneof![Just(0o644), Just(0o755), Just(0o600), Just(0o444)];
    let content = prop_oneof![
        vec(any::<u8>(), 0..20),
        vec(Just(7u8), 500..530),
        vec(Just(9u8), 1020..1030)
    ];
    let leaf = prop_oneof![
        4 => (content, mode).prop_map(|(c, m)| Node::File(c, m)),
        1 => "[a-c/]{1,120}".prop_filter("relative", |s| !s.starts_with('/')).prop_map(Node::Link),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        btree_map(name(), inner, 0..5).prop_map(Node::Dir)
    })
}

fn build(dir: &std::path::Path, tree: &BTreeMap<String, Node>) {
    for (name, node) in tree {
        let path = dir.join(name);
        match node {
            Node::File(content, mode) => {
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
            }
            Node::Link(target) => symlink(target, &path).unwrap(),
            Node::Dir(tree) => {
                fs::create_dir(&path).unwrap();
                build(&path, tree);
            }
        }
    }
}

fn read(dir: &std::path::Path) -> BTreeMap<String, Node> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let node = if metadata.is_dir() {
                Node::Dir(read(&path))
            } else if metadata.is_symlink() {
                Node::Link(fs::read_link(&path).unwrap().to_str().unwrap().to_owned())
            } else {
                Node::File(
                    fs::read(&path).unwrap(),
                    metadata.permissions().mode() & 0o777,
                )
            };
            (path.file_name().unwrap().to_str().unwrap().to_owned(), node)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree(tree in btree_map(name(), node(), 0..6)) {
        let (source, target) = (scratch(), scratch());
        build(source.path(), &tree);
        let open = |d: &tempfile::TempDir| Dir::open_ambient_dir(d.path(), ambient_authority()).unwrap();
        let mut archive = Vec::new();
        let packed = pack(&open(&source), ".", &mut archive, &PackOptions::default()).unwrap();
        let options = UnpackOptions { links: Links::Inside, ..UnpackOptions::default() };
        let unpacked = unpack(&archive[..], &open(&target), &options).map_err(|e| TestCaseError::fail(e.message()))?;
        prop_assert_eq!(
            (packed.files, packed.dirs, packed.links, packed.bytes),
            (unpacked.files, unpacked.dirs, unpacked.links, unpacked.bytes)
        );
        prop_assert_eq!(format!("{:?}", read(target.path())), format!("{:?}", read(source.path())));

        // Once more over what is there, and from there: the same archive.
        let mut zipped = Vec::new();
        pack_gz(&open(&target), "", &mut zipped, &PackOptions::default()).unwrap();
        unpack_gz(&zipped[..], &open(&target), &options).map_err(|e| TestCaseError::fail(e.message()))?;
        prop_assert_eq!(format!("{:?}", read(target.path())), format!("{:?}", read(source.path())));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..2000), block in 0usize..4) {
        let target = scratch();
        let dir = Dir::open_ambient_dir(target.path(), ambient_authority()).unwrap();
        let _ = unpack(&bytes[..], &dir, &UnpackOptions::default());
        let _ = unpack_gz(&bytes[..], &dir, &UnpackOptions::default());
        // Behind a header that is right, as an extended one and as content.
        let flag = b"x0Lg"[block];
        let archive = crate::support::Tar::new().entry(b"a", flag, &bytes, |_| {}).file("b", "x").end();
        let _ = unpack(&archive[..], &dir, &UnpackOptions::default());
    }
}

const FORMATS: [&str; 4] = ["", "gnu", "pax", "oldgnu"];

proptest! {
    // Ten trees at a time, for which Python is started once.
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    /// A tree packed by us or by GNU tar, in any of its formats, is the same for us, for GNU tar, for Python
    /// and for the crate `tar`.
    #[test]
    fn other_readers_see_the_same(trees in vec((btree_map(name(), node(), 1..6), 0..FORMATS.len()), 10)) {
        let mut seen = Vec::new();
        for (tree, format) in trees {
            let source = scratch();
            build(source.path(), &tree);
            let Some(archive) = packed(source.path(), FORMATS[format]) else {
                continue;
            };
            let target = scratch();
            let into = Dir::open_ambient_dir(target.path(), ambient_authority()).unwrap();
            let options = UnpackOptions { links: Links::Inside, ..UnpackOptions::default() };
            unpack(&archive[..], &into, &options).map_err(|e| TestCaseError::fail(e.message()))?;
            let ours = peers::on_disk(target.path());
            prop_assert_eq!(&ours, &peers::on_disk(source.path()));
            let theirs = peers::tar_crate(&archive);
            prop_assert_eq!(Some(&ours), theirs.as_ref());
            seen.push((archive, ours));
        }
        if let Some(python) = peers::python(seen.iter().map(|(archive, _)| &archive[..])) {
            for ((_, ours), theirs) in seen.iter().zip(&python) {
                prop_assert_eq!(Some(ours), theirs.as_ref());
            }
        }
    }
}

/// The directory as an archive of ours, or of GNU tar's in one of its formats.
fn packed(source: &std::path::Path, format: &str) -> Option<Vec<u8>> {
    if format.is_empty() {
        let mut archive = Vec::new();
        let dir = Dir::open_ambient_dir(source, ambient_authority()).unwrap();
        pack(&dir, "", &mut archive, &PackOptions::default()).unwrap();
        return Some(archive);
    }
    let output = std::process::Command::new("tar")
        .args([&format!("--format={format}"), "-cf", "-", "."])
        .current_dir(source)
        .output();
    match output {
        Ok(output) => Some(output.stdout),
        Err(error) => {
            eprintln!("SKIPPED: no tar: {error}");
            None
        }
    }
}
