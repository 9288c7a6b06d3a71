//! Other readers of tar, asked what an archive holds: two that only read, and two that unpack, each time into a
//! directory of its own, as children that may not use much time, memory or disk.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use crate::support::Sandbox;

/// What an archive leaves, by name.
pub(crate) type Tree = BTreeMap<Vec<u8>, Node>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Dir,
    /// A file; a hard link is its file.
    File(Vec<u8>),
    Link(Vec<u8>),
    /// Something that is none of these.
    Other,
    /// Something with a name that is not beneath the root.
    Outside,
}

/// The tree in a directory.
pub(crate) fn on_disk(root: &Path) -> Tree {
    use std::os::unix::ffi::OsStrExt;
    let mut tree = Tree::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            let node = if kind.is_dir() {
                todo.push(path.clone());
                Node::Dir
            } else if kind.is_symlink() {
                Node::Link(
                    fs::read_link(&path)
                        .unwrap()
                        .as_os_str()
                        .as_bytes()
                        .to_vec(),
                )
            } else if kind.is_file() {
                Node::File(fs::read(&path).unwrap())
            } else {
                Node::Other
            };
            let name = path.strip_prefix(root).unwrap();
            tree.insert(name.as_os_str().as_bytes().to_vec(), node);
        }
    }
    tree
}

/// What a program made of an archive.
pub(crate) enum Made {
    Tree(Tree),
    /// It was not content with it.
    Failed,
    /// It said that something leads outside, and did with that as it likes.
    Outside(String),
}

/// Programs that unpack, of those that are here; loud about the others.
pub(crate) fn programs() -> Vec<&'static str> {
    let is_here = |program: &&str| {
        let here = Command::new(program).arg("--version").output().is_ok();
        if !here {
            eprintln!("SKIPPED: no {program} to compare with");
        }
        here
    };
    ["tar", "bsdtar"].into_iter().filter(is_here).collect()
}

/// Has the program unpack it.
pub(crate) fn unpacked(program: &str, archive: &[u8]) -> Made {
    let sandbox = Sandbox::new();
    let file = sandbox.root().with_extension("tar");
    fs::write(&file, archive).unwrap();
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -t 10; ulimit -v 1000000; ulimit -f 20000; exec \"$0\" \"$@\"",
            program,
        ])
        .args(["--no-same-owner", "--no-same-permissions", "-xf", "-"])
        .env("LC_ALL", "C")
        .stdin(fs::File::open(&file).unwrap())
        .current_dir(sandbox.root())
        .output()
        .unwrap();
    fs::remove_file(&file).unwrap();
    sandbox.assert_untouched();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    const OUTSIDE: [&str; 6] = [
        "contains '..'",
        "contains `..'",
        "Removing leading",
        "is absolute",
        "through symlink",
        "leading '/'",
    ];
    if OUTSIDE.iter().any(|words| text.contains(words)) {
        Made::Outside(text)
    } else if output.status.success() {
        Made::Tree(on_disk(&sandbox.root()))
    } else {
        Made::Failed
    }
}

/// Puts an entry where it would be unpacked.
fn put(tree: &mut Tree, name: &[u8], node: Node) {
    let parts: Vec<&[u8]> = name
        .split(|&b| b == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .collect();
    if name.first() == Some(&b'/') || parts.contains(&&b".."[..]) {
        tree.insert(name.to_vec(), Node::Outside);
        return;
    }
    if parts.is_empty() {
        return;
    }
    // Links on the way are followed as far as the tables need it.
    let mut at = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let outer = at.clone();
        if i > 0 {
            at.push(b'/');
        }
        at.extend_from_slice(part);
        if i + 1 == parts.len() {
            break;
        }
        for _ in 0..8 {
            let Some(Node::Link(target)) = tree.get(&at) else {
                break;
            };
            at = match outer.is_empty() {
                true => target.clone(),
                false => [&outer[..], b"/", target].concat(),
            };
        }
        tree.entry(at.clone()).or_insert(Node::Dir);
    }
    if node == Node::Dir && tree.contains_key(&at) {
        return;
    }
    tree.insert(at, node);
}

fn linked(tree: &Tree, target: &[u8]) -> Node {
    let mut clean = Tree::new();
    put(&mut clean, target, Node::Other);
    let target = clean.into_iter().find(|(_, node)| *node == Node::Other);
    target
        .and_then(|(name, _)| tree.get(&name).cloned())
        .unwrap_or(Node::Other)
}

/// As the crate `tar` reads it; `None` if it does not.
pub(crate) fn tar_crate(archive: &[u8]) -> Option<Tree> {
    let mut tree = Tree::new();
    for entry in tar::Archive::new(archive).entries().ok()? {
        let mut entry = entry.ok()?;
        let name = entry.path_bytes().to_vec();
        let target = entry
            .link_name_bytes()
            .map(|t| t.to_vec())
            .unwrap_or_default();
        let kind = entry.header().entry_type();
        let node = if kind.is_dir() {
            Node::Dir
        } else if kind.is_symlink() {
            Node::Link(target)
        } else if kind.is_hard_link() {
            linked(&tree, &target)
        } else if kind.is_file() || kind.is_contiguous() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).ok()?;
            Node::File(content)
        } else if kind.is_pax_global_extensions() {
            continue;
        } else {
            Node::Other
        };
        put(&mut tree, &name, node);
    }
    Some(tree)
}

/// As Python's `tarfile` reads them; `None`, loudly, if there is no Python.
pub(crate) fn python<'a>(archives: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Option<Tree>>> {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    for archive in archives {
        fs::write(dir.path().join(format!("{count}.tar")), archive).unwrap();
        count += 1;
    }
    let output = Command::new("python3")
        .args(["-c", PYTHON, &count.to_string()])
        .current_dir(dir.path())
        .output();
    let output = match output {
        Ok(output) if output.status.success() => output.stdout,
        other => {
            eprintln!("SKIPPED: no python3 to compare with: {other:?}");
            return None;
        }
    };
    let text = String::from_utf8(output).unwrap();
    let trees: Vec<_> = text.lines().map(tree_of).collect();
    assert_eq!(trees.len(), count, "{text}");
    Some(trees)
}

/// One line: `error`, or blank-separated `name:type:content`, in hexadecimal.
fn tree_of(line: &str) -> Option<Tree> {
    let mut tree = Tree::new();
    if line.starts_with("error") {
        return None;
    }
    for entry in line.split_whitespace() {
        let fields: Vec<&str> = entry.split(':').collect();
        let (name, kind, content) = (hex(fields[0]), fields[1], hex(fields[2]));
        let node = match kind {
            "d" => Node::Dir,
            "f" => Node::File(content),
            "l" => Node::Link(content),
            "h" => linked(&tree, &content),
            _ => Node::Other,
        };
        put(&mut tree, &name, node);
    }
    Some(tree)
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

const PYTHON: &str = r#"
import sys, tarfile
raw = lambda s: s.encode("utf-8", "surrogateescape").hex()
for i in range(int(sys.argv[1])):
    try:
        out = []
        with tarfile.open(f"{i}.tar", "r:", errorlevel=2) as tar:
            for m in tar:
                if m.isdir(): out.append(f"{raw(m.name)}:d:")
                elif m.issym(): out.append(f"{raw(m.name)}:l:{raw(m.linkname)}")
                elif m.islnk(): out.append(f"{raw(m.name)}:h:{raw(m.linkname)}")
                elif m.issparse(): out.append(f"{raw(m.name)}:o:")
                elif m.isreg():
                    if m.size > 1 << 20: raise ValueError("large")
                    content = tar.extractfile(m).read()
                    if len(content) != m.size: raise ValueError("short")
                    out.append(f"{raw(m.name)}:f:{content.hex()}")
                else: out.append(f"{raw(m.name)}:o:")
        print(" ".join(out))
    except Exception as e:
        print("error", type(e).__name__)
"#;
