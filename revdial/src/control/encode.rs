//! Writing control lines.

use super::{MAX_ERR, MAX_LINE, Message};

impl Message {
    /// Appends the line, LF included, to `out`: at most [`MAX_LINE`] bytes.
    ///
    /// Error texts are cut to [`MAX_ERR`] bytes, or fewer where escaping makes them grow. A path
    /// that would not fit is left out; [`Unknown`](Message::Unknown) writes nothing.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut line = Line::new(out);
        match self {
            Self::KeepAlive { every } => {
                line.raw("{\"command\":\"keep-alive\"");
                if let Some(every) = every {
                    line.raw(&format!(",\"every_ms\":{}", every.as_millis()));
                }
            }
            Self::ConnReady { conn_path } => {
                line.raw("{\"command\":\"conn-ready\"");
                line.whole("connPath", conn_path);
            }
            Self::PickupFailed { conn_path, err } => {
                line.raw("{\"command\":\"pickup-failed\"");
                if let Some(path) = conn_path {
                    line.whole("connPath", path);
                }
                line.text("err", err);
            }
            Self::Close { why } => {
                line.raw("{\"command\":\"close\"");
                line.text("err", why);
            }
            Self::Unknown => return,
        }
        line.raw("}\n");
    }

    /// The line on its own.
    pub fn to_line(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// What every line needs after its last value: quote, brace, LF.
const TAIL: usize = 3;

struct Line<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Line<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start }
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn room(&self) -> usize {
        MAX_LINE.saturating_sub(self.out.len() - self.start + TAIL)
    }

    /// A string value that makes sense only whole: left out when empty or too long.
    fn whole(&mut self, key: &str, value: &str) {
        let before = self.out.len();
        if value.is_empty() || !self.string(key, value) {
            self.out.truncate(before);
        }
    }

    /// A text for people: cut where it must be, control characters other than LF and TAB blanked.
    fn text(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let cut = &value[..value.floor_char_boundary(MAX_ERR)];
        let calm: String = cut
            .chars()
            .map(|c| {
                if c.is_control() && !matches!(c, '\n' | '\t') {
                    ' '
                } else {
                    c
                }
            })
            .collect();
        self.string(key, &calm);
    }

    /// True if all of `value` fitted; otherwise its front is there, properly closed.
    fn string(&mut self, key: &str, value: &str) -> bool {
        if self.room() < key.len() + r#","":""#.len() {
            return false;
        }
        self.raw(",\"");
        self.raw(key);
        self.raw("\":\"");
        let mut all = true;
        let mut bytes = [0; 6];
        for c in value.chars() {
            let escaped = escape(c, &mut bytes);
            if escaped.len() > self.room() {
                all = false;
                break;
            }
            self.out.extend_from_slice(escaped);
        }
        self.raw("\"");
        all
    }
}

/// One character the way Go's JSON encoder writes it.
fn escape(c: char, space: &mut [u8; 6]) -> &[u8] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match c {
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\n' => b"\\n",
        '\r' => b"\\r",
        '\t' => b"\\t",
        '<' | '>' | '&' | '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
            let code = c as usize;
            let digit = |shift: usize| HEX[(code >> shift) & 15];
            *space = [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)];
            space
        }
        c => c.encode_utf8(&mut space[..4]).as_bytes(),
    }
}
