//! Reading control lines.

use std::{borrow::Cow, fmt, time::Duration};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{MAX_LINE, Message};

/// What a peer sent is no control line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A line did not end within [`MAX_LINE`] bytes.
    #[error("control line is longer than {MAX_LINE} bytes")]
    LineTooLong,
    /// A line was not one JSON object with string values where strings belong.
    #[error("malformed control line: {0}")]
    Malformed(String),
}

/// Cuts incoming bytes into lines and the lines into messages. Holds at most what it was fed
/// since the last message was taken out.
#[derive(Debug, Default)]
pub struct Decoder {
    buf: Vec<u8>,
    /// Bytes of `buf` already given out as messages.
    taken: usize,
    /// Bytes of `buf` known to hold no LF, from `taken` on.
    scanned: usize,
}

impl Decoder {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they came. Take all messages out before feeding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buf.drain(..self.taken);
        self.taken = 0;
        self.buf.extend_from_slice(bytes);
    }

    /// The next whole message; `None` when more bytes are needed. After an error the line
    /// boundary is lost and the connection should be given up.
    pub fn next_message(&mut self) -> Result<Option<Message>, ProtocolError> {
        loop {
            let rest = &self.buf[self.taken..];
            let limit = rest.len().min(MAX_LINE);
            let Some(at) = rest[self.scanned.min(limit)..limit]
                .iter()
                .position(|&b| b == b'\n')
            else {
                self.scanned = limit;
                return if limit == MAX_LINE {
                    Err(ProtocolError::LineTooLong)
                } else {
                    Ok(None)
                };
            };
            let end = self.scanned + at;
            let line = rest[..end].trim_ascii();
            let message = if line.is_empty() {
                None
            } else {
                Some(parse(line)?)
            };
            self.taken += end + 1;
            self.scanned = 0;
            if message.is_some() {
                return Ok(message);
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<Message, ProtocolError> {
    // Go replaces bytes that are no UTF-8 instead of refusing them.
    let text = String::from_utf8_lossy(line);
    let fields: Option<Fields> =
        serde_json::from_str(&text).map_err(|error| ProtocolError::Malformed(error.to_string()))?;
    let fields = fields.unwrap_or_default();
    Ok(match fields.command.as_str() {
        "keep-alive" => Message::KeepAlive {
            every: fields
                .every_ms
                .filter(|&ms| ms > 0)
                .map(Duration::from_millis),
        },
        "conn-ready" => Message::ConnReady {
            conn_path: fields.conn_path,
        },
        "pickup-failed" => Message::PickupFailed {
            conn_path: Some(fields.conn_path).filter(|path| !path.is_empty()),
            err: fields.err,
        },
        "close" => Message::Close { why: fields.err },
        _ => Message::Unknown,
    })
}

#[derive(Default)]
struct Fields {
    command: String,
    conn_path: String,
    err: String,
    every_ms: Option<u64>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        // By hand because derived code knows neither keys of any case nor repeated keys, of
        // which Go keeps the last.
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let slot = if key.eq_ignore_ascii_case("command") {
                &mut fields.command
            } else if key.eq_ignore_ascii_case("connPath") {
                &mut fields.conn_path
            } else if key.eq_ignore_ascii_case("err") {
                &mut fields.err
            } else if key.eq_ignore_ascii_case("every_ms") {
                fields.every_ms = map.next_value::<serde_json::Value>()?.as_u64();
                continue;
            } else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if let Some(value) = map.next_value::<Option<String>>()? {
                *slot = value;
            }
        }
        Ok(fields)
    }
}
