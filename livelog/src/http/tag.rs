use ::http::header::{AsHeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE};
use ::http::{HeaderMap, HeaderValue};

/// What the conditions of a request (RFC 9110, section 13) say of a log with this entity tag, or with none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Answer it.
    Holds,
    /// Answer it as if it had no range.
    HoldsForAll,
    /// `If-Match` names others: 412.
    Fails,
    /// `If-None-Match` names this one: 304.
    NotModified,
}

/// In the order of RFC 9110, section 13.2.2. There are no dates to compare.
pub(super) fn condition(headers: &HeaderMap, tag: Option<&str>) -> Condition {
    if headers.contains_key(IF_MATCH) && !is_listed(headers, IF_MATCH, tag, false) {
        return Condition::Fails;
    }
    if is_listed(headers, IF_NONE_MATCH, tag, true) {
        return Condition::NotModified;
    }
    let mut values = headers.get_all(IF_RANGE).iter();
    match (values.next(), values.next()) {
        (None, _) => Condition::Holds,
        // Neither a date nor a weak tag is equal to a strong one.
        (Some(value), None) if value.to_str().ok() == tag && tag.is_some() => Condition::Holds,
        _ => Condition::HoldsForAll,
    }
}

fn is_listed(headers: &HeaderMap, name: impl AsHeaderName, tag: Option<&str>, weak: bool) -> bool {
    let values = headers.get_all(name).iter().map(HeaderValue::to_str);
    // Our tags contain no comma, so those of others may be torn at theirs.
    let mut listed = values.flatten().flat_map(|value| value.split(','));
    listed.any(|one| match one.trim() {
        "*" => true,
        one => {
            tag == Some(one) || weak && one.strip_prefix("W/").is_some_and(|one| tag == Some(one))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let ask = |lines: &[(&'static str, &'static str)], tag| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            condition(&headers, tag)
        };
        use Condition::{Fails, Holds, HoldsForAll, NotModified};
        for (lines, known, unknown) in [
            (&[][..], Holds, Holds),
            (&[("if-match", "*")], Holds, Holds),
            (&[("if-match", "\"a\"")], Holds, Fails),
            (&[("if-match", "\"b\", \"a\"")], Holds, Fails),
            (
                &[("if-match", "\"b\""), ("if-match", "\"a\"")],
                Holds,
                Fails,
            ),
            (&[("if-match", "W/\"a\"")], Fails, Fails),
            (&[("if-match", "")], Fails, Fails),
            (&[("if-none-match", "*")], NotModified, NotModified),
            (&[("if-none-match", "\"a\"")], NotModified, Holds),
            (&[("if-none-match", "\"b\",W/\"a\" ")], NotModified, Holds),
            (&[("if-none-match", "\"b\"")], Holds, Holds),
            (&[("if-none-match", "a")], Holds, Holds),
            (&[("if-range", "\"a\"")], Holds, HoldsForAll),
            (&[("if-range", "W/\"a\"")], HoldsForAll, HoldsForAll),
            (&[("if-range", "\"b\"")], HoldsForAll, HoldsForAll),
            (
                &[("if-range", "Sat, 29 Oct 1994 19:43:31 GMT")],
                HoldsForAll,
                HoldsForAll,
            ),
            (
                &[("if-range", "\"a\""), ("if-range", "\"a\"")],
                HoldsForAll,
                HoldsForAll,
            ),
            (
                &[("if-match", "\"a\""), ("if-none-match", "\"a\"")],
                NotModified,
                Fails,
            ),
            (
                &[("if-match", "\"a\""), ("if-range", "\"b\"")],
                HoldsForAll,
                Fails,
            ),
        ] {
            assert_eq!(ask(lines, Some("\"a\"")), known, "{lines:?}");
            assert_eq!(ask(lines, None), unknown, "{lines:?}");
        }
    }
}
