//! Answers: status, header lines, a small body.

use std::time::SystemTime;

/// Content type of texts, as Go's servers write it.
const TEXT: &str = "text/plain; charset=utf-8";

/// An answer, or the head of one whose body follows piece by piece.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// How the end of an answer is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By `Content-Length`.
    Sized,
    /// By the last chunk.
    Chunked,
    /// By the end of the connection, for HTTP/1.0.
    Close,
    /// There is no body (101).
    None,
}

impl Reply {
    /// An answer without body or extra header lines.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A 200 with a text, no line end added.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::new(200).header("Content-Type", TEXT).body(text)
    }

    /// An error in the form Go's servers give it: the message and one line end, never to be sniffed.
    pub fn error(status: u16, message: &str) -> Self {
        Self::new(status)
            .header("Content-Type", TEXT)
            .header("X-Content-Type-Options", "nosniff")
            .body(format!("{message}\n"))
    }

    /// Adds a header line. Control characters in the value become spaces.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Head and, if counted, body. `bare` leaves the body out (HEAD).
    pub(super) fn encode(&self, framing: Framing, bare: bool, close: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.body.len());
        let reason = http::StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Status");
        out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", self.status).as_bytes());
        for (name, value) in &self.headers {
            field(&mut out, name, value);
        }
        if framing != Framing::None {
            field(
                &mut out,
                "Date",
                &httpdate::fmt_http_date(SystemTime::now()),
            );
        }
        match framing {
            Framing::Sized => field(&mut out, "Content-Length", &self.body.len().to_string()),
            Framing::Chunked => field(&mut out, "Transfer-Encoding", "chunked"),
            Framing::Close | Framing::None => {}
        }
        if close && framing != Framing::None {
            field(&mut out, "Connection", "close");
        }
        out.extend_from_slice(b"\r\n");
        if framing == Framing::Sized && !bare {
            out.extend_from_slice(&self.body);
        }
        out
    }
}

/// Appends one header or trailer line; nothing in the value can end the line early.
pub(super) fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(
        value
            .bytes()
            .map(|byte| if byte.is_ascii_control() { b' ' } else { byte }),
    );
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_smuggle_lines() {
        let mut out = Vec::new();
        field(&mut out, "Process-State", "exec: \"a\r\nX: y\" not found");
        assert_eq!(out, b"Process-State: exec: \"a  X: y\" not found\r\n");
    }

    #[test]
    fn errors_look_like_gos() {
        let bytes = Reply::error(400, "requires POST method").encode(Framing::Sized, false, false);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nDate: "));
        assert!(text.ends_with("\r\nContent-Length: 21\r\n\r\nrequires POST method\n"));
    }
}
