//! What a mirror says about one commit.

use std::path::Path;

use jiff::Timestamp;

use super::SourceError;
use super::command::git;

/// Most characters of an author's name and of a subject that are kept.
const MAX_AUTHOR: usize = 200;
const MAX_SUBJECT: usize = 500;

/// A commit in a mirror.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) mirror: &'a Path,
    pub(super) commit: &'a str,
}

/// What people see of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) author: String,
    pub(super) subject: String,
    /// `None` if the commit names a time that no calendar has.
    pub(super) committed_at: Option<Timestamp>,
}

/// A name at the root of a tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Size of a file; `None` for a folder, a symbolic link, or a submodule.
    pub(super) file: Option<u64>,
}

impl Tree<'_> {
    pub(super) async fn about(&self) -> Result<About, SourceError> {
        // The numbers first: nothing that people can write comes before them.
        let format = "--format=%ct%x1f%an%x1f%s";
        let args = [
            "rev-list",
            "--no-walk",
            "--max-count=1",
            format,
            self.commit,
        ];
        Ok(about(&git(self.mirror, args).await?))
    }

    pub(super) async fn root(&self) -> Result<Vec<Entry>, SourceError> {
        let listing = git(self.mirror, ["ls-tree", "--long", "-z", self.commit]).await?;
        Ok(records(&listing).filter_map(entry).collect())
    }

    /// Content of a file at the root.
    pub(super) async fn file(&self, name: &str) -> Result<Vec<u8>, SourceError> {
        let object = format!("{}:{name}", self.commit);
        git(self.mirror, ["cat-file", "blob", &object]).await
    }

    /// Files that the commit changed, compared with its first parent.
    pub(super) async fn changed_paths(&self) -> Result<Vec<String>, SourceError> {
        let listing = git(
            self.mirror,
            [
                "diff-tree",
                "--root",
                "-r",
                "-z",
                "-m",
                "--first-parent",
                "--no-commit-id",
                "--name-only",
                self.commit,
            ],
        );
        let listing = listing.await?;
        let names = records(&listing).map(|n| String::from_utf8_lossy(n).into_owned());
        Ok(names.collect())
    }
}

fn records(listing: &[u8]) -> impl Iterator<Item = &[u8]> {
    listing.split(|&b| b == 0).filter(|r| !r.is_empty())
}

/// Reads `commit HASH`, then time, author and subject. Whatever it says, there is an answer.
fn about(text: &[u8]) -> About {
    let text = String::from_utf8_lossy(text);
    let line = text.split_once('\n').map_or("", |(_, rest)| rest);
    let mut fields = line.splitn(3, '\u{1f}');
    let seconds = fields.next().and_then(|s| s.parse().ok());
    About {
        committed_at: seconds.and_then(|s| Timestamp::from_second(s).ok()),
        author: tidy(fields.next(), MAX_AUTHOR),
        subject: tidy(fields.next(), MAX_SUBJECT),
    }
}

/// Text of strangers on one line of bounded length.
fn tidy(text: Option<&str>, most: usize) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text
        .unwrap_or_default()
        .trim()
        .chars()
        .map(shown)
        .take(most)
        .collect();
    text.trim_end().to_owned()
}

/// Reads `MODE TYPE OBJECT SIZE<tab>NAME`.
fn entry(record: &[u8]) -> Option<Entry> {
    let record = String::from_utf8_lossy(record);
    let (meta, name) = record.split_once('\t')?;
    let mut meta = meta.split_ascii_whitespace();
    let (mode, size) = (meta.next()?, meta.next_back()?);
    let file = mode
        .starts_with("100")
        .then(|| size.parse().unwrap_or(u64::MAX));
    Some(Entry {
        name: name.to_owned(),
        file,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_of_ill_will_are_read_as_far_as_they_go() {
        let plain = about(b"commit aa\n100\x1fMia\x1fa subject\n");
        assert_eq!((&*plain.author, &*plain.subject), ("Mia", "a subject"));
        assert_eq!(plain.committed_at, Timestamp::from_second(100).ok());

        let odd = about(b"commit aa\n99999999999999\x1fM\x1b[31m\xff\x1fs\x1ft\ru\n");
        assert_eq!((&*odd.author, &*odd.subject), ("M [31m\u{fffd}", "s t u"));
        assert_eq!(odd.committed_at, None);
        let long = format!("commit aa\n1\x1fa\x1f{}\n", "é".repeat(9_999));
        assert_eq!(about(long.as_bytes()).subject.chars().count(), MAX_SUBJECT);
        assert_eq!(about(b"").subject, "");
    }

    #[test]
    fn only_files_are_files() {
        let read = |record: &[u8]| entry(record).map(|e| (e.name, e.file));
        let found = |name: &str, file| Some((name.to_owned(), file));
        assert_eq!(read(b"100644 blob ab      12\ta b"), found("a b", Some(12)));
        assert_eq!(read(b"100755 blob ab       0\tx"), found("x", Some(0)));
        assert_eq!(read(b"120000 blob ab       4\tl"), found("l", None));
        assert_eq!(read(b"040000 tree ab       -\td"), found("d", None));
        assert_eq!(read(b"160000 commit ab       -\ts"), found("s", None));
        assert_eq!(read(b"nonsense"), None);
    }
}
