//! Issues that a text mentions: `#123`, `golang/go#123`.

/// A mention of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The owner and the name of the repository as written, if they are.
    pub repo: Option<(&'a str, &'a str)>,
    /// The number.
    pub number: i32,
}

/// The issues that a text mentions, in order, each as often as it does.
///
/// A mention is `#` and digits that end where a word ends, with or without `owner/repo` in front,
/// each of letters, digits, `_` and `-`, the owner beginning where a word begins. Numbers beyond
/// 2^31 - 1 are none.
pub fn references(text: &str) -> impl Iterator<Item = Reference<'_>> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'#', bytes).filter_map(move |at| {
        let rest = &bytes[at + 1..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let ends = rest.get(digits).is_none_or(|&next| !is_word(next));
        if digits == 0 || !ends {
            return None;
        }
        let number = text[at + 1..at + 1 + digits].parse().ok()?;
        let repo = repo_before(text, at);
        Some(Reference { repo, number })
    })
}

/// The `owner/repo` that ends at `end`.
fn repo_before(text: &str, end: usize) -> Option<(&str, &str)> {
    let start_of_name = |end: usize| {
        let name = text.as_bytes()[..end]
            .iter()
            .rev()
            .take_while(|&&byte| is_word(byte) || byte == b'-')
            .count();
        end - name
    };
    let repo = start_of_name(end);
    let slash = repo.checked_sub(1)?;
    if repo == end || text.as_bytes()[slash] != b'/' {
        return None;
    }
    let mut owner = start_of_name(slash);
    // Begins where a word begins, so not with a dash.
    while owner < slash && text.as_bytes()[owner] == b'-' {
        owner += 1;
    }
    (owner < slash).then(|| (&text[owner..slash], &text[repo..end]))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> String {
        let shown = references(text).map(|reference| match reference.repo {
            Some((owner, repo)) => format!("{owner}/{repo}#{}", reference.number),
            None => format!("#{}", reference.number),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn mentions() {
        for (text, expected) in [
            ("\nFixes #1234\n", "#1234"),
            ("Fixes #1234", "#1234"),
            ("Fixes golang/go#1234", "golang/go#1234"),
            ("Fixes golang/go#1234.", "golang/go#1234"),
            ("(golang/go#1234)", "golang/go#1234"),
            (
                "Updates #1, #2 and Golang/Go-x_2#3",
                "#1 #2 Golang/Go-x_2#3",
            ),
            ("#1234 #1234", "#1234 #1234"),
            ("#12a", ""),
            ("#12_", ""),
            ("#", ""),
            ("##7", "#7"),
            ("#99999999999", ""),
            ("#2147483647 #2147483648", "#2147483647"),
            ("a/b/c#1", "b/c#1"),
            ("/c#1", "#1"),
            ("-a/b#1", "a/b#1"),
            ("issue#5", "#5"),
            ("\u{e9}#5\u{e9}", "#5"),
            ("https://example.com/golang/go#77", "golang/go#77"),
        ] {
            assert_eq!(found(text), expected, "{text:?}");
        }
    }
}
