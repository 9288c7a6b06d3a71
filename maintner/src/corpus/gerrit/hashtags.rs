use crate::parse::notedb;

/// A set of hashtags: a text with commas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hashtags<'a>(pub &'a str);

impl<'a> Hashtags<'a> {
    /// Whether this one is among them.
    pub fn contains(self, hashtag: &str) -> bool {
        self.matches(|tag| tag == hashtag)
    }

    /// Whether `is_it` is true of one; it is not asked about those behind.
    pub fn matches(self, is_it: impl FnMut(&'a str) -> bool) -> bool {
        self.iter().any(is_it)
    }

    /// Each of them, as written, without the white space around.
    pub fn iter(self) -> impl Iterator<Item = &'a str> + use<'a> {
        notedb::split_hashtags(self.0)
    }

    /// How many there are. As in the original, each comma separates two.
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// What a meta commit did to the hashtags, as its text tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HashtagEdits<'a> {
    /// Those that it added.
    pub added: Hashtags<'a>,
    /// Those that it took away.
    pub removed: Hashtags<'a>,
}
