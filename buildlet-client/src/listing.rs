//! Lines of a directory listing.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};

use crate::body::Body;
use crate::error::CommError;

/// The longest line we accept; the longest path a common system allows is 4,096 bytes.
const MAX_LINE: usize = 64 << 10;

/// What to list, and how.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Descend into directories.
    pub recursive: bool,
    /// Ask for the SHA-1 of every regular file.
    pub digest: bool,
    /// Directories, relative to the one listed, to leave out together with all below them.
    pub skip: Vec<String>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, not followed.
    Symlink,
    /// A pipe, socket, device or something else.
    Other,
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    path: Bytes,
    mode: String,
    kind: EntryKind,
    size: Option<u64>,
    modified: Option<SystemTime>,
    digest: Option<String>,
}

impl DirEntry {
    /// The path relative to the directory listed, with `/` between names and none at the end. Empty if
    /// the thing listed was itself a file. Bytes that are not UTF-8 are replaced.
    pub fn path(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.path)
    }

    /// The path as the worker sent it.
    pub fn path_bytes(&self) -> &[u8] {
        &self.path
    }

    /// What the entry is.
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    /// Whether the entry is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == EntryKind::Dir
    }

    /// The mode in Go's spelling: `-rw-r--r--`, `dtrwxrwxrwx`, `Lrwxrwxrwx`.
    pub fn mode_text(&self) -> &str {
        &self.mode
    }

    /// The nine permission bits.
    pub fn permissions(&self) -> u32 {
        let tail = self.mode.len().saturating_sub(9);
        self.mode.as_bytes()[tail..]
            .iter()
            .fold(0, |bits, &c| bits << 1 | u32::from(c != b'-'))
    }

    /// The size in bytes, of regular files.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The time of last modification in whole seconds, of regular files.
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified
    }

    /// The SHA-1 in lower-case hexadecimal, of regular files, if digests were asked for.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Reads a line without its end: `MODE TAB PATH[/] [TAB SIZE TAB TIME [TAB SHA1]]`.
    fn parse(line: &[u8]) -> Result<Self, &'static str> {
        let mut fields = line.split(|&byte| byte == b'\t');
        let mode = fields
            .next()
            .and_then(|mode| std::str::from_utf8(mode).ok())
            .unwrap_or_default();
        let kind = kind_of(mode).ok_or("entry with a bad mode")?;
        let path = fields.next().ok_or("entry without a path")?;
        let path = match kind {
            EntryKind::Dir => path.strip_suffix(b"/").unwrap_or(path),
            _ => path,
        };
        let text = |field: &[u8]| String::from_utf8_lossy(field).trim().to_owned();
        let size = match fields.next().map(text) {
            None => None,
            Some(size) => Some(size.parse().map_err(|_| "entry with a bad size")?),
        };
        let modified = match fields.next().map(text) {
            None => None,
            Some(time) => Some(parse_time(&time).ok_or("entry with a bad time")?),
        };
        let digest = match fields.next().map(text) {
            None => None,
            Some(hex) if is_sha1(&hex) => Some(hex),
            Some(_) => return Err("entry with a bad digest"),
        };
        Ok(Self {
            path: Bytes::copy_from_slice(path),
            mode: mode.to_owned(),
            kind,
            size,
            modified,
            digest,
        })
    }
}

/// A listing on its way: entries in the worker's order.
///
/// Dropping it closes the connection. A listing that the worker cuts short ends with an error.
#[derive(Debug)]
pub struct DirList {
    body: Body,
    buffer: BytesMut,
    state: State,
}

#[derive(Debug, PartialEq)]
enum State {
    Reading,
    Drained,
    Over,
}

impl DirList {
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            state: State::Reading,
        }
    }

    /// The next entry; `None` after the last one or after an error.
    ///
    /// Cancel safe: no entry is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<DirEntry, CommError>> {
        std::future::poll_fn(|cx| self.poll_entry(cx)).await
    }

    /// All entries that remain. The memory needed is up to the worker; use [`next`](Self::next) for trees whose
    /// size you do not know.
    ///
    /// # Errors
    /// The first error of the listing.
    pub async fn all(mut self) -> Result<Vec<DirEntry>, CommError> {
        let mut entries = Vec::new();
        while let Some(entry) = self.next().await {
            entries.push(entry?);
        }
        Ok(entries)
    }

    fn poll_entry(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<DirEntry, CommError>>> {
        loop {
            if self.state == State::Over {
                return Poll::Ready(None);
            }
            while let Some(line) = self.take_line() {
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                if line.is_empty() {
                    continue;
                }
                return Poll::Ready(Some(
                    DirEntry::parse(line).map_err(|detail| self.fail(detail)),
                ));
            }
            if self.state == State::Drained {
                self.state = State::Over;
                continue;
            }
            if self.buffer.len() > MAX_LINE {
                return Poll::Ready(Some(Err(self.fail("entry longer than 64 KiB"))));
            }
            match std::task::ready!(self.body.poll_data(cx)) {
                Some(Ok(data)) => self.buffer.extend_from_slice(&data),
                Some(Err(error)) => {
                    self.state = State::Over;
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.state = State::Drained,
            }
        }
    }

    /// A whole line, or what is left once the body has ended.
    fn take_line(&mut self) -> Option<BytesMut> {
        match self.buffer.iter().position(|&byte| byte == b'\n') {
            Some(end) => Some(self.buffer.split_to(end + 1)),
            None if self.state == State::Drained && !self.buffer.is_empty() => {
                Some(self.buffer.split())
            }
            None => None,
        }
    }

    fn fail(&mut self, detail: &str) -> CommError {
        self.state = State::Over;
        CommError::Protocol {
            op: "/ls",
            detail: detail.to_owned(),
        }
    }
}

impl futures_core::Stream for DirList {
    type Item = Result<DirEntry, CommError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_entry(cx)
    }
}

/// The kind told by the letters before the nine permission characters.
fn kind_of(mode: &str) -> Option<EntryKind> {
    let (letters, permissions) = mode
        .as_bytes()
        .split_at_checked(mode.len().checked_sub(9)?)?;
    let sound = permissions
        .iter()
        .zip(b"rwxrwxrwx")
        .all(|(&is, &may)| is == may || is == b'-');
    if !sound || letters.is_empty() || !letters.iter().all(|c| b"-dalTLDpSugct?".contains(c)) {
        return None;
    }
    Some(if letters.contains(&b'd') {
        EntryKind::Dir
    } else if letters.contains(&b'L') {
        EntryKind::Symlink
    } else if letters.iter().any(|c| b"DpSc?".contains(c)) {
        EntryKind::Other
    } else {
        EntryKind::File
    })
}

fn is_sha1(hex: &str) -> bool {
    hex.len() == 40 && hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// Reads `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339 in UTC and whole seconds, the one form workers send).
fn parse_time(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    let shape = b"0000-00-00T00:00:00Z";
    let fits = bytes.len() == shape.len()
        && bytes.iter().zip(shape).all(|(&is, &like)| {
            if like == b'0' {
                is.is_ascii_digit()
            } else {
                is == like
            }
        });
    if !fits {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    // Days since 1970 in the Gregorian calendar, years counted from March so that leap days come last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day
            - 719_469;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_lines_are_read() {
        let dir = DirEntry::parse(b"drwxr-xr-x\ta/").unwrap();
        assert_eq!(
            (dir.path().as_ref(), dir.kind(), dir.permissions()),
            ("a", EntryKind::Dir, 0o755)
        );
        assert_eq!(
            (dir.size(), dir.modified(), dir.digest()),
            (None, None, None)
        );

        let file = DirEntry::parse(
            b"-rw-r--r--\ta/b.txt\t6\t2026-11-22T08:49:39Z\tf572d396fae9206628714fb2ce00f72e94f2258f",
        )
        .unwrap();
        assert_eq!(
            (file.path().as_ref(), file.kind(), file.permissions()),
            ("a/b.txt", EntryKind::File, 0o644)
        );
        assert_eq!(file.size(), Some(6));
        assert_eq!(
            file.modified(),
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_337_379))
        );
        assert_eq!(
            file.digest(),
            Some("f572d396fae9206628714fb2ce00f72e94f2258f")
        );

        let itself = DirEntry::parse(b"-rw-r--r--\t\t6\t1969-12-31T23:59:59Z").unwrap();
        assert_eq!(itself.path(), "");
        assert_eq!(
            itself.modified(),
            Some(SystemTime::UNIX_EPOCH - Duration::from_secs(1))
        );
    }

    #[test]
    fn kinds_follow_go_mode_letters() {
        let kind = |mode: &str| kind_of(mode);
        assert_eq!(kind("Lrwxrwxrwx"), Some(EntryKind::Symlink));
        assert_eq!(kind("prw-------"), Some(EntryKind::Other));
        assert_eq!(kind("Dcrw-rw-rw-"), Some(EntryKind::Other));
        assert_eq!(kind("dtrwxrwxrwx"), Some(EntryKind::Dir));
        assert_eq!(kind("urwxr-xr-x"), Some(EntryKind::File));
        for bad in ["", "rwxrwxrwx", "-rw-r--r-x-", "Zrwxrwxrwx", "-rw-r--rwr"] {
            assert_eq!(kind(bad), None, "{bad}");
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        for bad in [
            &b"-rw-r--r--"[..],
            b"x\ty",
            b"-rw-r--r--\ta\tmany",
            b"-rw-r--r--\ta\t-1\t2026-11-22T08:49:39Z",
            b"-rw-r--r--\ta\t1\tyesterday",
            b"-rw-r--r--\ta\t1\t2026-13-22T08:49:39Z",
            b"-rw-r--r--\ta\t1\t2026-11-22T08:49:39Z\tdeadbeef",
            b"\xff\xfe\tq",
        ] {
            assert!(
                DirEntry::parse(bad).is_err(),
                "{:?}",
                String::from_utf8_lossy(bad)
            );
        }
        assert_eq!(
            DirEntry::parse(b"-rw-r--r--\t\xff").unwrap().path_bytes(),
            b"\xff"
        );
    }

    #[test]
    fn calendar() {
        let at = |text| {
            parse_time(text)
                .unwrap()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs()
        };
        assert_eq!(at("1970-01-01T00:00:00Z"), 0);
        assert_eq!(at("2000-02-29T12:00:00Z"), 951_825_600);
        assert_eq!(at("2100-03-01T00:00:00Z"), 4_107_542_400);
        assert!(parse_time("0001-01-01T00:00:00Z").is_some());
    }
}
