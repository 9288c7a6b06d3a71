//! Parameters of a request, by the rules of Go's `net/http` forms.
//!
//! Values come from the URL query and from a body of type `application/x-www-form-urlencoded` or
//! `multipart/form-data`. They are bytes: arguments and environment values need not be UTF-8.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::http1::{BodyError, Exchange};

/// Names and values in order of appearance.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The parameters of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    post: Pairs,
    query: Pairs,
}

impl Form {
    /// Only the query; the body is left alone.
    pub fn from_query(query: &str) -> Self {
        Self {
            post: Vec::new(),
            query: parse_pairs(query.as_bytes()),
        }
    }

    /// Query and body. A body over `max` bytes reads as an empty form, as it does in Go.
    pub async fn read<T>(exchange: &mut Exchange<T>, max: usize) -> Result<Self, BodyError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let head = exchange.head();
        let mut form = Self::from_query(&head.query);
        let content_type = head.header("content-type").unwrap_or_default().to_owned();
        let kind = content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let has_form = matches!(head.method.as_str(), "POST" | "PUT" | "PATCH")
            && matches!(
                kind.as_str(),
                "application/x-www-form-urlencoded" | "multipart/form-data"
            );
        if !has_form {
            return Ok(form);
        }
        let mut body = Vec::new();
        while let Some(data) = exchange.chunk().await? {
            if body.len() + data.len() > max {
                return Ok(form);
            }
            body.extend_from_slice(&data);
        }
        form.post = if kind == "multipart/form-data" {
            boundary(&content_type)
                .map(|boundary| parse_multipart(&body, &boundary))
                .unwrap_or_default()
        } else {
            parse_pairs(&body)
        };
        Ok(form)
    }

    /// First value of a name, the body's before the query's; empty if there is none.
    pub fn value<'a>(&'a self, name: &str) -> &'a [u8] {
        self.all(name).next().unwrap_or_default()
    }

    /// All values of a name, the body's first.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.post
            .iter()
            .chain(&self.query)
            .filter(move |(key, _)| key == name.as_bytes())
            .map(|(_, value)| value.as_slice())
    }

    /// Values of a name in the body only.
    pub fn post<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.post
            .iter()
            .filter(move |(key, _)| key == name.as_bytes())
            .map(|(_, value)| value.as_slice())
    }

    /// First value of a name in the query only; empty if there is none.
    pub fn query<'a>(&'a self, name: &str) -> &'a [u8] {
        self.query
            .iter()
            .find(|(key, _)| key == name.as_bytes())
            .map(|(_, value)| value.as_slice())
            .unwrap_or_default()
    }
}

/// Go's `strconv.ParseBool`, with anything unknown false.
pub fn go_bool(text: &[u8]) -> bool {
    matches!(text, b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True")
}

/// Decodes `%xx`, and `+` as space if asked to. `None` if an escape is cut or not hexadecimal.
pub(crate) fn percent_decode(text: &[u8], plus: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(*rest.next()?).to_digit(16)?;
                let low = char::from(*rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    Some(out)
}

/// Pairs that do not decode, or hold a raw semicolon, are dropped, as Go does.
fn parse_pairs(text: &[u8]) -> Pairs {
    text.split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty() && !pair.contains(&b';'))
        .filter_map(|pair| {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let key = percent_decode(halves.next().unwrap_or_default(), true)?;
            let value = percent_decode(halves.next().unwrap_or_default(), true)?;
            Some((key, value))
        })
        .collect()
}

fn boundary(content_type: &str) -> Option<Vec<u8>> {
    parameter(content_type, "boundary").filter(|text| (1..=70).contains(&text.len()))
}

/// A parameter of a header value such as `form-data; name="cmd"`.
fn parameter(value: &str, name: &str) -> Option<Vec<u8>> {
    value.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        if !key.trim().eq_ignore_ascii_case(name) {
            return None;
        }
        let value = value.trim();
        let bare = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        Some(bare.as_bytes().to_vec())
    })
}

/// The plain fields of a `multipart/form-data` body (RFC 7578); files are skipped.
fn parse_multipart(body: &[u8], boundary: &[u8]) -> Pairs {
    let mut delimiter = b"\r\n--".to_vec();
    delimiter.extend_from_slice(boundary);
    // The first delimiter has no line end before it.
    let mut text = b"\r\n".to_vec();
    text.extend_from_slice(body);
    let mut pairs = Vec::new();
    let mut rest = text.as_slice();
    let Some(start) = find(rest, &delimiter) else {
        return pairs;
    };
    rest = rest.get(start + delimiter.len()..).unwrap_or_default();
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let Some(end) = find(part, &delimiter) else {
            break;
        };
        let (content, after) = part.split_at(end);
        rest = after.get(delimiter.len()..).unwrap_or_default();
        let Some(blank) = find(content, b"\r\n\r\n") else {
            continue;
        };
        let (head, value) = content.split_at(blank);
        let value = value.get(4..).unwrap_or_default();
        let name = String::from_utf8_lossy(head)
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("content-disposition"))
            .filter(|(_, value)| parameter(value, "filename").is_none())
            .and_then(|(_, value)| parameter(value, "name"));
        if let Some(name) = name {
            pairs.push((name, value.to_vec()));
        }
    }
    pairs
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn body_comes_before_query_and_bad_pairs_are_dropped() {
        let form = Form {
            post: parse_pairs(b"cmd=a%2Fb&env=A=1&env=B+2&bad=%zz&x=1;y=2&&=v&flag"),
            query: parse_pairs(b"cmd=q&dir=d"),
        };
        assert_eq!(form.value("cmd"), b"a/b");
        assert_eq!(form.query("cmd"), b"q");
        assert_eq!(form.value("dir"), b"d");
        assert_eq!(form.post("env").collect::<Vec<_>>(), [&b"A=1"[..], b"B 2"]);
        assert_eq!(form.value("bad"), b"");
        assert_eq!(form.value("x"), b"");
        assert_eq!(form.value("flag"), b"");
        assert_eq!(form.value("absent"), b"");
    }

    #[test]
    fn go_booleans() {
        for yes in ["1", "t", "T", "TRUE", "true", "True"] {
            assert!(go_bool(yes.as_bytes()));
        }
        for no in ["", "0", "false", "yes", "tRUE", "on"] {
            assert!(!go_bool(no.as_bytes()));
        }
    }

    #[test]
    fn multipart_fields_are_values_and_files_are_not() {
        let body = b"--B\r\nContent-Disposition: form-data; name=\"cmd\"\r\n\r\nsh\r\n--B\r\ncontent-disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nzzz\r\n--B\r\nContent-Disposition: form-data; name=\"cmdArg\"\r\n\r\n-c\r\nls\r\n--B--\r\n";
        assert_eq!(
            parse_multipart(body, b"B"),
            [
                (b"cmd".to_vec(), b"sh".to_vec()),
                (b"cmdArg".to_vec(), b"-c\r\nls".to_vec()),
            ]
        );
        assert_eq!(
            boundary("multipart/form-data; boundary=\"a b\"").unwrap(),
            b"a b"
        );
    }

    proptest! {
        #[test]
        fn never_panics(text: Vec<u8>, boundary in prop::collection::vec(any::<u8>(), 1..5)) {
            drop(parse_pairs(&text));
            drop(parse_multipart(&text, &boundary));
        }

        #[test]
        fn encoded_bytes_come_back(value: Vec<u8>) {
            let encoded: String = value.iter().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(percent_decode(encoded.as_bytes(), true).unwrap(), value);
        }
    }
}
