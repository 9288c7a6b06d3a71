//! Response heads. No I/O.

use std::fmt;

/// The status line and header fields of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// Major and minor protocol version; Go says `(0, 0)` where it means 1.1.
    pub version: (u8, u8),
    /// The status code, 100 to 999.
    pub status: u16,
    /// The text after it, possibly empty.
    pub reason: String,
    /// The fields in the order they came, names as they came.
    pub headers: Vec<(String, String)>,
}

/// A response head that no HTTP server would write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The first line is not `HTTP/d.d ddd reason`.
    #[error("malformed HTTP status line {0:?}")]
    StatusLine(String),
    /// A line is not `name: value`.
    #[error("malformed HTTP header line {0:?}")]
    HeaderLine(String),
}

impl ResponseHead {
    /// The head at the front of `bytes` and its length; `None` while its end is not there yet.
    /// Lines may end in LF alone.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut lines = Lines { bytes, at: 0 };
        let Some(first) = lines.next() else {
            // Refuse what can never become a head before reading 16 KiB of it.
            let front = bytes.len().min(5);
            return if bytes[..front] == b"HTTP/"[..front] {
                Ok(None)
            } else {
                Err(HeadError::StatusLine(show(bytes)))
            };
        };
        let mut head =
            Self::status_line(first).ok_or_else(|| HeadError::StatusLine(show(first)))?;
        loop {
            let Some(line) = lines.next() else {
                return Ok(None);
            };
            if line.is_empty() {
                return Ok(Some((head, lines.at)));
            }
            head.add_line(line)
                .ok_or_else(|| HeadError::HeaderLine(show(line)))?;
        }
    }

    fn status_line(line: &[u8]) -> Option<Self> {
        let [
            major @ b'0'..=b'9',
            b'.',
            minor @ b'0'..=b'9',
            b' ',
            rest @ ..,
        ] = line.strip_prefix(b"HTTP/")?
        else {
            return None;
        };
        let rest = rest.trim_ascii_start();
        let (code, reason) = rest.split_at_checked(3)?;
        if !code.iter().all(u8::is_ascii_digit)
            || code[0] == b'0'
            || !matches!(reason.first(), None | Some(b' '))
        {
            return None;
        }
        let status = code
            .iter()
            .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        Some(Self {
            version: (major - b'0', minor - b'0'),
            status,
            reason: text(reason),
            headers: Vec::new(),
        })
    }

    fn add_line(&mut self, line: &[u8]) -> Option<()> {
        if line[0] == b' ' || line[0] == b'\t' {
            // The folding of old: belongs to the line before.
            let (_, value) = self.headers.last_mut()?;
            value.push(' ');
            value.push_str(&text(line));
            return Some(());
        }
        let colon = line.iter().position(|&b| b == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        self.headers.push((text(name), text(value)));
        Some(())
    }

    /// The first value of the field `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Status code and reason, as in `400 Bad Request`.
    pub fn status_text(&self) -> impl fmt::Display {
        Status {
            status: self.status,
            reason: &self.reason,
        }
    }
}

/// A status as Go prints it.
pub(super) struct Status<'a> {
    pub(super) status: u16,
    pub(super) reason: &'a str,
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.status)?;
        if !self.reason.is_empty() {
            write!(f, " {}", self.reason)?;
        }
        Ok(())
    }
}

struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// The next whole line without its end.
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&b| b == b'\n')?;
        self.at += end + 1;
        let line = &rest[..end];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.trim_ascii()).into_owned()
}

/// The front of a line, for an error text.
fn show(bytes: &[u8]) -> String {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned()
}
