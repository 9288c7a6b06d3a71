//! Text, times and addresses as HTML.

use std::fmt::Write;

/// A time, in UTC; scripts show it in the reader's words.
pub(super) fn time(seconds: i64) -> String {
    let Ok(time) = jiff::Timestamp::from_second(seconds) else {
        return String::new();
    };
    let shown = time.strftime("%Y-%m-%d %H:%M");
    format!("<time datetime=\"{time}\">{shown}</time>")
}

/// A time that may be unknown.
pub(super) fn maybe_time(time: Option<crate::corpus::Timestamp>) -> String {
    time.map_or_else(String::new, |at| self::time(at.seconds()))
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A path as an address: what stands for itself in one, percent signs for the rest.
pub(super) fn href(parts: &[&str]) -> String {
    let mut address = String::new();
    for part in parts {
        address.push('/');
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/+@:,".contains(&byte) {
                address.push(char::from(byte));
            } else {
                let _ = write!(address, "%{byte:02X}");
            }
        }
    }
    address
}

/// A value behind `?key=`, in a form that needs no escaping in HTML either.
fn query_part(value: &str) -> String {
    let mut part = String::new();
    for byte in value.bytes() {
        match byte {
            b' ' => part.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"-._~/:,".contains(&byte) => {
                part.push(char::from(byte));
            }
            _ => {
                let _ = write!(part, "%{byte:02X}");
            }
        }
    }
    part
}

/// Where a query is answered.
pub(super) fn address_of_query(query: &str) -> String {
    format!("/search?q={}", query_part(query))
}

/// A value of a query's term, in quotation marks where needed.
pub(super) fn term(key: &str, value: &str) -> String {
    let value = value.replace('"', "");
    match value.contains(char::is_whitespace) {
        true => format!("{key}:\"{value}\""),
        false => format!("{key}:{value}"),
    }
}

/// `1 file`, `2 files`, `12,345 files`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    let name = if number == 1 { one } else { many };
    format!("{} {name}", grouped(number))
}

/// `1,234,567`.
pub(super) fn grouped(number: impl std::fmt::Display) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A page of a list.
pub(super) struct Part {
    /// What comes before it.
    pub(super) from: usize,
    /// The most that is on it, and what is.
    pub(super) size: usize,
    pub(super) shown: usize,
    /// Of how many, if that is known.
    pub(super) of: Option<usize>,
    pub(super) more: bool,
}

/// Which part of a list a page has, with links to the page before and the one behind; nothing if all of it is there.
/// `address` goes before `from=…`.
pub(super) fn pager(address: &str, part: &Part) -> String {
    let Part { from, size, .. } = *part;
    if from == 0 && !part.more {
        return String::new();
    }
    let address = escape(address);
    let link = |is: bool, from: usize, rel: &str, name: &str| match is {
        true => format!("<a href=\"{address}from={from}\" rel=\"{rel}\">{name}</a> "),
        false => String::new(),
    };
    let newer = link(from > 0, from.saturating_sub(size), "prev", "← newer");
    let older = link(part.more, from + size, "next", "older →");
    let of = part
        .of
        .map_or_else(String::new, |all| format!(" of {}", grouped(all)));
    let which = match part.shown {
        0 => "none left".to_owned(),
        shown => format!("{}–{}{of}", grouped(from + 1), grouped(from + shown)),
    };
    format!(
        "<nav class=\"pages\" aria-label=\"Pages\">{newer}<span class=\"dim\">{which}</span> {older}</nav>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(
            href(&["local/x", "log", "refs/heads/a#b?c d"]),
            "/local/x/log/refs/heads/a%23b%3Fc%20d"
        );
        assert_eq!(
            time(0),
            "<time datetime=\"1970-01-01T00:00:00Z\">1970-01-01 00:00</time>"
        );
        assert_eq!(time(i64::MAX), "");
        assert_eq!(
            address_of_query("label:\"help wanted\" a&b+é"),
            "/search?q=label:%22help+wanted%22+a%26b%2B%C3%A9"
        );
        assert_eq!(term("label", "help \"wanted"), "label:\"help wanted\"");
    }

    #[test]
    fn numbers() {
        let all = [0, 999, 1000, 123_456, 1_234_567].map(grouped);
        assert_eq!(all, ["0", "999", "1,000", "123,456", "1,234,567"]);
        assert_eq!(count(1, "file", "files"), "1 file");
    }
}
