//! A raw archive writer that can lie, and a sandbox that notices.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cap_std::{ambient_authority, fs::Dir};
use flate2::{Compression, write::GzEncoder};
use tarball::{Existing, Links, OnFailure, UnpackError, UnpackOptions, Unpacked, unpack};

pub(crate) type Block = [u8; 512];

/// Writes tar blocks with any content whatever.
#[derive(Clone, Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One entry; `change` has the last word on the header before it is summed.
    pub(crate) fn entry(
        mut self,
        name: &[u8],
        flag: u8,
        content: &[u8],
        change: impl FnOnce(&mut Block),
    ) -> Self {
        let mut block = [0; 512];
        put(&mut block, 0, name);
        put(
            &mut block,
            100,
            if flag == b'5' { b"0000755" } else { b"0000644" },
        );
        put(&mut block, 108, b"0001750");
        put(&mut block, 116, b"0001750");
        put(
            &mut block,
            124,
            format!("{:011o}", content.len()).as_bytes(),
        );
        put(&mut block, 136, b"14000000000");
        block[156] = flag;
        put(&mut block, 257, b"ustar\x0000");
        change(&mut block);
        sum(&mut block);
        self.0.extend_from_slice(&block);
        self.content(content)
    }

    pub(crate) fn content(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        self.entry(name.as_bytes(), b'0', content.as_bytes(), |_| {})
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        self.entry(name.as_bytes(), b'5', b"", |_| {})
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(name.as_bytes(), b'2', b"", |b| {
            put(b, 157, target.as_bytes())
        })
    }

    pub(crate) fn hard(self, name: &str, target: &str) -> Self {
        self.entry(name.as_bytes(), b'1', b"", |b| {
            put(b, 157, target.as_bytes())
        })
    }

    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            text.extend_from_slice(&record(key, value));
        }
        self.pax_raw(&text)
    }

    pub(crate) fn pax_raw(self, text: &[u8]) -> Self {
        self.entry(b"PaxHeaders.0/x", b'x', text, |_| {})
    }

    pub(crate) fn long_name(self, name: &[u8]) -> Self {
        self.entry(b"././@LongLink", b'L', &[name, b"\0"].concat(), |_| {})
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

pub(crate) fn put(block: &mut Block, at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

pub(crate) fn sum(block: &mut Block) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    put(block, 148, format!("{sum:06o}\0 ").as_bytes());
}

pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let len = (1..).find(|n| rest + n.to_string().len() == *n).unwrap();
    [format!("{len} {key}=").as_bytes(), value, b"\n"].concat()
}

pub(crate) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A root to unpack into, inside a directory that must stay as it is.
pub(crate) struct Sandbox {
    scratch: tempfile::TempDir,
    before: Vec<String>,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        // Thousands of small trees are made here: in memory, where there is such a place.
        let scratch = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let outside = scratch.path().join("outside");
        fs::create_dir_all(outside.join("dir")).unwrap();
        fs::create_dir(scratch.path().join("root")).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o700)).unwrap();
        let mut sandbox = Self {
            scratch,
            before: Vec::new(),
        };
        sandbox.before = sandbox.surroundings();
        sandbox
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.scratch.path().join("root")
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.scratch.path().join("outside")
    }

    pub(crate) fn dir(&self) -> Dir {
        Dir::open_ambient_dir(self.root(), ambient_authority()).unwrap()
    }

    pub(crate) fn unpack(
        &self,
        archive: &[u8],
        options: &UnpackOptions,
    ) -> Result<Unpacked, UnpackError> {
        let result = unpack(archive, &self.dir(), options);
        self.assert_untouched();
        result
    }

    /// Nothing outside the root was made, removed or changed, be it only a mode or a time.
    pub(crate) fn assert_untouched(&self) {
        assert_eq!(
            self.before,
            self.surroundings(),
            "something outside the root changed"
        );
    }

    /// The tree below the root: `name=content`, `name/`, `name->target`.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut lines = Vec::new();
        walk(&self.root(), "", &mut |name, path| {
            let metadata = path.symlink_metadata().unwrap();
            lines.push(if metadata.is_dir() {
                format!("{name}/")
            } else if metadata.is_symlink() {
                format!("{name}->{}", fs::read_link(path).unwrap().display())
            } else if metadata.is_file() && metadata.len() < 100 {
                format!(
                    "{name}={}",
                    String::from_utf8_lossy(&fs::read(path).unwrap())
                )
            } else {
                format!("{name} of {} bytes", metadata.len())
            });
        });
        lines
    }

    /// No link that an archive made resolves outside, no file has special bits, nothing is special.
    pub(crate) fn assert_clean(&self, planted: &[String]) {
        let root = self.root().canonicalize().unwrap();
        walk(&root, "", &mut |name, path| {
            let metadata = path.symlink_metadata().unwrap();
            let kind = metadata.file_type();
            assert!(
                kind.is_dir() || kind.is_file() || kind.is_symlink() || !planted.is_empty(),
                "{name} is special"
            );
            assert!(
                kind.is_symlink() || metadata.mode() & 0o7000 == 0,
                "{name} has mode {:o}",
                metadata.mode()
            );
            if kind.is_symlink()
                && !planted.iter().any(|p| p == name)
                && let Ok(end) = path.canonicalize()
            {
                assert!(end.starts_with(&root), "{name} leads to {}", end.display());
            }
        });
    }

    fn surroundings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for path in [self.scratch.path().to_owned(), self.outside()] {
            lines.push(format!(
                "{} {:o}",
                path.display(),
                path.symlink_metadata().unwrap().mode()
            ));
            for entry in fs::read_dir(&path).unwrap() {
                lines.push(entry.unwrap().path().display().to_string());
            }
        }
        walk(&self.outside(), "", &mut |name, path| {
            let m = path.symlink_metadata().unwrap();
            let content = if m.is_file() {
                fs::read(path).unwrap()
            } else {
                Vec::new()
            };
            lines.push(format!(
                "{name} {:o} {}.{} {content:?}",
                m.mode(),
                m.mtime(),
                m.mtime_nsec()
            ));
        });
        lines
    }
}

fn walk(dir: &Path, prefix: &str, see: &mut dyn FnMut(&str, &Path)) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap()).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        see(&name, &entry.path());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &format!("{name}/"), see);
        }
    }
}

/// What must become of an archive.
pub(crate) enum Expect<'a> {
    /// The whole tree afterwards, as [`Sandbox::tree`] shows it.
    Tree(&'a [&'a str]),
    /// An input fault with this message, or one that starts with it if it ends in `…`; and the tree.
    Fault(&'a str, &'a [&'a str]),
}
pub(crate) use Expect::{Fault, Tree as Leaves};

/// One archive of a table.
pub(crate) struct Case<'a> {
    title: &'a str,
    links: Links,
    plant: Option<fn(&Sandbox)>,
    archive: Vec<u8>,
    expect: Expect<'a>,
}

pub(crate) fn case<'a>(title: &'a str, archive: Vec<u8>, expect: Expect<'a>) -> Case<'a> {
    Case {
        title,
        links: Links::Refuse,
        plant: None,
        archive,
        expect,
    }
}

impl Case<'_> {
    pub(crate) fn links(mut self, links: Links) -> Self {
        self.links = links;
        self
    }

    /// Something to lie in the root before.
    pub(crate) fn plant(mut self, plant: fn(&Sandbox)) -> Self {
        self.plant = Some(plant);
        self
    }

    fn sandbox(&self) -> (Sandbox, Vec<String>) {
        let mut sandbox = Sandbox::new();
        if let Some(plant) = self.plant {
            plant(&sandbox);
        }
        sandbox.before = sandbox.surroundings();
        let planted = sandbox.tree();
        (sandbox, planted)
    }
}

/// An archive of the tables, for whoever wants to see them all.
pub(crate) struct Collected {
    pub(crate) title: String,
    pub(crate) archive: Vec<u8>,
    pub(crate) planted: bool,
}

thread_local! {
    static COLLECTED: RefCell<Option<Vec<Collected>>> = const { RefCell::new(None) };
}

/// The archives that these tables would run.
pub(crate) fn collect(tables: &[fn()]) -> Vec<Collected> {
    COLLECTED.set(Some(Vec::new()));
    tables.iter().for_each(|table| table());
    COLLECTED.take().unwrap()
}

/// Runs each case with its own policy for the outcome, with the others for their safety, and with each
/// once more for what is cleaned up.
pub(crate) fn run(cases: &[Case<'_>]) {
    let collecting = COLLECTED.with_borrow_mut(|collected| {
        let Some(collected) = collected else {
            return false;
        };
        collected.extend(cases.iter().map(|case| Collected {
            title: case.title.to_owned(),
            archive: case.archive.clone(),
            planted: case.plant.is_some(),
        }));
        true
    });
    if collecting {
        return;
    }
    for case in cases {
        println!("{}", case.title);
        for links in [Links::Refuse, Links::Ignore, Links::Inside] {
            let (sandbox, planted) = case.sandbox();
            let names: Vec<String> = planted
                .iter()
                .map(|line| {
                    line.split_once("->")
                        .map_or(line.as_str(), |(name, _)| name)
                        .to_owned()
                })
                .collect();
            let options = UnpackOptions {
                links,
                ..UnpackOptions::default()
            };
            let result = sandbox.unpack(&case.archive, &options);
            sandbox.assert_clean(&names);
            if links == case.links {
                check(case.title, &case.expect, result, &sandbox.tree());
            }

            // What fails and keeps what is there leaves the tree as it was.
            let (sandbox, planted) = case.sandbox();
            let options = UnpackOptions {
                existing: Existing::Refuse,
                on_failure: OnFailure::Remove,
                ..options
            };
            if let Err(error) = sandbox.unpack(&case.archive, &options) {
                assert_eq!(sandbox.tree(), planted, "{}: after cleaning up", case.title);
                assert_eq!(error.cleanup().unwrap().left, 0, "{}", case.title);
            }
        }
    }
}

fn check(title: &str, expect: &Expect<'_>, result: Result<Unpacked, UnpackError>, tree: &[String]) {
    match expect {
        Leaves(want) => {
            let report = result.unwrap_or_else(|error| panic!("{title}: {}", error.message()));
            assert_eq!(tree, *want, "{title}");
            let files = tree
                .iter()
                .filter(|l| !l.ends_with('/') && !l.contains("->"))
                .count() as u64;
            assert!(
                report.files + report.links >= files.min(1),
                "{title}: {report:?}"
            );
        }
        Fault(want, leaves) => {
            let error = result.expect_err(title);
            let message = error.message();
            match want.strip_suffix('…') {
                Some(start) => assert!(message.starts_with(start), "{title}: {message}"),
                None => assert_eq!(message, *want, "{title}"),
            }
            assert!(error.is_input_fault(), "{title}: {message}");
            assert_eq!(tree, *leaves, "{title}: what is left");
        }
    }
}
