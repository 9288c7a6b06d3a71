//! Pickup paths: who is asked for, and for which dial.

use std::fmt;

const DIALER_KEY: &str = "revdial.dialer";
const DIAL_KEY: &str = "revdial.dial";

/// The longest request target accepted from a peer, in bytes.
const MAX_TARGET: usize = 2048;

/// Why a path from outside was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// It is relative, or not a path at all.
    #[error("path does not start with a slash")]
    NoSlash,
    /// It holds blanks, control bytes or bytes above ASCII.
    #[error("path holds a byte that cannot stand in a request line")]
    BadByte,
    /// It is longer than 2 KiB.
    #[error("path is longer than {MAX_TARGET} bytes")]
    TooLong,
}

/// Checks that `target` can be written into a request line as it is.
pub(crate) fn check_target(target: &str) -> Result<(), InvalidTarget> {
    if target.len() > MAX_TARGET {
        return Err(InvalidTarget::TooLong);
    }
    if !target.starts_with('/') {
        return Err(InvalidTarget::NoSlash);
    }
    if !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(InvalidTarget::BadByte);
    }
    Ok(())
}

/// A dialer's name and at the same time its secret: whoever knows it can hand in connections.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DialerId([u8; 16]);

impl DialerId {
    /// No dialer: a stand-in where none could be made.
    pub(crate) const NONE: Self = Self([0; 16]);

    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Only the 32 lower-case hex digits [`DialerId::conn_path`] writes.
    fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let mut bytes = [0; 16];
        if text.len() != 2 * bytes.len() {
            return None;
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// The path a listener asks for to serve dial number `dial`.
    pub(crate) fn conn_path(&self, base: &str, dial: u64) -> String {
        let mut path = String::with_capacity(base.len() + 80);
        path.push_str(base);
        path.push(if base.contains('?') { '&' } else { '?' });
        path.push_str(DIALER_KEY);
        path.push('=');
        for byte in self.0 {
            for digit in [byte >> 4, byte & 15] {
                path.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        path.push('&');
        path.push_str(DIAL_KEY);
        path.push('=');
        path.push_str(&dial.to_string());
        path
    }
}

impl fmt::Debug for DialerId {
    /// Enough digits to tell two dialers apart in a log, too few to use.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DialerId({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// What a pickup path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) dialer: DialerId,
    /// Absent from paths this crate did not write.
    pub(crate) dial: Option<u64>,
}

impl Wanted {
    pub(crate) fn parse(path_and_query: &str) -> Option<Self> {
        let (_, query) = path_and_query.split_once('?')?;
        let query = query.split('#').next().unwrap_or_default();
        let value = |key: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(k, _)| *k == key)
                .map(|(_, v)| v)
        };
        Some(Self {
            dialer: DialerId::parse(value(DIALER_KEY)?)?,
            dial: value(DIAL_KEY).and_then(|v| v.parse().ok()),
        })
    }
}

/// `path_and_query` with the secret in it blanked, for access logs.
///
/// ```
/// let target = "/revdial?revdial.dialer=e97a716ef5a0c77c3488a2bba14069a9&revdial.dial=7";
/// assert_eq!(revdial::redact(target), "/revdial?revdial.dialer=redacted&revdial.dial=7");
/// ```
pub fn redact(path_and_query: &str) -> String {
    let Some((path, query)) = path_and_query.split_once('?') else {
        return path_and_query.to_owned();
    };
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, _)) if key == DIALER_KEY => format!("{key}=redacted"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{path}?{}", pairs.join("&"))
}

/// `text`, which may be anybody's, with everything blanked that could be a dialer's secret.
pub(crate) fn redact_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, found) = rest.split_at(at);
        let end = found.find(|c: char| !c.is_ascii_hexdigit());
        let (digits, after) = found.split_at(end.unwrap_or(found.len()));
        out.push_str(before);
        out.push_str(if digits.len() < 32 {
            digits
        } else {
            "redacted"
        });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00112233445566778899aabbccddeeff";

    fn id() -> DialerId {
        DialerId::parse(HEX).unwrap()
    }

    #[test]
    fn a_path_comes_back_as_what_it_asked_for() {
        assert_eq!(
            id().conn_path("/revdial", 7),
            format!("/revdial?revdial.dialer={HEX}&revdial.dial=7")
        );
        assert_eq!(
            id().conn_path("/r?a=b", 0),
            format!("/r?a=b&revdial.dialer={HEX}&revdial.dial=0")
        );
        for base in ["/revdial", "/r?a=b", "/r?"] {
            let wanted = Wanted::parse(&id().conn_path(base, u64::MAX)).unwrap();
            assert_eq!(
                wanted,
                Wanted {
                    dialer: id(),
                    dial: Some(u64::MAX)
                }
            );
        }
    }

    #[test]
    fn paths_of_others() {
        let plain = Wanted {
            dialer: id(),
            dial: None,
        };
        assert_eq!(
            Wanted::parse(&format!("/any/where?revdial.dialer={HEX}")),
            Some(plain)
        );
        assert_eq!(
            Wanted::parse(&format!("/r?x&revdial.dialer={HEX}&revdial.dial=-1")),
            Some(plain)
        );
        for bad in [
            "",
            "/revdial",
            "/revdial?",
            "/revdial?revdial.dialer=",
            "/revdial?revdial.dialer=00",
            "/?a=b",
        ] {
            assert_eq!(Wanted::parse(bad), None, "{bad:?}");
        }
        assert_eq!(
            Wanted::parse(&format!("/r?revdial.dialer={}", HEX.to_uppercase())),
            None
        );
        assert_eq!(
            Wanted::parse(&format!("/r?revdial.dialer={}", "é".repeat(16))),
            None
        );
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert_eq!(format!("{:?}", id()), "DialerId(0011..)");
        assert!(!redact(&id().conn_path("/revdial", 1)).contains("8899"));
        assert_eq!(redact("/plain"), "/plain");
    }

    #[test]
    fn the_secret_is_found_in_any_text() {
        let path = id().conn_path("/revdial", 1);
        for page in [
            format!("no such page: {path}\n"),
            format!("{path} {path}"),
            format!("revdial.dialer revdial.dialer=\"{HEX}\""),
            format!("revdial.dialer&#61;{HEX}"),
        ] {
            let shown = redact_text(&page);
            assert!(!shown.contains("8899"), "{shown}");
            assert!(shown.contains("redacted"), "{shown}");
        }
        for harmless in ["", "revdial.dialer=", "é bad cafe é1 deadbeef"] {
            assert_eq!(redact_text(harmless), harmless);
        }
    }

    #[test]
    fn targets_from_outside_are_checked() {
        assert_eq!(check_target("/x?y=%zz"), Ok(()));
        assert_eq!(check_target(""), Err(InvalidTarget::NoSlash));
        assert_eq!(check_target("http://host/x"), Err(InvalidTarget::NoSlash));
        for bad in ["/a b", "/a\r\nX: y", "/\0", "/é", "/\x7f"] {
            assert_eq!(check_target(bad), Err(InvalidTarget::BadByte), "{bad:?}");
        }
        assert_eq!(
            check_target(&format!("/{}", "x".repeat(2048))),
            Err(InvalidTarget::TooLong)
        );
    }
}
