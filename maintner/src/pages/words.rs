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

/// Somebody's text as HTML, with addresses in it as links, and `#123` too where `issue` knows an
/// address.
pub(super) fn prose(text: &str, issue: &dyn Fn(i32) -> Option<String>) -> String {
    let mut html = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some((before, link, after)) = next_link(rest) {
        html.push_str(&escape(before));
        let shown = escape(link);
        let number = link.strip_prefix('#').map(str::parse::<i32>);
        let _ = match number.map(|number| number.ok().and_then(issue)) {
            Some(Some(url)) => write!(html, "<a href=\"{}\">{shown}</a>", escape(&url)),
            Some(None) => write!(html, "{shown}"),
            None => write!(
                html,
                "<a href=\"{shown}\" rel=\"noreferrer nofollow\">{shown}</a>"
            ),
        };
        rest = after;
    }
    html.push_str(&escape(rest));
    html
}

/// The next address or `#123` in a text, with what is before and behind it.
fn next_link(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find(['h', '#'])?;
        let tail = &text[at..];
        let free = text[..at]
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric());
        let len = if let Some(number) = tail.strip_prefix('#') {
            let digits = number.bytes().take_while(u8::is_ascii_digit).count();
            if (1..=9).contains(&digits) {
                1 + digits
            } else {
                0
            }
        } else if tail.starts_with("https://") || tail.starts_with("http://") {
            let end = tail.find(|c: char| c.is_whitespace() || "<>\"'`".contains(c));
            let link = &tail[..end.unwrap_or(tail.len())];
            let link = link.trim_end_matches(['.', ',', ':', ';', '!', '?', ')', ']', '*']);
            if link.ends_with("//") { 0 } else { link.len() }
        } else {
            0
        };
        if free && len > 0 {
            return Some((&text[..at], &tail[..len], &tail[len..]));
        }
        from = at + 1;
    }
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
pub(super) fn query_part(value: &str) -> String {
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

/// Links to the page before and the one behind, if there are such.
pub(super) fn pager(path: &str, query: &str, from: usize, size: usize, more: bool) -> String {
    let mut html = String::new();
    let mut link = |from: usize, name: &str| {
        let query = escape(query);
        let _ = write!(html, "<a href=\"{path}?{query}from={from}\">{name}</a>");
    };
    if from > 0 {
        link(from.saturating_sub(size), "← newer");
    }
    if more {
        link(from + size, "older →");
    }
    if html.is_empty() {
        html
    } else {
        format!("<nav class=\"pages\" aria-label=\"Pages\">{html}</nav>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(prose("<b>&'\"", &|_| None), "&lt;b&gt;&amp;&#39;&quot;");
        assert_eq!(
            prose("see https://x.org/a?b=1&c=2\">.", &|_| None),
            "see <a href=\"https://x.org/a?b=1&amp;c=2\" rel=\"noreferrer nofollow\">\
             https://x.org/a?b=1&amp;c=2</a>&quot;&gt;."
        );
    }

    #[test]
    fn links_in_text() {
        let issue = |number| (number != 14).then(|| format!("/o/r/{number}"));
        let linked = |text| prose(text, &issue).matches("<a ").count();
        for (text, links) in [
            ("fixes #12, #13, not #14.", 2),
            ("a#12 #x # #1234567890", 0),
            ("(https://a.b/c). http://", 1),
            ("xhttps://a.b", 0),
            ("hhttps://a.b https://c.d", 1),
            ("", 0),
        ] {
            assert_eq!(linked(text), links, "{text:?}: {}", prose(text, &issue));
        }
        assert_eq!(prose("#12", &issue), "<a href=\"/o/r/12\">#12</a>");
        assert_eq!(prose("#14", &issue), "#14");
    }

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
