//! Paths from outside: the textual rule of the newest Go worker.
//!
//! The rule is the first of two walls. The second is that files are only reached through a directory handle that
//! does not let symbolic links lead out of the work directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path below the work directory, cleaned: no `.`, no `..`, no doubled or trailing slash; `.` is the work
/// directory itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelPath(PathBuf);

/// Why a path was refused. The texts are those of the Go worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path is empty.
    #[error("path not provided")]
    Empty,
    /// The path starts at the root.
    #[error("path {0} is not relative")]
    Absolute(String),
    /// The path leads above the work directory.
    #[error("path {0} refers to a parent directory")]
    Parent(String),
    /// The path has a NUL byte.
    #[error("path {0} has a NUL byte")]
    Nul(String),
}

impl RelPath {
    /// The work directory itself.
    pub fn root() -> Self {
        Self(PathBuf::from("."))
    }

    /// Checks and cleans a path.
    pub fn parse(path: &[u8]) -> Result<Self, PathError> {
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        if path.contains(&0) {
            return Err(PathError::Nul(quote(path)));
        }
        if path.starts_with(b"/") {
            return Err(PathError::Absolute(quote(path)));
        }
        let mut kept: Vec<&[u8]> = Vec::new();
        for part in path.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    if kept.pop().is_none() {
                        return Err(PathError::Parent(quote(path)));
                    }
                }
                name => kept.push(name),
            }
        }
        if kept.is_empty() {
            return Ok(Self::root());
        }
        Ok(Self(PathBuf::from(OsStr::from_bytes(&kept.join(&b'/')))))
    }

    /// As [`parse`](Self::parse), with empty meaning the work directory.
    pub fn parse_or_root(path: &[u8]) -> Result<Self, PathError> {
        if path.is_empty() {
            return Ok(Self::root());
        }
        Self::parse(path)
    }

    /// True for the work directory itself.
    pub fn is_root(&self) -> bool {
        self.0 == Path::new(".")
    }

    /// The path, relative to the work directory.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Directory and last name; the work directory has neither.
    pub fn split(&self) -> Option<(&Path, &OsStr)> {
        if self.is_root() {
            return None;
        }
        let name = self.0.file_name()?;
        let parent = self
            .0
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        Some((parent.unwrap_or_else(|| Path::new(".")), name))
    }
}

/// Quotes bytes from outside for a message, as Go's `%q` does for ordinary text.
pub(crate) fn quote(text: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clean(path: &str) -> Result<String, String> {
        RelPath::parse(path.as_bytes())
            .map(|path| path.as_path().display().to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn cleans_as_go_does() {
        for (path, want) in [
            ("a", "a"),
            ("./a//b/", "a/b"),
            ("a/../b", "b"),
            ("a/..", "."),
            (".", "."),
            ("..a/b..", "..a/b.."),
            (r"a\b", r"a\b"),
        ] {
            assert_eq!(clean(path).unwrap(), want);
        }
        for (path, want) in [
            ("", "path not provided"),
            ("/etc", "path \"/etc\" is not relative"),
            ("..", "path \"..\" refers to a parent directory"),
            (
                "a/../../b",
                "path \"a/../../b\" refers to a parent directory",
            ),
        ] {
            assert_eq!(clean(path).unwrap_err(), want);
        }
        assert!(RelPath::parse(b"a\0b").is_err());
    }

    proptest! {
        #[test]
        fn never_escapes(path in "(\\.|\\.\\.|a|/|//|b\\.\\.){0,12}") {
            if let Ok(path) = RelPath::parse(path.as_bytes()) {
                prop_assert!(path.as_path().is_relative());
                prop_assert!(!path.as_path().components().any(|part| part.as_os_str() == ".."));
            }
        }
    }
}
