/// Why a text is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {at}: {kind}")]
#[non_exhaustive]
pub struct QueryError {
    /// Bytes before the place.
    pub at: usize,
    /// What is wrong there.
    pub kind: QueryErrorKind,
}

/// What is wrong with a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryErrorKind {
    /// There is no such key.
    #[error("unknown key `{key}`; did you mean `{nearest}`?")]
    Key {
        /// What stands there.
        key: String,
        /// The most similar one there is.
        nearest: &'static str,
    },
    /// The key has no such value.
    #[error("unknown value `{value}` of `{key}`; did you mean `{nearest}`?")]
    Value {
        /// The key.
        key: &'static str,
        /// What stands there.
        value: String,
        /// The most similar one there is.
        nearest: &'static str,
    },
    /// The value is not of the form that it has to be.
    #[error("`{key}` needs {expected}, not `{value}`")]
    Form {
        /// The key.
        key: &'static str,
        /// What stands there.
        value: String,
        /// What should.
        expected: &'static str,
    },
    /// This cannot be negated.
    #[error("`{0}` cannot be negated")]
    Negated(&'static str),
    /// A quotation mark without a second one.
    #[error("quotation mark is never closed")]
    Open,
    /// Terms for issues and terms for changes, so that nothing can be found.
    #[error("`{0}` is about changes, and other terms are about issues; ask one after the other")]
    Mixed(&'static str),
}

/// The most similar of `names`.
pub(super) fn nearest(name: &str, names: &[&'static str]) -> &'static str {
    // What is much longer is similar to nothing.
    let name: String = name.chars().take(32).collect();
    let nearest = names.iter().min_by_key(|other| distance(&name, other));
    nearest.copied().unwrap_or_default()
}

/// How many letters have to be changed, added or taken away to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (at, a) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, b) in b.chars().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
