//! What meta commits say, read line by line.

/// The trimmed value of the first line that begins with `key`.
pub(super) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    values(text, key).next()
}

/// The trimmed values of all lines that begin with `key`. A line begins behind LF or CR, and ends
/// with LF.
pub(super) fn values<'a>(text: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let line = rest.strip_prefix(key);
            let end = rest.find(if line.is_some() {
                &['\n'][..]
            } else {
                &['\n', '\r']
            });
            let next = end.map_or("", |end| &rest[end + 1..]);
            let value =
                line.map(|line| &line[..line.len() - (rest.len() - end.unwrap_or(rest.len()))]);
            if rest.is_empty() {
                return None;
            }
            rest = next;
            if let Some(value) = value {
                return Some(value.trim());
            }
        }
    })
}

/// Behind the last blank line.
pub(super) fn footer(message: &str) -> &str {
    let text = message.trim_end_matches('\n');
    match text.rsplit_once("\n\n") {
        Some((before, _)) => &message[before.len() + 2..],
        None => "",
    }
}

const STATUSES: [&str; 4] = ["merged", "abandoned", "draft", "new"];

fn known_status(text: &str) -> Option<&'static str> {
    STATUSES.into_iter().find(|status| text.starts_with(status))
}

/// The status that the footers set.
pub(super) fn status(message: &str) -> Option<&'static str> {
    known_status(value(footer(message), "Status:")?)
}

/// That of the first line `Status:`, wherever it stands.
pub(super) fn status_anywhere(message: &str) -> Option<&'static str> {
    known_status(message.split_once("\nStatus: ")?.1)
}

pub(super) fn flag(message: &str, key: &str) -> Option<bool> {
    value(footer(message), key)?.parse().ok()
}

/// Patch set and text of what Gerrit showed.
pub(super) fn shown(message: &str) -> Option<(i32, &str)> {
    let start = ["\nPatch Set ", "\nUploaded patch set "]
        .into_iter()
        .filter_map(|phrase| message.find(phrase).map(|at| (at, phrase.len())))
        .min()?;
    let number = message[start.0 + start.1..].split(':').next()?;
    if number.contains(['.', '\n']) || number.len() == message.len() - start.0 - start.1 {
        return None;
    }
    let text = &message[start.0 + 1..];
    let end = text.find("\nPatch-set:")?;
    // A whole line, behind a blank one.
    let is_whole = text[end + 1..].contains('\n');
    let text = text[..end].strip_suffix('\n')?;
    is_whole.then_some((number.parse().ok()?, text))
}

/// Label, vote (0: taken away) and who else's vote it is.
pub(super) fn vote(value: &str) -> Option<(&str, i16, Option<&str>)> {
    let (what, rest) = value.split_once(' ').unwrap_or((value, ""));
    let (what, rest) = match what.strip_suffix(',') {
        // An id stands in between.
        Some(what) => (
            what,
            rest.trim_start()
                .split_once(' ')
                .map_or("", |(_, rest)| rest),
        ),
        None => (what, rest),
    };
    let (label, vote) = match (what.strip_prefix('-'), what.split_once('=')) {
        (Some(label), _) => (label, 0),
        (None, Some((label, vote))) => (label, vote.parse().ok()?),
        (None, None) => return None,
    };
    let who = rest.split_inclusive('>').next().map(str::trim);
    let who = who.filter(|who| who.contains('<') && who.ends_with('>'));
    (!label.is_empty()).then_some((label, vote, who))
}

/// Issues that a text mentions: owner and repository in lower case, number. Of those without a
/// repository, `of` tells it.
pub(super) fn mentions(text: &str, of: Option<(&str, &str)>) -> Vec<(String, String, i32)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('#') {
        let rest = &text[at + 1..];
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let ends = rest[digits..].chars().next();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if digits == 0 || ends.is_some_and(is_word) {
            continue;
        }
        let Ok(number) = rest[..digits].parse::<i32>() else {
            continue;
        };
        let in_name = |c: char| is_word(c) || c == '-';
        let before = &text[..at];
        let before_repo = before.trim_end_matches(in_name);
        let repo = &before[before_repo.len()..];
        let owner = before_repo.strip_suffix('/').map(|before| {
            let start = before.trim_end_matches(in_name).len();
            before[start..].trim_start_matches('-')
        });
        let (owner, repo) = match (owner, of) {
            (Some(owner), _) if !owner.is_empty() && !repo.is_empty() => (owner, repo),
            (_, Some(of)) => of,
            _ => continue,
        };
        let mention = (
            owner.to_ascii_lowercase(),
            repo.to_ascii_lowercase(),
            number,
        );
        if !found.contains(&mention) {
            found.push(mention);
        }
    }
    found
}
