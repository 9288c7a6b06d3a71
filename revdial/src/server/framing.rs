//! Where request bodies begin and end in the bytes of a connection.
//!
//! hyper does not say whether it waits for the rest of a body or only for a sign that the peer is
//! gone. This follows along, to tell a slow peer from a slow handler; nothing else depends on it.
//! What it does not understand it takes for bodiless, so that at worst a bound is not applied.

/// The longest part of a line that is looked at.
const LOOK: usize = 128;

#[derive(Debug)]
pub(super) struct Framing {
    at: At,
    /// The front of the current line.
    line: Vec<u8>,
    /// What the head's fields said of its body.
    length: u64,
    chunked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the request line, where blank lines are allowed.
    Start,
    Fields,
    /// So many bytes of a body are to come.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk are to come, its CRLF included.
    Chunk(u64),
    Trailers,
}

impl Framing {
    pub(super) fn new() -> Self {
        Self {
            at: At::Start,
            line: Vec::new(),
            length: 0,
            chunked: false,
        }
    }

    /// Whether the next byte that arrives belongs to a body.
    pub(super) fn in_body(&self) -> bool {
        !matches!(self.at, At::Start | At::Fields)
    }

    /// Whether the next byte that arrives is the first of a request.
    pub(super) fn is_between_requests(&self) -> bool {
        self.at == At::Start && self.line.is_empty()
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = match self.at {
                At::Body(left) => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.at = match left - n as u64 {
                        0 => At::Start,
                        left => At::Body(left),
                    };
                    n
                }
                At::Chunk(left) => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.at = match left - n as u64 {
                        0 => At::ChunkSize,
                        left => At::Chunk(left),
                    };
                    n
                }
                At::Start | At::Fields | At::ChunkSize | At::Trailers => self.feed_line(bytes),
            };
            bytes = &bytes[taken..];
        }
    }

    fn feed_line(&mut self, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|&b| b == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = LOOK - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        if end.is_none() {
            return bytes.len();
        }
        let line = std::mem::take(&mut self.line);
        self.at = self.after(line.trim_ascii());
        self.line = line;
        self.line.clear();
        part.len() + 1
    }

    fn after(&mut self, line: &[u8]) -> At {
        match self.at {
            At::Start if line.is_empty() => At::Start,
            At::Start => {
                (self.length, self.chunked) = (0, false);
                At::Fields
            }
            At::Fields if !line.is_empty() => {
                self.field(line);
                At::Fields
            }
            At::Fields if self.chunked => At::ChunkSize,
            At::Fields if self.length > 0 => At::Body(self.length),
            At::Fields => At::Start,
            At::ChunkSize => {
                let digits = line.split(|&b| b == b';').next().unwrap_or_default();
                let size = std::str::from_utf8(digits.trim_ascii())
                    .ok()
                    .and_then(|digits| u64::from_str_radix(digits, 16).ok());
                match size {
                    Some(0) | None => At::Trailers,
                    Some(size) => At::Chunk(size.saturating_add(2)),
                }
            }
            At::Trailers if line.is_empty() => At::Start,
            At::Trailers => At::Trailers,
            other => other,
        }
    }

    fn field(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&b| b == b':') else {
            return;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(value).ok();
            self.length = value.and_then(|text| text.parse().ok()).unwrap_or(0);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked |= value.to_ascii_lowercase().ends_with(b"chunked");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// For each byte of `text`, whether it belongs to a body; `in_body` before it is fed.
    fn bodies(text: &str) -> String {
        let mut framing = Framing::new();
        let mut body = String::new();
        for c in text.chars() {
            if framing.in_body() {
                body.push(c);
            }
            framing.feed(&[c as u8]);
        }
        body
    }

    #[test]
    fn bodies_are_found_in_all_their_forms_and_behind_each_other() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let put = "PUT / HTTP/1.1\r\nhost: a\r\nContent-LENGTH:  4\r\n\r\nbody";
        let post = "POST / HTTP/1.1\nTransfer-Encoding: gzip, Chunked\n\n\
                    3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n";
        let chunks = "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n";
        assert_eq!(bodies(get), "");
        assert_eq!(bodies(put), "body");
        assert_eq!(bodies(post), chunks);
        assert_eq!(
            bodies(&format!("\r\n{put}{get}{post}{get}{put}")),
            format!("body{chunks}body")
        );
        let long = format!(
            "PUT / HTTP/1.1\r\nX: {}\r\nContent-Length: 2\r\n\r\nok",
            "y".repeat(999)
        );
        assert_eq!(bodies(&long), "ok");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_and_cuts_mean_nothing(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'0')], 0..300),
            cut in 0_usize..300,
        ) {
            let (mut whole, mut parts) = (Framing::new(), Framing::new());
            whole.feed(&bytes);
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            parts.feed(a);
            parts.feed(b);
            prop_assert_eq!(whole.at, parts.at);
            prop_assert_eq!(whole.line, parts.line);
        }
    }
}
