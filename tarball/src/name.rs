//! Names from outside, checked component by component.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// Checks a path that came from outside (an archive, a request) and splits it into components.
///
/// The result is relative, has no `..`, and is clean: `./a//b/` and `a/b` give the same value.
/// `.` gives the root itself, an empty path for which [`RelPath::is_root`] holds. A trailing slash
/// is dropped; whoever cares (a directory entry ends in one) looks at the raw name.
///
/// Windows builds apply the rules of [`validate_portable_name`].
///
/// # Errors
///
/// A [`NameError`] saying which rule the name breaks.
///
/// ```
/// use tarball::{NameError, validate_name};
///
/// assert_eq!(validate_name(b"./src//main.rs")?.to_string(), "src/main.rs");
/// assert_eq!(validate_name(b"src/.."), Err(NameError::Parent));
/// assert!(validate_name(b"a../b").is_ok(), "only a whole `..` component is refused");
/// # Ok::<(), NameError>(())
/// ```
pub fn validate_name(name: &[u8]) -> Result<RelPath, NameError> {
    if cfg!(windows) {
        return validate_portable_name(name);
    }
    validate(name, false)
}

/// As [`validate_name`], and also refuses on every system what Windows cannot store or gives a
/// meaning of its own: drive letters and streams (`:`), device names (`CON`, `nul.txt`), a trailing
/// dot or space, control characters, any of `<>"|?*`, and names that are not UTF-8.
///
/// # Errors
///
/// A [`NameError`] saying which rule the name breaks.
pub fn validate_portable_name(name: &[u8]) -> Result<RelPath, NameError> {
    validate(name, true)
}

/// A relative path without `..`, made by [`validate_name`].
///
/// It may still lead outside through a symlink: open it beneath a directory handle, never by
/// joining it to another path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelPath {
    parts: Vec<OsString>,
}

impl RelPath {
    /// The components in order, none of them empty, `.` or `..`.
    pub fn components(&self) -> impl ExactSizeIterator<Item = &OsStr> {
        self.parts.iter().map(OsString::as_os_str)
    }

    /// How many components there are; 0 for the root itself.
    pub fn depth(&self) -> usize {
        self.parts.len()
    }

    /// Whether the name stands for the root itself (`.`, `./`).
    pub fn is_root(&self) -> bool {
        self.parts.is_empty()
    }

    /// The path in the system's own form; empty for the root.
    pub fn to_path_buf(&self) -> PathBuf {
        self.parts.iter().collect()
    }

    /// Splits off the last component; `None` for the root.
    pub(crate) fn split_last(&self) -> Option<(&OsStr, &[OsString])> {
        let (last, parents) = self.parts.split_last()?;
        Some((last, parents))
    }

    pub(crate) fn parts(&self) -> &[OsString] {
        &self.parts
    }
}

/// Slash-separated on every system; bytes that are not UTF-8 are shown as U+FFFD. The root is `.`.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            fmt::Display::fmt(&Path::new(part).display(), f)?;
        }
        Ok(())
    }
}

/// Which rule a name from outside breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no name at all.
    #[error("name is empty")]
    Empty,
    /// It starts with a slash.
    #[error("name is absolute")]
    Absolute,
    /// One component is `..`, wherever it would lead.
    #[error("name has a parent component")]
    Parent,
    /// It has a backslash, which is a separator elsewhere. Refused on every system, as the Go
    /// original does.
    #[error("name has a backslash")]
    Backslash,
    /// It has a NUL byte, which no system call would see behind.
    #[error("name has a nul byte")]
    Nul,
    /// A regular file is named like a directory (`a/`, `.`).
    #[error("name of a file is that of a directory")]
    Directory,
    /// It has a character Windows cannot store, or a colon.
    #[error("name has a character that is not portable")]
    Character,
    /// It is a Windows device name, whatever its extension.
    #[error("name is that of a device")]
    Device,
    /// A component ends in a dot or a space, which Windows drops.
    #[error("name ends in a dot or a space")]
    Trailing,
    /// It is not UTF-8 where the system or the rules need that.
    #[error("name is not utf-8")]
    NotUtf8,
}

fn validate(name: &[u8], portable: bool) -> Result<RelPath, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name[0] == b'/' {
        return Err(NameError::Absolute);
    }
    let mut parts = Vec::new();
    for part in name.split(|&b| b == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(NameError::Parent),
            _ => {}
        }
        if part.contains(&b'\\') {
            return Err(NameError::Backslash);
        }
        if part.contains(&0) {
            return Err(NameError::Nul);
        }
        if portable {
            check_portable(part)?;
        }
        parts.push(os_string(part).ok_or(NameError::NotUtf8)?);
    }
    Ok(RelPath { parts })
}

fn check_portable(part: &[u8]) -> Result<(), NameError> {
    let text = std::str::from_utf8(part).map_err(|_| NameError::NotUtf8)?;
    if text.contains(|c: char| c.is_control() || "<>:\"|?*".contains(c)) {
        return Err(NameError::Character);
    }
    if text.ends_with(['.', ' ']) {
        return Err(NameError::Trailing);
    }
    // Windows looks only at what precedes the first dot, blanks dropped: `nul .tar.gz` is NUL.
    let stem = text.split('.').next().unwrap_or(text).trim_end();
    let stem = stem.to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|n| {
            matches!(
                n,
                "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"
            )
        })
    };
    if matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT")
    {
        return Err(NameError::Device);
    }
    Ok(())
}

#[cfg(unix)]
pub(crate) fn os_string(bytes: &[u8]) -> Option<OsString> {
    use std::os::unix::ffi::OsStrExt;
    Some(OsStr::from_bytes(bytes).to_os_string())
}

#[cfg(not(unix))]
pub(crate) fn os_string(bytes: &[u8]) -> Option<OsString> {
    std::str::from_utf8(bytes).ok().map(OsString::from)
}

/// The bytes of a name for an archive; `None` where the system's own form has none.
#[cfg(unix)]
pub(crate) fn os_bytes(name: &OsStr) -> Option<Cow<'_, [u8]>> {
    use std::os::unix::ffi::OsStrExt;
    Some(Cow::Borrowed(name.as_bytes()))
}

#[cfg(not(unix))]
pub(crate) fn os_bytes(name: &OsStr) -> Option<Cow<'_, [u8]>> {
    Some(Cow::Owned(name.to_str()?.replace('\\', "/").into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_cleans() {
        for (name, want) in [
            ("a", "a"),
            ("./a", "a"),
            ("a//b", "a/b"),
            ("a/./b", "a/b"),
            ("a/b/", "a/b"),
            ("..a/b", "..a/b"),
            ("...", "..."),
            ("a../b", "a../b"),
            (".", "."),
            ("././/", "."),
        ] {
            assert_eq!(
                validate_name(name.as_bytes()).unwrap().to_string(),
                want,
                "{name:?}"
            );
        }
        assert!(validate_name(b"./").unwrap().is_root());
        assert_eq!(validate_name(b"a/b").unwrap().depth(), 2);
    }

    #[test]
    fn refuses() {
        for (name, want) in [
            ("", NameError::Empty),
            ("/", NameError::Absolute),
            ("//host/share", NameError::Absolute),
            ("..", NameError::Parent),
            ("../x", NameError::Parent),
            ("a/..", NameError::Parent),
            ("a/../b", NameError::Parent),
            ("a/../../x", NameError::Parent),
            ("./..", NameError::Parent),
            ("a\\..\\b", NameError::Backslash),
            ("C:\\x", NameError::Backslash),
            ("a\0b", NameError::Nul),
        ] {
            assert_eq!(validate_name(name.as_bytes()), Err(want), "{name:?}");
        }
    }

    #[test]
    fn portable_rules() {
        for (name, want) in [
            ("C:x", NameError::Character),
            ("a:stream", NameError::Character),
            ("what?", NameError::Character),
            ("a/b\n", NameError::Character),
            ("CON", NameError::Device),
            ("d/nul.tar.gz", NameError::Device),
            ("Com1", NameError::Device),
            ("lpt9.x", NameError::Device),
            ("aux .txt", NameError::Device),
            ("a.", NameError::Trailing),
            ("a /b", NameError::Trailing),
            ("...", NameError::Trailing),
        ] {
            assert_eq!(
                validate_portable_name(name.as_bytes()),
                Err(want),
                "{name:?}"
            );
        }
        assert_eq!(validate_portable_name(b"\xff"), Err(NameError::NotUtf8));
        for name in ["console", "com", "com10", "x/.gitignore", "nulls.c"] {
            assert!(validate_portable_name(name.as_bytes()).is_ok(), "{name:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn any_bytes_are_a_name_on_unix() {
        let path = validate_name(b"a/\xff\xfe").unwrap();
        assert_eq!(
            os_bytes(path.components().last().unwrap())
                .unwrap()
                .as_ref(),
            b"\xff\xfe"
        );
        assert!(validate_name(b"C:x").is_ok());
    }
}
