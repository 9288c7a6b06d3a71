//! What git would leave out: `.gitignore` files and `.git/info/exclude`, as gitignore(5) describes them.

use std::ffi::OsStr;
use std::io::{self, Read};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, OpenOptions};

use crate::glob::Glob;

/// The name of the files rules are read from.
pub(crate) const GITIGNORE: &str = ".gitignore";
/// Git's own folder, or the file that stands for it, which is never part of the tree.
pub(crate) const DOT_GIT: &str = ".git";

/// The rules in force in a directory: those of the repository, of the directories on the way, and its own.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    files: Vec<File>,
}

/// The rules of one file, weakest first.
#[derive(Debug)]
struct File {
    /// How long the path of its directory is, with its slash.
    base: usize,
    rules: Vec<Rule>,
}

#[derive(Debug, PartialEq, Eq)]
struct Rule {
    /// `!`: what matches is kept.
    keep: bool,
    /// Ends in a slash: for directories alone.
    dir_only: bool,
    /// Has a slash: for the path from its directory; else for a name anywhere beneath.
    whole_path: bool,
    /// What the name has to start with.
    literal: Vec<u8>,
    /// What the rest has to match; `None` if there has to be none.
    glob: Option<Glob>,
}

impl Rules {
    /// Adds those of the repository whose root `dir` is, weaker than any other.
    pub(crate) fn read_exclude(&mut self, dir: &Dir) -> io::Result<()> {
        // A `.git` that is a file, or a link, points somewhere else; that is not gone after.
        let info = match cap_fs_ext::DirExt::open_dir_nofollow(dir, DOT_GIT) {
            Ok(git) => cap_fs_ext::DirExt::open_dir_nofollow(&git, "info"),
            Err(error) => Err(error),
        };
        match info {
            Ok(info) => self.read(&info, OsStr::new("exclude"), 0),
            Err(_) => Ok(()),
        }
    }

    /// Adds those of a file in `dir`, whose path, with a slash, has `base` bytes, if there is such a file.
    pub(crate) fn read(&mut self, dir: &Dir, name: &OsStr, base: usize) -> io::Result<()> {
        let mut options = OpenOptions::new();
        // Not followed, as in git: a link could name any file for what is ignored to tell.
        options.read(true).follow(FollowSymlinks::No).nonblock(true);
        let file = match dir.open_with(name, &options) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // To go on without rules would pack what was to be left out.
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Ok(());
        }
        let mut text = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_FILE {
            let text = "more than 1 MiB of rules";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let rules = parse(&text);
        self.files.push(File { base, rules });
        Ok(())
    }

    /// How many files there are, to [`truncate`](Self::truncate) to later.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.files.truncate(len);
    }

    /// Whether `path`, relative to the root and without a slash at its end, is to be left out. Its
    /// directories are taken to be not.
    pub(crate) fn ignores(&self, path: &[u8], is_dir: bool) -> bool {
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        for file in self.files.iter().rev() {
            let below = path.get(file.base..).unwrap_or_default();
            for rule in file.rules.iter().rev() {
                if rule.matches(name, below, is_dir) {
                    return !rule.keep;
                }
            }
        }
        false
    }
}

fn parse(text: &[u8]) -> Vec<Rule> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.split(|&b| b == b'\n')
        .filter_map(Rule::parse)
        .collect()
}

impl Rule {
    fn parse(line: &[u8]) -> Option<Self> {
        if line.starts_with(b"#") {
            return None;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // For git, a NUL ends a line, too.
        let line = line.split(|&b| b == 0).next().unwrap_or_default();
        let line = trim(line);
        let (keep, line) = match line.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (dir_only, line) = match line.strip_suffix(b"/") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        if line.is_empty() {
            return None;
        }
        let whole_path = line.contains(&b'/');
        let line = match whole_path {
            true => line.strip_prefix(b"/").unwrap_or(line),
            false => line,
        };
        let literal = line
            .iter()
            .position(|b| b"*?[\\".contains(b))
            .unwrap_or(line.len());
        let (literal, rest) = line.split_at(literal);
        let glob = match rest {
            [] => None,
            rest => Some(Glob::parse(rest)?),
        };
        Some(Self {
            keep,
            dir_only,
            whole_path,
            literal: literal.to_vec(),
            glob,
        })
    }

    fn matches(&self, name: &[u8], below: &[u8], is_dir: bool) -> bool {
        if self.dir_only && !is_dir {
            return false;
        }
        let text = if self.whole_path { below } else { name };
        match (text.strip_prefix(&self.literal[..]), &self.glob) {
            (None, _) => false,
            (Some(rest), None) => rest.is_empty(),
            (Some(rest), Some(glob)) => glob.matches(rest),
        }
    }
}

/// Without the blanks at the end that no backslash keeps.
fn trim(line: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b' ' => at += 1,
            b'\\' => {
                at = (at + 2).min(line.len());
                end = at;
            }
            _ => {
                at += 1;
                end = at;
            }
        }
    }
    &line[..end]
}

/// What nobody writes by hand.
const MAX_FILE: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn ignores(rules: &str, path: &str) -> bool {
        let (path, is_dir) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let rules = parse(rules.as_bytes());
        let files = vec![File { base: 0, rules }];
        Rules { files }.ignores(path.as_bytes(), is_dir)
    }

    #[test]
    fn the_last_match_decides() {
        for (rules, path, want) in [
            ("*.o", "a.o", true),
            ("*.o", "d/a.o", true),
            ("*.o\n!keep.o", "keep.o", false),
            ("!keep.o\n*.o", "keep.o", true),
            ("/a", "a", true),
            ("/a", "d/a", false),
            ("d/a", "d/a", true),
            ("d/a", "x/d/a", false),
            ("a/", "a", false),
            ("a/", "a/", true),
            ("a/", "d/a/", true),
            ("#a", "#a", false),
            ("\\#a", "#a", true),
            ("\\!a", "!a", true),
            ("a  ", "a", true),
            ("a\\ ", "a ", true),
            ("a\r\nb\r", "b", true),
            ("\u{feff}a", "a", true),
            ("", "a", false),
            ("/", "a/", false),
            ("**/x", "a/b/x", true),
            ("a/**", "a/b", true),
            ("a/**", "a/", false),
        ] {
            assert_eq!(ignores(rules, path), want, "{rules:?} {path}");
        }
    }
}
