//! "Did you mean": the valid word nearest to a misspelt one.

/// Words of other systems and the ones that mean the same here.
const SYNONYMS: [(&str, &str); 24] = [
    ("cmd", "run"),
    ("command", "run"),
    ("script", "run"),
    ("exec", "run"),
    ("commands", "steps"),
    ("jobs", "builder"),
    ("job", "builder"),
    ("tasks", "steps"),
    ("cwd", "dir"),
    ("workdir", "dir"),
    ("working-directory", "dir"),
    ("directory", "dir"),
    ("environment", "env"),
    ("variables", "env"),
    ("runs-on", "host"),
    ("machine", "host"),
    ("image", "host"),
    ("deadline", "timeout"),
    ("interval", "poll"),
    ("max_size", "limit"),
    ("rule", "policy"),
    ("comment", "description"),
    ("max_retries", "infra"),
    ("changed_paths", "paths"),
];

/// Longest word that is compared; a longer one is a misspelling of nothing.
const MAX_WORD: usize = 80;

/// The candidate that `word` most likely means, if any is near enough.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let word = word.to_lowercase();
    let synonym = SYNONYMS
        .iter()
        .find(|(foreign, _)| *foreign == word)
        .map(|(_, own)| *own);
    // A third of the letters may be wrong, but never more than three.
    let allowed = word.chars().count().div_ceil(3).min(3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if synonym == Some(candidate) {
            return Some(candidate);
        }
        let shortened = word.len() >= 3
            && (candidate.starts_with(word.as_str()) || candidate.ends_with(word.as_str()));
        let distance = match distance(&word, &candidate.to_lowercase()) {
            near if near <= allowed => near,
            // "desc" is far from "description" in letters but not in mind.
            _ if shortened => allowed + 1,
            _ => continue,
        };
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut row = vec![0; b.len() + 1];
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let same = a[i - 1] == b[j - 1];
            let mut least = (last[j] + 1)
                .min(row[j - 1] + 1)
                .min(last[j - 1] + usize::from(!same));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row[j] = least;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("step", "steps", 1),
            ("tiemout", "timeout", 1),
            ("kitten", "sitting", 3),
            ("abc", "abc", 0),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn the_nearest_word() {
        let keys = [
            "host",
            "description",
            "env",
            "dir",
            "timeout",
            "steps",
            "run",
        ];
        for (word, meant) in [
            ("step", Some("steps")),
            ("Steps", Some("steps")),
            ("hots", Some("host")),
            ("desc", Some("description")),
            ("cmd", Some("run")),
            ("time-out", Some("timeout")),
            ("out", Some("timeout")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), meant, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), keys), None);
    }
}
